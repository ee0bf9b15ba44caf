"""What a card means, in sentences that say no more than the intervals do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sftbench.judging.card import equal, failures, gold, humans, orders, padding, repeats
from sftbench.judging.card.finding import Finding
from sftbench.judging.card.gates import MIN_AGREEMENT, Gate, agreement_of, of_plain, passes, told

NOTHING_SAID = "win rates by it say nothing"
_ON = {
    gold.HUMAN: "the human votes",
    gold.LABELS: "the labels given",
    gold.NATURAL: "the gold labels of LLMBar's natural pairs",
    gold.OWN: "the right answers to short tasks made for this check",
}


def words(findings: Sequence[Finding], held: Sequence[Gate]) -> tuple[str, ...]:
    """The sentences of a card, the most important first."""
    by_name = {gate.name: gate for gate in held}
    return (
        *_agreement(findings),
        *_people(findings),
        *_failures(findings, by_name["parse failures"]),
        *_orders(findings, by_name["order flips"], by_name["position bias"]),
        *_equal(findings),
        *_length(by_name["length bias"]),
        *_repeats(findings),
        _conclusion(held),
    )


def spread(finding: Finding, *, sign: bool = False) -> str:
    """`49 % [44, 54]`, or `+12 points [3, 21]`."""
    form = "+.0f" if sign else ".0f"
    digits = _digits(finding)
    form = form.replace(".0f", f".{digits}f")
    unit = "%" if finding.unit == "%" else finding.unit
    return f"{finding.value:{form}} {unit} [{finding.low:{form}}, {finding.high:{form}}]"


def _digits(finding: Finding) -> int:
    """One decimal where a whole number would hide all."""
    return 1 if finding.value is not None and 0 < abs(finding.value) < 9.95 else 0


def _agreement(findings: Sequence[Finding]) -> Iterator[str]:
    found = agreement_of(findings)
    if found is None:
        silent = next((each for each in findings if each.measure == gold.S2 and each.probe in gold.PLAIN), None)
        said = next((each for each in findings if each.measure == gold.S1 and each.probe in gold.PLAIN), None)
        if silent is not None and said is not None and said.num:
            yield (
                f"This judge never named the same winner in both orders on {said.num} pairs with a known better "
                f"answer: every verdict is a tie, and {NOTHING_SAID}."
            )
        elif silent is not None:
            yield f"No verdict of this judge could be read on pairs with a known better answer: {NOTHING_SAID}."
        else:
            yield "How often this judge is right is not known: it was asked nothing with gold labels."
        return
    yield f"{_start(found)}{_against_chance(found)}"
    shared = of_plain(findings, gold.S1)
    if shared is not None and found.num < 0.5 * shared.num:
        yield f"It named a winner in only {found.num} of {shared.num} of these pairs; the others are ties."


def _people(findings: Sequence[Finding]) -> Iterator[str]:
    found = told(findings, humans.AMONG_S2)
    if found is not None:
        yield f"Two people who voted on the same pair agreed in {spread(found)} of {found.num} such cases."


def _start(found: Finding) -> str:
    cases = f"the {found.num} cases in which it named a winner"
    return f"This judge agrees with {_ON[found.probe]} in {spread(found)} of {cases}, "


def _against_chance(found: Finding) -> str:
    assert found.value is not None
    assert found.low is not None
    assert found.high is not None
    if found.high < 50:
        return f"worse than chance (50 %): it prefers the worse answer, and {NOTHING_SAID}."
    if found.low <= 50:
        if found.high >= MIN_AGREEMENT:
            return f"too few to tell that from chance (50 %), or from the {MIN_AGREEMENT:g} % that is asked of a judge."
        return f"no better than chance (50 %): {NOTHING_SAID}."
    if found.value >= MIN_AGREEMENT:
        more = "" if found.low >= MIN_AGREEMENT else "; the interval reaches below that"
        return f"which is what is asked of a judge ({MIN_AGREEMENT:g} %){more}."
    more = " (the interval reaches above that)" if found.high >= MIN_AGREEMENT else ""
    return f"better than chance (50 %), but less than the {MIN_AGREEMENT:g} % that is asked of a judge{more}."


def _failures(findings: Sequence[Finding], gate: Gate) -> Iterator[str]:
    found = gate.finding
    if found is not None and found.value:
        much = "" if gate.state == "met" else f", and {gate.demand} is asked"
        yield f"No verdict could be read, at least in one order, for {spread(found)} of {found.num} pairs{much}."
    cut = told(findings, failures.CUT)
    if cut is not None and cut.value:
        yield f"Answers were cut to fit the judge's window in {spread(cut)} of {cut.num} pairs."


def _orders(findings: Sequence[Finding], flips: Gate, position: Gate) -> Iterator[str]:
    found = flips.finding
    if found is not None:
        reversed_ = told(findings, orders.REVERSALS)
        opposite = f", to the opposite in {reversed_.value:.0f} %" if reversed_ is not None else ""
        much = "" if flips.state == "met" else f"; {flips.demand} is asked"
        yield (
            f"Its verdict changed with the order of the answers in "
            f"{spread(found)} of {found.num} pairs{opposite}{much}."
        )
    bias = position.finding
    if bias is not None and _differs(bias, 0):
        place = "first" if (bias.value or 0) > 0 else "second"
        much = "" if position.state == "met" else f", and {position.demand} is asked"
        yield (
            f"It leans to the answer listed {place} by {spread(bias, sign=True)}{much}; asking in both orders takes "
            "this out of the win rates, at the price of ties."
        )


def _equal(findings: Sequence[Finding]) -> Iterator[str]:
    found = told(findings, equal.RATE)
    if found is not None and _differs(found, 50):
        yield f"An answer against itself should win in 50 %; here it is {spread(found)}."


def _length(gate: Gate) -> Iterator[str]:
    found = gate.finding
    if found is None or not _differs(found, 0):
        return
    whom = "one of two equal answers" if found.measure == padding.SHIFT_EQUAL else "the worse of two answers"
    much = "" if gate.state == "met" else f"; {gate.demand} is asked, and win rates by it reward length"
    yield f"Filler that says nothing, added to {whom}, moved its win rate by {spread(found, sign=True)}{much}."


def _repeats(findings: Sequence[Finding]) -> Iterator[str]:
    found = told(findings, repeats.MEASURE)
    if found is not None and found.value:
        yield f"Asked the same again, it gave another verdict in {spread(found)} of {found.num} pairs."


def _conclusion(held: Sequence[Gate]) -> str:
    verdict = passes(held)
    if verdict is None:
        open_ = [gate.name for gate in held if gate.state == "untold"]
        return f"Whether it qualifies cannot be told: {', '.join(open_)} not measured."
    if verdict:
        unclear = [gate.name for gate in held if gate.state == "met" and not gate.is_clear]
        return "It qualifies as a judge" + (f", narrowly in {', '.join(unclear)}." if unclear else ".")
    missed = [gate.name for gate in held if gate.state == "missed"]
    return f"It does not qualify as a judge: {', '.join(missed) or 'agreement no better than chance'}."


def _differs(finding: Finding, value: float) -> bool:
    """The whole interval lies on one side."""
    return finding.low is not None and finding.high is not None and not finding.low <= value <= finding.high
