"""How methods are written: names, parts, chains; and what they become."""

from __future__ import annotations

import pytest

from sftbench import plugins
from sftbench.budget import Budget
from sftbench.composition import Take, parse_method
from sftbench.errors import UsageError
from sftbench.methods import parts_of, resolve
from sftbench.parameters import parse_use

SFT = parse_use("sft")


@pytest.fixture(scope="module")
def found():
    return plugins.load()


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("tshirt[alpha=3]", "tshirt[alpha=3]"),
        ("trainer=gated selector=tshirt", "selector=tshirt trainer=gated"),
        ("selector = top scorer=ifd [ variant=cherry ]", "scorer=ifd[variant=cherry] selector=top"),
        ("tshirt   trainer=gated[lam=0.5]", "tshirt trainer=gated[lam=0.5]"),
        ("ifd|micro-response", "ifd | micro-response"),
        ("ifd[take=4x] | random", "ifd | random"),
        ("ifd[take=20%,variant=cherry] | random", "ifd[variant=cherry] take=20% | random"),
        ("ifd take=2x | longest take=300 | random", "ifd take=2x | longest take=300 | random"),
    ],
)
def test_a_method_reads_the_same_however_it_was_spaced_and_ordered(written, read):
    assert str(parse_method(written)) == read
    assert parse_method(read) == parse_method(written)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("", "expected NAME"),
        ("a | ", "expected NAME"),
        ("a b", "expected ROLE=PART"),
        ("foo=bar", "role"),
        ("selecter=top", "did you mean 'selector'"),
        ("selector=a selector=b", "given twice"),
        ("a | b[take=2x]", "none comes after"),
        ("a[take=0.5x] | b", "at least once"),
        ("a[take=nonsense] | b", "cannot read the budget"),
        ("a[x=1 | b", "is not closed"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_hint(written, message):
    with pytest.raises(UsageError, match=message):
        parse_method(written)


def test_a_multiple_of_the_budget_is_passed_on_or_a_budget_of_its_own():
    ten_percent = Budget.parse("10%")
    tripled = Take.parse("3x").of(ten_percent)
    assert (tripled.unit, tripled.at_most_all) == ("share", True)
    assert tripled.amount == pytest.approx(0.3)
    assert Take.parse("250").of(ten_percent) == Budget(amount=250, unit="rows", at_most_all=True)


def test_a_method_in_a_role_brings_its_part_and_its_scorer(found):
    made = resolve(found, parse_method("selector=tshirt[alpha=3] trainer=gated[lam=0.5]"), SFT)
    assert (made.scorer.name, made.scorer.alpha, made.selector.name) == ("tshirt", 3.0, "tshirt")
    assert (made.trainer.name, made.trainer.lam) == ("gated", 0.5)
    assert made.label == "selector=tshirt[alpha=3] trainer=gated[lam=0.5]"


def test_a_scorer_that_is_named_stands_in_for_the_methods_own(found):
    made = resolve(found, parse_method("scorer=ppl selector=ifd"), SFT)
    assert (made.scorer.name, made.selector.name) == ("ppl", "top")


def test_a_scorer_alone_is_ranked_from_the_top_and_the_methods_settings_hold(found):
    made = resolve(found, parse_method("scorer=ifd"), SFT)
    assert (made.scorer.cut, made.selector.name, made.trainer.name) == (1.0, "top", "sft")


def test_a_named_method_may_be_trained_otherwise(found):
    own, other = (resolve(found, parse_method(text), SFT) for text in ("ifd", "ifd trainer=sft[epochs=1]"))
    assert (own.scorer, own.selector) == (other.scorer, other.selector)
    assert own.trainer.epochs != other.trainer.epochs == 1


def test_controls_that_choose_may_stand_anywhere_in_a_chain(found):
    assert resolve(found, parse_method("longest | random | ifd"), SFT).before.name == "longest | random"
    assert resolve(found, parse_method("random-lengths"), SFT).matched_to_each


def test_a_chain_keeps_both_methods_and_their_parts(found):
    made = resolve(found, parse_method("ifd[take=20%] | tokentune"), SFT)
    assert made.before is not None
    assert (made.before.name, str(made.take)) == ("ifd", "20%")
    assert {part.name for part in parts_of([made])} >= {"ifd", "tokentune", "gated"}


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("trainer=sft", "names no selector"),
        ("selector=base", "chooses nothing itself"),
        ("random | full", "chooses nothing itself"),
        ("full | ifd", "'full' is a control that chooses nothing itself"),
        ("base | ifd", "'base' is a control that chooses nothing itself"),
        ("random-lengths | ifd", "'random-lengths' is a control that chooses nothing itself"),
        ("random | random-tokens[take=2x] | ifd", "'random-tokens' is a control that chooses nothing itself"),
        ("selector=full scorer=ppl | ifd", "'full' is a control that chooses nothing itself"),
        ("scorer=ppl selector=matched-random", "matched-random has nothing to be matched to"),
        ("ifd selector=matched-random[match=tokens]", "matched-random has nothing to be matched to"),
        ("selector=matched-random | ifd", "matched-random has nothing to be matched to"),
        ("selector=tshrt", "did you mean 'tshirt'"),
        ("ifd trainer=sft[epoch=1]", "did you mean 'epochs'"),
    ],
)
def test_what_makes_no_method_is_refused(found, written, message):
    with pytest.raises(UsageError, match=message):
        resolve(found, parse_method(written), SFT)


def test_signs_in_quotes_mean_nothing():
    use = parse_method('tags[model="vllm:/models/a|b ],c"] trainer=sft | random')
    assert use.before.name.parameters == {"model": "vllm:/models/a|b ],c"}
    assert parse_method(str(use)) == use
