"""The columns of the tables that people read, the same for Markdown, terminal and plain text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sftbench.board import texts
from sftbench.board.making import NOT_MAKING, phases_of
from sftbench.board.power_words import places
from sftbench.board.statistics import Estimate
from sftbench.board.table import WIN_RATE, Board, BoardRow, Cost, Training


@dataclass(frozen=True, kw_only=True)
class RowColumn:
    """A heading, and the text of a row under it; `flexible` columns may be folded when space is short.

    `narrow` is the heading for terminals, where it may have two lines.
    """

    heading: str
    text: Callable[[BoardRow], str]
    narrow: str = ""
    flexible: bool = False
    right: bool = True


OUTCOMES = {"better": "better", "worse": "worse", "equal": "≈"}

_PLACES = RowColumn(heading="place, 95 %", narrow="place\n95 %", text=places)
METHOD = RowColumn(heading="method", text=lambda row: marked_label(row), flexible=True, right=False)


def marked_label(row: BoardRow) -> str:
    """The method, with a ring before controls."""
    return ("◦" if row.kind == "control" else "") + texts.label(row)


def rows_for_reading(board: Board, budget: str) -> list[BoardRow]:
    """The entries of a budget without the controls matched to one of them: many, and told in a column of that one."""
    rows = board.of(budget)
    labels = {row.label for row in rows if not row.matched_to}
    return [row for row in rows if row.matched_to not in labels]


def result_columns(board: Board, budget: str, *, most_metrics: int = 99) -> list[RowColumn]:
    """Place, seeds and every metric, the sort metric first."""
    rows = board.of(budget)
    several_best = sum(row.tied_with_best for row in rows) > 1
    columns = [
        RowColumn(heading="#", text=lambda row: texts.NOTHING if row.rank is None else str(row.rank)),
        RowColumn(heading="tier", text=lambda row: _tier(row, several_best=several_best), right=False),
        *([_PLACES] if any(row.places for row in rows) else []),
        METHOD,
        RowColumn(heading="seeds", text=seeds_text, flexible=True, right=False),
    ]
    for name in metric_order(board)[:most_metrics]:
        columns.append(metric_column(board, name, rows))
        if name == WIN_RATE and any(row.win_rate_corrected for row in rows):
            columns.append(_corrected_column())
    if any(row.without_hits for row in rows):
        columns += _without_hits(board, rows)
    chance = next((row.against_baseline.control for row in rows if row.against_baseline), None)
    if chance is not None:
        columns.append(
            RowColumn(
                heading=f"against {texts.one_line(chance, 20)}",
                narrow=f"against\n{texts.one_line(chance, 20)}",
                text=lambda row: _against_baseline(row, rows, board.sort_metric),
                right=False,
            )
        )
    if any(row.against_matched for row in rows):
        columns.append(
            RowColumn(
                heading="against matched chance",
                narrow="against\nmatched chance",
                text=lambda row: _against_matched(row, rows, board.sort_metric),
                flexible=True,
                right=False,
            )
        )
    if any(row.seeds_to_tell is not None for row in rows):
        columns.append(
            RowColumn(heading="seeds to tell", narrow="seeds\nto tell", text=lambda row: texts.count(row.seeds_to_tell))
        )
    return columns


def _without_hits(board: Board, rows: list[BoardRow]) -> list[RowColumn]:
    """How many items each row has hit, and the sort metric without those that any row of the budget has."""
    name = board.sort_metric

    def of(row: BoardRow) -> Estimate | None:
        return row.without_hits.common.get(name) if row.without_hits else None

    digits = texts.decimals([estimate for row in rows if (estimate := of(row)) is not None], name)
    return [
        RowColumn(
            heading="items hit",
            narrow="items\nhit",
            text=lambda row: texts.NOTHING if row.without_hits is None else str(row.without_hits.num_own),
        ),
        RowColumn(
            heading=f"{texts.one_line(name)} without items hit",
            narrow=f"{texts.one_line(name)}\nwithout hits",
            text=lambda row: texts.interval(of(row), digits),
        ),
    ]


def _against_baseline(row: BoardRow, rows: list[BoardRow], metric: str) -> str:
    """`better +0.23`, or `≈ -0.01`."""
    found = row.against_baseline
    if found is None:
        return texts.NOTHING
    digits = texts.decimals([each.against_baseline.difference for each in rows if each.against_baseline], metric)
    return f"{OUTCOMES[found.outcome]} {texts.signed(found.difference.mean, digits)}"


def _against_matched(row: BoardRow, rows: list[BoardRow], metric: str) -> str:
    """`tokens better +0.05, lengths ≈ -0.01`."""
    digits = texts.decimals([each.difference for other in rows for each in other.against_matched], metric)
    told = [
        (texts.one_line(each.control).removeprefix("random-"), OUTCOMES[each.outcome], each.difference.mean)
        for each in row.against_matched
    ]
    return ", ".join(f"{control} {word} {texts.signed(mean, digits)}" for control, word, mean in told) or texts.NOTHING


def metric_order(board: Board) -> list[str]:
    """The sort metric, the win rate, NLL, then the others by name."""
    first = [name for name in (board.sort_metric, WIN_RATE, "nll") if name in board.bigger_is_better]
    return list(dict.fromkeys([*first, *sorted(board.bigger_is_better)]))


def metric_column(board: Board, name: str, rows: list[BoardRow]) -> RowColumn:
    """One metric with intervals."""

    def of(row: BoardRow) -> Estimate | None:
        return row.win_rate if name == WIN_RATE else row.metrics.get(name)

    digits = texts.decimals([estimate for row in rows if (estimate := of(row)) is not None], name)
    arrow = "↑" if board.bigger_is_better[name] else "↓"
    if name != WIN_RATE:
        return RowColumn(heading=f"{texts.one_line(name)} {arrow}", text=lambda row: texts.interval(of(row), digits))
    baseline = texts.one_line(board.baseline or "", 20)
    return RowColumn(
        heading=f"win rate vs {baseline} {arrow}",
        narrow=f"win rate\nvs {baseline} {arrow}",
        text=lambda row: "50 (itself)" if row.is_baseline else texts.interval(of(row), digits),
    )


def _corrected_column() -> RowColumn:
    """The win rate as a judge would have it that is always right."""
    return RowColumn(
        heading="win rate, corrected for the judge",
        narrow="win rate\ncorrected",
        text=lambda row: texts.NOTHING if row.is_baseline else texts.interval(row.win_rate_corrected, 1),
    )


def _tier(row: BoardRow, *, several_best: bool) -> str:
    tied = " ≈" if row.tied_with_best and several_best else ""
    return texts.NOTHING if row.tier is None else f"{row.tier}{tied}"


def seeds_text(row: BoardRow) -> str:
    """`3`, or `2, 1 failed`, or `2, 1 missing`."""
    parts = [str(len(row.seeds_done))]
    parts += [f"{len(row.seeds_failed)} failed"] if row.seeds_failed else []
    parts += [f"{len(row.seeds_missing)} missing"] if row.seeds_missing else []
    return ", ".join(parts)


def training_columns(board: Board) -> list[RowColumn]:
    """What was trained on, and what choosing and training took in FLOPs and tokens."""
    columns = [
        METHOD,
        RowColumn(heading="rows", text=lambda row: texts.count(row.training.num_rows if row.training else None)),
        RowColumn(
            heading="trained tokens",
            narrow="trained\ntokens",
            text=lambda row: texts.count(row.training.trained_tokens if row.training else None),
        ),
    ]
    if board.pool.num_planted:
        columns.append(_planted("rows", lambda training: (training.planted_row_share, training.planted_rows_let_in)))
    if board.pool.num_planted_tokens:
        columns.append(
            _planted("tokens", lambda training: (training.planted_token_share, training.planted_tokens_let_in))
        )
    if any(row.overlap for row in board.rows):
        columns.append(
            RowColumn(
                heading="overlap across seeds: found, by chance",
                narrow="seeds overlap\nfound, chance",
                text=_overlap,
            )
        )
    for phase in (phase for phase in phases_of(board.rows) if phase not in NOT_MAKING):
        columns += [_spent(phase, "FLOPs", lambda cost: texts.amount(cost.flops))]
        columns += [_spent(phase, "tokens", lambda cost: texts.amount(processed_tokens(cost)))]
    return columns


FIDELITY = RowColumn(heading="fidelity", text=lambda row: texts.one_line(row.fidelity), right=False)


def measured_columns(board: Board, *, making_alone: bool = False) -> list[RowColumn]:
    """What the clock and the machine said; these differ from run to run."""
    phases = [phase for phase in phases_of(board.rows) if not making_alone or phase not in NOT_MAKING]
    times = [_spent(phase, "time", lambda cost: texts.seconds(cost.device_seconds)) for phase in phases]
    return [*times, RowColumn(heading="peak memory", narrow="peak\nmemory", text=_peak_memory)]


def processed_tokens(cost: Cost) -> float:
    """Tokens that went through a model (a backward pass is over tokens of a forward pass), or were generated."""
    return max(cost.tokens_forward, cost.tokens_backward) + cost.tokens_generated


def _spent(phase: str, what: str, text: Callable[[Cost], str]) -> RowColumn:
    short = {"selecting": "select", "generating": "generate", "training": "train"}.get(phase, phase)
    return RowColumn(
        heading=f"{phase} {what}",
        narrow=f"{short}\n{what}",
        text=lambda row: text(row.cost[phase]) if phase in row.cost else texts.NOTHING,
    )


def _overlap(row: BoardRow) -> str:
    found = row.overlap
    return texts.NOTHING if found is None else f"{texts.percent(found.mean)}, {texts.percent(found.by_chance)}"


def _peak_memory(row: BoardRow) -> str:
    return texts.megabytes(max((cost.peak_memory_bytes for cost in row.cost.values()), default=None))


def _planted(what: str, shares: Callable[[Training], tuple[float | None, float | None]]) -> RowColumn:
    def text(row: BoardRow) -> str:
        share, let_in = shares(row.training) if row.training else (None, None)
        return texts.NOTHING if share is None and let_in is None else f"{texts.percent(share)}, {texts.percent(let_in)}"

    return RowColumn(heading=f"planted {what}: share, let in", narrow=f"planted {what}\nshare, let in", text=text)


def failure_lines(rows: list[BoardRow]) -> list[str]:
    """One line per row and reason: who failed or is without diversity, at which seeds, at which step, why."""
    lines: list[str] = []
    for row in rows:
        reasons: dict[tuple[str, str, str], list[int]] = {}
        for each in (*row.failures, *row.undescribed):
            reasons.setdefault((each.step, each.error, each.message), []).append(each.seed)
        for (step, error, message), seeds in reasons.items():
            which = f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
            why = texts.one_line(f"{step}: {error}: {message}", 240)
            lines.append(f"{texts.label(row)} at {texts.one_line(row.budget)}, {which}: {why}")
    return lines
