"""A trainer that chooses: what the runner gives it, what it holds it to, and what it keeps of what was told."""

from __future__ import annotations

import numpy as np
import pytest

from sftbench import shelf
from sftbench.arrays import save_arrays
from sftbench.bench import Bench
from sftbench.errors import BudgetError, ContractError, SftbenchError
from sftbench.ledger import Ledger, Meter
from sftbench.perform import perform
from sftbench.plan import Step
from sftbench.pools import pool_of
from sftbench.record import Record
from sftbench.reporting import Reporter
from sftbench.rooms import Message, Ragged, Row, Selection, TrainedModel
from sftbench.store import Store

IDS = ("a", "b", "c", "d", "e")
TOKENS = [4, 3, 2, 1, 10]
FLOPS = [10.0, 20.0, 30.0, 40.0, 100.0]
PART = {"part": "picky@1", "parameters": {}}


class Picky:
    """Trains on what it was made with, and remembers what it was given."""

    name, version, deterministic = "picky", "1", True

    def __init__(self, told, *, chooses="rows", flops=0.0):
        self.told, self.chooses, self.flops = told, chooses, flops

    def train(self, pool, selection, desk, out):
        self.given = selection.ids
        self.allowance = desk.allowance() if self.chooses == "rows" else None
        desk.meter(flops=self.flops)
        out.mkdir(exist_ok=True)
        (out / "config.json").write_text("{}")
        return TrainedModel(path=out, report={"rounds": 3}, selection=self.told)


class Shop:
    """A store with a pool of five rows, their lengths and a selection, and the step of a training."""

    def __init__(self, folder):
        self.store, self.folder = Store(folder / "store"), folder
        rows = [Row(id=row_id, messages=(Message(role="assistant", content="x"),)) for row_id in IDS]
        self.pool = self.put("pool", lambda work: self._save_pool(rows, work))
        arrays = {
            "training_tokens": np.array(TOKENS), "forward_flops": np.array(FLOPS),
            "planted": np.array([True, False, True, False, False]), "planted_tokens": np.array([2, 0, 1, 0, 0]),
        }  # fmt: skip
        self.lengths = self.put("lengths", lambda work: save_arrays(arrays, work / "lengths.safetensors"))

    def _save_pool(self, rows, work):
        shelf.save_pool_form(pool_of(rows, into=work / shelf.POOL_ROWS, key="k", form="messages"), work)

    def put(self, room, save, *, flops=0.0, payload=None, **identity):
        step = Step(room=room, label=room, identity=identity)
        with self.store.making(room, step.key) as work:
            save(work)
            record = Record(
                key=step.key, room=room, identity=identity, ledger=Ledger(flops=flops), payload=payload or {}
            )
            self.store.commit(work, record)
        return step.ref

    def train(self, part, *, of=IDS, budget=("rows", 3), with_selection=False, spent=0.0, speed=None, passes=2.0):
        """Payload of the step, and the folder that it left."""
        chosen = self.put("selection", lambda work: shelf.save_selection(Selection(ids=of), work), of=list(of))
        unit, amount = budget
        identity = {
            **PART, "max_length": 8, "training_passes": passes,
            "budget": {"unit": unit, "amount": amount, "with_selection": with_selection, "at_most_all": False},
        }  # fmt: skip
        parents = {"pool": self.pool, "lengths": self.lengths, "selection": chosen}
        if speed is not None:
            payload = {"training_flops_per_second": speed}
            parents["calibration"] = self.put("calibration", lambda work: None, payload=payload)
        where = {"base": "nowhere"}
        if spent:
            where["choosing_steps"] = self.put("scores", lambda work: None, flops=spent, spent=spent)
        step = Step(room="model", label="training", identity=identity, parents=parents, where=where)
        plugins = type("Plugins", (), {"part": staticmethod(lambda role, use: part)})()
        with self.store.making("model", step.key) as work:
            bench = Bench(plugins=plugins, store=self.store, work=work, meter=Meter(), reporter=Reporter(print))
            return perform(step, bench), shelf.load_selection(work)


@pytest.fixture
def shop(tmp_path):
    return Shop(tmp_path)


def rows(*ids, **more):
    return Selection(ids=ids, **more)


def test_what_was_trained_on_is_kept_beside_the_model_in_the_form_of_a_selection(shop):
    part = Picky(rows("c", "a", scores=np.array([2.0, 1.0]), status="short", report={"why": "because"}))
    payload, kept = shop.train(part)
    assert kept.ids == ("c", "a")
    assert kept.scores.tolist() == [2.0, 1.0]
    assert (kept.status, kept.report) == ("short", {"why": "because"})
    assert payload["status"] == "short"
    assert payload["report"] == {"rounds": 3}
    counted = ("num_rows", "num_response_tokens", "num_trained_tokens", "num_planted_rows", "num_planted_tokens")
    assert [payload[name] for name in counted] == [2, 6, 6, 2, 3]


def test_it_has_all_candidates_and_its_allowance(shop):
    part = Picky(rows("a"))
    shop.train(part)
    assert part.given == IDS
    assert (part.allowance.cap, part.allowance.unit, part.allowance.counts_work) == (3.0, "rows", False)
    shop.train(part, budget=("flops", 90.0))
    assert part.allowance.row_costs.tolist() == [20, 40, 60, 80, 200]
    assert part.allowance.counts_work


def test_more_rows_or_tokens_than_the_allowance_are_refused(shop):
    with pytest.raises(BudgetError, match="takes 4 rows and was given 3"):
        shop.train(Picky(rows("a", "b", "c", "d")))
    with pytest.raises(BudgetError, match="takes 7 tokens and was given 6"):
        shop.train(Picky(rows("a", "b")), budget=("tokens", 6))
    shop.train(Picky(rows("a", "c")), budget=("tokens", 6))


def test_in_a_budget_of_work_all_that_was_done_counts(shop):
    shop.train(Picky(rows("a", "b"), flops=90.0), budget=("flops", 90.0))
    with pytest.raises(BudgetError, match=r"takes 90\.1 flops and was given 90"):
        shop.train(Picky(rows("a", "b"), flops=90.1), budget=("flops", 90.0))
    with pytest.raises(BudgetError, match="takes 100 flops"):
        shop.train(Picky(rows("b", "c")), budget=("flops", 90.0))
    shop.train(Picky(rows("a", "b"), flops=90.0), budget=("device-seconds", 9.0), speed=10.0)
    with pytest.raises(BudgetError, match=r"takes 9\.5 device-seconds"):
        shop.train(Picky(rows("a", "b"), flops=95.0), budget=("device-seconds", 9.0), speed=10.0)


def test_what_choosing_has_cost_is_taken_off_where_the_budget_says_so(shop):
    part = Picky(rows("a"), flops=20.0)
    shop.train(part, budget=("flops", 90.0), with_selection=True, spent=65.0)
    assert part.allowance.cap == 25.0
    shop.train(part, budget=("flops", 90.0), spent=65.0)
    assert part.allowance.cap == 90.0


@pytest.mark.parametrize(
    ("told", "error", "message"),
    [
        (None, ContractError, "must tell"),
        (rows(), SftbenchError, "trainer picky chose no row"),
        (rows("a", "a"), ContractError, "trainer picky chose 1 rows more than once"),
        (rows("a", "z"), ContractError, "ids that the pool does not have, such as 'z'"),
        (rows("a", scores=np.ones(2)), ContractError, "2 scores for 1 rows"),
    ],
)
def test_what_is_told_is_held_to_the_contract_of_a_selection(shop, told, error, message):
    with pytest.raises(error, match=message):
        shop.train(Picky(told))


@pytest.mark.parametrize("chooses", ["rows", "tokens"])
def test_only_rows_that_were_given_may_be_trained_on(shop, chooses):
    with pytest.raises(ContractError, match="1 rows not given to it, such as 'd'"):
        shop.train(Picky(rows("a", "d"), chooses=chooses), of=("a", "b", "c"))


def test_who_chooses_tokens_has_no_allowance_and_its_masked_tokens_are_not_let_in(shop, monkeypatch):
    labels = Ragged.of([np.array([0, 1, 0, 1]), np.array([1, 1, 1])], np.uint8)
    monkeypatch.setattr("sftbench.planted._planted_and_trained", lambda *given: 1)
    part = Picky(rows("a", "b", token_labels=labels), chooses="tokens")
    payload, kept = shop.train(part, of=("b", "a"))
    assert kept.token_labels.values.tolist() == labels.values.tolist()
    assert (payload["num_trained_tokens"], payload["num_planted_tokens"]) == (5, 1)


def test_who_does_not_choose_leaves_no_selection(shop):
    part = Picky(None, chooses=None)
    part.allowance = None
    with pytest.raises(FileNotFoundError):
        shop.train(part)
