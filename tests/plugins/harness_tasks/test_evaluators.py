"""The evaluators at work: items, what is left out and why, examples that are not scored, and code that is run."""

from __future__ import annotations

import itertools
import json
import re

import numpy as np
import pytest
import torch

from sftbench import UsageError
from sftbench.parameters import identifying
from sftbench_plugins.harness_tasks import code_tasks
from sftbench_plugins.harness_tasks.asking import Samples
from sftbench_plugins.harness_tasks.code_tasks import CodeTask, pass_at_k
from sftbench_plugins.harness_tasks.evaluators import TRIAL, LmEval, TokenTunePaper, TshirtPaper


def mean_of(evaluation, metric):
    assert len(evaluation.items[metric]) == len(evaluation.ids_of[metric]) > 0
    return float(evaluation.items[metric].mean())


def test_items_are_right_where_the_model_finds_the_right_choice_likelier(desk_for, trial_model):
    part = LmEval(tasks="boolq", task_data=str(TRIAL))
    evaluation = part.evaluate(None, None, desk_for(part))
    rows = [json.loads(line) for line in (TRIAL / "boolq" / "validation.jsonl").read_text().splitlines()]
    expected = []
    for row in rows:
        prompt = f"{row['passage']}\nQuestion: {row['question']}?\nAnswer:"
        no, yes = (likelihood(trial_model, prompt, each) for each in (" no", " yes"))
        expected.append(float((yes > no) == row["answer"]))
    assert evaluation.ids_of["boolq/acc"] == tuple(f"boolq:{at}" for at in range(len(rows)))
    assert evaluation.items["boolq/acc"].tolist() == expected
    assert evaluation.bigger_is_better == {"boolq/acc": True}


def likelihood(model, prompt, continuation):
    """By the library itself, a token at a time."""
    whole = model.tokenizer(prompt + continuation)["input_ids"]
    start = len(model.tokenizer(prompt)["input_ids"])
    with torch.no_grad():
        logp = model.model(torch.tensor([whole])).logits[0].log_softmax(-1)
    return sum(logp[at - 1, whole[at]].item() for at in range(start, len(whole)))


def test_the_model_is_loaded_once_for_all_tasks_and_metrics_have_items_of_their_own(desk_for):
    part = LmEval(tasks="gsm8k+boolq+arc_challenge", limit=3, task_data=str(TRIAL))
    desk = desk_for(part)
    evaluation = part.evaluate(None, None, desk)
    assert desk.num_loaded == 1
    assert sorted(evaluation.items) == [
        "arc_challenge/acc", "arc_challenge/acc_norm", "boolq/acc",
        "gsm8k/exact_match/flexible-extract", "gsm8k/exact_match/strict-match",
    ]  # fmt: skip
    assert {metric: len(ids) for metric, ids in evaluation.ids_of.items()} == dict.fromkeys(evaluation.items, 3)
    assert evaluation.report["num_tasks_run"] == 3
    assert evaluation.report["no_means_of_items"] == {}


def test_a_group_is_scored_over_the_items_of_all_its_tasks(desk_for, tmp_path):
    (tmp_path / "mmlu").mkdir()
    rows = [
        {"subject": subject, "split": split, "question": f"{subject} {at}?", "choices": list("wxyz"), "answer": at % 4}
        for subject, count in (("anatomy", 3), ("virology", 7))
        for split, number in (("dev", 5), ("test", count))
        for at in range(number)
    ]
    (tmp_path / "mmlu" / "mmlu.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    part = LmEval(tasks="mmlu", num_fewshot=2, task_data=str(tmp_path))
    evaluation = part.evaluate(None, None, desk_for(part))
    others = evaluation.report["other_metrics"]
    weighted = (3 * others["mmlu_anatomy/acc"] + 7 * others["mmlu_virology/acc"]) / 10
    assert list(evaluation.items) == ["mmlu/acc"]
    assert len(evaluation.ids_of["mmlu/acc"]) == 10
    assert mean_of(evaluation, "mmlu/acc") == pytest.approx(weighted)
    assert evaluation.report["num_fewshot"] == {"mmlu_anatomy": 2, "mmlu_virology": 2}
    assert not [each for each in evaluation.report["remarks"] if "few-shot" in each], "the file has examples"


def test_examples_from_the_scored_file_are_not_scored_and_that_is_told(desk_for):
    part = LmEval(tasks="gsm8k", num_fewshot=4, task_data=str(TRIAL))
    evaluation = part.evaluate(None, None, desk_for(part))
    rows = (TRIAL / "gsm8k" / "test.jsonl").read_text().splitlines()
    assert len(evaluation.ids_of["gsm8k/exact_match/strict-match"]) == len(rows) - 4
    told = "gsm8k: few-shot examples are the last 4 rows of the file, which are not scored"
    assert told in evaluation.report["remarks"]


def test_tasks_without_files_are_named_and_the_others_run(desk_for):
    part = TshirtPaper(limit=1, task_data=str(TRIAL))
    desk = desk_for(part)
    evaluation = part.evaluate(None, None, desk)
    left_out = evaluation.report["left_out"]
    assert sorted(left_out) == ["hellaswag", "leaderboard_bbh", "mmlu", "truthfulqa_mc2"]
    assert "bbh/bbh" in left_out["leaderboard_bbh"]
    assert (evaluation.report["num_tasks_run"], evaluation.report["num_tasks_left_out"]) == (2, 4)
    assert sorted(evaluation.items) == ["arc_challenge/acc_norm", "gsm8k/exact_match/strict-match"]
    assert set(evaluation.items) <= set(TshirtPaper.metrics)
    assert any("mmlu is left out" in each for each in desk.logged)


def test_a_folder_with_no_task_at_all_is_refused_with_the_names_that_were_looked_for(tmp_path):
    with pytest.raises(UsageError, match=r"arc_challenge as .*hellaswag as .*mmlu/mmlu"):
        TshirtPaper(task_data=str(tmp_path)).needs()
    with pytest.raises(UsageError, match="there is no folder"):
        TshirtPaper(task_data=str(tmp_path / "nowhere")).needs()


def test_a_task_that_no_file_is_known_for_is_named(desk_for):
    part = LmEval(tasks="boolq+winogrande", limit=1, task_data=str(TRIAL))
    evaluation = part.evaluate(None, None, desk_for(part))
    assert "no way to read it from local files is known" in evaluation.report["left_out"]["winogrande"]


def test_files_in_a_form_that_is_not_known_are_refused_by_name(desk_for, tmp_path):
    (tmp_path / "boolq").mkdir()
    (tmp_path / "boolq" / "validation.jsonl").write_text('{"question": "q"}\n')
    part = LmEval(tasks="boolq", task_data=str(tmp_path))
    with pytest.raises(UsageError, match=r"validation.jsonl: not in a form in which boolq is known"):
        part.evaluate(None, None, desk_for(part))
    (tmp_path / "boolq" / "validation.jsonl").write_text('{"question": \n')
    with pytest.raises(UsageError, match=r"validation.jsonl: line 1"):
        part.evaluate(None, None, desk_for(part))


def test_where_the_data_lies_is_no_part_of_what_identifies_an_evaluation(tmp_path):
    here, there = (TshirtPaper(task_data=str(each)) for each in (TRIAL, tmp_path))
    assert identifying(here) == identifying(there)
    assert "task_data" not in identifying(here)
    assert identifying(here) != identifying(TshirtPaper(task_data=str(TRIAL), limit=3))


def test_code_is_not_run_unless_it_is_allowed(desk_for, monkeypatch):
    monkeypatch.setattr(CodeTask, "are_right", lambda *given: pytest.fail("it was run"))
    part = TokenTunePaper(limit=1, task_data=str(TRIAL))
    evaluation = part.evaluate(None, None, desk_for(part))
    assert "--allow-code-execution" in evaluation.report["left_out"]["humaneval"]
    assert "humaneval/pass@10" not in evaluation.items


def test_allowed_code_is_run_and_counted(desk_for, monkeypatch):
    monkeypatch.setattr(code_tasks, "NEW_TOKENS", 4)
    part = LmEval(tasks="humaneval", num_samples=3, pass_at=2, limit=1, allow_code_execution=True, task_data=str(TRIAL))
    evaluation = part.evaluate(None, None, desk_for(part))
    assert list(evaluation.items) == ["humaneval/pass@2"]
    (remark,) = (each for each in evaluation.report["remarks"] if "sandbox" in each)
    assert sum(int(number) for number in re.findall(r"(\d+) [a-z]+", remark)) == 3


def test_programs_are_right_when_they_pass_the_tests(tmp_path):
    doc = json.loads((TRIAL / "humaneval" / "test.jsonl").read_text())
    task = CodeTask(samples=Samples(count=4, k=2), scratch=tmp_path)
    programs = [doc["prompt"] + f"    return {body}\n" for body in ("2 * x", "x + x", "x ** 2", "exit(0)")]
    assert task.are_right(doc, programs) == [True, True, False, False]
    assert task.results(doc, [programs]) == {"pass@2": pytest.approx(1 - 1 / 6)}
    assert task.remarks() == ["humaneval: programs run in the sandbox: 4 finished, 4 raised"]


@pytest.mark.parametrize("num_drawn", [1, 4, 7])
def test_pass_at_k_is_the_share_of_draws_with_a_right_one_among_them(num_drawn):
    for num_right, k in itertools.product(range(num_drawn + 1), range(1, num_drawn + 1)):
        drawn = [at < num_right for at in range(num_drawn)]
        brute = np.mean([any(each) for each in itertools.combinations(drawn, k)])
        assert pass_at_k(num_drawn, num_right, k) == pytest.approx(brute)


@pytest.mark.parametrize("given", [(3, 1, 4), (3, 4, 1), (3, 1, 0), (3, -1, 1)])
def test_pass_at_k_of_impossible_numbers_is_refused(given):
    with pytest.raises(ValueError, match="is not defined"):
        pass_at_k(*given)


def test_prompts_can_have_the_chat_template(desk_for, trial_model, monkeypatch):
    monkeypatch.setattr(
        trial_model.tokenizer, "chat_template",
        "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}",
    )  # fmt: skip
    part = LmEval(tasks="gsm8k", num_fewshot=1, limit=1, task_data=str(TRIAL), apply_chat_template=True)
    desk = desk_for(part)
    seen = []
    monkeypatch.setattr(
        "sftbench_plugins.harness_tasks.model.continue_texts",
        lambda model, prompts, **more: seen.extend(prompts) or [type("C", (), {"text": "#### 1"})] * len(prompts),
    )
    part.evaluate(None, None, desk)
    assert seen[0].count("<user>") == 2
    assert seen[0].endswith("<assistant>")


@pytest.mark.parametrize(
    "wrong", [{"tasks": "+"}, {"limit": 0}, {"pass_at": 30}, {"tasks": "a", "pass_at": 0}], ids=str
)
def test_senseless_parameters_are_refused(wrong):
    with pytest.raises(ValueError, match=r"name the tasks|at least 1|pass_at"):
        LmEval(**wrong)
