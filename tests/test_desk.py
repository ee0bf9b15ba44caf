"""The desk gives what a step declared and refuses everything else; what it counts agrees with sums by hand."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from sftbench import shelf
from sftbench.arrays import save_arrays
from sftbench.desk import WorkingDesk
from sftbench.errors import ContractError
from sftbench.ledger import Ledger, Meter
from sftbench.plan import Step
from sftbench.pools import pool_of
from sftbench.record import Record
from sftbench.reporting import Reporter
from sftbench.roles import PassRequest
from sftbench.rooms import Message, Row, Selection, TrainedModel
from sftbench.store import Store

PART = {"part": "prying@1"}
ROW = Row(id="r", messages=(Message(role="user", content="Say it."), Message(role="assistant", content="x " * 40)))


class Office:
    """A store with steps put into it by hand, and a desk for the step that is to be done."""

    def __init__(self, folder):
        self.store, self.folder, self.meter, self.events = Store(folder / "store"), folder, Meter(), []

    def put(self, room, *, save=lambda work: None, parents=None, flops=0.0, **identity):
        """A finished step; its reference."""
        step = Step(room=room, label=room, identity=identity, parents=parents or {})
        with self.store.making(room, step.key) as work:
            save(work)
            record = Record(key=step.key, room=room, identity=identity, ledger=Ledger(flops=flops))
            self.store.commit(work, record)
        return step.ref

    def desk(self, room="scores", *, parents=None, where=None, **identity):
        step = Step(
            room=room, label=f"a step in {room}", identity={**PART, **identity}, parents=parents or {},
            where={name: str(path) for name, path in (where or {}).items()},
        )  # fmt: skip
        reporter = Reporter(self.events.append)
        return WorkingDesk(step=step, store=self.store, meter_=self.meter, reporter=reporter, scratch=self.folder)

    def pool(self, *ids):
        rows = [Row(id=row_id, messages=(Message(role="assistant", content="x"),)) for row_id in ids]

        def save(work):
            shelf.save_pool_form(pool_of(rows, into=work / shelf.POOL_ROWS, key="k", form="messages"), work)

        return self.put("pool", save=save)

    def lengths(self, *, max_length=64, **arrays):
        made = {name: np.array(values) for name, values in arrays.items()}
        return self.put(
            "lengths", save=lambda work: save_arrays(made, work / "lengths.safetensors"), max_length=max_length
        )

    def selection(self, *ids):
        return self.put("selection", save=lambda work: shelf.save_selection(Selection(ids=ids), work), of=list(ids))


@pytest.fixture
def office(tmp_path):
    return Office(tmp_path)


ASKED = {
    "a pass": (lambda desk: desk.passed(PassRequest()), r"the pass PassRequest.* in needs\(\)"),
    "embeddings": (lambda desk: desk.embedded("response"), r"embeddings of response .*needs\(\)"),
    "the scoring model": (lambda desk: desk.language_model("scoring"), "the model 'scoring' .*language_models"),
    "the base model": (lambda desk: desk.model_path("base"), "the model 'base' .*language_models"),
    "a model of a recipe": (lambda desk: desk.model_path("reference"), "the model 'reference' .*models"),
    "a tokenizer": (lambda desk: desk.tokenizer("base"), "the model 'base'"),
    "a foreign tokenizer": (lambda desk: desk.tokenizer("own"), "the model 'own'"),
    "rows of a recipe": (
        lambda desk: desk.trained_on("reference"),
        r"what the model 'reference' was trained on .*models",
    ),
    "a folder": (lambda desk: desk.folder("own"), r"the folder 'own' .*needs\(\)\.folders"),
    "the seed": (lambda desk: desk.seed, "the seed .*deterministic = False"),
    "row lengths": (lambda desk: desk.response_lengths(), r"row lengths .*needs\(\)"),
    "trained tokens": (lambda desk: desk.training_tokens(), r"row lengths .*needs\(\)"),
    "the training encoding": (lambda desk: list(desk.training_encoding([ROW])), "the training encoding .*lengths"),
    "what training costs": (lambda desk: desk.training_flops(), "what training costs .*other_selection"),
    "another selection": (lambda desk: desk.other_selection(), r"another method's selection .*needs\(\)"),
}


@pytest.mark.parametrize("what", ASKED)
def test_nobody_gets_undeclared(office, what):
    ask, message = ASKED[what]
    with pytest.raises(ContractError, match=f"^prying@1 asked its desk for {message}"):
        ask(office.desk())


@pytest.mark.parametrize("what", [each for each in ASKED if each != "the seed"])
def test_having_declared_something_else_does_not_help(office, what):
    parents = {
        "pass:scoring:response_only:bare": "pass/1", "pass:base:conditional:bare": "pass/2",
        "pass:scoring:conditional:training": "pass/3", "embeddings:instruction": "embeddings/1",
        "model:warm": "model/1",
    }  # fmt: skip
    where = {"tokenizer:other": "words", "model:other": "models", "folder:other": "things"}
    desk = office.desk(parents=parents, where=where, seed=3)
    ask, message = ASKED[what]
    with pytest.raises(ContractError, match=message):
        ask(desk)


def test_the_price_of_training_is_for_those_who_are_matched_to_another(office):
    lengths = office.lengths(forward_flops=[1.0, 2.0])
    with pytest.raises(ContractError, match="what training costs"):
        office.desk("selection", parents={"lengths": lengths}, seed=0).training_flops()


def test_the_trained_model_is_for_those_who_measure(office):
    with pytest.raises(ContractError, match="the model 'trained'"):
        office.desk().model_path("trained")


def test_a_step_that_declared_its_seed_has_it_and_one_that_measures_has_0(office):
    assert office.desk(seed=7).seed == 7
    assert office.desk("evaluation").seed == office.desk("verdicts").seed == 0
    for room in ("selection", "model", "generated"):
        with pytest.raises(ContractError, match="the seed"):
            _ = office.desk(room).seed


def test_a_declared_pass_is_given_with_either_statistic(office):
    values = {"nll": [[1.0, 2.0], []], "entropy": [[0.5, 0.25], []]}

    def save(work):
        rows = ({name: np.array(lists[at], np.float32) for name, lists in values.items()} for at in range(2))
        notes = {0: "response_truncated"}
        shelf.save_pass(rows, {1: "empty_response"}, notes, work, num_rows=2, statistics=list(values))

    desk = office.desk(parents={"pass:scoring:conditional:bare": office.put("pass", save=save)})
    for statistic, lists in values.items():
        found = desk.passed(PassRequest(statistic=statistic))
        assert [each.tolist() for each in found.values] == lists
        assert (found.reasons, found.notes) == ({1: "empty_response"}, {0: "response_truncated"})
    with pytest.raises(ContractError, match="response_only"):
        desk.passed(PassRequest(view="response_only"))


def test_declared_embeddings_are_given(office):
    wanted = np.eye(3, dtype=np.float32)
    ref = office.put(
        "embeddings", save=lambda work: save_arrays({"embeddings": wanted}, work / "embeddings.safetensors")
    )
    desk = office.desk(parents={"embeddings:both": ref})
    np.testing.assert_array_equal(desk.embedded("both"), wanted)
    with pytest.raises(ContractError, match="embeddings of response"):
        desk.embedded("response")


PRICES = [1.0, 10.0, 100.0, 1000.0]
"""FLOPs of one forward pass over each of four rows."""


@pytest.fixture
def matched(office):
    """A desk that is matched to the selection of the rows b and d, which took 5 + 6 FLOPs to make."""
    refs = [office.put("scores", flops=5.0, of="scores"), office.put("selection", flops=6.0, of="choosing")]
    parents = {
        "pool": office.pool("a", "b", "c", "d"), "lengths": office.lengths(forward_flops=PRICES),
        "other": office.selection("d", "b"),
    }  # fmt: skip

    def make(passes, passes_of_other, steps=None):
        steps = " ".join(refs) if steps is None else steps
        return office.desk(
            "selection", parents=parents, where={"other_steps": steps}, seed=0, training_passes=passes,
            training_passes_of_other=passes_of_other,
        )  # fmt: skip

    return make


def test_another_method_costs_its_choosing_and_its_own_number_of_passes(matched):
    desk = matched(3.0, 6.0)
    assert desk.other_selection().ids == ("d", "b")
    assert desk.other_cost() == {"selecting_flops": 11.0, "training_flops": 6 * (10 + 1000)}
    assert desk.training_flops().tolist() == [3, 30, 300, 3000]


@pytest.mark.parametrize("passes", [1.5, 2.0, 9.0, 32.0])
def test_ones_own_passes_do_not_change_what_another_costs(matched, passes):
    assert matched(passes, 4.0).other_cost() == {"selecting_flops": 11.0, "training_flops": 4 * 1010}
    assert matched(passes, 4.0).training_flops().tolist() == [passes * price for price in PRICES]


def test_a_choice_that_rests_on_nothing_cost_nothing(matched):
    desk = matched(3.0, 3.0, steps="")
    assert desk.other_cost() == {"selecting_flops": 0, "training_flops": 3 * 1010}


def test_lengths_are_given_as_they_were_counted(office):
    ref = office.lengths(response_lengths=[3, 0, 9], training_tokens=[4, 0, 7])
    desk = office.desk(parents={"lengths": ref})
    assert desk.response_lengths().tolist() == [3, 0, 9]
    assert desk.training_tokens().tolist() == [4, 0, 7]


def test_what_is_metered_progress_and_words_arrive(office):
    desk = office.desk()
    desk.meter(flops=3.0, tokens_forward=2)
    desk.meter(flops=4.0)
    assert (office.meter.ledger().flops, office.meter.ledger().tokens_forward) == (7, 2)
    with pytest.raises(ValueError, match="'tokens'"):
        desk.meter(tokens=1)
    with desk.progress(2, "row") as progress:
        progress.advance(2)
    desk.log("done")
    assert office.events[0] == {"event": "progress", "label": "a step in scores", "done": 0, "total": 2, "unit": "row"}
    assert office.events[-2]["done"] == 2
    assert office.events[-1] == {"event": "log", "message": "a step in scores: done"}


def test_a_trainer_may_ask_for_its_base_and_a_measurer_for_what_is_measured(office, tmp_path):
    base = {"base": tmp_path / "base"}
    assert office.desk("model", where=base).model_path("base") == TrainedModel(path=tmp_path / "base")
    assert office.desk("evaluation", where=base).model_path("trained") == TrainedModel(path=tmp_path / "base")
    declared = office.desk(where={"model:scoring": tmp_path / "other"})
    assert declared.model_path("scoring") == TrainedModel(path=tmp_path / "other")


@pytest.mark.parametrize(("role", "name"), [("model", "trained"), ("model:warm", "warm")])
def test_a_model_of_all_weights_stands_on_its_own(office, tmp_path, role, name):
    ref = office.put("model", save=lambda work: shelf.save_model(TrainedModel(path=work / "model"), work))
    found = office.desk("evaluation", parents={role: ref}, where={"base": tmp_path / "base"}).model_path(name)
    assert (found.path, found.base_path) == (office.store.folder_of(ref) / "model", None)


@pytest.mark.parametrize(("role", "name"), [("model", "trained"), ("model:warm", "warm")])
def test_an_adapter_rests_on_the_base_where_it_lies_now(office, tmp_path, role, name):
    def save(work):
        shelf.save_model(TrainedModel(path=work / "model", base_path=tmp_path / "then", report={"steps": 3}), work)

    ref = office.put("model", save=save)
    written = (office.store.folder_of(ref) / "trained.json").read_text()
    assert str(tmp_path) not in written
    assert json.loads(written) == {"path": "model", "adapter": True, "report": {"steps": 3}}
    for place in ("now", "later"):
        found = office.desk("evaluation", parents={role: ref}, where={"base": tmp_path / place}).model_path(name)
        assert found.path == office.store.folder_of(ref) / "model"
        assert found.base_path == tmp_path / place
        assert found.report == {"steps": 3}


# peft reads a property that transformers has renamed.
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_an_adapter_is_loaded_onto_the_base_of_the_step(office, material, tmp_path):
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(1)
    plain = AutoModelForCausalLM.from_pretrained(material.model).eval()
    ids = torch.arange(9)[None]
    with torch.no_grad():
        without = plain(input_ids=ids).logits
        adapted = get_peft_model(plain, LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)).eval()
        expected = adapted(input_ids=ids).logits
    then = shutil.copytree(material.model, tmp_path / "then")

    def save(work):
        adapted.save_pretrained(work / "model")
        shelf.save_model(TrainedModel(path=work / "model", base_path=then), work)

    ref = office.put("model", save=save)
    # The base has moved since the adapter was trained; only the step knows where it is.
    shutil.rmtree(then)
    desk = office.desk("evaluation", parents={"model": ref}, where={"base": material.model})
    loaded = desk.language_model("trained")
    with torch.no_grad():
        torch.testing.assert_close(loaded.model(input_ids=ids).logits, expected, atol=1e-4, rtol=1e-4)
    assert (without - expected).abs().max() > 1e-3
    assert desk.language_model("trained") is loaded
    assert desk.tokenizer("trained").get_vocab() == desk.tokenizer("base").get_vocab()


def test_what_a_model_does_is_metered(office, material):
    from sftbench.engines.forward import Nll, Passage

    desk = office.desk(where={"model:scoring": material.model})
    passage = Passage(token_ids=np.arange(9, dtype=np.int32), scored=np.arange(9) > 3)
    list(desk.language_model().run([passage], statistics=[Nll()]))
    # The last of nine tokens is predicted and predicts nothing.
    assert office.meter.ledger().tokens_forward == 8
    assert office.meter.ledger().flops > 0


def test_what_a_model_of_a_recipe_was_trained_on_is_told(office):
    desk = office.desk(where={"selection:warm": office.selection("c", "a")})
    assert desk.trained_on("warm").ids == ("c", "a")


def test_a_folder_is_the_one_that_was_declared(office, tmp_path):
    assert office.desk(where={"folder:own": tmp_path}).folder("own") == tmp_path


def test_a_foreign_tokenizer_is_the_one_that_was_declared(office, material, tmp_path):
    desk = office.desk(where={"tokenizer:own": material.model})
    ids = desk.tokenizer("own")("amber birch", add_special_tokens=False)["input_ids"]
    assert desk.tokenizer("own").decode(ids) == "amber birch"
    with pytest.raises(ContractError, match="the model 'base'"):
        desk.tokenizer("base")


def test_the_training_encoding_is_as_long_as_the_run_says_and_never_longer(office, material):
    whole = office.desk("model", where={"base": material.model}, max_length=200)
    (encoded,) = whole.training_encoding([ROW])
    length = len(encoded.token_ids)
    assert 40 < length < 200
    ended = [len(next(whole.training_encoding([ROW], max_length=limit)).token_ids) for limit in (10, 32, 1000)]
    assert ended == [10, 32, length]
    # A scorer knows the limit from the lengths that it declared.
    reading = office.desk(parents={"lengths": office.lengths(max_length=20)}, where={"base": material.model})
    found = [next(reading.training_encoding([ROW], max_length=limit)) for limit in (None, 10, 1000)]
    assert [len(each.token_ids) for each in found] == [20, 10, 20]
    assert found[0].token_ids.tolist() == encoded.token_ids[:20].tolist()


def test_what_was_chosen_in_training_cost_what_the_training_took(office):
    def save(work):
        shelf.save_selection(Selection(ids=("c",)), work)

    trained = office.put("model", save=save, flops=70.0)
    parents = {"pool": office.pool("a", "c"), "lengths": office.lengths(forward_flops=[1.0, 2.0]), "other": trained}
    choosing = office.put("scores", flops=5.0, of="scores")
    desk = office.desk(
        "selection", parents=parents, where={"other_steps": choosing}, seed=0, training_passes=3.0,
        training_passes_of_other=3.0,
    )  # fmt: skip
    assert desk.other_selection().ids == ("c",)
    assert desk.other_cost() == {"selecting_flops": 5.0, "training_flops": 70.0}


def test_an_allowance_is_for_a_trainer_that_chooses_rows(office):
    with pytest.raises(ContractError, match=r"its allowance .*chooses = \"rows\""):
        office.desk("model", seed=0).allowance()


def test_a_model_that_was_made_in_this_step_is_loaded_metered_and_not_kept(office, material):
    from sftbench.engines.forward import Nll, Passage

    desk = office.desk("model", where={"base": material.model})
    loaded = desk.loaded(desk.model_path("base"))
    passage = Passage(token_ids=np.arange(9, dtype=np.int32), scored=np.arange(9) > 3)
    list(loaded.run([passage], statistics=[Nll()]))
    assert office.meter.ledger().tokens_forward == 8
    assert desk.loaded(desk.model_path("base")) is not loaded


def test_a_stand_in_is_told_once_to_the_user_and_to_the_record(office):
    desk = office.desk()
    assert desk.asked() == {}
    for _ in range(2):
        desk.stand_in("quality by perplexity")
    assert desk.asked() == {"stand_ins": ["quality by perplexity"]}
    (told,) = office.events
    assert "no model was named for it, so a stand-in is used: quality by perplexity" in str(told)
