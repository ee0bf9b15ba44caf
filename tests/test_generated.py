"""The step that makes rows: its report in the record, held-out rows kept out, and pools that are short."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import ClassVar

import pytest

from sftbench import Generated, Generator, Message, Needs, PartUse, Recipe, Row, hookimpl, param, plugins, shelf
from sftbench.bench import Bench
from sftbench.errors import SftbenchError
from sftbench.ledger import Meter
from sftbench.perform import perform
from sftbench.plan import Step
from sftbench.pools import pool_from_rows
from sftbench.reporting import Reporter
from sftbench.store import Store

POOL = [{"id": f"p{at}", "instruction": f"Name tree {at}.", "input": "", "output": f"Elm {at}."} for at in range(6)]
HELDOUT = [{"id": "h", "instruction": "Name the hidden tree.", "input": "", "output": "Yew."}]


def row(asked, row_id=None):
    turns = (Message(role="user", content=asked), Message(role="assistant", content="Oak."))
    return Row(id=row_id or asked, messages=turns)


@dataclass(frozen=True, kw_only=True)
class Maker:
    """Gives what `asks` says, a row for each, and reports while it does."""

    name: ClassVar[str] = "maker-of-this-test"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True

    asks: tuple[str, ...] = param((), "instructions")
    wanted: int | None = param(None, "rows wanted")
    plain: bool = param(False, "gives rows without a report")
    rejects: int = param(0, "rows that it says to have rejected")
    only_new: bool = param(False, "gives no row of the pool")

    def needs(self):
        return Needs()

    def generate(self, pool, desk):
        report = {}

        def rows():
            yield from [] if self.only_new else [pool[0]]
            for number, asked in enumerate(self.asks):
                yield row(asked, f"new-{number}")
                report["num_told"] = number + 1
            if self.rejects:
                report["rejected"] = {"too_short": 1, "empty_response": self.rejects}

        return rows() if self.plain else Generated(rows=rows(), num_wanted=self.wanted, report=report)


def module():
    made = ModuleType("makers_of_this_test")

    def sftbench_generators() -> list[type[Generator]]:
        return [Maker]

    made.sftbench_generators = hookimpl(sftbench_generators)
    return made


@pytest.fixture
def made(tmp_path):
    """The payload of a step in which `Maker` works, and the pool that it left."""
    store = Store(tmp_path / "store")

    def pool(name, rows):
        with store.making("pool", name) as work:
            shelf.save_pool_form(pool_from_rows(rows, into=work / shelf.POOL_ROWS, key=name), work)
            store.folder("pool", name).parent.mkdir(parents=True)
            work.rename(store.folder("pool", name))
        return f"pool/{name}"

    parents = {"pool": pool("pool", POOL), "heldout": pool("heldout", HELDOUT)}

    def make(*, heldout=True, **parameters):
        step = Step(
            room="generated", label="making", identity={"part": "maker-of-this-test@1", "parameters": parameters},
            parents=parents if heldout else {"pool": parents["pool"]},
        )  # fmt: skip
        work = tmp_path / "work"
        work.mkdir(exist_ok=True)
        heard = []
        bench = Bench(
            plugins=plugins.load([module()]), store=store, work=work, meter=Meter(), reporter=Reporter(heard.append)
        )
        payload = perform(step, bench)
        return payload, shelf.load_pool(work, step.ref), heard

    return make


def test_what_was_told_while_rows_were_made_reaches_the_record(made):
    payload, pool, _ = made(asks=["Name a bush.", "Name a herb."], wanted=3)
    assert payload["report"] == {"num_told": 2}
    assert (payload["num_rows"], payload["num_wanted"], payload["num_new"]) == (3, 3, 2)
    assert payload["status"] == "full"
    assert pool.ids == ["p0", "new-0", "new-1"]


def test_a_short_pool_is_told_with_the_reasons_for_which_most_was_rejected(made):
    payload, _, heard = made(asks=["Name a bush."], wanted=9, rejects=5)
    assert payload["status"] == "short"
    (told,) = [event["message"] for event in heard if "rows wanted" in event.get("message", "")]
    assert told.endswith("made 2 of 9 rows wanted; rejected: 5 empty_response, 1 too_short")
    _, _, heard = made(asks=["Name a bush."], wanted=2, rejects=5)
    assert not any("rows wanted" in event.get("message", "") for event in heard)


def test_rows_without_a_report_are_as_good(made):
    payload, _, _ = made(asks=["Name a bush."], plain=True)
    assert (payload["num_rows"], payload["num_wanted"], payload["status"]) == (2, None, "full")


def test_new_rows_that_repeat_heldout_ones_are_left_out_and_the_pool_is_short(made):
    payload, pool, heard = made(asks=["Name a bush.", "name the HIDDEN tree", "Name a herb."], wanted=4)
    assert payload["num_repeating_heldout"] == 1
    assert payload["status"] == "short"
    assert pool.ids == ["p0", "new-0", "new-2"]
    assert any("1 new rows repeat held-out rows" in event.get("message", "") for event in heard)


def test_without_heldout_rows_nothing_is_left_out(made):
    payload, _, _ = made(asks=["Name the hidden tree."], heldout=False)
    assert payload["num_repeating_heldout"] == 0
    assert payload["num_rows"] == 2


def test_a_generator_that_makes_nothing_of_use_fails_with_its_report(made):
    with pytest.raises(SftbenchError, match=r"made no row.*1 repeat held-out rows.*'num_told': 1"):
        made(asks=["Name the hidden tree."], only_new=True)


def test_wishes_are_joined_and_depend_on_whether_a_language_model_is_named():
    recipe = Recipe(selector=PartUse(name="random"), budget="1%", trainer=PartUse(name="sft"))
    alone = Needs(language_models=("base",), models={"warm": recipe}, embeddings=("both",))
    needs = Needs(embeddings=("both", "response"), chat=True, without_chat=alone) | Needs(embedder=True)
    named, stood_in = needs.when(chat=True), needs.when(chat=False)
    assert named.chat
    assert not named.models
    assert named.embeddings == ("both", "response")
    assert stood_in.models == {"warm": recipe}
    assert stood_in.language_models == ("base",)
    assert stood_in.embeddings == ("both", "response")
    assert stood_in.embedder
    assert stood_in.without_chat is None
    assert Needs().when(chat=False) == Needs()
