"""Mixtures: how many of each, nested draws, and what is refused."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from sftbench import UsageError
from sftbench_plugins.generators.mixing import Mixture
from sftbench_plugins.generators.paraphrase import Paraphrase
from sftbench_plugins.generators.settings import Settings

GRID = (0.0, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)


def slots(generate, share, **more):
    """Every row of the mixed pool by its id."""
    made = generate(Paraphrase(level=6, generated_share=share, **more))
    return [row.id for row in made.rows]


def is_real(row_id):
    return row_id.startswith("r")


def test_replacing_keeps_the_sum_and_turns_slots_from_real_to_generated_and_never_back(generate):
    pools = [slots(generate, share) for share in GRID]
    for share, ids in zip(GRID, pools, strict=True):
        assert len(ids) == len(set(ids)) == 40
        assert sum(not is_real(each) for each in ids) == round(share * 40)
    for smaller, larger in itertools.pairwise(pools):
        for one, other in zip(smaller, larger, strict=True):
            assert one == other or (is_real(one) and not is_real(other))


def test_rows_drawn_by_chance_from_the_slots_are_nested_too(generate):
    chosen = np.random.default_rng(3).permutation(40)[:12]
    drawn = [{each for each in np.array(slots(generate, share))[chosen] if not is_real(each)} for share in GRID]
    assert all(smaller <= larger for smaller, larger in itertools.pairwise(drawn))
    assert len(drawn[-1]) == 12


def test_adding_keeps_the_real_rows_and_adds_a_beginning_of_the_same_rows(generate):
    pools = [slots(generate, share, mixing="additive", num_real=10, num_rows=20) for share in (0.0, 0.5, 1.0, 2.0)]
    assert [len(each) for each in pools] == [10, 20, 30, 50]
    for smaller, larger in itertools.pairwise(pools):
        assert larger[: len(smaller)] == smaller
    assert all(map(is_real, pools[0]))


def test_a_generator_that_adds_to_few_real_rows_sees_no_others(generate):
    made = generate(Paraphrase(mixing="additive", num_real=6, num_rows=18, generated_share=1.0))
    real = {row.id for row in made.rows[:6]}
    assert {parent for told in made.lineages[6:] for parent in told["parent_ids"]} <= real


def test_too_few_real_rows_are_an_error_that_names_how_many_when_replacing_and_short_when_adding(generate):
    with pytest.raises(UsageError, match="takes 90 real rows, 50 more than the pool has"):
        generate(Paraphrase(num_rows=100, generated_share=0.1))
    made = generate(Paraphrase(mixing="additive", num_real=100, generated_share=0.1))
    assert made.num_wanted == 110
    assert len(made.rows) == 50


def test_another_seed_draws_other_real_rows():
    first, again, other = (Mixture.planned(Settings(generated_share=0.5), 100, seed) for seed in (1, 1, 2))
    assert (first.real == again.real).all()
    assert set(first.real) != set(other.real)


@pytest.mark.parametrize(
    "wrong",
    [
        {"generated_share": 1.5}, {"generated_share": -0.1}, {"num_real": 5}, {"num_rows": 0}, {"closeness": 1.2},
        {"cap": -2.0}, {"attempts_per_row": 0}, {"max_new_tokens": 0}, {"mixing": "additive", "num_real": -1},
    ],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match=r"expected|num_real|cosine"):
        Settings(**wrong)


def test_nothing_generated_asks_no_language_model(generate, trees):
    made = generate(Paraphrase(generated_share=0.0), trees(8), reply=lambda request: pytest.fail("asked"))
    assert sorted(row.id for row in made.rows) == [f"r{at}" for at in range(8)]
    assert made.report["num_attempts"] == 0
