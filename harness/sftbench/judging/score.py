"""Scores of all models of a file of verdicts: what `bench judge score` does."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from sftbench.board.reading import read_cells
from sftbench.board.verdict_rows import verdict_file
from sftbench.errors import UsageError
from sftbench.judging.counting import count
from sftbench.judging.length_rows import length_rows
from sftbench.judging.rows import Row, bounds, drawn_prompts, ending, percent, raw_win_rate
from sftbench.judging.scoring import Metric, Scoring
from sftbench.judging.style_rows import style_rows
from sftbench.judging.verdicts import VerdictFile, read_verdicts


def score_file(wanted: Scoring) -> list[Row]:
    """One row per model, best first; rates, bounds and standard errors in percent, None where there is no value.

    Raises `UsageError` for settings or files that cannot be used, with the line at fault.
    """
    wanted.checked()
    file = _verdicts(wanted)
    rows = METRICS[wanted.metric](wanted, file)
    return sorted(rows, key=lambda row: -math.inf if row["score"] is None else row["score"], reverse=True)


def _verdicts(wanted: Scoring) -> VerdictFile:
    """Of a file, or of the cells in a folder of results: each is a model, `LABEL@BUDGET/seed-N`."""
    if wanted.verdicts.is_dir():
        return verdict_file(read_cells(wanted.verdicts), judge=wanted.judge, where=wanted.verdicts)
    if wanted.judge is not None:
        raise UsageError(f"--judge picks verdicts of a folder of results, and {wanted.verdicts} is none")
    return read_verdicts(wanted.verdicts)


def win_rate_rows(wanted: Scoring, file: VerdictFile) -> list[Row]:
    """One row per model, in the order of the file."""
    tally = count(file, mode=wanted.mode, num_expected=wanted.expected)
    draws = drawn_prompts(wanted, tally)
    rows = []
    for counted in tally.models:
        found = raw_win_rate(counted, tally, draws)
        rows.append(
            {
                "model": counted.model,
                **bounds(found.rate),
                "standard_error": percent(found.rate.standard_error),
                "discrete": percent(found.discrete),
                "wins": found.num_wins,
                "losses": found.num_losses,
                "ties": found.num_ties,
                **ending(counted),
            }
        )
    return rows


METRICS: Mapping[Metric, Callable[[Scoring, VerdictFile], list[Row]]] = {
    "win-rate": win_rate_rows,
    "alpaca-lc": length_rows,
    "arena-style": style_rows,
}
