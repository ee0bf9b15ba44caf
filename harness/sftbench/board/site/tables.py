"""The columns of the table on a board's page: what a cell shows, what it is sorted by, and which are there at first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sftbench.board import texts
from sftbench.board.columns import metric_order, processed_tokens, seeds_text
from sftbench.board.making import estimate_of, making_flops, phases_of
from sftbench.board.power_words import places
from sftbench.board.site.pictures import Bar, Scale, bar
from sftbench.board.statistics import Estimate
from sftbench.board.table import WIN_RATE, Board, BoardRow, Cost, MatchedComparison, Training

Sorted = float | str | None


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column. `first` is the direction of the first sorting, `up` or `down`; None where there is none.

    `kind` tells the template how a cell is drawn: `number`, `text`, `method`, `estimate`, `bar`, `matched` or `share`.
    `tip` is what the pointer tells on a cell of a number.
    """

    name: str
    heading: str
    kind: str
    value: Callable[[BoardRow], Sorted] = lambda row: None
    text: Callable[[BoardRow], str] = lambda row: ""
    tip: Callable[[BoardRow], str] = lambda row: ""
    first: str | None = "up"
    shown: bool = False
    about: str = ""
    ends: tuple[str, ...] = ()
    digits: int = 2
    estimate: Callable[[BoardRow], Estimate | None] = lambda row: None
    bar: Callable[[BoardRow], Bar | None] = lambda row: None
    compared: Callable[[BoardRow], MatchedComparison | None] = lambda row: None


def scale_of(board: Board, metric: str) -> Scale | None:
    """The scale that all bars of a metric share, whatever the budget."""
    return Scale.of(found for row in board.rows if (found := estimate_of(row, metric)) is not None)


def digits_of(board: Board, metric: str) -> int:
    """Digits after the point for a metric, the same on every page."""
    return texts.decimals([found for row in board.rows if (found := estimate_of(row, metric)) is not None], metric)


def columns_of(board: Board) -> list[Column]:
    """All columns, in order."""
    columns = [
        Column(
            name="rank",
            heading="#",
            kind="number",
            value=lambda row: row.rank,
            text=lambda row: texts.NOTHING if row.rank is None else str(row.rank),
            shown=True,
            about="place by the mean; rows matched to a method have none",
        ),
        Column(
            name="tier",
            heading="tier",
            kind="tier",
            value=lambda row: row.tier,
            shown=True,
            about="no two rows of a tier can be told apart",
        ),
        Column(
            name="places",
            heading="place, 95 %",
            kind="number",
            value=lambda row: row.places[0] if row.places else None,
            text=places,
            shown=True,
            about="places that a row can truly have, for all rows together",
        ),
        Column(name="method", heading="method", kind="method", value=lambda row: row.label.lower(), shown=True),
    ]
    for metric in metric_order(board):
        columns += _metric(board, metric, main=metric == board.sort_metric)
        if metric == WIN_RATE and any(row.win_rate_corrected for row in board.rows):
            columns.append(
                Column(
                    name="win rate corrected",
                    heading="win rate, corrected for the judge",
                    kind="estimate",
                    value=lambda row: row.win_rate_corrected.mean if row.win_rate_corrected else None,
                    estimate=lambda row: row.win_rate_corrected,
                    digits=1,
                    first="down",
                    shown=board.sort_metric == WIN_RATE,
                    about="as a judge would have it that is always right",
                )
            )
    columns += _without_hits(board)
    matched = next((index for index, each in enumerate(columns) if each.kind == "bar"), len(columns) - 1) + 1
    columns[matched:matched] = _matched(board)
    return [*columns, *_trained(board), *_spent(board), *_told(board)]


def _metric(board: Board, metric: str, *, main: bool) -> list[Column]:
    scale, digits = scale_of(board, metric), digits_of(board, metric)
    bigger = board.bigger_is_better[metric]
    reference = {
        row.budget: found.mean for row in board.rows if row.is_baseline and (found := estimate_of(row, metric))
    }
    name = f"win rate vs {board.baseline}" if metric == WIN_RATE else metric

    def value(row: BoardRow) -> Sorted:
        found = estimate_of(row, metric)
        return None if found is None else found.mean

    return [
        Column(
            name=metric,
            heading=f"{name} {'↑' if bigger else '↓'}",
            kind="estimate",
            value=value,
            estimate=lambda row: estimate_of(row, metric),
            digits=digits,
            first="down" if bigger else "up",
            shown=main,
            about=f"mean and 95 % interval; {'bigger' if bigger else 'smaller'} is better",
        ),
        Column(
            name=f"{metric} drawn",
            heading=f"{name}, drawn",
            kind="bar",
            bar=lambda row: bar(estimate_of(row, metric), scale, reference.get(row.budget)),
            first=None,
            shown=main,
            ends=(f"{scale.low:.{min(digits, 2)}f}", f"{scale.high:.{min(digits, 2)}f}") if scale else (),
        ),
    ]


def _without_hits(board: Board) -> list[Column]:
    """How many items each row has hit, and the sort metric without those that any row of the budget has."""
    if not any(row.without_hits for row in board.rows):
        return []
    metric = board.sort_metric

    def of(row: BoardRow) -> Estimate | None:
        return row.without_hits.common.get(metric) if row.without_hits else None

    return [
        Column(
            name="items hit",
            heading="items hit",
            kind="number",
            value=lambda row: row.without_hits.num_own if row.without_hits else None,
            text=lambda row: texts.NOTHING if row.without_hits is None else str(row.without_hits.num_own),
            shown=True,
            about="held-out items of which the rows trained on have something",
        ),
        Column(
            name=f"{metric} without items hit",
            heading=f"{metric} without items hit",
            kind="estimate",
            value=lambda row: found.mean if (found := of(row)) else None,
            estimate=of,
            digits=digits_of(board, metric),
            first="down" if board.bigger_is_better[metric] else "up",
            shown=True,
            about="on the items that no row of the budget has hit",
        ),
    ]


def against(row: BoardRow, control: str) -> MatchedComparison | None:
    """How a row stands to one of the controls that are matched to it."""
    return next((each for each in row.against_matched if each.control == control), None)


def _matched(board: Board) -> list[Column]:
    """A column for the row that all are held to, and one per kind of matched control."""
    chance = next((row.against_baseline.control for row in board.rows if row.against_baseline), None)
    held = [] if chance is None else [_against_chance(board, chance)]
    return held + [
        _against(board, name) for name in sorted({each.control for row in board.rows for each in row.against_matched})
    ]


def _against(board: Board, control: str) -> Column:
    def value(row: BoardRow) -> float | None:
        found = against(row, control)
        return found.difference.mean if found else None

    return Column(
        name=f"against {control}",
        heading=f"vs {control}",
        kind="matched",
        value=value,
        compared=lambda row: against(row, control),
        first="down" if board.bigger_is_better.get(board.sort_metric, True) else "up",
        shown=True,
        digits=digits_of(board, board.sort_metric),
        about="paired difference to random rows that are matched to this method",
    )


def _against_chance(board: Board, control: str) -> Column:
    return Column(
        name=f"against {control}, not matched",
        heading=f"vs {control}",
        kind="matched",
        value=lambda row: row.against_baseline.difference.mean if row.against_baseline else None,
        compared=lambda row: row.against_baseline,
        first="down" if board.bigger_is_better.get(board.sort_metric, True) else "up",
        shown=True,
        digits=digits_of(board, board.sort_metric),
        about=f"paired difference to the row {control}",
    )


def _told(board: Board) -> list[Column]:
    columns = [
        Column(
            name="seeds",
            heading="seeds",
            kind="number",
            value=lambda row: len(row.seeds_done),
            text=seeds_text,
            first="down",
            shown=any(row.seeds_done != board.seeds for row in board.rows if not row.matched_to),
        ),
        Column(name="fidelity", heading="fidelity", kind="text", value=lambda row: row.fidelity, shown=True),
        Column(
            name="seeds to tell",
            heading="seeds to tell",
            kind="number",
            value=lambda row: row.seeds_to_tell,
            text=lambda row: texts.count(row.seeds_to_tell),
            about="seeds in all that would tell this row from the best",
        ),
        Column(
            name="behind",
            heading="behind the best",
            kind="estimate",
            value=lambda row: row.behind_best.mean if row.behind_best else None,
            estimate=lambda row: row.behind_best,
            digits=digits_of(board, board.sort_metric),
            first="down" if board.bigger_is_better.get(board.sort_metric, True) else "up",
            about="paired difference to the first row",
        ),
    ]
    if any(row.overlap for row in board.rows):
        columns.append(
            Column(
                name="overlap",
                heading="overlap across seeds",
                kind="share",
                value=lambda row: row.overlap.mean if row.overlap else None,
                text=lambda row: texts.percent(row.overlap.mean if row.overlap else None),
                first="down",
                about="rows that the selections of two seeds share",
            )
        )
    return columns


def _trained(board: Board) -> list[Column]:
    columns = [
        _of_training("rows", lambda training: training.num_rows, texts.count),
        _of_training("trained tokens", lambda training: training.trained_tokens, texts.count),
    ]
    if board.pool.num_planted:
        columns += [
            _of_training("planted rows, share", lambda training: training.planted_row_share, texts.percent, shown=True),
            _of_training("planted rows, let in", lambda training: training.planted_rows_let_in, texts.percent),
        ]
    if board.pool.num_planted_tokens:
        columns += [
            _of_training("planted tokens, share", lambda training: training.planted_token_share, texts.percent),
            _of_training("planted tokens, let in", lambda training: training.planted_tokens_let_in, texts.percent),
        ]
    return columns


def _of_training(
    name: str,
    of: Callable[[Training], float | None],
    written: Callable[[float | None], str],
    *,
    shown: bool = False,
) -> Column:
    def value(row: BoardRow) -> float | None:
        return of(row.training) if row.training else None

    return Column(
        name=name, heading=name, kind="number", value=value, text=lambda row: written(value(row)), shown=shown
    )


def _spent(board: Board) -> list[Column]:
    phases = phases_of(board.rows)
    columns = [
        Column(
            name="total FLOPs",
            heading="total FLOPs",
            kind="number",
            value=making_flops,
            text=lambda row: "not known" if row.asked else texts.amount(making_flops(row)),
            shown=True,
            about="of selecting, generating and training: what it took to make the model; counted, not measured",
        )
    ]
    for phase in phases:
        columns.append(_of_cost(phase, "FLOPs", lambda cost: cost.flops, texts.amount))
        columns.append(_of_cost(phase, "tokens", processed_tokens, texts.amount))
    columns += [_of_cost(phase, "time", lambda cost: cost.device_seconds, texts.seconds) for phase in phases]
    columns.append(
        Column(
            name="peak memory",
            heading="peak memory",
            kind="number",
            value=_peak,
            text=lambda row: texts.megabytes(_peak(row)),
        )
    )
    return columns


def _peak(row: BoardRow) -> float | None:
    return max((cost.peak_memory_bytes for cost in row.cost.values()), default=None)


def _of_cost(phase: str, what: str, of: Callable[[Cost], float], written: Callable[[float | None], str]) -> Column:
    def value(row: BoardRow) -> float | None:
        return of(row.cost[phase]) if phase in row.cost else None

    name = f"{phase} {what}"
    return Column(name=name, heading=name, kind="number", value=value, text=lambda row: written(value(row)))
