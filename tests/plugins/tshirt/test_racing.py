"""The selector `tshirt-race` on a small random model: the copies and the choice of the exact form, and bad rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sftbench import Allowance, PartUse, UsageError
from sftbench_plugins.tshirt import Hierarchical, TShirt, sftbench_methods
from sftbench_plugins.tshirt.racing import Copies, Racing


def rows_of(count: int, cap: float) -> Allowance:
    return Allowance(cap=cap, row_costs=np.ones(count), unit="rows")


def exactly(pool: Any, desk: Any, cap: float, **parameters: Any) -> Any:
    scores = TShirt(**parameters).score(pool, desk)
    return Hierarchical().select(pool, scores, rows_of(len(pool), cap), desk)


@pytest.mark.parametrize("bos", [False, True])
def test_when_the_pilot_sees_every_copy_the_choice_is_the_exact_one(
    bos: bool, make_model: Any, make_rows: Any, make_pool: Any, make_desk: Any
) -> None:
    """With two draws of sixty rows nothing is estimated: threshold, order and numbers must be those of the scorer."""
    model, pool = make_model(bos=bos), make_pool(make_rows(60))
    desk = make_desk(model, pool)
    wanted = exactly(pool, desk, 9, num_draws=2)
    found = Racing(num_draws=2).select(pool, None, rows_of(60, 9), desk)
    assert (found.ids, found.status) == (wanted.ids, wanted.status)
    np.testing.assert_allclose(found.scores, wanted.scores, rtol=2e-5)
    assert found.report["expected_agreement"] == 1.0
    assert found.report["share_of_copies"] == 1.0
    assert found.report["tau_nats"] == pytest.approx(TShirt(num_draws=2).score(pool, desk).report["tau_nats"], rel=1e-5)


def test_a_race_makes_fewer_copies_and_agrees_about_as_often_as_it_says(
    make_model: Any, make_rows: Any, make_pool: Any, make_desk: Any
) -> None:
    model, pool = make_model(), make_pool(make_rows(120))
    wanted = exactly(pool, make_desk(model, pool), 10, num_draws=12)
    found = Racing(num_draws=12, tolerance=0.5).select(pool, None, rows_of(120, 10), make_desk(model, pool))
    assert len(found.ids) == 10
    assert found.report["share_of_copies"] < 0.7
    doubt, by_noise = (
        1 - float(found.report[name]) for name in ("expected_agreement", "expected_agreement_of_another_seed")
    )
    assert 0 < doubt <= 0.5 * by_noise + 1e-3
    assert len(set(found.ids) & set(wanted.ids)) >= 7


def test_later_copies_are_those_that_the_exact_form_draws_later(
    make_model: Any, make_rows: Any, make_pool: Any, make_desk: Any
) -> None:
    model, pool = make_model(), make_pool(make_rows(5))
    copies = Copies(pool=pool, desk=make_desk(model, pool), model=model, alpha=5.0, max_length=96)
    every = dict(copies(np.arange(5), 0, 7))
    some = dict(copies(np.array([1, 4]), 3, 5))
    assert list(some) == [1, 4]
    for row, deltas in some.items():
        np.testing.assert_allclose(deltas, every[row][3:5], rtol=1e-4, atol=1e-5)


def test_the_same_seed_gives_the_same_choice_and_scores_are_not_read(
    make_model: Any, make_rows: Any, make_pool: Any, make_desk: Any
) -> None:
    model, pool = make_model(), make_pool(make_rows(70))
    scores = TShirt(clean_only=True).score(pool, make_desk(model, pool))
    one, again, other = (
        Racing(num_draws=6).select(pool, given, rows_of(70, 8), make_desk(model, pool, seed=seed))
        for given, seed in ((None, 3), (scores, 3), (None, 4))
    )
    assert one.ids == again.ids
    assert one.report == again.report
    assert one.report["tau_nats"] != other.report["tau_nats"]


BAD = [
    {"id": "empty", "instruction": "Say", "output": ""},
    {"id": "long", "instruction": "x" * 200, "output": "abc"},
    {"id": "short", "instruction": "", "output": "a"},
]


def test_bad_rows_are_never_chosen_and_counted_by_reason(
    make_model: Any, make_rows: Any, make_pool: Any, make_desk: Any
) -> None:
    model, rows = make_model(), make_rows(20)
    pool = make_pool([*rows[:5], *BAD, *rows[5:]])
    found = Racing(num_draws=2).select(pool, None, rows_of(23, 20), make_desk(model, pool))
    assert found.report["reasons"] == {"empty_response": 1, "prompt_too_long": 1, "too_few_tokens": 1}
    assert not {"empty", "long", "short"} & set(found.ids)
    assert found.ids == exactly(pool, make_desk(model, pool), 20, num_draws=2).ids


def test_a_pool_of_bad_rows_gives_an_empty_short_choice(make_model: Any, make_pool: Any, make_desk: Any) -> None:
    pool, model = make_pool(BAD), make_model()
    found = Racing().select(pool, None, rows_of(3, 2), make_desk(model, pool))
    assert (found.ids, found.status) == ((), "short")
    assert found.report["tau_nats"] is None


def test_the_method_races_when_asked_and_the_authors_code_cannot() -> None:
    (method,) = sftbench_methods()
    assert next(iter(method.strategies)) == "exact"
    assert method.strategies["race"] == {"scorer": None, "selector": PartUse(name="tshirt-race")}
    from sftbench.methods import resolve
    from sftbench.parameters import parse_use
    from sftbench.plugins import load

    found = resolve(load(), parse_use("tshirt[strategy=race,tolerance=0.2,keep=0.75]"), parse_use("sft"))
    assert found.scorer is None
    assert found.selector == Racing(tolerance=0.2, keep=0.75)
    assert found.fidelity == "reconstruction"
    with pytest.raises(UsageError, match="mode='official'"):
        resolve(load(), parse_use("tshirt[strategy=race,mode=official]"), parse_use("sft"))


@pytest.mark.parametrize("wrong", [{"keep": 0.0}, {"gamma": 0.5}, {"tolerance": 1.5}, {"num_draws": 0}, {"alpha": -1}])
def test_parameters_without_a_meaning_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"keep|num_draws"):
        Racing(**wrong)
