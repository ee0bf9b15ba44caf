"""What a run does with what is in the store: `--redo never|missing|failed|always`."""

from __future__ import annotations

from collections import Counter

import pytest

from sftbench import plugins
from sftbench.devices import device_kind
from sftbench.executors.local import Slots
from sftbench.plan import Facts, ModelFacts, Plan, Terms
from sftbench.runner import Run, carry_out, known_outcomes, local_slots
from sftbench.settings import RunSettings


class Heard:
    """A watcher that remembers."""

    def __init__(self):
        self.planned_, self.ends = None, []

    def planned(self, num_steps, num_known):
        self.planned_ = (num_steps, num_known)

    def event(self, step, event): ...

    def ended(self, step, outcome, why, record):
        self.ends.append((step.label, outcome, record.status if record else None))


@pytest.fixture
def run(workshop, diary):
    """A step that works, one that fails, and a child of each."""
    good = workshop.toy("good", diary=diary.path)
    bad = workshop.toy("bad", diary=diary.path, fails=True)
    steps = [workshop.pool, good, bad, workshop.toy("good child", after=[good]), workshop.toy("bad child", after=[bad])]
    model = ModelFacts(name="none", path="", fingerprint="")
    facts = Facts(
        pool_name="toys", pool_source={}, pool_content={}, heldout_source=None, heldout_content=None, base=model,
        scoring=model, embedder=model, chat=None, device="cpu", processor="any",
    )  # fmt: skip
    terms = Terms(
        budgets=(), seeds=(), plant=0, heldout_share=0, heldout_at_most=0, max_length=8, max_new_tokens=1, evals=(),
        judges={},
    )  # fmt: skip
    ref = workshop.pool.ref
    plan = Plan(cells=(), steps={step.ref: step for step in steps}, pool=ref, heldout=ref, lengths=ref)

    def go(redo):
        made = Run(
            name="toys", settings=RunSettings(methods=["none"], redo=redo, workers=1), given={}, facts=facts,
            terms=terms, plan=plan, plugins=plugins.load(), store=workshop.store, methods=(),
        )  # fmt: skip
        heard = Heard()
        before = len(diary.lines())
        outcomes = {plan.steps[ref].label: outcome for ref, outcome in carry_out(made, heard).items()}
        return heard, outcomes, len(diary.lines()) - before

    return go


def test_what_is_missing_is_made_and_what_failed_is_left(run):
    ended = {"pool": "done", "good": "done", "good child": "done", "bad": "failed"}
    heard, outcomes, calls = run("missing")
    assert heard.planned_ == (5, 1)
    assert outcomes == ended
    assert calls == 2
    assert Counter(heard.ends) == {
        ("good", "done", "done"): 1, ("bad", "failed", "failed"): 1, ("good child", "done", "done"): 1
    }  # fmt: skip
    heard, outcomes, calls = run("missing")
    assert heard.planned_ == (5, 4)
    assert (outcomes, calls) == (ended, 0)


def test_never_makes_nothing(run):
    heard, outcomes, calls = run("never")
    assert outcomes == {"pool": "done"}
    assert calls == 0
    assert heard.ends == []


def test_failed_makes_what_failed_again_and_what_is_missing(run, workshop):
    run("missing")
    heard, outcomes, calls = run("failed")
    assert calls == 1
    assert heard.ends == [("bad", "failed", "failed")]
    assert outcomes["good child"] == "done"
    run_without_good = workshop.store.root / "scores"
    for record in run_without_good.rglob("record.json"):
        if '"good child"' in record.read_text():
            record.unlink()
    heard, _, _ = run("failed")
    assert [label for label, _, _ in heard.ends] in (["bad", "good child"], ["good child", "bad"])


def test_always_makes_everything_again(run, workshop):
    run("missing")
    records = {path: path.stat().st_mtime_ns for path in workshop.store.root.glob("scores/*/*/record.json")}
    # The pool of this test was put into the store by hand and cannot be made from nothing.
    heard, outcomes, _ = run("always")
    assert outcomes == {"pool": "failed"}
    assert heard.planned_ == (5, 0)
    assert [label for label, _, _ in heard.ends] == ["pool"]
    assert {path: path.stat().st_mtime_ns for path in records} == records


def test_always_is_known_by_the_executor(workshop, diary):
    step = workshop.toy("step", diary=diary.path)
    plan = Plan(
        cells=(), steps={step.ref: step}, pool=workshop.pool.ref, heldout=workshop.pool.ref, lengths=workshop.pool.ref
    )
    assert known_outcomes(plan, workshop.store, "always") == ({}, frozenset())
    workshop.run(step)
    assert known_outcomes(plan, workshop.store, "always") == ({}, frozenset({step.ref}))
    assert known_outcomes(plan, workshop.store, "missing") == ({step.ref: "done"}, frozenset())


def test_the_processes_share_the_cores(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    slots = local_slots(2)
    assert slots.num_workers == 2
    assert slots.devices == ()
    assert slots.num_threads >= 1


def test_gpus_that_torch_cannot_use_do_not_count(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    assert local_slots(2).devices == ()
    assert device_kind() == "cpu"


def test_every_visible_gpu_has_a_process(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    slots = local_slots(None)
    assert (slots.num_workers, slots.devices) == (2, ("3", "5"))
    assert isinstance(slots, Slots)
