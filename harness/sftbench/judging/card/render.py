"""The card for people: rows for a table, and a page of Markdown."""

from __future__ import annotations

from typing import Any

from sftbench.judging.card.card import JudgeCard
from sftbench.judging.card.failures import FAILED
from sftbench.judging.card.family import MEASURE
from sftbench.judging.card.finding import Finding
from sftbench.judging.card.gold import S2


def card_rows(card: JudgeCard) -> list[dict[str, Any]]:
    """One row per figure: probe, measure, group, value with bounds, unit, n, chance, asked, note."""
    return [
        {
            "probe": finding.probe,
            "measure": finding.measure,
            "group": finding.group,
            "value": finding.value,
            "ci_lo": finding.low,
            "ci_hi": finding.high,
            "unit": finding.unit,
            "chance": finding.chance,
            "n": finding.num,
            "asked": finding.asked,
            "note": finding.note,
        }
        for finding in card.findings
    ] + [
        {
            "probe": "all", "measure": name.replace("_", " "), "group": "", "value": value, "ci_lo": None,
            "ci_hi": None, "unit": "", "chance": None, "n": None, "asked": "when first asked", "note": "measured",
        }
        for name, value in card.speed.items()
    ]  # fmt: skip


def short_rows(card: JudgeCard) -> list[dict[str, Any]]:
    """The rows that fit on a screen: numbers as text, without what was asked; of groups the agreement alone."""
    return [
        {
            "measure": row["measure"] + (f", {row['group']}" if row["group"] else ""),
            "on": row["probe"],
            "value": _figure(row),
            "chance": "" if row["chance"] is None else f"{row['chance']:.0f}",
            "n": row["n"],
            "note": row["note"],
        }
        for row in card_rows(card)
        if not row["group"] or row["measure"] in (S2, FAILED, MEASURE)
    ]


def card_markdown(card: JudgeCard) -> str:
    """The whole card as a page."""
    asked = dict.fromkeys((finding.probe, finding.asked) for finding in card.findings if finding.asked)
    gates = [
        f"| {gate.name} | {gate.demand} | {_bounds(gate.finding)} | {gate.state}"
        f"{' (narrowly)' if gate.state != 'untold' and not gate.is_clear else ''} |"
        for gate in card.gates
    ]
    lines = [
        f"# Judge {title(card)}",
        "",
        *(f"- {sentence}" for sentence in card.words),
        "",
        "| demand | asked | found | |",
        "|---|---|---|---|",
        *gates,
        "",
        "| measure | on | value [95 % interval] | chance | n | note |",
        "|---|---|---|---|---|---|",
        *("| " + " | ".join("" if cell is None else str(cell) for cell in row.values()) + " |"
          for row in short_rows(card)),
        "",
        *(f"- {probe}: {text}" for probe, text in asked),
        *([f"- not there: {', '.join(card.missing)}"] if card.missing else []),
        "",
    ]  # fmt: skip
    return "\n".join(lines)


def title(card: JudgeCard) -> str:
    """The judge by part and model."""
    models = [str(value) for name, value in card.judge.items() if name == "chat" or name.startswith("asks:")]
    return " ".join([str(card.judge.get("part", "")), *models])


def _bounds(finding: Finding | None) -> str:
    if finding is None or finding.value is None or finding.low is None or finding.high is None:
        return "–"
    return f"{finding.value:.1f} [{finding.low:.1f}, {finding.high:.1f}]"


def _figure(row: dict[str, Any]) -> str:
    if row["value"] is None:
        return "–"
    unit = f" {row['unit']}" if row["unit"] else ""
    if row["ci_lo"] is None:
        return f"{row['value']:.3g}{unit}" if row["value"] < 1000 else f"{row['value']:.0f}{unit}"
    return f"{row['value']:.1f}{unit} [{row['ci_lo']:.1f}, {row['ci_hi']:.1f}]"
