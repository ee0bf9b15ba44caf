"""Suites of prompts in a run: where the prompts are found, what they are judged against, and what a limit cuts."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

from sftbench import Evaluation, Needs, PromptSuite, Verdicts, param, plugins
from sftbench.errors import EnvironmentProblem, UsageError
from sftbench.jury import grading, judge_use, judges_of
from sftbench.plugins import Offered
from sftbench.prompting import asked
from sftbench.runner import prepare
from sftbench.settings import check_settings, load_settings
from sftbench.survey import with_suite_defaults

PROMPTS = [{"id": f"p{at}", "instruction": f"prompt {at}", "reference": f"r{at}"} for at in range(6)]


@dataclass(frozen=True, kw_only=True)
class Pairwise:
    """A judge that is a language model, as far as planning knows."""

    name: ClassVar[str] = "pairwise"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True

    model: str = param("", "who judges")
    labels: str = param("five-way", "in which form")
    template: str = param("default", "in which words")
    temperature: float = param(0.0, "how warm")

    def needs(self):
        return Needs(asks={"judge": self.model}) if self.model else Needs(chat=True)

    def judge(self, heldout, model, baseline, desk):
        return Verdicts(ids=tuple(heldout.ids), preference=np.full(len(heldout), 0.5))


@dataclass(frozen=True, kw_only=True)
class Grade:
    """An evaluator that reads answers with a language model."""

    name: ClassVar[str] = "grade"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True
    generates: ClassVar[bool] = True

    model: str = param("", "who grades")
    template: str = param("default", "in which words")
    temperature: float = param(0.0, "how warm")

    def needs(self):
        return Needs()

    def evaluate(self, heldout, responses, desk):
        return Evaluation(ids=(), items={}, bigger_is_better={})


@dataclass(frozen=True, kw_only=True)
class Tasks(Grade):
    """An evaluator over benchmarks of its own."""

    name: ClassVar[str] = "tasks"
    generates: ClassVar[bool] = False
    limit: int | None = param(None, "items of each task")
    tasks: str = param("a", "which")


@pytest.fixture(scope="module")
def found():
    """The installed plugins, with a judge and evaluators of this test beside them."""
    installed = plugins.load()
    parts = {role: dict(offered) for role, offered in installed.parts.items()}
    parts["judge"]["pairwise"] = Offered(part_class=Pairwise, plugin="here")
    for each in (Grade, Tasks):
        parts["evaluator"][each.name] = Offered(part_class=each, plugin="here")
    own = PromptSuite(
        name="six", summary="six prompts", version="1", num_prompts=6, files=("six.jsonl",),
        defaults={"max_new_tokens": 4000}, graders=("grade",),
    )  # fmt: skip
    return replace(installed, parts=parts, prompt_suites={**installed.prompt_suites, "six": own})


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "six.jsonl").write_text("".join(json.dumps(row) + "\n" for row in PROMPTS))
    (tmp_path / "rows.jsonl").write_text('{"instruction": "say", "output": "a"}\n' * 30)
    return tmp_path


@pytest.fixture
def plan(found, folder, material):
    """Plans a run over a tiny model and a pool of thirty rows, unless they are None."""

    def prepared(*, plugins=found, **flags):
        usual = {
            "methods": ["random", "longest"], "controls": "none", "budget": ["3"], "seeds": [0], "suite": "six",
            "task_data": str(folder / "data"), "pool": str(folder / "rows.jsonl"), "base": str(material.model),
        }  # fmt: skip
        given = {name: value for name, value in {**usual, **flags}.items() if value is not None}
        settings, told = load_settings(given, None)
        return prepare(with_suite_defaults(settings, told, plugins), told, plugins)

    return prepared


@pytest.fixture
def served(folder, material):
    """A model to serve in a folder of a name, as `--judge` has it."""

    def named(name):
        shutil.copytree(material.model, folder / "models" / name, dirs_exist_ok=True)
        return f"vllm:{folder}/models/{name}"

    return named


@pytest.mark.parametrize("place", ["data", ".", "data/deep", "beside"])
def test_prompts_are_found_in_the_folder_below_it_above_it_and_beside_it(found, folder, place):
    (folder / place).mkdir(exist_ok=True)
    seen = asked(check_settings({"methods": ["x"], "suite": "six", "task_data": str(folder / place)}), found)
    assert seen.source == str(folder / "data" / "six.jsonl")
    assert seen.facts().num_prompts == 6


def test_prompts_that_are_not_there_are_named_with_the_flag(found, tmp_path):
    settings = {"methods": ["x"], "suite": "six"}
    with pytest.raises(EnvironmentProblem, match=r"prompts of six are not here: looked for six.jsonl .*--task-data"):
        asked(check_settings(settings), found)
    with pytest.raises(UsageError, match="there is no such folder"):
        asked(check_settings({**settings, "task_data": str(tmp_path / "no")}), found)
    with pytest.raises(EnvironmentProblem, match=r"looked for six.jsonl in .* one level below"):
        asked(check_settings({**settings, "task_data": str(tmp_path)}), found)


def test_the_hub_is_asked_where_the_files_are_not_here(found, tmp_path, monkeypatch):
    wanted = []

    def download(dataset, file, repo_type):
        wanted.append((dataset, file, repo_type))
        raise OSError("no route")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    with pytest.raises(EnvironmentProblem, match=r"could not be had from the Hugging Face hub \(OSError\)"):
        asked(check_settings({"methods": ["x"], "suite": "alpaca-eval"}), found)
    assert wanted == [("tatsu-lab/alpaca_eval", "alpaca_eval_gpt4_baseline.json", "dataset")]
    path = tmp_path / "fetched.json"
    path.write_text(json.dumps([{"instruction": "a", "output": "b"}]))
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *_, **__: str(path))
    seen = asked(check_settings({"methods": ["x"], "suite": "alpaca-eval"}), found)
    assert [row["id"] for row in seen.prompts.rows] == ["alpaca-eval-0"]


def test_prompts_of_ones_own_are_a_file(plan, folder):
    made = plan(suite=str(folder / "data" / "six.jsonl"), judge="checker", task_data=None)
    assert made.facts.prompts.suite == "six"
    assert made.facts.prompts.num_in_all == 6
    with pytest.raises(UsageError, match="there is no file"):
        plan(suite=str(folder / "none.jsonl"), judge="checker")


def test_the_prompts_are_held_out_and_kept_out_of_the_pool(plan):
    made = plan(judge="checker")
    step = made.plan.steps[made.plan.heldout]
    assert set(step.identity) == {"make", "prompts"}
    pool = made.plan.steps[made.plan.pool]
    assert (pool.identity["make"], pool.identity["by"]) == ("apart", "prompt")
    assert plan(judge="checker", limit=2).plan.heldout != made.plan.heldout


def test_pool_and_base_come_from_the_embedded_suite_where_none_is_given(plan):
    made = plan(pool=None, base=None, judge="checker")
    assert made.facts.pool_name == made.facts.base.name == "microcosm"
    assert made.name == "microcosm-six"
    assert made.terms.plant == 0.5
    assert made.facts.prompts.suite == "six"
    with pytest.raises(UsageError, match="--pool is given without --base"):
        plan(base=None, judge="checker")


def test_without_a_judge_a_suite_of_prompts_is_refused_with_the_way_out(plan):
    with pytest.raises(UsageError, match=r"--judge vllm:MODEL or --judge URL#MODEL.*--judge checker.*--judge none"):
        plan()
    with pytest.raises(UsageError, match="nothing would be measured"):
        plan(judge="none")
    assert plan(judge="none", evals=["nll"]).terms.judges == {}


def test_answers_are_at_most_half_of_the_window_unless_the_user_says(plan, material):
    from sftbench.survey import window

    assert plan(judge="checker").terms.max_new_tokens == window(str(material.model)) // 2
    assert plan(judge="checker", max_new_tokens=9999).terms.max_new_tokens == 9999


def test_a_limit_cuts_prompts_and_benchmarks_and_else_the_pool(plan, found):
    limits = plan(judge="checker", limit=4).facts.limits
    assert (limits.pool_rows, limits.prompts, limits.items) == (None, 4, None)
    both = plan(judge="checker", limit=4, limit_pool=20, evals=["tasks"])
    assert (both.facts.limits.pool_rows, both.facts.limits.prompts, both.facts.limits.items) == (20, 4, 4)
    assert both.facts.limits.items_of == ("tasks",)
    assert [each.limit for each in both.terms.evals] == [4]
    assert plan(judge="checker", limit=4, evals=["tasks[limit=2]"]).terms.evals[0].limit == 2
    alone = plan(suite=None, limit=20, evals=["nll"])
    assert (alone.facts.limits.pool_rows, alone.facts.limits.prompts) == (20, None)
    with pytest.raises(UsageError, match="--limit and --limit-pool both mean rows of the pool"):
        plan(suite=None, limit=20, limit_pool=20, evals=["nll"])


def test_a_benchmark_is_cut_short_on_the_embedded_pool(plan):
    made = plan(suite=None, pool=None, base=None, limit=20, evals=["tasks"])
    assert made.terms.evals[0].limit == 20
    assert made.facts.limits.pool_rows is None
    with pytest.raises(UsageError, match="--limit needs --pool"):
        plan(suite=None, pool=None, base=None, limit=20)


def verdict_steps(made, label):
    (cell,) = [cell for cell in made.plan.cells if cell.label == label]
    return {judge: made.plan.steps[ref] for judge, ref in cell.verdicts.items()}


def test_every_judge_has_verdicts_of_its_own_and_records_name_no_path(plan, served):
    made = plan(judge=f"{served('tiny')},checker")
    assert list(made.terms.judges) == ["pairwise[model=tiny]", "checker"]
    steps = verdict_steps(made, "longest")
    assert list(steps) == ["pairwise[model=tiny]", "checker"]
    assert str(steps["pairwise[model=tiny]"].identity["asks:judge"]).startswith("vllm:tiny@")
    assert len({step.key for step in steps.values()}) == 2
    assert verdict_steps(made, "random") == {}


def test_answers_of_a_file_or_the_references_are_a_baseline_for_all_rows(plan, folder):
    source = folder / "answers.jsonl"
    source.write_text("".join(json.dumps({"id": row["id"], "model": "gpt4", "output": "x"}) + "\n" for row in PROMPTS))
    for wanted, label in ((f"{source}#gpt4", "gpt4"), (str(source), "answers"), ("reference", "reference")):
        made = plan(judge="checker", baseline=wanted)
        assert {cell.baseline for cell in made.plan.cells} == {label}
        (ref,) = {step.parents["baseline"] for at in ("random", "longest") for step in verdict_steps(made, at).values()}
        assert made.plan.steps[ref].identity["make"] == "read"
    moved = folder / "elsewhere.jsonl"
    source.rename(moved)
    same = [verdict_steps(plan(judge="checker", baseline=f"{moved}#gpt4"), "longest")["checker"].parents["baseline"]]
    moved.write_text(moved.read_text().replace('"x"', '"y"'))
    same.append(
        verdict_steps(plan(judge="checker", baseline=f"{moved}#gpt4"), "longest")["checker"].parents["baseline"]
    )
    assert same[0] != same[1]


def test_another_method_may_be_the_baseline(plan):
    made = plan(judge="checker", baseline="longest")
    assert {cell.label: cell.baseline for cell in made.plan.cells} == {"longest": None, "random": "longest"}
    with pytest.raises(UsageError, match=r"--baseline nobody is no method of this run \(longest, random\)"):
        plan(judge="checker", baseline="nobody")
    with pytest.raises(UsageError, match="--baseline random is no method of this run"):
        plan(judge="checker", methods=["longest"])


@pytest.mark.parametrize(
    ("flags", "part"),
    [
        ({"baseline": "reference", "suite": None}, "answers the prompts of a suite"),
        ({"baseline": "none.jsonl"}, "there is no file none.jsonl"),
        ({"heldout": "rows.jsonl"}, "both held-out rows"),
        ({"judge": "checker,checker"}, "--judge names checker twice"),
        ({"suite": "sixx"}, "did you mean 'six'"),
    ],
)
def test_what_cannot_be_meant_is_refused(plan, flags, part):
    with pytest.raises(UsageError, match=part):
        plan(**{"judge": "checker", "pool": None, "base": None, **flags})


def test_a_suite_that_nobody_offers_is_refused_with_a_pool_too(plan):
    with pytest.raises(UsageError, match="unknown suite 'alpaca_eval'; did you mean 'alpaca-eval'"):
        plan(suite="alpaca_eval", judge="checker")


def test_references_are_a_baseline_only_where_every_prompt_has_one(plan, folder):
    rows = [PROMPTS[0], {"id": "q", "instruction": "open"}]
    (folder / "data" / "six.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(UsageError, match="1 of 2 prompts of six have none, such as 'q'"):
        plan(judge="checker", baseline="reference")


@pytest.mark.parametrize("text", ["vllm:../models/tiny", "http://127.0.0.1:8000/v1#tiny"])
def test_a_language_model_named_alone_is_the_pairwise_judge(text):
    use = judge_use(text)
    assert (use.name, use.parameters) == ("pairwise", {"model": text})


def test_two_models_are_told_apart_by_their_last_name(found):
    named = ["vllm:/a/one", "http://127.0.0.1:8000/v1#org/two"]
    assert list(judges_of(named, found, None, given=True)) == ["pairwise[model=one]", "pairwise[model=two]"]


@pytest.mark.parametrize(
    ("models", "labels"),
    [
        (["vllm:/x/a/one", "vllm:/x/b/one/"], ["a/one", "b/one"]),
        (["vllm:../one", "vllm:/b/one", "vllm:two"], ["one", "b/one", "two"]),
        (["http://127.0.0.1:80/v1#a/m", "http://127.0.0.1:81/v1#b/m"], ["a/m", "b/m"]),
    ],
)
def test_models_of_one_name_are_told_apart_by_the_folder_around_them(found, models, labels):
    assert list(judges_of(models, found, None, given=True)) == [f"pairwise[model={label}]" for label in labels]


def test_judges_that_no_record_could_tell_apart_are_refused(found):
    with pytest.raises(UsageError, match=r"names pairwise\[model=m\] twice: .* give one of these models another"):
        judges_of(["http://127.0.0.1:80/v1#m", "http://127.0.0.1:81/v1#m"], found, None, given=True)
    with pytest.raises(UsageError, match=r"names pairwise\[model=a/one\] twice$"):
        judges_of(["vllm:/a/one", "vllm:/a/one"], found, None, given=True)


def test_a_suite_brings_its_graders_where_a_judge_is_a_model(plan, found, served):
    tiny = served("tiny")
    assert [each.name for each in plan(judge="checker").terms.evals] == []
    (grade,) = plan(judge=f"checker,{tiny}").terms.evals
    assert (grade.name, grade.model) == ("grade", tiny)
    assert [each.name for each in plan(judge=tiny, evals=["nll"]).terms.evals] == ["nll"]
    assert grading(None, ["vllm:/m/tiny"], found, chat=None) == []


@pytest.mark.parametrize(
    ("evals", "way"),
    [
        (["tasks[tasks=a]", "nll", "tasks[tasks=b]"], r"tasks twice \(tasks\[tasks=a\] and .*; join its tasks by '\+'"),
        (["grade[temperature=1]", "grade"], "grade twice .*; leave one away, or make a run"),
    ],
)
def test_an_evaluator_named_twice_is_refused_with_the_way_out(plan, evals, way):
    with pytest.raises(UsageError, match=f"--evals names {way}"):
        plan(judge="checker", evals=evals)


def test_a_suites_own_evaluator_counts_too(plan, found, served):
    (six,) = [each for name, each in found.prompt_suites.items() if name == "six"]
    twice = replace(six, defaults={**six.defaults, "evals": ["grade[temperature=1]"]})
    tiny = served("tiny")
    with pytest.raises(UsageError, match=r"--evals names grade twice .* those of the suite included"):
        plan(judge=tiny, plugins=replace(found, prompt_suites={**found.prompt_suites, "six": twice}))


def test_graders_ask_as_the_judge_does(plan, served):
    model = served("a,b")
    (grade,) = plan(judge=[f'pairwise[model="{model}",temperature=0.5,labels=x,template=mine.json]']).terms.evals
    assert (grade.model, grade.temperature, grade.template) == (model, 0.5, "default")
    tiny = served("tiny")
    (grade,) = plan(judge=["checker", "pairwise[temperature=0.25]"], chat=tiny).terms.evals
    assert (grade.model, grade.temperature) == ("", 0.25)
    assert plan(judge="checker", chat=tiny).terms.evals == ()
