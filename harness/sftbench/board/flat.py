"""The board as one flat record per row, for CSV and data frames; what was measured comes last."""

from __future__ import annotations

import csv
import io
from dataclasses import fields
from typing import TYPE_CHECKING

from sftbench.board.columns import metric_order
from sftbench.board.equal_cost import at_equal_compute, has_control
from sftbench.board.judgement import JudgedRow
from sftbench.board.making import estimate_of, front, making_flops, phases_of
from sftbench.board.power_words import detectable_at
from sftbench.board.statistics import Estimate
from sftbench.board.table import (
    WIN_RATE,
    Board,
    BoardRow,
    BreakEven,
    MatchedComparison,
    Training,
    six_digits,
)

if TYPE_CHECKING:
    import pandas

Value = str | int | float | bool | None
COUNTED = ("flops", "tokens_forward", "tokens_backward", "tokens_generated")
JUDGED_SHARES = (
    "status", "num_verdicts", "ties", "consistency", "position_bias", "length_ratio", "unparsable", "failed",
    "reversals",
)  # fmt: skip
MEASURED = ("wall_seconds", "device_seconds", "peak_memory_bytes")


def board_records(board: Board) -> list[dict[str, Value]]:
    """A dictionary per row, all with the same keys in the same order; floats to six significant digits."""
    phases = phases_of(board.rows)
    fronts = {budget: front(board, budget) for budget in board.budgets}
    records = []
    for row in board.rows:
        record = {**_about(row), **_estimates(board, row), **_training(row), **_overlap(board, row)}
        record |= _without_hits(board, row)
        record |= _costs(row, phases, COUNTED)
        record |= _equal_cost(board, row, fronts[row.budget])
        record |= _judged(board, row)
        reasons = (f"seed {each.seed}: {each.step}: {each.error}: {each.message}" for each in row.failures)
        record["failure"] = "; ".join(reasons)
        record |= _costs(row, phases, MEASURED)
        records.append(
            {name: six_digits(value) if isinstance(value, float) else value for name, value in record.items()}
        )
    return records


def _about(row: BoardRow) -> dict[str, Value]:
    return {
        "budget": row.budget,
        "rank": row.rank,
        "rank_low": row.places[0] if row.places else None,
        "rank_high": row.places[1] if row.places else None,
        "tier": row.tier,
        "tied_with_best": row.tied_with_best,
        "method": row.method,
        "label": row.label,
        "kind": row.kind,
        "matched_to": row.matched_to,
        "fidelity": row.fidelity,
        "status": row.status,
        "seeds_done": _spaced(row.seeds_done),
        "seeds_failed": _spaced(row.seeds_failed),
        "seeds_missing": _spaced(row.seeds_missing),
        "seeds_to_tell": row.seeds_to_tell,
    }


def _estimates(board: Board, row: BoardRow) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for name in metric_order(board):
        found |= _estimate(name, row.win_rate if name == WIN_RATE else row.metrics.get(name))
        if name == WIN_RATE and any(each.win_rate_corrected for each in board.rows):
            found |= _estimate("win-rate-corrected", row.win_rate_corrected)
    return found | _estimate("behind-best", row.behind_best) | _compared(board, row)


def _compared(board: Board, row: BoardRow) -> dict[str, Value]:
    """The planned comparisons: with the row that all are held to, and with each kind of control that is matched."""
    found: dict[str, Value] = {}
    if any(each.against_baseline for each in board.rows):
        mine, known = row.against_baseline, detectable_at(board, row.budget)
        found["baseline_control"] = mine.control if mine else None
        found |= _comparison("against-baseline", mine)
        found["against_baseline_detectable"] = known.difference if known and mine else None
    for control in sorted({each.control for other in board.rows for each in other.against_matched}):
        told = next((each for each in row.against_matched if each.control == control), None)
        found |= _comparison(f"against-matched.{control}", told)
    return found


def _comparison(name: str, told: MatchedComparison | None) -> dict[str, Value]:
    column = name.replace("-", "_")
    return _estimate(name, told.difference if told else None) | {
        f"{column}_outcome": told.outcome if told else None,
        f"{column}_seeds_to_tell": told.seeds_to_tell if told else None,
    }


def _judged(board: Board, row: BoardRow) -> dict[str, Value]:
    """What each judge said of the row, under the judge's name; nothing on a board without a judged part."""
    found: dict[str, Value] = {}
    for judge in dict.fromkeys(each.judge for each in board.judged):
        mine = [each for each in board.judged if each.judge == judge]
        here = next((each for each in mine if _same(each, row)), None)
        for name in ("win_rate", "controlled", "styled"):
            if any(getattr(each, name) for each in mine):
                found |= _estimate(f"{judge}.{name}", getattr(here, name, None))
        for name in JUDGED_SHARES:
            found[f"{judge}.{name}"] = getattr(here, name, None)
    return found


def _same(judged: JudgedRow, row: BoardRow) -> bool:
    return (judged.budget, judged.label, judged.matched_to) == (row.budget, row.label, row.matched_to)


def _estimate(name: str, estimate: Estimate | None) -> dict[str, Value]:
    column = name.replace("-", "_")
    if estimate is None:
        return {column: None, f"{column}_low": None, f"{column}_high": None}
    return {column: estimate.mean, f"{column}_low": estimate.low, f"{column}_high": estimate.high}


def _training(row: BoardRow) -> dict[str, Value]:
    return {each.name: getattr(row.training, each.name, None) for each in fields(Training)}


def _overlap(board: Board, row: BoardRow) -> dict[str, Value]:
    if not any(each.overlap for each in board.rows):
        return {}
    found = row.overlap
    return {"overlap": found.mean if found else None, "overlap_by_chance": found.by_chance if found else None}


def _without_hits(board: Board, row: BoardRow) -> dict[str, Value]:
    """How many items are hit, and the metrics without those that any row of the budget has hit."""
    if not any(each.without_hits for each in board.rows):
        return {}
    found = row.without_hits
    told: dict[str, Value] = {"items_hit": found.num_own if found else None}
    for name in metric_order(board):
        told |= _estimate(f"{name}-without-hits", found.common.get(name) if found else None)
    return told


def _equal_cost(board: Board, row: BoardRow, on_front: list[BoardRow]) -> dict[str, Value]:
    """Total compute and the Pareto front; from when on choosing pays; and random with the same total compute."""
    told: dict[str, Value] = {"making_flops": making_flops(row), "on_front": any(each is row for each in on_front)}
    if any(each.break_even for each in board.rows):
        told |= {each.name: getattr(row.break_even, each.name, None) for each in fields(BreakEven)}
        told |= {f"pays_from_{name}": told.pop(name) for name in ("is_known", "beyond", "factor", "low", "high")}
    if any(has_control(board, budget) for budget in board.budgets):
        found = at_equal_compute(board, row)
        control = estimate_of(found.control, board.sort_metric) if found else None
        told |= _estimate("random-at-equal-compute", control)
        told |= _estimate("above-random-at-equal-compute", found.comparison.difference if found else None)
        told["outcome_at_equal_compute"] = found.comparison.outcome if found else None
        told["share_of_equal_compute"] = found.share if found else None
    return told


def _costs(row: BoardRow, phases: list[str], names: tuple[str, ...]) -> dict[str, Value]:
    return {f"{phase}_{name}": getattr(row.cost.get(phase), name, None) for phase in phases for name in names}


def _spaced(seeds: tuple[int, ...]) -> str:
    return " ".join(str(seed) for seed in seeds)


def board_csv(board: Board) -> str:
    """CSV with a header line; nothing is an empty field. Measured columns (`_seconds`, `_bytes`) come last."""
    records = board_records(board)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(records[0]) if records else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


def board_frame(board: Board) -> pandas.DataFrame:
    """One line per row; the columns are those of the CSV."""
    import pandas

    return pandas.DataFrame.from_records(board_records(board))
