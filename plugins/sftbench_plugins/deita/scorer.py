"""The scorer `deita`: complexity of what is asked times quality of what is answered, both rated by language models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from sftbench import Desk, Json, Needs, Pool, Scores, param

if TYPE_CHECKING:
    from sftbench_plugins.deita.rating import Rated
    from sftbench_plugins.deita.templates import Kind

Floats = npt.NDArray[np.float64]
STAND_IN = "scoring"
_FAINT = 0.05
"""Below this share of the probability for all six digits together a model hardly means to answer with one."""


@dataclass(frozen=True, kw_only=True)
class Deita:
    """Complexity x quality of every exchange, summed over a row's exchanges (arXiv 2312.15685, sec. 3).

    A rating is the mean of the digits 1 to 6 under a model's probabilities for the next token. Without
    fine-tuned scorers the run's scoring model rates in their stead; the report says so.
    """

    name: ClassVar[str] = "deita"
    version: ClassVar[str] = "2"
    deterministic: ClassVar[bool] = True

    mode: Literal["paper", "official"] = param(
        "paper", "'official' never cuts a text and rates what does not fit 3.0, as the authors' code does"
    )
    rate: Literal["both", "complexity", "quality"] = param("both", "what the score is: the product, or one of the two")
    complexity_model: str = param(STAND_IN, "folder of the complexity scorer; 'scoring' is the run's, a stand-in")
    quality_model: str = param(STAND_IN, "folder of the quality scorer; 'scoring' is the run's, a stand-in")
    turns: Literal["sum", "mean", "first"] = param("sum", "what the products of a row's exchanges become")
    dtype: Literal["float32", "bfloat16", "float16"] = param("float32", "in which the scorers compute")

    def __post_init__(self) -> None:
        if self.mode == "official" and self.turns != "sum":
            raise ValueError("the authors' code sums over turns; turns=mean and turns=first go with mode=paper")

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """What is rated."""
        return ("complexity", "quality") if self.rate == "both" else (self.rate,)

    @property
    def passes_over_pool(self) -> float:
        """One for each rating; that of complexity sees the query alone."""
        return float(len(self.kinds))

    def needs(self) -> Needs:
        named = {folder for folder in map(self._folder, self.kinds) if folder != STAND_IN}
        stand_in = STAND_IN in map(self._folder, self.kinds)
        return Needs(
            language_models=("scoring",) if stand_in else (),
            foreign_models={self._role(folder): folder for folder in sorted(named)},
        )

    def score(self, pool: Pool, desk: Desk) -> Scores:
        """Bigger is better; columns `complexity` and `quality` (means over exchanges), their digit masses, `by_turn`.

        Raises `UsageError` when a scorer's tokenizer does not write a digit as one token.
        """
        rated: dict[Kind, Rated] = {}
        about: dict[str, Json] = {}
        for kind in self.kinds:
            rated[kind], about[kind] = self._rated(kind, pool, desk)
        reasons = {row: reason for each in reversed(rated.values()) for row, reason in each.reasons.items()}
        notes: dict[int, set[str]] = {}
        for each in rated.values():
            for row, remarks in each.notes.items():
                notes.setdefault(row, set()).update(remarks)
        counts = np.array(next(iter(rated.values())).counts, dtype=np.int64)
        products = np.prod([each.by_exchange()[0] for each in rated.values()], axis=0)
        values = joined(products, counts, self.turns)
        values[list(reasons)] = np.nan
        for unscored in np.flatnonzero(~np.isfinite(values)):
            reasons.setdefault(int(unscored), "non_finite")
        return Scores(
            values=values,
            reasons=reasons,
            notes={row: ", ".join(sorted(remarks)) for row, remarks in notes.items() if row not in reasons},
            columns=_columns(rated, counts),
            report={"turns": self.turns, "num_conversations": int((counts > 1).sum()), **about},
        )

    def _rated(self, kind: Kind, pool: Pool, desk: Desk) -> tuple[Rated, Mapping[str, Json]]:
        from sftbench_plugins.deita.rating import Rater
        from sftbench_plugins.deita.templates import template_of

        folder = self._folder(kind)
        role = self._role(folder)
        is_stand_in = folder == STAND_IN
        if is_stand_in:
            desk.stand_in(f"{kind} rated by the run's scoring model, which is no fine-tuned scorer")
        template = template_of(kind, None if is_stand_in else desk.model_path(role).path)
        model = desk.language_model(role, dtype=self.dtype)
        rater = Rater(kind=kind, model=model, template=template, official=self.mode == "official", log=desk.log)
        with desk.progress(len(pool), "row") as progress:
            rated = rater.rate(pool, progress)
        masses = rated.by_exchange()[1]
        mass = float(masses[np.isfinite(masses)].mean()) if np.isfinite(masses).any() else None
        if mass is not None and mass < _FAINT:
            desk.log(f"{kind}: the digits 1 to 6 get {mass:.2%} of the probability; the model hardly means to rate")
        scorer = "stand-in: the run's scoring model" if is_stand_in else folder
        return rated, {"scorer": scorer, "template": template.told, "mean_digit_mass": mass}

    def _folder(self, kind: Kind) -> str:
        return self.complexity_model if kind == "complexity" else self.quality_model

    def _role(self, folder: str) -> str:
        """One folder for both ratings is one model, loaded once."""
        if folder == STAND_IN:
            return STAND_IN
        return "complexity" if folder == self.complexity_model else "quality"


def joined(products: Floats, counts: npt.NDArray[np.int64], how: Literal["sum", "mean", "first"]) -> Floats:
    """One number per row from those of its exchanges: [e] and [n] counts -> [n]; NaN for a row without any."""
    ends = np.cumsum(counts)
    rows = (products[end - count : end] for end, count in zip(ends, counts, strict=True))
    make: dict[str, Callable[[Floats], float]] = {"sum": np.sum, "mean": np.mean, "first": lambda each: each[0]}
    return np.array([make[how](each) if len(each) else np.nan for each in rows], dtype=np.float64)


def _columns(rated: Mapping[Kind, Rated], counts: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.generic]]:
    """Means over the exchanges of a row, and every rating as text: `3.4334*4.3968 2.0583*1.9852`."""
    columns: dict[str, npt.NDArray[np.generic]] = {}
    for kind, each in rated.items():
        ratings, masses = each.by_exchange()
        columns[kind] = joined(ratings, counts, "mean")
        columns[f"{kind}_digit_mass"] = joined(masses, counts, "mean")
    pairs = zip(*(each.by_exchange()[0] for each in rated.values()), strict=True)
    texts = iter(["*".join(f"{rating:.4f}" for rating in pair) for pair in pairs])
    by_turn = np.array([" ".join(next(texts) for _ in range(count)) for count in counts], dtype=np.object_)
    return {**columns, "by_turn": by_turn, "num_turns": counts}
