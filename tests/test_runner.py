"""Preparing a run checks every name and runs nothing; what the store has, and what a run ends with."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pluggy
import pytest

from sftbench import plugins
from sftbench.errors import SftbenchError, UsageError
from sftbench.plan import Facts, ModelFacts, Plan, Step, Terms
from sftbench.plugins import Plugins
from sftbench.record import Failure, Record
from sftbench.runner import Run, _placed, exit_code_of, first_failure, known_outcomes, likeness_of, prepare
from sftbench.settings import check_settings
from sftbench.store import Store

WORK = ("1e9 flops", "600s", "600s+selection", "1e9 flops+selection")
ROWS = ("10%", "2", "50 tokens")


@pytest.fixture(scope="module")
def found():
    return plugins.load()


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A pool of three rows, and a folder that looks like a model from outside."""
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "rows.jsonl").write_text('{"instruction": "say", "output": "a"}\n' * 3)
    (folder / "tiny").mkdir()
    for name, content in {"config.json": '{"max_position_embeddings": 256}', "tokenizer.json": "{}"}.items():
        (folder / "tiny" / name).write_text(content)
    (folder / "tiny" / "model.safetensors").write_bytes(b"weights")
    return folder


@pytest.fixture
def prepared(found, inputs, tmp_path):
    """Plans a run, by default with no controls."""

    def make(*methods, **settings):
        given = {
            "methods": list(methods), "pool": str(inputs / "rows.jsonl"), "base": str(inputs / "tiny"),
            "controls": "none", "seeds": [0], "store": str(tmp_path / "store"), **settings,
        }  # fmt: skip
        return prepare(check_settings(given), given, found)

    return make


def cells(run):
    return {(cell.label, cell.kind) for cell in run.plan.cells}


@pytest.mark.parametrize("budget", WORK)
@pytest.mark.parametrize("steps", ["min_steps=2", "max_steps=5", "min_steps=2,max_steps=5"])
def test_a_budget_of_work_cannot_be_kept_with_a_fixed_number_of_steps(prepared, budget, steps):
    with pytest.raises(UsageError, match="min_steps or max_steps of sft"):
        prepared("random", trainer=f"sft[{steps}]", budget=[budget])


def test_a_number_of_steps_is_refused_wherever_it_was_given(prepared):
    for methods in (["random", "longest[max_steps=5]"], ["tokentune[min_steps=3]"]):
        with pytest.raises(UsageError, match="1000000000 flops cannot be kept"):
            prepared(*methods, budget=["10%", "1e9 flops"])
    with pytest.raises(UsageError, match="of gated"):
        prepared("tokentune", trainer="sft[max_steps=5]", budget=["600s"])


@pytest.mark.parametrize("budget", ROWS)
def test_a_budget_in_rows_or_tokens_allows_a_fixed_number_of_steps(prepared, budget):
    assert prepared("random", trainer="sft[min_steps=2,max_steps=5]", budget=[budget]).plan.cells


@pytest.mark.parametrize("budget", WORK)
def test_a_budget_of_work_allows_what_fixes_no_number_of_steps(prepared, budget):
    assert prepared("random", "tokentune", trainer="sft[epochs=2,min_steps=1]", budget=[budget]).plan.cells


@pytest.mark.parametrize("budget", ["600s+selection", "1e9 flops+selection"])
def test_what_a_language_model_spends_is_not_taken_to_be_free(prepared, budget):
    for asking in ("ds2", "topics", "ifd[take=2] | ds2"):
        with pytest.raises(UsageError, match=r"selection cannot be kept by .* with --chat"):
            prepared(asking, budget=[budget], chat="http://127.0.0.1:1/v1#m")
        prepared(asking, budget=[budget])
        prepared(asking, budget=[budget.removesuffix("+selection")], chat="http://127.0.0.1:1/v1#m")
    prepared("ifd", budget=[budget], chat="http://127.0.0.1:1/v1#m")


def test_budgets_that_say_the_same_and_seeds_given_twice_count_once(prepared):
    run = prepared("random", budget=["10%", "2k", "10.0 %", "2000", "2000 rows"], seeds=[7, 0, 7, 0])
    assert [str(budget) for budget in run.terms.budgets] == ["10%", "2000"]
    assert run.terms.seeds == (7, 0)
    assert [(cell.budget, cell.seed) for cell in run.plan.cells] == [("10%", 0), ("10%", 7), ("2000", 0), ("2000", 7)]


def test_a_method_given_twice_counts_once_whatever_the_order_of_its_parameters(prepared):
    run = prepared("ifd", "ifd[epochs=2,cut=1]", "ifd", "ifd[cut=1,epochs=2]")
    assert [method.label for method in run.methods] == ["ifd", "ifd[cut=1,epochs=2]"]


def test_a_control_asked_for_by_name_is_compared_like_a_method(prepared):
    asked = prepared("longest", controls="standard")
    assert ("longest", "method") in cells(asked)
    assert {("random-lengths(longest)", "control"), ("random-tokens(longest)", "control")} <= cells(asked)
    not_asked = prepared("ifd", controls="standard")
    assert ("longest", "control") in cells(not_asked)
    assert ("random-lengths(ifd)", "control") in cells(not_asked)
    assert not any(label.endswith("(longest)") for label, _ in cells(not_asked))


@pytest.mark.parametrize("name", ["base", "full", "random"])
def test_a_yardstick_stays_one_even_if_it_is_asked_for(prepared, name):
    assert cells(prepared(name, "ifd")) == {(name, "control"), ("ifd", "method")}
    assert not any("(" in label for label, _ in cells(prepared(name, controls="all")) if "longest" not in label)


def test_a_matched_control_asked_for_is_matched_to_every_method(prepared):
    expected = {("ifd", "method"), ("longest", "method")}
    expected |= {(f"random-lengths({name})", "control") for name in ("ifd", "longest")}
    assert cells(prepared("random-lengths", "ifd", "longest")) == expected


@pytest.mark.parametrize(
    ("controls", "expected"),
    [
        ("none", set()),
        ("standard", {"base", "full", "random", "longest", "random-lengths(ifd)", "random-tokens(ifd)"}),
        (
            "all",
            {"base", "full", "random", "longest", "random-lengths(ifd)", "random-tokens(ifd)", "random-compute(ifd)"},
        ),
    ],
)
def test_controls_are_none_the_standard_ones_or_all(prepared, controls, expected):
    assert {label for label, kind in cells(prepared("ifd", controls=controls)) if kind == "control"} == expected


def test_a_control_with_other_settings_does_not_stand_in_for_the_plain_one(prepared):
    run = prepared("longest[unit=words]", controls="standard")
    assert {("longest[unit=words]", "method"), ("longest", "control")} <= cells(run)


@pytest.mark.parametrize(
    ("methods", "settings", "message"),
    [
        (["ifdd"], {}, "unknown method 'ifdd'; did you mean 'ifd'"),
        (["ifd[cutt=1]"], {}, "did you mean 'cut'"),
        (["ifd"], {"trainer": "stf"}, "unknown trainer 'stf'; did you mean 'sft'"),
        (["ifd"], {"trainer": "sft[epoch=1]"}, "did you mean 'epochs'"),
        (["ifd"], {"evals": ["nnl"]}, "unknown evaluator 'nnl'; did you mean 'nll'"),
        (["ifd"], {"judge": "cheker"}, "unknown judge 'cheker'; did you mean 'checker'"),
        (["ifd"], {"budget": ["ten"]}, "cannot read the budget 'ten'"),
    ],
)
def test_every_name_is_checked_before_anything_is_run(prepared, methods, settings, message):
    with pytest.raises(UsageError, match=message):
        prepared(*methods, **settings)


def test_preparing_writes_nothing(prepared, tmp_path):
    run = prepared("ifd", controls="all")
    assert run.store.root == tmp_path / "store"
    assert list(tmp_path.iterdir()) == []


def test_rows_are_as_long_as_the_model_can_read_unless_something_else_is_given(prepared):
    assert prepared("ifd").terms.max_length == 256
    assert prepared("ifd", max_length=64).terms.max_length == 64


def test_a_run_is_called_after_its_pool_and_base(prepared, inputs):
    assert prepared("ifd").name == "rows-tiny"
    assert prepared("ifd", name="mine").name == "mine"
    odd = inputs / "odd rows (v2).jsonl"
    odd.write_text((inputs / "rows.jsonl").read_text())
    assert prepared("ifd", pool=str(odd)).name == "odd-rows--v2--tiny"


def test_the_store_is_where_the_setting_or_the_environment_says(prepared, monkeypatch, tmp_path):
    monkeypatch.setenv("SFTBENCH_STORE", str(tmp_path / "elsewhere"))
    assert prepared("ifd", store=None).store.root == tmp_path / "elsewhere"
    assert prepared("ifd").store.root == tmp_path / "store"
    monkeypatch.delenv("SFTBENCH_STORE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert prepared("ifd", store=None).store.root == tmp_path / "cache" / "sftbench"


def failure(error="ValueError", exit_code=1):
    return Failure(error=error, message=f"{error} happened", trace="", exit_code=exit_code)


class Small:
    """A run of steps that do not matter, some of which have ended; as many cells as are asked for."""

    def __init__(self, folder, *, num_cells=1):
        self.store = Store(folder)
        self.steps = {}
        self.num_cells = num_cells

    def step(self, label, *, room="scores", ended=True, failed=None, payload=None, where=None):
        step = Step(room=room, label=label, identity={"label": label}, where=where or {})
        self.steps[step.ref] = step
        if ended or failed:
            status = "failed" if failed else "done"
            with self.store.making(room, step.key) as work:
                record = Record(
                    key=step.key, room=room, identity=step.identity, status=status, failure=failed,
                    payload=payload or {},
                )  # fmt: skip
                self.store.commit(work, record)
        return step.ref

    @property
    def plan(self):
        return Plan(cells=(None,) * self.num_cells, steps=self.steps, pool="", heldout="", lengths="")

    @property
    def run(self):
        model = ModelFacts(name="none", path="nowhere", fingerprint="")
        facts = Facts(
            pool_name="", pool_source={}, pool_content={}, heldout_source=None, heldout_content=None, base=model,
            scoring=model, embedder=model, chat=None, device="cpu", processor="",
        )  # fmt: skip
        terms = Terms(
            budgets=(), seeds=(), plant=0, heldout_share=0, heldout_at_most=0, max_length=8, max_new_tokens=1,
            evals=(), judges={},
        )  # fmt: skip
        nothing = Plugins(manager=pluggy.PluginManager("sftbench"), parts={}, methods={}, suites={}, plugin_of={})
        return Run(
            name="small", settings=check_settings({"methods": ["none"]}), given={}, facts=facts, terms=terms,
            plan=self.plan, plugins=nothing, store=self.store, methods=(),
        )  # fmt: skip

    def exit_code(self, *, num_failed):
        outcomes, _ = known_outcomes(self.plan, self.store, "missing")
        return exit_code_of(self.run, outcomes, num_failed=num_failed)


FAILURES = {
    "broken": failure(),
    "broken rule": failure("ContractError", 5),
    "no file": failure("EnvironmentProblem", 4),
    "no memory": failure("MemoryError"),
    "no memory on the device": failure("OutOfMemoryError"),
}
PASSING = ("no file", "no memory", "no memory on the device")
"""What may be otherwise the next time, without anybody changing the step."""


@pytest.fixture
def small(tmp_path):
    """One step that is done, one that never ran, and one for every kind of failure."""
    made = Small(tmp_path)
    refs = {"done": made.step("done"), "missing": made.step("missing", ended=False)}
    refs |= {name: made.step(name, failed=each) for name, each in FAILURES.items()}
    return made, refs


def known(small, redo):
    """What is taken as it is, and what is made again, by name."""
    made, refs = small
    outcomes, again = known_outcomes(made.plan, made.store, redo)
    names = {ref: name for name, ref in refs.items()}
    return {names[ref]: outcome for ref, outcome in outcomes.items()}, {names[ref] for ref in again}


@pytest.mark.parametrize("redo", ["missing", "never"])
def test_what_failed_stays_failed_unless_it_was_the_machine(small, redo):
    assert known(small, redo) == ({"done": "done", "broken": "failed", "broken rule": "failed"}, set(PASSING))


def test_always_takes_nothing_as_it_is(small):
    assert known(small, "always") == ({}, {"done", *FAILURES})


def test_failed_takes_what_is_done_and_nothing_that_failed(small):
    taken, again = known(small, "failed")
    assert taken == {"done": "done"}
    assert {"broken", "broken rule"} <= again


def test_failed_makes_again_what_failed_because_of_the_machine(small):
    assert known(small, "failed")[1] == set(FAILURES)


@pytest.mark.parametrize(("room", "is_made_again"), [("verdicts", True), ("evaluation", True), ("scores", False)])
def test_failed_asks_again_what_failed_at_a_judges_server_and_chooses_no_rows_anew(tmp_path, room, is_made_again):
    made = Small(tmp_path)
    whole, lacking = ({"asks:judge": {"model": "m", "num_requests": 2, **more}} for more in ({}, {"num_refused": 1}))
    refs = [made.step("whole", room=room, payload=whole), made.step("lacking", room=room, payload=lacking)]
    assert known_outcomes(made.plan, made.store, "missing")[1] == frozenset()
    taken, again = known_outcomes(made.plan, made.store, "failed")
    assert again == (frozenset(refs[1:]) if is_made_again else frozenset())
    assert set(taken) == set(refs) - again


def test_how_much_is_asked_at_once_is_told_to_steps_that_ask_and_is_in_no_key(tmp_path):
    made = Small(tmp_path)
    refs = [made.step(str(where), where=where) for where in ({"asks:judge": "u#m"}, {"chat": "u#m"}, {"base": "b"})]
    run = made.run
    bounded = replace(run, settings=run.settings.model_copy(update={"concurrency": 7}))
    for step in (run.plan.steps[ref] for ref in refs):
        assert _placed(run, step) is step
        placed = _placed(bounded, step)
        assert placed.ref == step.ref
        assert placed.where == {**step.where, **({} if "base" in step.where else {"concurrency": "7"})}


def test_a_run_without_failed_cells_ends_with_0(tmp_path):
    made = Small(tmp_path)
    made.step("broken", failed=failure("ContractError", 5))
    assert made.exit_code(num_failed=0) == 0


@pytest.mark.parametrize("code", [1, 2, 3, 5, 6])
def test_a_run_in_which_every_cell_failed_for_one_reason_ends_with_its_code(tmp_path, code):
    made = Small(tmp_path, num_cells=2)
    for name in ("one", "two"):
        made.step(name, failed=failure("SomeError", code))
    assert made.exit_code(num_failed=2) == code


def test_a_run_with_different_reasons_or_with_a_finished_cell_ends_with_1(tmp_path):
    for number, (codes, num_failed) in enumerate(itertools.product([(5, 5), (5, 3)], [1, 2])):
        made = Small(tmp_path / str(number), num_cells=2)
        for code in codes:
            made.step(f"{len(made.steps)}", failed=failure("SomeError", code))
        assert made.exit_code(num_failed=num_failed) == (5 if codes == (5, 5) and num_failed == 2 else 1)


def test_a_run_whose_processes_died_ends_with_1(tmp_path):
    made = Small(tmp_path)
    ref = made.step("dies", ended=False)
    assert exit_code_of(made.run, {ref: "died"}, num_failed=1) == 1


def test_the_first_failure_of_a_stage_is_told_as_the_error_it_was(tmp_path):
    made = Small(tmp_path)
    made.step("later", failed=failure("SomeError", 5))
    made.step("read", room="pool")
    made.step("split", room="pool", failed=failure("UsageError", 2))
    made.step("lengths", room="lengths", failed=failure("EnvironmentProblem", 6))
    outcomes, _ = known_outcomes(made.plan, made.store, "missing")
    error = first_failure(made.run, outcomes, "prepare")
    assert isinstance(error, SftbenchError)
    assert (str(error), error.exit_code) == ("UsageError happened", 2)
    assert first_failure(made.run, outcomes, "train") is None
    assert first_failure(made.run, {}, "prepare") is None


def test_a_judge_is_named_by_its_model_in_short_and_a_template_is_part_of_its_verdicts(prepared):
    model = "http://127.0.0.1:1/v1#org/m[x]"
    run = prepared("random", "longest", judge=model)
    (judge,) = run.terms.judges.values()
    assert (judge.name, judge.model) == ("pairwise", model)
    (step,) = [step for step in run.plan.steps.values() if step.room == "verdicts"]
    assert step.identity["asks:judge"] == model
    assert len(step.identity["file:template"]) == 64
    assert run.plan.steps.keys() == prepared("random", "longest", judge=f'pairwise[model="{model}"]').plan.steps.keys()


@pytest.mark.parametrize("asking", [{"judge": "pairwise"}, {"evals": ["grade"]}])
def test_who_asks_a_language_model_needs_one_before_anything_is_spent(prepared, asking):
    with pytest.raises(UsageError, match="asks a language model and none is named"):
        prepared("random", **asking)
    assert prepared("random", **asking, chat="http://127.0.0.1:1/v1#m").plan.cells


@pytest.mark.parametrize(("contamination", "embeds"), [("words", False), ("all", True)])
def test_held_out_items_are_looked_for_as_the_setting_says(contamination, embeds):
    likeness = likeness_of(contamination)
    assert likeness.num_words == 13
    assert (likeness.embedder is not None) == embeds
    assert likeness.cosine == 0.85
    assert likeness_of("none") is None
