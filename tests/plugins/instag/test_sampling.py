"""The sampling of InsTag against golden rows and against a plain statement of the algorithm."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.sparse import csr_array

from sftbench_plugins.instag.sampling import complexity_order, diverse_order


def matrix_of(tags):
    names = sorted({tag for row in tags for tag in row})
    matrix = np.array([[name in row for name in names] for row in tags], dtype=np.int32).reshape(len(tags), len(names))
    return csr_array(matrix)


def sampled(tags, wanted):
    """Positions taken, and how many by each pass."""
    matrix, taken_per_pass, chosen = matrix_of(tags), [], []
    for row in diverse_order(matrix, complexity_order(matrix), taken_per_pass):
        chosen.append(row)
        if len(chosen) == wanted:
            break
    return chosen, taken_per_pass


def plainly_sampled(tags, wanted):
    """Algorithm 1 with sets."""
    tags = [set(row) for row in tags]
    waiting = sorted(range(len(tags)), key=lambda row: -len(tags[row]))
    chosen, per_pass = [], []
    while len(chosen) < wanted:
        seen, taken = set(), []
        for row in waiting:
            if len(chosen) + len(taken) < wanted and not tags[row] <= seen:
                seen |= tags[row]
                taken.append(row)
        if not taken:
            break
        chosen += taken
        per_pass.append(len(taken))
        waiting = [row for row in waiting if row not in taken]
    return chosen, per_pass


@pytest.mark.reference
def test_the_golden_runs_are_repeated(reference_data):
    folder = reference_data / "golden" / "instag"
    rows = [json.loads(line) for line in (folder / "input.jsonl").read_text().splitlines()]
    expected = json.loads((folder / "expected.json").read_text())
    ids, tags = [row["id"] for row in rows], [set(row["tags"]) for row in rows]
    for run in expected["runs"]:
        chosen, per_pass = sampled(tags, run["N"])
        assert [ids[row] for row in chosen] == run["selected_ids_in_order"]
        assert per_pass == run["taken_per_pass"]
        covered = set().union(*(tags[row] for row in chosen))
        assert len(covered) / expected["distinct_tags"] == pytest.approx(run["tag_coverage"])
    order = complexity_order(matrix_of(tags))
    assert [ids[row] for row in order[:20]] == expected["tag_count_baseline_order_top20"]


@pytest.mark.parametrize("seed", range(40))
def test_rows_are_taken_as_the_algorithm_says(seed):
    draw = np.random.default_rng(seed)
    num_tags = int(draw.integers(1, 12))
    tags = [set(draw.integers(0, num_tags, draw.integers(0, 6)).tolist()) for _ in range(draw.integers(1, 40))]
    for wanted in (1, 5, 20, 40):
        assert sampled(tags, wanted) == plainly_sampled(tags, wanted)


def test_an_order_worked_out_by_hand():
    tags = ["ab", "abc", "", "c", "ad", "abc", "e"]
    # Pass 1: abc brings three, then ad brings d, then e; pass 2: abc, nothing from ab or c; then ab, c.
    assert sampled(tags, 9) == ([1, 4, 6, 5, 0, 3], [3, 1, 2])


def test_within_a_pass_every_row_brings_a_new_tag():
    draw = np.random.default_rng(3)
    tags = [set(draw.integers(0, 30, draw.integers(1, 8)).tolist()) for _ in range(200)]
    chosen, per_pass = sampled(tags, 200)
    start = 0
    for count in per_pass:
        seen = set()
        for row in chosen[start : start + count]:
            assert tags[row] - seen
            seen |= tags[row]
        start += count
    assert sorted(chosen) == list(range(200))
