"""The scorer `tshirt`: mean S-IFD over noisy copies of the embeddings, with its spread."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from sftbench import Desk, Needs, PassRequest, Pool, Scores, UsageError, param
from sftbench_plugins.tshirt.clean import CleanPasses
from sftbench_plugins.tshirt.copies import Losses, ifd
from sftbench_plugins.tshirt.measure import Measured, Rule, Stock, measure, take_stock

if TYPE_CHECKING:
    from sftbench import LanguageModel
    from sftbench_plugins.tshirt.noise import Source
    from sftbench_plugins.tshirt.reading import Reading

_GIVEN, _ALONE = PassRequest(view="conditional"), PassRequest(view="response_only")


@dataclass(frozen=True, kw_only=True)
class TShirt:
    """Selective IFD (S-IFD): IFD over the informative tokens only, averaged over noisy copies.

    Source: T-SHIRT (arXiv 2506.01317), secs. 3.1 and 3.2.
    """

    name: ClassVar[str] = "tshirt"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = False

    mode: Literal["paper", "official"] = param("paper", "'official' repeats the authors' code, known defects included")
    dtype: Literal["auto", "float32", "bfloat16"] = param("auto", "auto: float32 for paper, bfloat16 for official")
    keep: float = param(0.5, "share of the pool's tokens that counts as informative (the paper's k)")
    alpha: float = param(5.0, "noise scale; the noise is alpha / sqrt(L d) times uniform(-1, 1)")
    num_draws: int = param(30, "noisy copies of every row")
    max_length: int = param(1024, "tokens of prompt and response; the response is cut")
    clean_only: bool = param(False, "ablation: no noise, one clean copy (at the model's own max_length)")
    sifd_off: bool = param(False, "ablation: plain IFD in the place of S-IFD")

    def __post_init__(self) -> None:
        if not 0 < self.keep <= 1:
            raise ValueError("keep must be above 0 and at most 1")
        if self.num_draws < 1 or self.max_length < 2 or self.alpha < 0:
            raise ValueError("num_draws must be at least 1, max_length at least 2, alpha not negative")
        if self.mode == "official" and (self.clean_only or self.sifd_off):
            raise ValueError("clean_only and sifd_off are ablations of mode=paper; the authors' code cannot do them")

    def needs(self) -> Needs:
        """Mode `paper` takes the clean IFD from the passes that other methods use too; `official` makes its own."""
        return Needs(
            passes=(_GIVEN, _ALONE) if self.mode == "paper" else (),
            language_models=() if self.clean_only else ("scoring",),
        )

    @property
    def passes_over_pool(self) -> float:
        """Every copy with the prompt and, shorter, without it; the authors' code makes its clean copy itself."""
        return 0.0 if self.clean_only else 2.0 * (self.num_draws + (self.mode == "official"))

    def score(self, pool: Pool, desk: Desk) -> Scores:
        """Mean S-IFD per row; columns `std_sifd`, `mean_noisy_ifd`, `ifd_clean`, `num_tokens`, `num_kept`."""
        if len(set(pool.ids)) < len(pool):
            raise UsageError("the pool has the same id twice; T-SHIRT seeds its noise by id")
        rule = Rule(keep=self.keep, as_authors=self.mode == "official", selective=not self.sifd_off)
        if self.clean_only:
            clean = CleanPasses(desk.passed(_GIVEN), desk.passed(_ALONE))
            stock = clean.stock()
            return measure(clean.stream(stock), stock, rule, num_copies=1, folder=desk.scratch)
        name = ("bfloat16" if rule.as_authors else "float32") if self.dtype == "auto" else self.dtype
        model = desk.language_model("scoring", dtype=name)
        stock = take_stock(self._readings(pool, model), num_rows=len(pool))
        desk.log(
            f"T-SHIRT: {np.count_nonzero(stock.num_tokens)} of {len(pool)} rows, {self.num_draws} noisy copies each"
        )
        stream = self._stream(pool, desk, model, stock)
        scores = measure(stream, stock, rule, num_copies=self.num_draws, folder=desk.scratch)
        return replace(scores, report={**scores.report, "dtype": name, "num_copies": self.num_draws})

    def _readings(self, pool: Pool, model: LanguageModel) -> Iterator[Reading]:
        from sftbench_plugins.tshirt import reading

        read = reading.read_as_authors if self.mode == "official" else reading.read_by_offsets
        return read(pool, model.tokenizer, max_length=min(self.max_length, model.max_length))

    def _stream(self, pool: Pool, desk: Desk, model: LanguageModel, stock: Stock) -> Iterator[Measured]:
        from sftbench_plugins.tshirt.losses import noisy_losses
        from sftbench_plugins.tshirt.noise import PairedNoise

        noise = PairedNoise(self._source(desk.seed, model), alpha=self.alpha)
        clean = None if self.mode == "official" else CleanPasses(desk.passed(_GIVEN), desk.passed(_ALONE))
        with desk.progress(int(np.count_nonzero(stock.num_tokens)), "rows") as progress:
            for position, losses in noisy_losses(self._readings(pool, model), model, noise):
                if clean is None:
                    unperturbed = Losses(losses.conditional[:1], losses.alone[:1])
                    losses = Losses(losses.conditional[1:], losses.alone[1:])
                    yield Measured(position, losses, float(ifd(unperturbed, same_tokens=False)[0]))
                else:
                    yield Measured(position, losses, clean.ifd(position, num_tokens=int(stock.num_tokens[position])))
                progress.advance()

    def _source(self, seed: int, model: LanguageModel) -> Source:
        from sftbench_plugins.tshirt.noise import AuthorsStream, PerRow

        make = AuthorsStream if self.mode == "official" else PerRow
        return make(seed=seed, num_draws=self.num_draws, dtype=model.model.dtype)
