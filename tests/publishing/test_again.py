"""What a stranger's bundle may not have one's machine do when a row of it is made again, and what it is held to."""

from __future__ import annotations

import json

import pytest

from sftbench import plugins
from sftbench.board.cells import CellVerdicts
from sftbench.board.reading import read_cells
from sftbench.errors import UsageError
from sftbench.publishing.again import _values, planned_again, questions_again
from sftbench.publishing.asking import asking_again
from sftbench.publishing.gather import BundleWanted
from sftbench.publishing.judged_again import alike, judged_again
from sftbench.publishing.own import Own, judges_given
from sftbench.publishing.publish import publish
from sftbench.publishing.reproduce import _by_item, _Compared, _refuse_other_tasks, difference_of

SERVER = "http://server.example/v1#model"


def bundled(new_run, tmp_path, **settings):
    run = new_run()
    run.settings.update(**{"methods": ["longest"], **settings})
    publish(BundleWanted(results=run.finish()), str(tmp_path / "bundle"))
    return tmp_path / "bundle"


def planned(bundle, *, judges=None, **own):
    own = Own(settings=own, judges=judges)
    return planned_again(bundle, own, plugins.load(), read_cells(bundle / "records")[0])


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"methods": [f"longest[x={SERVER}]"]}, "methods: .*which is not asked from here$"),
        ({"methods": ["longest[x=vllm:org/name]"]}, "methods: .*which is not asked from here$"),
        ({"judge": [SERVER]}, "judged by http://server.example/v1#model, a language model.*--judge vllm:FOLDER"),
        ({"judge": "vllm:judge"}, "judged by vllm:judge, a language model.*--judge none"),
        ({"judge": ["checker", "pairwise[model=vllm:judge]"]}, "judged by pairwise.model=vllm:judge."),
        ({"judge": ["pairwise"], "chat": SERVER}, "judged by pairwise, a language model"),
        ({"allow_code_execution": True}, "executed code that models wrote.*--allow-code-execution"),
        ({"heldout": "items.jsonl"}, "made with --heldout items.jsonl; say where yours lies, with --heldout"),
        ({"lm": "scorer"}, "made with --lm scorer; say where yours lies, with --lm"),
        ({"suite": "own.jsonl"}, "made with --suite own.jsonl; name the folder that yours is in with --task-data"),
        ({"baseline": "x/answers.jsonl#m"}, "made with --baseline answers.jsonl; name the folder"),
    ],
)
def test_nothing_that_a_bundle_names_is_asked_executed_or_looked_for(new_run, tmp_path, settings, says):
    bundle = bundled(new_run, tmp_path, **settings)
    with pytest.raises(UsageError, match=says):
        planned(bundle)


def test_a_bundle_does_not_say_which_program_serves_models_here(tmp_path):
    told = {"vllm": "/theirs/python", "concurrency": 400, "plant": 0.5}
    (tmp_path / "MANIFEST.json").write_text("{}")
    own = Own(settings={"store": tmp_path / "store", "concurrency": None, "vllm": None})
    found = _values(tmp_path, told, own)
    assert (found.get("vllm"), found.get("concurrency"), found["plant"]) == (None, None, 0.5)
    found = _values(tmp_path, told, Own(settings={**own.settings, "vllm": "/mine"}))
    assert found["vllm"] == "/mine"


def test_a_language_model_that_the_row_asked_is_to_be_named(new_run, tmp_path):
    run = new_run()
    run.settings.update(methods=["longest"], chat=SERVER)
    run.write(run.cell("alpha", 0, asked=["model"]))
    publish(BundleWanted(results=run.finish()), str(tmp_path / "bundle"))
    with pytest.raises(UsageError, match=r"chat: http://server.example/v1#model.*; name your own with --chat"):
        planned(tmp_path / "bundle")


def test_another_pool_or_base_is_told_before_anything_is_done(new_run, tmp_path):
    bundle = bundled(new_run, tmp_path, max_new_tokens=8)
    with pytest.raises(UsageError, match="the pool here is not the one of the bundle"):
        planned(bundle, store=tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_other_prompts_are_told_by_their_file(new_run, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "own.jsonl").write_text(json.dumps({"id": "a", "prompt": "tell"}) + "\n")
    bundle = bundled(new_run, tmp_path, suite="elsewhere/own.jsonl")
    where = str(tmp_path / "data" / "own.jsonl")
    with pytest.raises(UsageError, match=f"the prompts of own in {where} are not those of the bundle"):
        planned(bundle, task_data=tmp_path / "data")
    with pytest.raises(UsageError, match=r"there is no own.jsonl in"):
        planned(bundle, task_data=tmp_path / "bundle" / "board" / "assets")
    with pytest.raises(UsageError, match="there is no such folder"):
        planned(bundle, task_data=tmp_path / "nowhere")


def test_held_out_rows_that_are_not_those_of_the_bundle_are_not_judged(new_run, tmp_path):
    bundle = bundled(new_run, tmp_path)
    with pytest.raises(UsageError, match="the pool here is not the one of the bundle"):
        questions_again(bundle, "checker", Own(), plugins.load(), read_cells(bundle / "records"))


def asked(own=None, judges=None, **settings):
    found = asking_again(settings, Own(settings=own or {}, judges=judges), plugins.load())
    return list(found.judges), list(found.evals), list(found.left_out)


def test_judges_that_compute_are_asked_again_and_others_only_where_they_are_named():
    grade = f"grade[model={SERVER},max_answer_tokens=9]"
    assert asked(judge=["checker"], evals=["nll"]) == (["checker"], ["nll"], [])
    assert asked(judge="checker", evals=None) == (["checker"], [], [])
    assert asked(judge=None, evals=["nll"]) == ([], ["nll"], [])
    assert asked(judge=[SERVER], evals=["nll", grade], judges=()) == ([], ["nll"], ["grade"])
    assert asked(judge=[SERVER], evals=[grade], judges=("checker",)) == (["checker"], [], ["grade"])
    mine = "vllm:/models/judge"
    found = asked(judge=[SERVER], evals=[grade], judges=("checker", mine))
    assert found == (["checker", mine], [f"grade[max_answer_tokens=9,model={mine}]"], [])
    by_chat = {"chat": mine}
    assert asked(by_chat, judge=["pairwise"], evals=["grade"]) == (["pairwise"], ["grade"], [])
    with pytest.raises(UsageError, match="judged by pairwise"):
        asked(judge=["pairwise"], evals=[])
    with pytest.raises(UsageError, match="a language model"):
        asked(by_chat, judge=[SERVER], evals=[])


def test_judges_are_given_by_name_by_list_or_not_at_all():
    assert judges_given(None) is None
    assert judges_given("none") == ()
    assert judges_given("checker,pairwise[model=vllm:a,labels=logprobs]") == (
        "checker", "pairwise[model=vllm:a,labels=logprobs]",
    )  # fmt: skip
    assert judges_given(["checker"]) == ("checker",)


def identity(model, **parameters):
    given = {"labels": "five-way", "model": model, "template": "default", **parameters}
    return {"part": "pairwise@1", "asks:judge": model, "file:template": "0f", "parameters": given}


def test_a_served_judge_is_known_by_its_content_and_not_by_its_folder():
    theirs = identity("vllm:judge@c0ffee.1")
    assert alike(identity("vllm:other-name@c0ffee.1", template="mine.json"), theirs)
    assert not alike(identity("vllm:judge@decade.1"), theirs)
    assert not alike(identity("vllm:judge@c0ffee.1[dtype=float32]"), theirs)
    assert not alike({**theirs, "file:template": "1f"}, theirs)
    assert not alike(identity("vllm:judge@c0ffee.1", labels="logprobs"), theirs)
    assert not alike(identity("http://a/v1#judge"), identity("http://b/v1#judge"))


class Planned:
    """A run of which only the steps of its judges are looked at."""

    def __init__(self, **judges):
        self.plan = self
        self.verdicts = {name: f"verdicts/{name}" for name in judges}
        self.steps = {f"verdicts/{name}": type("Step", (), {"identity": each}) for name, each in judges.items()}


class Told:
    def __init__(self, *judgements):
        self.judgements = judgements


def verdicts(judge, judged_by):
    return CellVerdicts(baseline="random", judge=judge, ids=(), preference=(), judged_by=judged_by)


def matched(planned, *judgements):
    found, left_out = judged_again(planned, planned, Told(*judgements))
    return {each.told.judge: (each.here, each.same, each.may_differ) for each in found}, left_out


def test_a_published_judge_is_compared_with_itself_first_then_with_another_language_model():
    checker, old = {"part": "checker@1", "parameters": {}}, {"part": "checker@0", "parameters": {}}
    one, two = identity("vllm:one@1.1"), identity("vllm:two@2.1")
    published = (verdicts("one", one), verdicts("two", two), verdicts("checker", checker))
    here = Planned(checker=old, mine=identity("vllm:mine@2.1"))
    assert matched(here, *published) == (
        {"two": ("mine", True, True), "checker": ("checker", True, False)}, ("one",)
    )  # fmt: skip
    here = Planned(other=identity("vllm:other@3.1"))
    assert matched(here, *published) == ({"one": ("other", False, True)}, ("two", "checker"))
    # A judge that computes never stands for another, nor a language model for it.
    here = Planned(**{"checker[margin=0.5]": checker})
    assert matched(here, verdicts("one", one), verdicts("checker", old)) == ({}, ("one", "checker"))
    # Older records tell nothing of their judges but the name.
    assert matched(Planned(checker=checker), verdicts("checker", {})) == ({"checker": ("checker", True, False)}, ())


def test_files_of_tasks_are_held_to_those_of_the_published_steps(tmp_path):
    part = {"part": "lm-eval@1", "file:boolq": "aa"}
    (tmp_path / "provenance").mkdir()
    step = {"ref": "evaluation/k", "identity": part, "parents": {}}
    (tmp_path / "provenance/steps.jsonl").write_text(json.dumps(step) + "\n")

    def checked(key="k", **identity):
        here = Planned()
        here.evaluations = {"lm-eval": "evaluation/here"}
        here.steps["evaluation/here"] = type("Step", (), {"identity": {"part": "lm-eval@1", **identity}})
        told = Told()
        told.steps = [type("Step", (), {"room": "evaluation", "key": key})]
        _refuse_other_tasks(tmp_path, here, here, told)

    checked(**{"file:boolq": "aa"})
    checked(key="of-another-row", **{"file:boolq": "bb"})
    with pytest.raises(UsageError, match=r"task data of lm-eval \(boolq\) here is not that of the bundle"):
        checked(**{"file:boolq": "bb"})
    with pytest.raises(UsageError, match=r"task data of lm-eval \(boolq\) is not here; .*--task-data"):
        checked()


def told_apart(told, here, **more):
    compared = _Compared(metric="m", difference=difference_of(told, here), **more)
    return [str(each) for each in compared.findings("row", 0.02)]


def test_what_a_language_model_says_may_differ_by_four_standard_errors_and_lack_some_items():
    told = {str(at): 0.5 for at in range(100)}
    noisy = {str(at): 0.5 + (0.5 if at % 2 else -0.4) for at in range(100)}
    # Differences 0.5 and -0.4 in turn: mean 0.05, standard deviation 0.4523, standard error 0.0452.
    assert difference_of(told, noisy)["standard_error"] == pytest.approx(0.0452267, abs=1e-6)
    assert told_apart(told, noisy, may_differ=True) == []
    assert told_apart(told, noisy, may_differ=False) == ["row: mean of m, further away than 0.02: told 0.5, is 0.55"]
    shifted = {item: value + 0.2 for item, value in noisy.items()}
    assert "further away than 4 standard errors" in told_apart(told, shifted, may_differ=True)[0]
    some = {item: None if item == "3" else value for item, value in told.items()}
    assert told_apart(told, some, may_differ=True) == []
    assert "(1 items are not on both sides)" in told_apart(told, some, may_differ=False)[0]
    assert told_apart(told, dict.fromkeys(told), may_differ=True)


def test_values_here_are_by_the_items_of_their_metric():
    payload = {"ids": ["a", "b"], "items": {"whole": [1.0, 0.0], "own": [0.5]}, "ids_of": {"own": ["c"]}}
    assert _by_item(payload, "whole") == {"a": 1.0, "b": 0.0}
    assert _by_item(payload, "own") == {"c": 0.5}
    assert _by_item({"ids": ["a"], "items": {}}, "whole") == {}
