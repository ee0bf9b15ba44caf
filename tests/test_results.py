"""Result records: one file per cell, made from step records alone, with no place of this machine in them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pluggy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sftbench import shelf
from sftbench.budget import Budget
from sftbench.contamination.runs import ItemsWanted, RunHits
from sftbench.contamination.step import joined
from sftbench.ledger import Ledger
from sftbench.methods import ResolvedMethod
from sftbench.parameters import PartUse
from sftbench.placing import name_of
from sftbench.plan import Facts, Likeness, ModelFacts, PromptFacts, Terms
from sftbench.planner import make_plan
from sftbench.plugins import Plugins
from sftbench.pools import pool_from_rows
from sftbench.record import Failure, Record
from sftbench.results import cell_path, describe, record_text, write_results
from sftbench.roles import Needs, PassRequest, Recipe
from sftbench.rooms import Row, Selection
from sftbench.runner import Run
from sftbench.settings import check_settings
from sftbench.store import Store

NUM_ROWS = 40
NONE = Plugins(manager=pluggy.PluginManager("sftbench"), parts={}, methods={}, suites={}, plugin_of={})
PASSES = (PassRequest(view="conditional"), PassRequest(view="response_only"))
PAYLOADS = {
    "lengths": {"num_rows": NUM_ROWS, "num_planted": 4, "num_planted_tokens": 9, "num_response_tokens": 400},
    "selection": {
        "num_rows": 4, "num_response_tokens": 120, "num_trained_tokens": 30, "num_planted_rows": 1,
        "num_planted_tokens": 3, "status": "full", "ids_hash": "h",
    },
    "evaluation": {"ids": ["a", "b"], "items": {"mark": [1.0, None]}, "bigger_is_better": {"mark": True}},
    "verdicts": {"ids": ["a", "b"], "preference": [1.0, None], "columns": {"length_model": [3, 9]}},
    "description": {"measures": []},
    "generated": {
        "num_rows": 9, "num_wanted": 9, "num_new": 9, "num_repeating_heldout": 0, "status": "full", "report": {},
    },
}  # fmt: skip


def part(name, needs=None, *, deterministic=True):
    """A part that can be planned with and does nothing."""
    about = {"name": name, "version": "1", "deterministic": deterministic, "generates": True}
    return type(name, (), {**about, "needs": lambda self: needs or Needs()})()


def method(name, *, selector=None, scorer=None, recipes=None, **more):
    none = {role: {} for role in ("generator", "scorer", "selector", "trainer")}
    return ResolvedMethod(
        name=name, label=name, selector=selector or part("best"), trainer=part("school", deterministic=False),
        scorer=scorer, recipes={**none, **(recipes or {})}, **more,
    )  # fmt: skip


GAP = method("gap", scorer=part("gap", Needs(passes=PASSES)))
LOSS = method("loss", scorer=part("loss", Needs(passes=PASSES[:1])))
BASE = method("base", control=True, trains=False, ignores_budget=True)
RANDOM = method("random", selector=part("chance", deterministic=False), control=True)
MATCHED = method(
    "matched", selector=part("matched", Needs(other_selection=True), deterministic=False), control=True,
    matched_to_each=True,
)  # fmt: skip
WARM = Recipe(selector=PartUse(name="chance"), budget="5%", trainer=PartUse(name="school"))
WARMED = method(
    "warmed",
    selector=part("reader", Needs(models={"warm": WARM})),
    recipes={"selector": {"warm": method("recipe", selector=part("chance", deterministic=False))}},
)


class Made:
    """A run whose steps are ended by hand. The step at place i of the plan has used 2**i FLOPs and 1 s."""

    def __init__(self, folder, *methods, seeds=(0,), describe=(), judges=("referee",), contamination=None, **facts):
        home = folder / "home"
        base = ModelFacts(name="tiny", path=str(home / "models" / "tiny"), fingerprint="f")
        found = Facts(
            pool_name="rows", pool_source={"source": str(folder / "data" / "rows.jsonl")},
            pool_content={"content": "c"}, heldout_source=None, heldout_content=None, base=base, scoring=base,
            embedder=base, chat=None, device="cpu", processor="one core",
        )  # fmt: skip
        found = dataclasses.replace(found, **facts)
        terms = Terms(
            budgets=(Budget.parse("10%"),), seeds=seeds, plant=0.1, heldout_share=0.1, heldout_at_most=20,
            max_length=256, max_new_tokens=8, evals=(part("marks"),), judges={name: part(name) for name in judges},
            describe=describe, contamination=contamination,
        )  # fmt: skip
        given = {
            "methods": ["gap"], "pool": "rows.jsonl", "base": "tiny", "seeds": "1", "store": str(home / "store"),
            "results": str(folder / "results"), "board": str(folder / "board"), "workers": 2, "redo": "failed",
        }  # fmt: skip
        self.run = Run(
            name="made", settings=check_settings(given), given=given, facts=found, terms=terms,
            plan=make_plan(found, terms, methods), plugins=NONE, store=Store(home / "store"), methods=methods,
        )  # fmt: skip
        self.outcomes = {}
        self.heldout_rows, self.hits = [], None
        self.chosen = ("r7", "r2", "r3", "r1")
        self.flops = {ref: 2.0**place for place, ref in enumerate(self.run.plan.steps)}

    def end(self, ref, *, failure=None, **payload):
        """Put a step into the store, and note it."""
        step, place = self.run.plan.steps[ref], list(self.run.plan.steps).index(ref)
        record = Record(
            key=step.key, room=step.room, identity=step.identity, status="failed" if failure else "done",
            payload={} if failure else {**PAYLOADS.get(step.room, {}), **payload}, failure=failure,
            ledger=Ledger(flops=self.flops[ref], device_seconds=1.0, peak_memory_bytes=float(place)),
        )  # fmt: skip
        with self.run.store.making(step.room, step.key) as work:
            if ref == self.run.plan.pool:
                rows = ({"id": f"r{at}", "instruction": "say", "output": "a"} for at in range(NUM_ROWS))
                shelf.save_pool_form(pool_from_rows(rows, into=work / shelf.POOL_ROWS, key=ref), work)
            if ref == self.run.plan.heldout and self.heldout_rows:
                shelf.save_pool_form(pool_from_rows(self.heldout_rows, into=work / shelf.POOL_ROWS, key=ref), work)
            if step.room == "contamination" and not failure:
                self.hits.save(work)
            if step.room == "selection":
                shelf.save_selection(Selection(ids=self.chosen), work)
            self.run.store.commit(work, record)
        self.outcomes[ref] = record.status

    def finish(self, *, without=()):
        """End every step, but not those named and what rests on them."""
        for ref in self.run.plan.steps:
            if ref not in self.outcomes and not {ref, *self.run.plan.ancestors(ref)} & set(without):
                self.end(ref)
        return self

    def cell(self, label, seed=0):
        (found,) = [each for each in self.run.plan.cells if each.label == label and each.seed == seed]
        return found

    def step(self, label):
        (found,) = [ref for ref, step in self.run.plan.steps.items() if step.label == label]
        return found

    def write(self):
        """Results by their place below the folder."""
        folder, _ = write_results(self.run, self.outcomes)
        return {
            str(path.relative_to(folder)): json.loads(path.read_text())
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }

    def described(self, label):
        return describe(self.run, self.cell(label), self.outcomes)


def failed(message, error="ValueError", trace=""):
    return Failure(error=error, message=message, trace=trace)


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Makes runs in a folder that stands for a whole machine."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return lambda *methods, **more: Made(tmp_path, *methods, **more)


PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
JSON = st.recursive(PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=30)


@given(JSON)
def test_the_text_of_a_record_is_the_same_json(value):
    assert json.loads(record_text(value)) == value


def test_items_stand_on_one_line_of_a_record_and_keys_on_lines_of_their_own():
    text = record_text({"b": [1, 2.5, None], "a": {"c": [{"d": "é"}], "e": []}})
    assert text == '{\n "a": {\n  "c": [\n   {\n    "d": "é"\n   }\n  ],\n  "e": []\n },\n "b": [1, 2.5, null]\n}'
    with pytest.raises(ValueError, match="not JSON compliant"):
        record_text({"a": float("nan")})


def test_every_cell_has_one_file_that_reads_as_a_sentence(made):
    files = made(GAP, RANDOM, seeds=(0, 7)).finish().write()
    cells = {f"{name}/10pct/seed-{seed}.json" for name in ("gap", "random") for seed in (0, 7)}
    assert set(files) == {*cells, "methods.json", "run.json"}
    assert all(files[path]["label"] == path.split("/")[0] for path in cells)
    assert files["run.json"]["num_cells"] == 4


def test_a_finished_cell_tells_what_its_steps_recorded(made):
    cell = made(GAP, RANDOM).finish().described("gap")
    assert (cell["status"], cell["failure"], cell["budget"], cell["seed"]) == ("done", None, "10%", 0)
    assert cell["evaluations"] == {"marks": PAYLOADS["evaluation"]}
    judged_by = {"part": "referee@1", "parameters": {}}
    told = {"baseline": "random", "judge": "referee", "judged_by": judged_by}
    assert cell["verdicts"] == {**told, **PAYLOADS["verdicts"]}
    assert cell["selection"]["trained_share"] == 0.25
    assert cell["pool"]["num_planted_tokens"] == 9
    assert cell["base"] == {"name": "tiny", "fingerprint": "f"}


def test_further_judges_and_the_suite_stand_beside_the_first_judges_verdicts(made):
    prompts = PromptFacts(suite="six", version="1", control="length", num_prompts=2, num_in_all=6)
    run = made(GAP, RANDOM, judges=("referee", "linesman"), prompts=prompts)
    run.end(run.cell("gap").verdicts["referee"], failure=failed("speechless"))
    cell = run.finish().described("gap")
    assert cell["verdicts"] is None
    told = {"baseline": "random", "judge": "linesman", "judged_by": {"part": "linesman@1", "parameters": {}}}
    assert cell["further_verdicts"] == [{**told, **PAYLOADS["verdicts"]}]
    assert cell["prompts"] == {**dataclasses.asdict(prompts)}
    assert (cell["cost"]["evaluating"]["device_seconds"], cell["cost"]["judging"]["device_seconds"]) == (2.0, 1.0)


def test_one_judge_and_no_suite_leave_a_record_as_it_was(made):
    assert not {"further_verdicts", "prompts"} & set(made(GAP, RANDOM).finish().described("gap"))


def test_a_written_cell_tells_which_rows_of_the_pool_it_chose(made):
    files = made(GAP, BASE).finish().write()
    assert files["gap/10pct/seed-0.json"]["selection"]["positions"] == "1-3,7"
    assert files["base/10pct/seed-0.json"]["selection"] is None


def test_generated_rows_have_no_place_in_the_pool(made):
    given = made(GAP)
    given.chosen = ("r1", "r2", "new", "r3")
    assert given.finish().write()["gap/10pct/seed-0.json"]["selection"]["positions"] is None


def with_hits(made, pairs, *methods):
    """A run that has looked for its held-out items: `pairs` of item and row that share words."""
    given = made(*methods, contamination=Likeness(num_words=13))
    rows = [{"id": f"h{at}", "instruction": "say", "output": "b"} for at in range(5)]
    hits = joined(
        RunHits(
            rows=np.array([row for _, row in pairs], dtype=np.int64),
            items=np.array([item for item, _ in pairs], dtype=np.int64),
            runs=np.ones(len(pairs), dtype=np.int64),
            is_whole=np.zeros(len(pairs), dtype=np.bool_),
        ),
        None,
        wanted=ItemsWanted([Row(id=each["id"], messages=()) for each in rows]),
    )
    given.heldout_rows, given.hits = rows, hits
    return given


def test_a_cell_names_the_heldout_items_that_its_own_selection_has_something_of(made):
    given = with_hits(made, [(0, 7), (3, 2), (3, 30), (4, 31)], GAP, BASE).finish()
    told = given.write()["gap/10pct/seed-0.json"]["hits"]
    cell = given.cell("gap")
    assert told == {"key": cell.hits, "num_words": 13, "cosine": None, "num_rows": 2, "ids": ["h0", "h3"]}
    assert "hits" not in given.write()["base/10pct/seed-0.json"]


def test_a_cell_whose_selection_has_nothing_of_held_out_items_is_as_without_a_look(made):
    looked, given = with_hits(made, [(4, 31)], GAP).finish(), made(GAP).finish()
    assert looked.described("gap") == given.described("gap")


def test_a_look_that_failed_fails_no_cell(made):
    given = with_hits(made, [(0, 7)], GAP)
    given.end(given.cell("gap").hits, failure=failed("too big"))
    told = given.finish().described("gap")
    assert (told["status"], "hits" in told) == ("done", False)


def test_the_steps_of_a_cell_are_those_it_rests_on_parents_first(made):
    given = made(GAP, LOSS, RANDOM).finish()
    told = [step["key"] for step in given.described("loss")["steps"]]
    cell, plan = given.cell("loss"), given.run.plan
    needed = {*cell.refs, *(each for ref in cell.refs for each in plan.ancestors(ref))}
    assert set(told) == {plan.steps[ref].key for ref in needed}
    places = {key: at for at, key in enumerate(told)}
    assert all(places[plan.steps[up].key] < places[plan.steps[ref].key] for ref in needed for up in plan.ancestors(ref))


def test_no_file_names_a_place_of_this_machine(made, tmp_path):
    given = made(GAP, RANDOM)
    home = tmp_path / "home"
    message = f"{home}/store/scores/ab/cd: no space; {home}/models/tiny/config.json and {home}/.cache/hub are there"
    given.end(given.step("scores of gap"), failure=failed(message, trace=f"File {tmp_path}/code.py"))
    files = given.finish(without=[given.step("scores of gap")]).write()
    assert str(tmp_path) not in json.dumps(files)
    failure = files["gap/10pct/seed-0.json"]["failure"]
    assert failure["message"] == "STORE/scores/ab/cd: no space; tiny/config.json and ~/.cache/hub are there"


@pytest.mark.parametrize(
    "place",
    [
        "data/rows.jsonl", "data/heldout.jsonl", "words", "encoder", "stranger", "things/table.csv", "mine/words.json",
        "link.json", "tasks/arc.jsonl",
    ],
)  # fmt: skip
def test_no_message_names_the_place_of_anything_that_was_read(made, tmp_path, place):
    words, encoder, stranger, things = (
        ModelFacts(name=name, path=str(tmp_path / name), fingerprint=name)
        for name in ("words", "encoder", "stranger", "things")
    )
    template = ModelFacts(name="words.json", path=str(tmp_path / "mine" / "words.json"), fingerprint="t")
    given = made(
        GAP, tokenizers={"words": words}, foreign_models={"stranger": stranger}, folders={"things": things},
        files={str(tmp_path / "link.json"): template}, embedder=encoder,
        heldout_source={"source": str(tmp_path / "data" / "heldout.jsonl")},
        heldout_content={"content": "h"},
    )  # fmt: skip
    settings = given.run.settings.model_copy(update={"task_data": tmp_path / "tasks"})
    given.run = dataclasses.replace(given.run, settings=settings)
    given.end(given.step("scores of gap"), failure=failed(f"{tmp_path / place} changed while it was read"))
    assert str(tmp_path) not in json.dumps(given.described("gap"))


def test_what_a_run_was_told_is_kept_without_the_settings_of_this_machine(made):
    about = made(GAP).finish().write()["run.json"]
    machine = {"store", "results", "board", "workers", "redo"}
    assert not machine & (set(about["given"]) | set(about["settings"]))
    assert about["given"] == {"methods": ["gap"], "pool": "rows.jsonl", "base": "tiny", "seeds": "1"}
    assert about["settings"]["max_length"] == 256
    assert (about["settings"]["embedder"], about["settings"]["embedder_fingerprint"]) == ("tiny", "f")
    assert about["settings"]["controls"] == "standard"


def test_of_inputs_and_of_what_parts_name_only_the_names_are_told(made, tmp_path):
    """As they were given: by absolute paths, out of the home, or up out of the working folder."""
    things = {str(tmp_path / name): ModelFacts(name=name, path=str(tmp_path / name), fingerprint=name)
              for name in ("rater", "words of mine", "list.txt")}  # fmt: skip
    rater, words, listed = things
    gaps = [dataclasses.replace(GAP, label=f"gap[quality={folder}]") for folder in (rater, str(tmp_path / "b/rater"))]
    base = ModelFacts(name=str(tmp_path / "snapshot"), path=str(tmp_path / "snapshot"), fingerprint="f")
    given = made(
        *gaps, RANDOM, MATCHED, foreign_models={rater: things[rater]}, tokenizers={words: things[words]},
        files={listed: things[listed]}, embedder=base, base=base,
    )  # fmt: skip
    told = {
        "methods": [each.label for each in gaps], "pool": "../../shared/data/x.jsonl", "base": str(tmp_path / "tiny"),
        "lm": "~/models/scorer", "heldout": f"{tmp_path}/held.jsonl", "embedder": str(tmp_path / "snapshot"),
        "suite": f"{tmp_path}/own.jsonl", "baseline": f"{tmp_path}/answers.jsonl#org/model",
        "evals": ["nll", f"mark[list={listed},task_data={tmp_path}/tasks]"], "trainer": f'sft[words="{words}"]',
        "judge": ["http://host/v1#/models/judge", "checker"], "chat": "https://host/v1#m", "store": str(tmp_path / "s"),
        "results": str(tmp_path / "results"), "task_data": str(tmp_path / "tasks"),
    }  # fmt: skip
    given.run = dataclasses.replace(given.run, given=told, settings=check_settings(told))
    files = given.finish().write()
    assert str(tmp_path) not in json.dumps(files) + " ".join(files)
    short = {
        "pool": "x.jsonl", "base": "tiny", "lm": "scorer", "heldout": "held.jsonl", "embedder": "snapshot",
        "suite": "own.jsonl", "baseline": "answers.jsonl#org/model",
        "evals": ["nll", "mark[list=list.txt,task_data=tasks]"],
        "trainer": 'sft[words="words of mine"]', "judge": ["http://host/v1#/models/judge", "checker"],
        "methods": ["gap[quality=rater]"] * 2, "chat": "https://host/v1#m",
    }  # fmt: skip
    about = files["run.json"]
    for what in ("given", "settings"):
        assert {name: about[what][name] for name in short} == short
    labels = {file["label"] for file in files.values() if "label" in file}
    apart = {each for each in labels if each.startswith("gap[quality=rater]")}
    assert len(apart) == 2
    assert "gap[quality=rater]" in apart
    matched = {file["matched_to"] for file in files.values() if file.get("matched_to")}
    assert matched == apart


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("tiny", "tiny"), ("org/model", "org/model"), ("./data/x.jsonl", "./data/x.jsonl"), ("a/../b", "a/../b"),
        ("hf:org/data", "hf:org/data"), ("a/../../b/c.jsonl", "c.jsonl"), ("../x", "x"), ("/x/y/", "y"), ("~/m", "m"),
        ("http://host/v1#m", "http://host/v1#m"),
    ],
)  # fmt: skip
def test_a_place_that_leads_out_of_the_working_folder_is_told_by_its_name(place, told):
    assert name_of(place) == told


def test_writing_again_gives_the_same_bytes(made):
    given = made(GAP, RANDOM).finish()
    folder, _ = write_results(given.run, given.outcomes)
    before = {path: path.read_bytes() for path in folder.rglob("*.json")}
    write_results(given.run, given.outcomes)
    assert {path: path.read_bytes() for path in folder.rglob("*.json")} == before


def test_cells_of_an_earlier_run_go_when_all_of_this_one_are_there_and_not_before(made):
    given = made(GAP, RANDOM)
    folder = given.run.settings.results / "made"
    old, other = folder / "old" / "10pct" / "seed-0.json", folder / "old" / "10pct" / "notes.json"
    old.parent.mkdir(parents=True)
    for path in (old, other):
        path.write_text("{}")
    model = given.cell("gap").model
    files = given.finish(without=[model]).write()
    assert {"random/10pct/seed-0.json", "old/10pct/seed-0.json"} <= set(files)
    assert "gap/10pct/seed-0.json" not in files
    files = given.finish().write()
    assert "gap/10pct/seed-0.json" in files
    assert not old.exists()
    assert other.exists()


def test_a_cell_that_failed_counts_as_there(made):
    given = made(GAP, RANDOM)
    old = given.run.settings.results / "made" / "old" / "10pct" / "seed-0.json"
    old.parent.mkdir(parents=True)
    old.write_text("{}")
    given.end(given.cell("gap").selection, failure=failed("broken"))
    given.finish(without=[given.cell("gap").selection]).write()
    assert not old.exists()


def test_a_failed_cell_says_which_step_failed_and_why_and_the_others_are_done(made):
    given = made(GAP, LOSS, RANDOM)
    given.end(given.step("scores of gap"), failure=failed("the toy is broken"))
    files = given.finish(without=[given.step("scores of gap")]).write()
    cell = files["gap/10pct/seed-0.json"]
    assert cell["status"] == "failed"
    assert cell["failure"] == {"step": "scores of gap", "error": "ValueError", "message": "the toy is broken"}
    assert (cell["selection"], cell["evaluations"], cell["verdicts"]) == (None, {}, None)
    assert {files[f"{name}/10pct/seed-0.json"]["status"] for name in ("loss", "random")} == {"done"}


def test_a_failed_cell_has_cost_what_was_done_before_it_failed(made):
    given = made(GAP, RANDOM)
    given.end(given.step("scores of gap"), failure=failed("broken"))
    cost = given.finish(without=[given.step("scores of gap")]).described("gap")["cost"]
    passes = [given.step(f"forward pass of tiny ({view}, bare)") for view in ("conditional", "response_only")]
    assert cost["selecting"]["flops"] == sum(given.flops[ref] for ref in passes)
    assert cost["training"]["flops"] == cost["evaluating"]["flops"] == 0


def test_a_step_whose_process_died_is_a_failure(made):
    given = made(GAP)
    given.finish(without=[given.cell("gap").model])
    given.outcomes[given.cell("gap").model] = "died"
    failure = given.described("gap")["failure"]
    assert (failure["step"], failure["error"]) == ("model of gap, seed 0", "ProcessDied")


def test_a_failing_baseline_fails_nobody_else(made):
    given = made(GAP, RANDOM)
    given.end(given.cell("random").model, failure=failed("no memory"))
    given.finish(without=[given.cell("random").model])
    assert given.described("random")["status"] == "failed"
    assert (given.described("gap")["status"], given.described("gap")["verdicts"]) == ("done", None)


def test_a_failing_judge_costs_a_cell_its_verdicts_and_nothing_else(made):
    given = made(GAP, RANDOM)
    given.end(given.cell("gap").verdicts["referee"], failure=failed("speechless"))
    cell = given.finish().described("gap")
    assert (cell["status"], cell["verdicts"]) == ("done", None)
    assert cell["evaluations"]


def flops_of(given, *labels):
    return sum(given.flops[given.step(label)] for label in labels)


VIEWS = ("forward pass of tiny (conditional, bare)", "forward pass of tiny (response_only, bare)")
CHOOSING = {
    "gap": (*VIEWS, "scores of gap", "selection of gap"),
    "loss": (VIEWS[0], "scores of loss", "selection of loss"),
    "warmed": ("selection of recipe, seed 0", "model of recipe, seed 0", "selection of warmed"),
    "random": ("selection of random, seed 0",),
    "matched(gap)": ("selection of matched(gap), seed 0",),
    "matched(warmed)": ("selection of matched(warmed), seed 0",),
}


@pytest.mark.parametrize("label", CHOOSING)
def test_the_cost_of_a_choice_is_the_sum_of_what_it_rests_on(made, label):
    given = made(GAP, LOSS, WARMED, RANDOM, MATCHED).finish()
    cost = given.described(label)["cost"]
    assert cost["selecting"]["flops"] == flops_of(given, *CHOOSING[label])
    assert cost["selecting"]["device_seconds"] == len(CHOOSING[label])
    assert cost["training"]["flops"] == flops_of(given, f"model of {label}, seed 0")
    assert cost["evaluating"]["flops"] == flops_of(given, f"answers of {label}, seed 0", f"marks of {label}, seed 0")
    judging = {} if label == "random" else {"judging": flops_of(given, f"verdicts of referee on {label}, seed 0")}
    assert {phase: spent["flops"] for phase, spent in cost.items() if phase == "judging"} == judging


def test_making_rows_and_choosing_among_them_are_paid_for_apart(made):
    maker = method(
        "maker", generator=part("maker", Needs(models={"warm": WARM})), scorer=part("loss", Needs(passes=PASSES[:1])),
        recipes={"generator": {"warm": method("recipe", selector=part("chance", deterministic=False))}},
    )  # fmt: skip
    given = made(maker, RANDOM).finish()
    cost = given.described("maker")["cost"]
    steps = given.run.plan.steps
    (rows,) = [ref for ref in steps if ref.startswith("generated/")]
    teacher = [given.step("selection of recipe, seed 0"), given.step("model of recipe, seed 0")]
    assert cost["generating"]["flops"] == sum(given.flops[ref] for ref in (rows, *teacher))
    choosing = [ref for ref, step in steps.items() if step.room in ("pass", "scores")]
    assert len(choosing) == 2
    assert cost["selecting"]["flops"] == sum(given.flops[ref] for ref in (*choosing, given.cell("maker").selection))
    assert "generating" not in given.described("random")["cost"]


def test_a_cell_tells_which_language_model_its_steps_asked(made):
    here = made(GAP, LOSS)
    here.end(here.step("scores of gap"), chat={"model": "m", "num_requests": 3})
    here.finish()
    assert (here.described("gap")["asked"], here.described("loss")["asked"]) == (["m"], [])


def test_memory_is_the_largest_and_not_the_sum(made):
    given = made(GAP).finish()
    places = [list(given.run.plan.steps).index(given.step(label)) for label in CHOOSING["gap"]]
    assert given.described("gap")["cost"]["selecting"]["peak_memory_bytes"] == max(places)
    assert set(given.described("gap")["cost"]["training"]) == {field.name for field in dataclasses.fields(Ledger)}


def test_the_untrained_base_chose_nothing_and_paid_for_no_choice(made):
    cell = made(BASE, RANDOM).finish().described("base")
    assert cell["selection"] is None
    assert cell["cost"]["selecting"]["flops"] == cell["cost"]["training"]["flops"] == 0
    assert cell["cost"]["evaluating"]["flops"] > 0


def test_labels_that_look_alike_have_files_of_their_own_inside_the_folder(made):
    labels = ["a b", "a-b", "a/b", "../a-b", "a-b.", "/a-b", "a[b=c]", "a(b=c)", "..", "é", "ü"]
    like = made(GAP).run.plan.cells[0]
    paths = [cell_path(dataclasses.replace(like, label=label)) for label in labels]
    assert len({str(path).lower() for path in paths}) == len(labels)
    for path in paths:
        assert len(path.parts) == 3
        assert not path.is_absolute()
        assert ".." not in path.parts
    assert cell_path(dataclasses.replace(like, label="a-b")) == Path("a-b/10pct/seed-0.json")


def test_what_was_chosen_in_training_is_told_from_the_training(made, monkeypatch):
    school = part("chooser", deterministic=False)
    type(school).chooses = "rows"
    given = made(dataclasses.replace(method("picky"), trainer=school), RANDOM)
    cell = given.cell("picky")
    chosen = {**PAYLOADS["selection"], "num_rows": 3, "ids_hash": "of the training"}
    given.finish(without=(cell.model,))
    given.end(cell.model, **chosen)
    with given.run.store.making("model", given.run.plan.steps[cell.model].key):
        shelf.save_selection(Selection(ids=("r5", "r4", "r6")), given.run.store.folder_of(cell.model))
    given.finish()
    told = given.write()["picky/10pct/seed-0.json"]
    assert told["selection"]["key"] == cell.model
    assert (told["selection"]["num_rows"], told["selection"]["ids_hash"]) == (3, "of the training")
    assert told["selection"]["positions"] == "4-6"
    assert told["cost"]["training"]["flops"] == given.flops[cell.model]
    assert told["cost"]["selecting"]["flops"] == given.flops[cell.selection]


@pytest.mark.parametrize("what", ["diversity of response, gap, seed 0", "token types of response"])
def test_a_diversity_that_could_not_be_measured_is_told_in_a_finished_cell(made, what):
    run = made(GAP, RANDOM, describe=("response", "instruction"))
    run.end(run.step(what), failure=failed("no token"))
    told = run.finish(without=[run.step(what)]).described("gap")
    assert (told["status"], told["failure"]) == ("done", None)
    assert told["undescribed"] == {"response": {"step": what, "error": "ValueError", "message": "no token"}}
    assert told["diversity"] == {"instruction": []}


def test_a_diversity_that_was_measured_or_not_asked_for_is_in_order(made):
    assert made(GAP, describe=("response",)).finish().described("gap")["undescribed"] == {}
    assert made(GAP).finish().described("gap")["undescribed"] == {}


def test_a_failed_cell_tells_its_failure_and_not_what_follows_from_it(made):
    run = made(GAP, describe=("response",))
    scores = run.cell("gap").selection
    run.end(scores, failure=failed("no rows"))
    told = run.finish(without=[scores]).described("gap")
    assert told["failure"]["message"] == "no rows"
    assert told["undescribed"] == {}
