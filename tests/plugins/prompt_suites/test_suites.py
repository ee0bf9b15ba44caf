"""The published suites against the published files, where the reference data is at hand."""

from __future__ import annotations

from collections import Counter

import pytest

from sftbench.plugins import load
from sftbench.pools import read_prompts
from sftbench.settings import check_settings
from sftbench_plugins.prompt_suites.suites import SUITES

BY_NAME = {suite.name: suite for suite in SUITES}


def read(suite, reference_data):
    source = next(path for name in suite.files if (path := reference_data / "data" / "judge" / name).is_file())
    return read_prompts(str(source), name=suite.name, temperatures=suite.temperatures)


@pytest.mark.reference
@pytest.mark.parametrize("suite", SUITES, ids=BY_NAME)
def test_a_suite_reads_all_prompts_of_its_file(suite, reference_data):
    found = read(suite, reference_data)
    assert len(found.rows) == found.num_in_all == suite.num_prompts
    assert found.num_empty == 0
    assert load().prompt_suites[suite.name] is suite
    check_settings({"methods": ["none"], **suite.defaults})


@pytest.mark.reference
def test_mt_bench_has_two_turns_and_its_categories_their_temperatures(reference_data):
    rows = read(BY_NAME["mt-bench"], reference_data).rows
    assert {row["_open_turns"] for row in rows} == {2}
    warm = Counter((row["category"], row.get("_temperature", 0.0)) for row in rows)
    # FastChat's llm_judge: 0.7, 0.7, 0.1, 0.1 and four at 0, ten questions each.
    assert warm == {
        ("writing", 0.7): 10, ("roleplay", 0.7): 10, ("stem", 0.1): 10, ("humanities", 0.1): 10,
        ("extraction", 0.0): 10, ("math", 0.0): 10, ("coding", 0.0): 10, ("reasoning", 0.0): 10,
    }  # fmt: skip
    with_reference = {row["category"] for row in rows if row["messages"][1]["content"]}
    assert with_reference == {"math", "coding", "reasoning"}


@pytest.mark.reference
@pytest.mark.parametrize("name", ["alpaca-eval", "arena-hard-v0.1", "arena-hard-v2.0"])
def test_every_prompt_has_the_benchmarks_baseline_as_its_reference(name, reference_data):
    assert all(row["messages"][-1]["content"] for row in read(BY_NAME[name], reference_data).rows)


def test_arena_hard_is_controlled_for_style_and_the_others_for_length():
    control = {suite.name: suite.control for suite in SUITES}
    assert {name for name, what in control.items() if what == "style"} == {"arena-hard-v0.1", "arena-hard-v2.0"}
