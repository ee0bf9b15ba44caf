"""The scorer `ds2`: ratings by a language model, corrected by their neighbours', and within a class the rarer first."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from sftbench import Desk, Json, Needs, Pool, Scores, param

if TYPE_CHECKING:
    from sftbench_plugins.ds2.curate import Chance, Outcome
    from sftbench_plugins.ds2.neighbours import Neighbours
    from sftbench_plugins.ds2.rating import Ratings

Floats = npt.NDArray[np.float64]
_MANY_UNREAD = 0.05


@dataclass(frozen=True, kw_only=True)
class Ds2:
    """Class 0 to 5 after curation, plus a long-tail score below 1 (DS2, arXiv 2410.10877, sec. 4).

    Ratings come from the language model named with `--chat`; without one, perplexity stands in for it.
    """

    name: ClassVar[str] = "ds2"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = False

    mode: Literal["paper", "official"] = param(
        "paper", "'official': every row twice, the end of the fit, four decimals, unreadable ratings are class 0"
    )
    duplicate: Literal["auto", "yes", "no"] = param("auto", "put every row in twice; auto is yes in mode official only")
    num_rounds: int = param(50, "samples in which agreement of neighbours is counted")
    num_epochs: int = param(51, "samples in which ratings are compared with those of neighbours")
    neighbours: int = param(10, "nearest rows that vote, the row itself included")
    sample_size: int = param(50000, "rows in a sample, at most 90 % of all")
    confidence: float = param(0.5, "least confidence with which a rating is replaced")
    temperature: float = param(1.2, "of the language model that rates")
    top_p: float = param(0.9, "of the language model that rates")
    attempts: int = param(10, "how often an unreadable rating is asked for")
    max_length: int = param(2048, "tokens of a row that the language model is shown, by the scoring model's tokenizer")
    stand_in: Literal["low-perplexity", "high-perplexity"] = param(
        "low-perplexity", "without --chat: which sixth of the pool by perplexity gets the highest rating"
    )

    def __post_init__(self) -> None:
        for name, least in (("num_rounds", 1), ("num_epochs", 1), ("neighbours", 3), ("sample_size", 3)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is at least {least}, not {getattr(self, name)}")
        for name in ("attempts", "max_length"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is at least 1, not {getattr(self, name)}")

    @property
    def passes_over_pool(self) -> float:
        """One where perplexity stands in."""
        return 1.0

    def needs(self) -> Needs:
        return Needs(embeddings=("both",), language_models=("scoring",), chat=True)

    def score(self, pool: Pool, desk: Desk) -> Scores:
        """Class plus long tail. Columns: `rating` after and `rating_raw` before curation, `long_tail`, and more."""
        from sftbench_plugins.ds2.curation import long_tail
        from sftbench_plugins.ds2.neighbours import Neighbours

        ratings, rater = self._ratings(pool, desk)
        vectors = desk.embedded("both")
        with np.errstate(over="ignore"):
            lengths = np.linalg.norm(vectors, axis=1)
        placed = np.isfinite(lengths) & (lengths > 0)
        rated = np.isfinite(ratings.classes)
        rows = np.flatnonzero(rated & placed)
        neighbours = Neighbours(vectors=vectors[rows], copies=2 if self._duplicates else 1)
        outcome = self._curated(ratings.classes[rows].astype(np.int64), neighbours, desk)
        num_near = min(self.neighbours, len(neighbours))
        rarity = np.full(len(pool), np.nan)
        if len(rows):
            rarity[rows] = long_tail(neighbours.everywhere(num_near)[1], rounded=self.mode == "official")
        desk.meter(flops=2.0 * neighbours.num_products * vectors.shape[1])
        final = ratings.classes.copy()
        final[rows] = outcome.ratings
        for row in np.flatnonzero(rated & ~placed):
            ratings.note(int(row), "non_finite")
        return Scores(
            values=final + np.where(rated & placed, rarity, 0.0),
            reasons=ratings.reasons,
            notes={row: ", ".join(sorted(all_)) for row, all_ in ratings.notes.items() if row not in ratings.reasons},
            columns={
                "rating": final,
                "rating_raw": ratings.classes,
                "overall": ratings.overall,
                "long_tail": rarity,
                **_verdicts(outcome, rows, len(pool)),
            },
            report={
                **rater,
                "curation": outcome.status,
                **outcome.report,
                "duplicate": self._duplicates,
                "long_tail_neighbours": num_near,
                "num_rows_in_curation": len(rows),
                "share_of_duplicate_texts": _share_of_duplicates(pool),
                "classes": _counts(final),
                "classes_raw": _counts(ratings.classes),
            },
        )

    @property
    def _duplicates(self) -> bool:
        return self.mode == "official" if self.duplicate == "auto" else self.duplicate == "yes"

    def _ratings(self, pool: Pool, desk: Desk) -> tuple[Ratings, dict[str, Json]]:
        """Ratings, and what a report says of who gave them."""
        from sftbench_plugins.ds2.rating import Asker, from_perplexity, wordings

        stand_in = f"ratings from perplexity ({self.stand_in} is rated high)"
        chat = desk.chat(stand_in=stand_in)
        with desk.progress(len(pool), "row") as progress:
            if chat is None:
                model = desk.language_model("scoring", dtype="float32")
                return from_perplexity(pool, model, self.stand_in, progress), {"ratings": f"stand-in: {stand_in}"}
            asker = Asker(
                chat=chat,
                tokenizer=desk.tokenizer("scoring"),
                seed=desk.seed,
                temperature=self.temperature,
                top_p=self.top_p,
                max_tokens=self.max_length,
                num_attempts=self.attempts,
                official=self.mode == "official",
            )
            ratings = asker.rate(pool, progress)
        unread = float(np.isnan(ratings.overall).mean()) if len(pool) else 0.0
        if unread > _MANY_UNREAD:
            desk.log(f"{unread:.1%} of the ratings could not be read or had")
        return ratings, {"ratings": chat.model, "rating_prompt": wordings().told(), "share_unread": unread}

    def _curated(self, classes: npt.NDArray[np.int64], neighbours: Neighbours, desk: Desk) -> Outcome:
        from sftbench_plugins.ds2.curate import Curation

        curation = Curation(
            num_rounds=self.num_rounds,
            num_epochs=self.num_epochs,
            num_neighbours=self.neighbours,
            sample_size=self.sample_size,
            least_confidence=self.confidence,
            official=self.mode == "official",
        )
        chance, prior_logits = drawing(self.mode, desk.seed)
        with desk.progress(self.num_rounds + self.num_epochs, "sample") as progress:
            return curation.run(classes, neighbours, chance=chance, prior_logits=prior_logits, advance=progress.advance)


def drawing(mode: Literal["paper", "official"], seed: int) -> tuple[Chance, Floats]:
    """What draws samples, and the logits from which the fit of the true classes' shares begins.

    `official` draws as the authors' code would, had it a seed: numpy's old generator for samples, torch's
    for a little noise on equal shares.
    """
    from sftbench_plugins.ds2.transition import NUM_CLASSES

    flat = np.full(NUM_CLASSES, 1 / NUM_CLASSES)
    if mode == "paper":
        return np.random.default_rng(seed), flat
    import torch

    noise = torch.rand(NUM_CLASSES, generator=torch.Generator().manual_seed(seed))
    return np.random.RandomState(seed % 2**32), flat + 0.1 * noise.double().numpy()


def _verdicts(outcome: Outcome, rows: npt.NDArray[np.int64], num_rows: int) -> dict[str, Floats]:
    """How often each row was flagged, what its neighbours suggest and how surely; NaN for rows out of the curation."""
    columns = {name: np.full(num_rows, np.nan) for name in ("noisy", "suggestion", "confidence")}
    if outcome.curated is not None:
        for name, column in columns.items():
            column[rows] = getattr(outcome.curated, name)
    return columns


def _share_of_duplicates(pool: Pool) -> float:
    """Rows whose text an earlier row has too: in curation they act like copies of one row."""
    seen: set[bytes] = set()
    for row in pool:
        seen.add(hashlib.sha256(row.text("both").encode("utf-8", "surrogatepass")).digest()[:16])
    return 1 - len(seen) / len(pool) if len(pool) else 0.0


def _counts(classes: Floats) -> dict[str, Json]:
    """Rows of every class, from the highest."""
    return {str(each): int((classes == each).sum()) for each in range(5, -1, -1)}
