"""The judged part of a board in words and cells of text, the same for Markdown, terminal and plain text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sftbench.board import texts
from sftbench.board.judgement import JudgedRow, OrderAgreement
from sftbench.board.statistics import Estimate
from sftbench.board.table import Board
from sftbench.judging.scoring import NUM_RESAMPLES


@dataclass(frozen=True, kw_only=True)
class JudgedColumn:
    """A heading, and the text of a row under it; a column that is not `compact` is left out on a terminal."""

    heading: str
    text: Callable[[JudgedRow], str]
    right: bool = True
    compact: bool = True


def judged_columns(rows: list[JudgedRow]) -> list[JudgedColumn]:
    """The columns in which some row has something to tell."""

    def has(name: str) -> bool:
        return any(getattr(row, name) is not None for row in rows)

    columns = [
        JudgedColumn(heading="method", text=label, right=False),
        JudgedColumn(heading="win rate", text=lambda row: _rate(row.win_rate)),
    ]
    if has("controlled"):
        columns.append(JudgedColumn(heading="length-controlled", text=lambda row: _rate(row.controlled)))
    if has("styled"):
        columns.append(JudgedColumn(heading="style-controlled", text=lambda row: _rate(row.styled)))
    columns += [
        JudgedColumn(heading=heading, text=_share(name), compact=compact)
        for heading, name, compact in (
            ("ties", "ties", False),
            ("consistent", "consistency", True),
            ("reversed", "reversals", True),
            ("unparsable", "unparsable", False),
        )
        if has(name)
    ]
    if has("position_bias"):
        columns.append(JudgedColumn(heading="position bias", text=_bias))
    if has("length_ratio"):
        columns.append(JudgedColumn(heading="length ratio", text=_ratio))
    columns.append(JudgedColumn(heading="failed", text=_share("failed"), compact=False))
    columns.append(JudgedColumn(heading="verdicts", text=lambda row: str(row.num_verdicts), compact=False))
    return [*columns, JudgedColumn(heading="status", text=lambda row: row.status, right=False)]


def label(row: JudgedRow) -> str:
    """The method, with a ring before controls and with what it is matched to."""
    matched = f" matched to {row.matched_to}" if row.matched_to and row.matched_to not in row.label else ""
    return ("◦" if row.kind == "control" else "") + texts.one_line(row.label + matched)


def _rate(estimate: Estimate | None) -> str:
    return texts.interval(estimate, 1)


def _share(name: str) -> Callable[[JudgedRow], str]:
    def text(row: JudgedRow) -> str:
        value: float | None = getattr(row, name)
        return texts.percent(value)

    return text


def _bias(row: JudgedRow) -> str:
    return texts.NOTHING if row.position_bias is None else texts.signed(100 * row.position_bias, 1)


def _ratio(row: JudgedRow) -> str:
    return texts.NOTHING if row.length_ratio is None else f"{row.length_ratio:.2f}"


def groups(board: Board) -> list[tuple[str, list[JudgedRow]]]:
    """The rows of each judge and budget, with a title."""
    found: dict[tuple[str, str], list[JudgedRow]] = {}
    for row in board.judged:
        found.setdefault((row.judge, row.budget), []).append(row)
    several = len(board.budgets) > 1
    return [
        (f"by {texts.one_line(judge)}" + (f", budget {texts.one_line(budget)}" if several else ""), rows)
        for (judge, budget), rows in found.items()
    ]


def judged_words(board: Board) -> list[str]:
    """What must be known before the tables are read: the judge's reliability first."""
    if not board.judged:
        return []
    words = _card_words(board)
    prompts = board.prompts
    if prompts is not None:
        many = str(prompts.num_prompts)
        if prompts.num_prompts < prompts.num_in_all:
            many = f"the first {prompts.num_prompts} of {prompts.num_in_all}"
        words.append(f"Answers to {many} prompts of {texts.one_line(prompts.suite)}.")
    return words + [_agreement(each, board) for each in board.agreements]


def _card_words(board: Board) -> list[str]:
    """What the judges' cards say; by name where more than the first judge has one."""
    first = {board.judge or "?": board.judge_card} if board.judge_card else {}
    words = []
    for name, card in {**first, **board.further_cards}.items():
        said = [texts.one_line(each, 400) for each in card.words]
        if card.passes is False and not said:
            said.append("The judge did not pass its reliability check.")
        words += [f"{texts.one_line(name)}: {each}" if board.further_cards else each for each in said]
    return words


def _agreement(each: OrderAgreement, board: Board) -> str:
    place = f" at {texts.one_line(each.budget)}" if len(board.budgets) > 1 else ""
    who = f"{texts.one_line(each.first)} and {texts.one_line(each.second)}"
    if each.kendall is None or each.spearman is None:
        return f"{who} cannot be compared{place}: fewer than three rows, or one of them makes no difference."
    return (
        f"{who} order {each.num_rows} rows{place} with Kendall's tau-b {each.kendall:.2f}, "
        f"Spearman's rho {each.spearman:.2f}."
    )


def judged_legend(board: Board) -> list[str]:
    """What the columns of the judged part mean."""
    rows = board.judged
    entries = [
        "Judged: win rates in percent, 50 is the baseline; intervals hold new seeds and prompts with 95 %. The chance "
        "in a judge's verdicts is part of how prompts differ, so it is in the interval; what the judge gets wrong "
        "throughout is not.",
    ]
    if any(row.controlled for row in rows):
        forms = " and ".join(sorted({row.form for row in rows if row.form}))
        entries.append(
            "Length-controlled: AlpacaEval 2's win rate at equal length, fitted for each seed, prompts drawn anew "
            f"{min(board.num_resamples, NUM_RESAMPLES)} times (form {forms})."
        )
    if any(row.styled for row in rows):
        entries.append(
            "Style-controlled: Arena-Hard's score with length and, where they are counted, headers, lists and bold "
            "text as covariates, all rows fitted together, prompts and not battles drawn anew."
        )
    entries.append(
        "Ties: preference exactly even. Consistent: the same winner in both orders. Position bias: points by which the "
        "answer shown first wins more than half. Length ratio: the model's mean answer over the baseline's. Reversed: "
        "the other winner than the first judge's. Partial: prompts of the benchmark have no verdict."
    )
    return entries
