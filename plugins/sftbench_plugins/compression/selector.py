"""The selector `zip`: rows that zlib compresses worst together, round by round until the budget is used."""

from __future__ import annotations

import math
import os
import zlib
from collections import Counter
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from sftbench import Allowance, Desk, Json, Needs, Pool, Row, Scores, Selection, UsageError, param
from sftbench_plugins.compression.packing import LITERAL, PLAIN, GrowingText, Listing, Threads
from sftbench_plugins.compression.rounds import OFFICIAL, PAPER, Positions, Search

_WINDOW_BYTES = 32 * 1024
"""How far back zlib looks."""


@dataclass(frozen=True, kw_only=True)
class Zip:
    """ZIP (arXiv 2407.06645, algorithm 1): g(C) = bytes of the rows C as one text / bytes of its zlib stream.

    Rows with low g repeat little. A round takes `k3` rows: of the `k1` rows with the lowest last known g, g of
    all rows taken plus one is made anew; the `k2` lowest are compared with each other, and those that compress
    worst together are taken greedily. `official` repeats the authors' code, which never looks again at the
    `k2 - k3` rows that a round rejects; `paper` gives them back. No model is used.
    """

    name: ClassVar[str] = "zip"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True

    mode: Literal["paper", "official"] = param("paper", "'official' repeats the authors' code")
    k1: int = param(10_000, "rows whose ratio is made anew in a round; at most the rows left")
    k2: int = param(200, "rows on the shortlist of a round")
    k3: int = param(100, "rows taken in a round")
    text: Literal["plain", "repr"] = param(
        "plain", "what is compressed in mode paper: the texts of all turns, or rows in Python's notation"
    )
    min_bytes: int = param(64, "shorter texts are left out in mode paper: tiny ones hardly compress, so they would win")

    def __post_init__(self) -> None:
        if not 1 <= self.k3 <= self.k2 <= self.k1:
            raise ValueError(f"1 <= k3 <= k2 <= k1 must hold, and they are k3={self.k3}, k2={self.k2}, k1={self.k1}")
        if self.min_bytes < 0:
            raise ValueError(f"min_bytes is at least 0, not {self.min_bytes}")

    def needs(self) -> Needs:
        return Needs()

    def select(self, pool: Pool, scores: Scores | None, allowance: Allowance, desk: Desk) -> Selection:
        """Rows in the order taken; they have no scores, since ratios of different rounds do not compare.

        A row without a number in `scores` (if given) is left out; they are not read otherwise. Raises
        `UsageError` in mode official for a pool so small that the authors' code would take a row twice.
        """
        if self.mode == "official":
            self._check_size(len(pool), allowance)
        listing = LITERAL if self.mode == "official" or self.text == "repr" else PLAIN
        reading = self._read(pool, scores, listing, desk)
        with Threads(_num_threads()) as threads:
            search = Search(
                rule=OFFICIAL if self.mode == "official" else PAPER,
                listing=listing,
                texts=lambda rows: [listing.text(row) for row in pool.take(rows)],
                ratios=reading.ratios,
                refreshed=self.k1,
                shortlisted=self.k2,
                taken=self.k3,
                threads=threads,
            )
            num_rounds = self._run(search, pool, allowance, desk)
        chosen = allowance.fit(search.chosen)
        spent = float(allowance.row_costs[chosen].sum())
        return Selection(
            ids=tuple(pool.ids[at] for at in chosen),
            status="short" if len(chosen) == reading.num_eligible and not _used(allowance, spent) else "full",
            report={
                "num_rounds": num_rounds,
                "num_rows_beyond_budget": len(search.chosen) - len(chosen),
                **reading.report,
                **self._about(pool, listing, chosen),
            },
        )

    def _check_size(self, num_rows: int, allowance: Allowance) -> None:
        """Every round of the authors' code uses up `k2` rows for good."""
        wanted = allowance.num_rows
        needed = math.ceil(wanted / self.k3) * self.k2
        if needed > num_rows:
            raise UsageError(
                f"zip: mode official uses up {self.k2} rows (k2) for every {self.k3} that it takes (k3): {wanted} rows "
                f"need a pool of {needed}, and this one has {num_rows}. Lower the budget or k2, or use mode=paper"
            )

    def _read(self, pool: Pool, scores: Scores | None, listing: Listing, desk: Desk) -> _Reading:
        """The ratio of every row alone; infinite where the row may not be taken."""
        rule = OFFICIAL if self.mode == "official" else PAPER
        reading = _Reading(ratios=np.full(len(pool), np.inf, dtype=rule.dtype))
        alone = GrowingText(listing)
        unscored = np.isnan(scores.values) if scores is not None else np.zeros(len(pool), dtype=np.bool_)
        start = 0
        with desk.progress(len(pool), "rows") as progress:
            for batch in pool.batches():
                for at, row in enumerate(batch, start):
                    text = listing.text(row)
                    ratio = alone.ratio_with(text)
                    reading.take(at, text, ratio, reason="no_score" if unscored[at] else self._reason(row, text))
                    if self.mode == "official":
                        reading.num_without_source += "source" not in row.original()
                start += len(batch)
                progress.advance(len(batch))
        return reading

    def _reason(self, row: Row, text: bytes) -> str | None:
        """Why mode paper leaves the row out; the authors' code takes whatever stands there."""
        if self.mode == "official":
            return None
        if not row.text("response").strip():
            return "empty_response"
        if not row.text("instruction").strip():
            return "empty_instruction"
        return "too_few_bytes" if len(text) < self.min_bytes else None

    def _run(self, search: Search, pool: Pool, allowance: Allowance, desk: Desk) -> int:
        """Rounds until the budget is used or no row is left; how many."""
        taken: set[int] = set()
        num_rounds, spent = 0, 0.0
        with desk.progress(allowance.num_rows, "rows") as progress:
            while not _used(allowance, spent) and search.num_left:
                picked = search.round()
                twice = [pool.ids[at] for at in picked if at in taken]
                if twice:
                    raise UsageError(
                        f"zip: the authors' code takes rows twice here, such as '{twice[0]}': round {num_rounds + 1} "
                        f"has fewer unused rows than k1={self.k1} and looks at used ones again. Lower k1 or the "
                        "budget, or use mode=paper"
                    )
                before = min(len(taken), allowance.num_rows)
                taken.update(picked.tolist())
                spent += float(allowance.row_costs[picked].sum())
                num_rounds += 1
                progress.advance(min(len(taken), allowance.num_rows) - before)
        return num_rounds

    def _about(self, pool: Pool, listing: Listing, chosen: Positions) -> dict[str, Json]:
        """How well the chosen rows compress together, and what with."""
        together = GrowingText(listing)
        texts = [listing.text(row) for row in pool.take(chosen)]
        for text in texts[:-1]:
            together.add(text)
        num_bytes, num_compressed = together.sizes_with(texts[-1]) if texts else (0, 0)
        return {
            "ratio": num_bytes / num_compressed if texts else None,
            "num_bytes": num_bytes,
            "num_compressed_bytes": num_compressed,
            "zlib": zlib.ZLIB_RUNTIME_VERSION,
        }


@dataclass(kw_only=True, eq=False)
class _Reading:
    """What one look at every row gave."""

    ratios: npt.NDArray[np.floating[npt.NBitBase]]
    reasons: Counter[str] = field(default_factory=Counter)
    num_incompressible: int = 0
    num_over_window: int = 0
    num_without_source: int = 0

    def take(self, at: int, text: bytes, ratio: float, *, reason: str | None) -> None:
        """One row; with a reason it may not be taken."""
        self.num_incompressible += ratio < 1
        self.num_over_window += len(text) > _WINDOW_BYTES
        if reason is None:
            self.ratios[at] = ratio
        else:
            self.reasons[reason] += 1

    @property
    def num_eligible(self) -> int:
        return len(self.ratios) - self.reasons.total()

    @property
    def report(self) -> dict[str, Json]:
        return {
            "num_eligible": self.num_eligible,
            "reasons": dict(self.reasons),
            "num_incompressible": self.num_incompressible,
            "num_over_window": self.num_over_window,
            "num_without_source": self.num_without_source,
        }


def _num_threads() -> int:
    """As many as numerical libraries would take here: a run that works in several processes shares the cores out so."""
    told = os.environ.get("OMP_NUM_THREADS", "")
    return int(told) if told.isdigit() and int(told) else len(os.sched_getaffinity(0))


def _used(allowance: Allowance, spent: float) -> bool:
    return spent >= allowance.cap * (1 - 1e-9)
