"""The ranking, with ties as in the authors' code or as they stand in the pool."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sftbench import Allowance, Scores, UsageError
from sftbench_plugins.selectit.formula import OFFICIAL_WEIGHTS, model_level, sentence_level, token_level
from sftbench_plugins.selectit.selector import HighestScores


def choose(make_pool, values, cap, *, mode="paper", costs=None):
    pool = make_pool([("ask", "tell")] * len(values))
    row_costs = np.ones(len(values)) if costs is None else np.array(costs, dtype=float)
    allowance = Allowance(cap=cap, row_costs=row_costs, unit="rows")
    return HighestScores(mode=mode).select(pool, Scores(values=np.array(values, dtype=float)), allowance, None)


@pytest.mark.parametrize("seed", range(5))
def test_ties_go_to_the_earlier_row_and_in_mode_official_to_the_later(make_pool, seed):
    values = np.random.default_rng(seed).integers(0, 3, 20).astype(float)
    values[4] = np.nan
    scored = [at for at in range(20) if at != 4]
    paper = sorted(scored, key=lambda at: (-values[at], at))[:9]
    official = sorted(scored, key=lambda at: (values[at], at), reverse=True)[:9]
    assert choose(make_pool, values, 9).ids == tuple(f"r{at}" for at in paper)
    assert choose(make_pool, values, 9, mode="official").ids == tuple(f"r{at}" for at in official)


def test_a_pool_with_too_few_scores_is_short_and_says_so(make_pool):
    chosen = choose(make_pool, [1.0, np.nan, 2.0], 3)
    assert (chosen.ids, chosen.status) == (("r2", "r0"), "short")
    assert chosen.report["num_without_score"] == 1
    assert choose(make_pool, [1.0, np.nan, 2.0], 2).status == "full"


def test_ties_at_the_cut_are_counted(make_pool):
    assert choose(make_pool, [1.0, 2.0, 1.0, 1.0], 2).report["num_ties_left_out"] == 2


def test_a_budget_in_tokens_is_kept(make_pool):
    assert choose(make_pool, [3.0, 2.0, 1.0], 6, costs=[4, 3, 1]).ids == ("r0",)


def test_it_ranks_nothing_without_scores(make_pool):
    allowance = Allowance(cap=1, row_costs=np.ones(1), unit="rows")
    with pytest.raises(UsageError, match="ranks by scores"):
        HighestScores().select(make_pool([("a", "b")]), None, allowance, None)


@pytest.mark.reference
def test_official_takes_the_authors_rows_in_their_order(reference_data, make_pool):
    folder = reference_data / "golden" / "selectit"
    rows = [json.loads(line) for line in (folder / "input.jsonl").read_text().splitlines()]
    expected = json.loads((folder / "expected.json").read_text())
    tokens = token_level(np.array([row["digit_probs"] for row in rows]), "official")
    sentences = sentence_level(tokens, expected["params"]["alpha"])
    cap = int(len(rows) * expected["params"]["proportion"])
    for level, values in {
        "token_level_model0_prompt0": tokens[:, 0, 0],
        "sentence_level_model0": sentences[:, 0],
        "model_level": model_level(sentences, OFFICIAL_WEIGHTS),
    }.items():
        chosen = choose(make_pool, values, cap, mode="official")
        ids = [rows[int(each.removeprefix("r"))]["id"] for each in chosen.ids]
        assert ids == expected[level]["selected_ids_in_order"]
