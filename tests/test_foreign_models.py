"""Models that parts name by their folders: found before work begins, known by content, given by the desk."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import ClassVar

import pytest

from sftbench import Needs, param, plugins
from sftbench.desk import WorkingDesk
from sftbench.errors import ContractError, EnvironmentProblem, UsageError
from sftbench.ledger import Meter
from sftbench.plan import Terms
from sftbench.planner import Planner
from sftbench.reporting import Reporter
from sftbench.settings import check_settings
from sftbench.store import Store
from sftbench.survey import survey


@dataclass(frozen=True, kw_only=True)
class Rater:
    """Rates by a model of its own."""

    name: ClassVar[str] = "rater"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True
    folder: str = param("./judge", "where it lies")

    def needs(self) -> Needs:
        return Needs(foreign_models={"rater": self.folder})


@pytest.fixture
def inputs(tmp_path, material, monkeypatch):
    """A pool, a base model and a copy of it under another name, in the working folder."""
    shutil.copy(material.pool, tmp_path / "rows.jsonl")
    for name in ("tiny", "judge"):
        shutil.copytree(material.model, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def planned(part):
    """The step in which a part scores a pool."""
    settings = check_settings({"methods": ["random"], "pool": "rows.jsonl", "base": "tiny"})
    facts = survey(settings, plugins.load(), [part])
    terms = Terms(
        budgets=(), seeds=(0,), plant=0.0, heldout_share=0.0, heldout_at_most=1, max_length=64, max_new_tokens=1,
        evals=(), judges={},
    )  # fmt: skip
    planner = Planner(facts, terms)
    ref = planner.part_step(
        "scores", part, pool=planner.pool, seed=0, parents={}, identity={}, recipes={}, where={}, given={}
    )
    return planner.steps[ref]


def test_a_part_is_given_the_model_that_it_names(inputs):
    step, events = planned(Rater()), []
    desk = WorkingDesk(
        step=step, store=Store(inputs / "store"), meter_=Meter(), reporter=Reporter(events.append), scratch=inputs
    )
    assert desk.model_path("rater").path == (inputs / "judge").resolve()
    assert desk.language_model("rater").vocab_size == len(desk.tokenizer("rater"))
    with pytest.raises(ContractError, match="the model 'scoring' without declaring it"):
        desk.language_model("scoring")


def test_a_model_is_known_by_its_content_and_not_by_its_place(inputs, tmp_path_factory, monkeypatch):
    before = planned(Rater()).key
    (inputs / "judge" / "prompt.txt").write_text("rate this")
    with_text = planned(Rater()).key
    assert with_text != before, "a text beside the weights is a part of the model"
    weights = inputs / "judge" / "model.safetensors"
    weights.write_bytes(weights.read_bytes() + b" ")
    assert planned(Rater()).key not in (before, with_text)
    shutil.copytree(inputs, moved := tmp_path_factory.mktemp("moved") / "here")
    after = planned(Rater()).key
    monkeypatch.chdir(moved)
    assert planned(Rater()).key == after


def test_a_model_that_cannot_be_used_ends_the_planning_and_is_named(inputs):
    with pytest.raises(EnvironmentProblem, match=r"there is no model folder \./nowhere"):
        planned(Rater(folder="./nowhere"))
    (inputs / "judge" / "tokenizer.json").unlink()
    with pytest.raises(UsageError, match=r"\./judge has no tokenizer"):
        planned(Rater())
