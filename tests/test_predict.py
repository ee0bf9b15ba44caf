"""Predictions against sums by hand: a small pool of round numbers on a machine of round speeds."""

from __future__ import annotations

import dataclasses
import os
import re
from dataclasses import dataclass
from typing import ClassVar

import pluggy
import pytest

from sftbench.budget import Budget
from sftbench.errors import SftbenchError
from sftbench.methods import ResolvedMethod
from sftbench.plan import Facts, ModelFacts, Terms, calibration
from sftbench.planner import make_plan
from sftbench.plugins import Plugins
from sftbench.predict import predict
from sftbench.record import Failure, Record
from sftbench.roles import Needs, PassRequest
from sftbench.runner import Run
from sftbench.settings import check_settings
from sftbench.store import Store

NONE = Plugins(manager=pluggy.PluginManager("sftbench"), parts={}, methods={}, suites={}, plugin_of={})
BOTH = (PassRequest(view="conditional"), PassRequest(view="response_only"))
LENGTHS = {"num_rows": 100, "num_tokens": 1000, "num_response_tokens": 400, "forward_flops": 8000.0}
"""8 FLOPs per token."""
SPEED = {"forward_flops_per_second": 100.0, "training_flops_per_second": 50.0, "generated_tokens_per_second": 20.0}
PAYLOADS = {"pool": {"num_rows": 10}, "lengths": LENGTHS, "calibration": SPEED}
CONDITIONAL, ALONE = 1000 * 8 / 100, 400 * 8 / 100
ANSWERS = 10 * 32 / 20
"""Seconds for the two passes, and for 32 tokens to each of 10 held-out rows."""


def part(name, needs=None, *, deterministic=True, **more):
    """A part that can be planned with and does nothing."""
    about = {"name": name, "version": "1", "deterministic": deterministic, "generates": True}
    return type(name, (), {**about, "needs": lambda self: needs or Needs(), **more})()


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Reads the pool as often as it is told."""

    name: ClassVar[str] = "reader"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True
    times: float = 1.0

    @property
    def passes_over_pool(self):
        return self.times

    def needs(self):
        return Needs()


def trainer(**parameters):
    """A trainer with these parameters."""
    made = dataclasses.make_dataclass(
        "School", [(name, type(value), value) for name, value in parameters.items()], frozen=True
    )
    made.name, made.version, made.deterministic = "school", "1", False
    made.needs = lambda self: Needs()
    made.passes_per_epoch = 2.0 if parameters.get("rank") else 3.0
    return made()


def method(name, *, selector=None, scorer=None, school=None, **more):
    recipes = {role: {} for role in ("generator", "scorer", "selector", "trainer")}
    return ResolvedMethod(
        name=name, label=name, selector=selector or part("best"), scorer=scorer,
        trainer=school or trainer(epochs=2.0), recipes=recipes, **more,
    )  # fmt: skip


GAP = method("gap", scorer=part("gap", Needs(passes=BOTH)))
LOSS = method("loss", scorer=part("loss", Needs(passes=BOTH[:1])))
PLAIN = method("plain")
MATCHED = method(
    "matched", selector=part("matched", Needs(other_selection=True)), control=True, matched_to_each=True,
    ignores_budget=True,
)  # fmt: skip


class Silent:
    """A watcher that counts what it hears."""

    def __init__(self):
        self.heard = []

    def planned(self, num_steps, num_known): ...

    def event(self, step, event):
        self.heard.append(step.label)

    def ended(self, step, outcome, why, record):
        self.heard.append(step.label)


class Planned:
    """A plan whose preparing steps are in the store."""

    def __init__(self, folder, *methods, budget="10%", seeds=(0,), model_bytes=0):
        base = ModelFacts(name="tiny", path=str(folder / "model"), fingerprint="f")
        (folder / "model").mkdir(exist_ok=True)
        with (folder / "model" / "model.safetensors").open("wb") as weights:
            os.truncate(weights.fileno(), model_bytes)
        facts = Facts(
            pool_name="rows", pool_source={}, pool_content={"content": "c"}, heldout_source=None, heldout_content=None,
            base=base, scoring=base, embedder=base, chat=None, device="cpu", processor="one core",
        )  # fmt: skip
        terms = Terms(
            budgets=(Budget.parse(budget),), seeds=seeds, plant=0.0, heldout_share=0.1, heldout_at_most=20,
            max_length=256, max_new_tokens=32, evals=(part("marks"),), judges={},
        )  # fmt: skip
        self.run = Run(
            name="planned", settings=check_settings({"methods": ["any"], "workers": 2}), given={}, facts=facts,
            terms=terms, plan=make_plan(facts, terms, methods), plugins=NONE, store=Store(folder / "store"),
            methods=methods,
        )  # fmt: skip
        self.watcher = Silent()
        self.end(calibration(facts))
        for step in self.run.plan.steps.values():
            if step.stage == "prepare":
                self.end(step)

    def end(self, step, *, failure=None):
        record = Record(
            key=step.key, room=step.room, identity=step.identity, status="failed" if failure else "done",
            payload={} if failure else PAYLOADS.get(step.room, {}), failure=failure,
        )  # fmt: skip
        with self.run.store.making(step.room, step.key) as work:
            self.run.store.commit(work, record)

    def finish(self, *rooms):
        for step in self.run.plan.steps.values():
            if not rooms or step.room in rooms:
                self.end(step)
        return self

    def predicted(self):
        return predict(self.run, self.watcher)

    def row(self, label):
        (found,) = [row for row in self.predicted().cells if row["method"] == label]
        return found

    def seconds_of_training(self, label="plain"):
        """What is left when all but the models is done."""
        rooms = {step.room for step in self.run.plan.steps.values()} - {"model"}
        return self.finish(*rooms).row(label)["seconds to go"]


@pytest.fixture
def planned(tmp_path):
    return lambda *methods, **more: Planned(tmp_path, *methods, **more)


def test_seconds_and_tokens_of_a_cell_are_the_sum_of_its_steps(planned):
    reading = method("reading", scorer=part("gap", Needs(passes=BOTH)), selector=part("reader", passes_over_pool=0.5))
    row = planned(reading).row("reading")
    choosing = 500 * 8 / 100
    training = 8000 * 0.1 * 2 * 3 / 50
    assert row["seconds to go"] == CONDITIONAL + ALONE + choosing + training + ANSWERS == 264
    assert row["tokens to go"] == 1000 + 400 + 500 + 1000 * 0.1 * 2 + 320
    # Read, split twice, lengths; two passes, scores, selection, model, answers, evaluation.
    assert (row["steps"], row["in store"], row["failed"]) == (4 + 7, 4, 0)
    assert (row["kind"], row["budget"], row["seed"]) == ("method", "10%", 0)


def test_a_scorer_that_reads_the_pool_itself_says_how_often(planned):
    row = planned(method("own", scorer=part("own", passes_over_pool=3.0))).row("own")
    assert row["tokens to go"] == 3 * 1000 + 200 + 320


@pytest.mark.parametrize(
    ("budget", "share"),
    [("25%", 0.25), ("25", 0.25), ("100 tokens", 0.25), ("12000 flops", 0.25), ("240s", 0.25), ("1e9 flops", 1.0)],
)
def test_every_budget_is_the_share_of_the_pool_that_it_buys(planned, budget, share):
    """The whole pool takes 6 passes of 8000 FLOPs, at 50 a second."""
    school = method("plain", school=trainer(epochs=2.0), training_passes=6.0)
    assert planned(school, budget=budget).seconds_of_training() == 960 * share


def test_what_ignores_the_budget_is_trained_on_the_whole_pool(planned):
    assert planned(method("plain", ignores_budget=True)).seconds_of_training() == 960


def test_a_matched_control_trains_on_about_as_much_as_the_other(planned):
    assert planned(PLAIN, MATCHED).seconds_of_training("matched(plain)") == 96


@pytest.mark.parametrize(
    ("parameters", "passes"),
    [({"epochs": 1.0}, 3), ({"epochs": 0.5}, 1.5), ({}, 3), ({"epochs": 2.0, "rank": 0}, 6),
     ({"epochs": 2.0, "rank": 8}, 4)],
)  # fmt: skip
def test_an_epoch_takes_three_passes_and_with_lora_two(planned, parameters, passes):
    school = method("plain", school=trainer(**parameters))
    assert planned(school, budget="50%").seconds_of_training() == 8000 * 0.5 * passes / 50


def test_a_trainer_that_says_what_an_epoch_takes_is_believed(planned):
    school = trainer(epochs=2.0)
    type(school).passes_per_epoch = 4.0
    assert planned(method("plain", school=school), budget="50%").seconds_of_training() == 8000 * 0.5 * 8 / 50


def test_two_settings_of_one_part_take_what_each_says(planned):
    once, twice = (method(name, scorer=Reader(times=times)) for name, times in (("once", 1.0), ("twice", 2.0)))
    cells = {row["method"]: row["tokens to go"] for row in planned(once, twice).predicted().cells}
    assert cells == {"once": 1000 + 520, "twice": 2000 + 520}


def test_what_is_shared_counts_in_every_cell_and_once_in_the_sum(planned):
    given = planned(GAP, LOSS)
    prediction = given.predicted()
    cells = {row["method"]: row["seconds to go"] for row in prediction.cells}
    assert cells == {"gap": CONDITIONAL + ALONE + 96 + ANSWERS, "loss": CONDITIONAL + 96 + ANSWERS}
    assert f"{1000 + 400 + 2 * (200 + 320):,} tokens" in prediction.summary


def test_the_sum_is_shared_out_over_processes_that_have_to_start(planned):
    """224 s of work on two processes, and 8 s for each of three stages: 136 s."""
    given = planned(GAP, model_bytes=3 * 10**9)
    summary = given.predicted().summary
    assert "To go: 7 steps, about 2 min on 2 process(es)" in summary
    assert "3.00 GB of disk" in summary
    assert summary.startswith(f"{len(given.run.plan.steps)} steps (4 in the store)")


def test_seeds_go_apart_where_chance_enters(planned):
    prediction = planned(GAP, seeds=(0, 1, 2)).predicted()
    assert [row["seed"] for row in prediction.cells] == [0, 1, 2]
    # Choosing is done once for all three; each trains and answers.
    assert f"{1400 + 3 * (200 + 320):,} tokens" in prediction.summary


def test_a_finished_plan_has_nothing_to_go(planned):
    given = planned(GAP, MATCHED, seeds=(0, 1)).finish()
    prediction = given.predicted()
    assert len(prediction.cells) == 4
    for row in prediction.cells:
        assert (row["seconds to go"], row["tokens to go"]) == (0, 0)
        assert row["in store"] == row["steps"]
    assert "To go: 0 steps, about 0 s" in prediction.summary
    assert re.search(r"\b0 tokens, 0\.00 GB", prediction.summary)


def test_what_is_prepared_already_is_not_prepared_again(planned):
    given = planned(GAP)
    given.predicted()
    assert given.watcher.heard == []


def test_what_failed_is_counted(planned):
    given = planned(GAP, LOSS)
    failing = next(step for step in given.run.plan.steps.values() if step.label == "scores of gap")
    given.end(failing, failure=Failure(error="ValueError", message="broken", trace=""))
    assert [row["failed"] for row in given.predicted().cells] == [1, 0]


def test_what_rests_on_a_failed_step_is_not_to_go(planned):
    given = planned(GAP).finish("pass")
    failing = next(step for step in given.run.plan.steps.values() if step.label == "scores of gap")
    given.end(failing, failure=Failure(error="ValueError", message="broken", trace=""))
    assert given.row("gap")["seconds to go"] == 0


def test_a_pool_that_could_not_be_read_ends_the_prediction_with_its_own_exit_code(planned):
    given = planned(GAP)
    reading = next(step for step in given.run.plan.steps.values() if step.label == "read rows")
    given.end(reading, failure=Failure(error="UsageError", message="line 3 is no JSON", trace="", exit_code=2))
    with pytest.raises(SftbenchError, match="line 3 is no JSON") as caught:
        given.predicted()
    assert caught.value.exit_code == 2


def test_a_trainer_that_chooses_rows_is_trained_on_its_budget_and_so_is_its_control(planned):
    school = trainer(epochs=2.0)
    type(school).chooses = "rows"
    run = planned(method("picky", school=school), MATCHED, budget="10%")
    alone = planned(PLAIN, budget="10%").seconds_of_training()
    assert run.seconds_of_training("picky") == pytest.approx(alone)
    control = planned(method("picky", school=school), MATCHED, budget="10%")
    control.finish(*({step.room for step in control.run.plan.steps.values()} - {"model"}))
    assert control.row("matched(picky)")["seconds to go"] == pytest.approx(2 * alone)
