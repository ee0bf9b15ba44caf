"""The filter against the plain greedy rule, the batches of the authors' code, and the selector around it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sftbench import Allowance, Scores
from sftbench_plugins.deita import similar
from sftbench_plugins.deita.selector import ReprFilter
from sftbench_plugins.deita.similar import Filter

NO_LIMIT = float("inf")


def plain_greedy(vectors, order, threshold):
    """One after the other, against each that was taken, in float64."""
    unit = vectors.astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    taken = []
    for at in order:
        if all(unit[at] @ unit[other] <= threshold for other in taken):
            taken.append(int(at))
    return taken


def in_batches(vectors, order, threshold, batch):
    """As the authors' code: the first alone, then batches in which rejected rows reject too."""
    unit = vectors.astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    taken = [int(order[0])]
    for start in range(1, len(order), batch):
        members = order[start : start + batch]
        taken += [
            int(at)
            for place, at in enumerate(members)
            if all(unit[at] @ unit[other] <= threshold for other in [*taken, *members[:place]])
        ]
    return taken


def run(vectors, order, threshold, *, batch=1, cap=NO_LIMIT, costs=None):
    filtering = Filter(vectors=vectors.astype(np.float32), threshold=threshold, batch=batch)
    return filtering.run(order, costs=np.ones(len(vectors)) if costs is None else costs, cap=cap)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("block", [1, 7, 512])
def test_the_filter_is_the_plain_greedy_rule_whatever_the_blocks(monkeypatch, seed, block):
    monkeypatch.setattr(similar, "_BLOCK", block)
    monkeypatch.setattr(similar, "_CHUNK", 5)
    draw = np.random.default_rng(seed)
    vectors = draw.normal(size=(90, 4)) * draw.uniform(0.1, 9, size=(90, 1))
    order = draw.permutation(90)
    threshold = draw.uniform(0.2, 0.95)
    found = run(vectors, order, threshold)
    assert found.taken == plain_greedy(vectors, order, threshold)
    assert found.num_scanned == 90
    assert found.num_rejected == 90 - len(found.taken)


@pytest.mark.parametrize("batch", [2, 5, 8, 200])
@pytest.mark.parametrize("seed", range(4))
def test_batches_reject_by_rejected_rows_as_the_authors_code_does(seed, batch):
    draw = np.random.default_rng(seed)
    vectors, order = draw.normal(size=(80, 3)), draw.permutation(80)
    assert run(vectors, order, 0.8, batch=batch).taken == in_batches(vectors, order, 0.8, batch)


def test_a_batch_of_two_differs_from_one_after_the_other():
    """B is like the taken A, C is like B alone: the greedy rule takes C, a batch of B and C does not."""
    angles = np.radians([0, 20, 40])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    order, threshold = np.arange(3), np.cos(np.radians(30))
    assert run(vectors, order, threshold).taken == [0, 2]
    assert run(vectors, order, threshold, batch=2).taken == [0]


def test_equality_with_the_threshold_is_no_reason_to_reject():
    vectors = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    assert run(vectors, np.arange(3), 0.0).taken == [0, 1]
    assert run(vectors, np.arange(3), 1.0).taken == [0, 1, 2]


def test_copies_are_counted_among_what_is_rejected():
    vectors = np.array([[3.0, 4.0], [6.0, 8.0], [4.0, 3.0], [0.3, 0.4]])
    found = run(vectors, np.arange(4), 0.9)
    assert (found.taken, found.num_rejected, found.num_same) == ([0], 3, 2)


@pytest.mark.parametrize("cap", [1, 5, 17])
def test_nothing_beyond_the_cap_is_looked_at(cap):
    vectors = np.random.default_rng(0).normal(size=(200, 12))
    found = run(vectors, np.arange(200), 0.5, cap=cap)
    assert found.taken == plain_greedy(vectors, range(200), 0.5)[:cap]
    assert found.num_scanned == found.taken[-1] + 1


class Choice:
    """A pool of rows with vectors and scores, and what the selector makes of it."""

    def __init__(self, make_desk, vectors, values):
        self.vectors, self.values = np.asarray(vectors, dtype=np.float32), values
        self.desk = make_desk([("ask", "tell")] * len(vectors), vectors=self.vectors)

    def select(self, cap, *, costs=None, **parameters):
        scores = None if self.values is None else Scores(values=np.array(self.values))
        row_costs = np.ones(len(self.vectors)) if costs is None else np.array(costs, dtype=float)
        allowance = Allowance(cap=cap, row_costs=row_costs, unit="rows")
        return ReprFilter(**parameters).select(self.desk.pool, scores, allowance, self.desk)


@pytest.fixture
def choice(make_desk):
    return lambda vectors, values: Choice(make_desk, vectors, values)


AXES = np.eye(6)


def test_rows_come_by_falling_score_and_equal_ones_as_they_stand_in_the_pool(choice):
    chosen = choice(AXES, [1.0, 3.0, 2.0, 3.0, 0.5, 2.0]).select(4)
    assert chosen.ids == ("r1", "r3", "r2", "r5")
    assert chosen.scores.tolist() == [3.0, 3.0, 2.0, 2.0]
    assert chosen.status == "full"


def test_without_scores_the_order_is_that_of_the_pool(choice):
    chosen = choice([AXES[0], AXES[0], AXES[1], AXES[2], AXES[1], AXES[3]], None).select(3)
    assert chosen.ids == ("r0", "r2", "r3")
    assert chosen.scores is None
    assert chosen.report["order"] == "pool"
    assert chosen.report["last_score"] is None


def test_a_pool_in_which_too_much_is_alike_is_short_and_says_how_much(choice):
    vectors = [AXES[0], AXES[0], AXES[1], AXES[0] + 0.1 * AXES[1], AXES[2], AXES[2]]
    chosen = choice(vectors, [6.0, 5.0, 4.0, 3.0, 2.0, 1.0]).select(5)
    assert (chosen.ids, chosen.status) == (("r0", "r2", "r4"), "short")
    assert chosen.report["num_rejected"] == 3
    assert chosen.report["num_rejected_as_same"] == 2


def test_rows_without_score_or_vector_are_left_out_and_counted(choice):
    vectors = AXES.copy()
    vectors[0], vectors[1] = np.nan, 0
    chosen = choice(vectors, [9.0, 8.0, np.nan, 7.0, np.inf, 6.0]).select(6)
    assert (chosen.ids, chosen.status) == (("r3", "r5"), "short")
    assert chosen.report["num_without_vector"] == 2
    assert chosen.report["num_without_score"] == 2
    assert chosen.report["num_eligible"] == 2


def test_a_budget_in_tokens_ends_before_the_first_row_that_is_too_dear(choice):
    given = choice(AXES, [6.0, 5.0, 4.0, 3.0, 2.0, 1.0])
    chosen = given.select(10, costs=[4, 3, 5, 1, 1, 1])
    assert (chosen.ids, chosen.status) == (("r0", "r1"), "full")
    assert given.select(15, costs=[4, 3, 5, 1, 1, 1]).status == "full"


def test_the_products_of_the_filter_are_paid_for(choice):
    given = choice(AXES, [1.0] * 6)
    given.select(6)
    assert given.desk.spent["flops"] > 0


def test_the_last_token_of_a_row_can_be_its_vector(make_model, make_desk):
    model = make_model()
    rows = [("ask", "tell"), ("a longer question", "with a longer answer"), ("ask", "x" * 900)]
    desk = make_desk(rows, model)
    part = ReprFilter(vectors="last-token", max_length=40, threshold=1.0)
    assert part.needs().language_models == ("scoring",)
    assert ReprFilter(vectors="last-token", embedding_model="m").needs().foreign_models == {"embedding": "m"}
    states = part._last_states(desk.pool, desk)
    for at, row in enumerate(desk.pool):
        encoded = next(model.encode([row], template="training"))
        ids = torch.from_numpy(encoded.token_ids[:40].astype(np.int64))[None]
        with torch.no_grad():
            expected = model.model.transformer(ids).last_hidden_state[0, -1]
        np.testing.assert_allclose(states[at], expected.numpy(), atol=1e-4)
    allowance = Allowance(cap=3, row_costs=np.ones(3), unit="rows")
    assert len(part.select(desk.pool, None, allowance, desk).ids) == 3


def test_the_manhattan_distance_of_the_authors_code_does_not_exist():
    """It rejects what is far instead of what is near."""
    with pytest.raises(TypeError):
        ReprFilter(metric="manhattan")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"threshold": 1.5}, "cosine similarity"),
        ({"batch": 0}, "at least 1"),
        ({"batch": 2}, "mode=official"),
        ({"embedding_model": "m"}, "vectors=last-token"),
    ],
)
def test_what_makes_no_sense_is_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        ReprFilter(**parameters)
