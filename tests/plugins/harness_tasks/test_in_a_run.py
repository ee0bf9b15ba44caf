"""What a run fills in for evaluators of tasks, and how their items reach results and board."""

from __future__ import annotations

import json

import pytest

from sftbench import UsageError, plugins
from sftbench.board.cells import ItemMetrics
from sftbench.runner import prepare
from sftbench.settings import check_settings
from sftbench_plugins.harness_tasks.evaluators import TRIAL


@pytest.fixture(scope="module")
def found():
    return plugins.load()


def planned(found, tmp_path, **more):
    given = {
        "methods": ["random"], "controls": "none", "judge": "none", "seeds": [0], "store": tmp_path / "store", **more
    }  # fmt: skip
    return prepare(check_settings(given), given, found)


def test_the_runs_limit_is_one_of_items_and_the_embedded_pool_stays_whole(found, tmp_path):
    run = planned(found, tmp_path, evals=["tshirt-paper", "lm-eval[limit=7]"], limit=20, task_data=TRIAL)
    assert [part.limit for part in run.terms.evals] == [20, 7]
    assert [part.task_data for part in run.terms.evals] == [str(TRIAL)] * 2
    whole = planned(found, tmp_path, evals=["tshirt-paper"], task_data=TRIAL)
    assert run.plan.pool == whole.plan.pool


def test_a_limit_that_no_evaluator_takes_is_still_one_of_rows(found, tmp_path):
    with pytest.raises(UsageError, match="--limit needs --pool"):
        planned(found, tmp_path, evals=["nll"], limit=20)
    run = planned(found, tmp_path, evals=["lm-eval[limit=7]"], limit=20)
    assert (run.terms.evals[0].limit, run.facts.limits.pool_rows) == (7, None)


def test_code_is_allowed_by_the_run_alone(found, tmp_path):
    run = planned(found, tmp_path, evals=["tokentune-paper"], allow_code_execution=True, task_data=TRIAL)
    assert run.terms.evals[0].allow_code_execution is True
    assert planned(found, tmp_path, evals=["tokentune-paper"]).terms.evals[0].allow_code_execution is False
    with pytest.raises(UsageError, match="--allow-code-execution"):
        planned(found, tmp_path, evals=["tokentune-paper[allow_code_execution=true]"])


def test_the_content_of_the_data_identifies_the_step_and_its_place_does_not(found, tmp_path):
    def keys(folder):
        run = planned(found, tmp_path, evals=["lm-eval[tasks=boolq]"], task_data=folder)
        return {ref for ref in run.plan.steps if ref.startswith("evaluation/")}

    copy = tmp_path / "copy"
    (copy / "boolq").mkdir(parents=True)
    text = (TRIAL / "boolq" / "validation.jsonl").read_text()
    (copy / "boolq" / "validation.jsonl").write_text(text)
    assert keys(copy) == keys(TRIAL)
    (copy / "boolq" / "validation.jsonl").write_text(text + text.splitlines()[0] + "\n")
    assert keys(copy) != keys(TRIAL)


def test_metrics_in_a_result_have_items_of_their_own():
    text = json.dumps({"ids": [], "items": {"a": [1, 0]}, "bigger_is_better": {"a": True}, "ids_of": {"a": ["x", "y"]}})
    metrics = ItemMetrics(**json.loads(text))
    assert list(metrics.items_of("a")) == ["x", "y"]
