"""Answers that served models write: what is asked, cut, counted and asked again, and as what each model is served."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sftbench.answering import served_writer
from sftbench.chat import Endpoint
from sftbench.engines.completing import ServedWriter
from sftbench.engines.forward import LanguageModel
from sftbench.engines.generate import prompt_tokens, stop_tokens
from sftbench.engines.kept_answers import KeptAnswers
from sftbench.errors import EnvironmentProblem, SftbenchError
from sftbench.ledger import Meter
from sftbench.plan import Step
from sftbench.responding import respond_by, seed_of
from sftbench.rooms import Message, Row, TrainedModel
from sftbench.serving.adapters import AdaptedService, AdapterRefusedError
from sftbench.serving.concierge import receiving
from sftbench.serving.service import ADDRESS, ServedService

from .conftest import DESCRIBED, IDENTITY, runs

OF_ADAPTER = 40
"""The token that the stand-in puts first where an adapter is asked."""
LIMIT = 12


@pytest.fixture(scope="module")
def model(material):
    return LanguageModel.without_weights(material.model)


@pytest.fixture(scope="module")
def adapter(tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapter")
    (folder / "adapter_config.json").write_text(json.dumps({"r": 4, "rank_pattern": {}}))
    return folder


def row(row_id, *turns, temperature=0.0):
    pairs = [(Message(role="user", content=turn), Message(role="assistant", content="")) for turn in turns]
    messages = [each for pair in pairs for each in pair]
    raw = {"_open_turns": len(turns), **({"_temperature": temperature} if temperature else {})}
    return Row(id=row_id, messages=tuple(messages), raw=json.dumps(raw))


def rows(count):
    return [row(f"r{index}", f"Tell me about number {index}.") for index in range(count)]


def writer_for(served, model, *, adapter=None, num_at_once=4, kept=None):
    service = ServedService(
        described=DESCRIBED, model="tiny", identity=IDENTITY, keeper=served.servers, tell=served.told.append,
        num_at_once=num_at_once,
    )  # fmt: skip
    asked = AdaptedService(base=service, model="tiny-adapted", folder=adapter) if adapter else service
    if kept is not None:
        # By whom they were written is known then.
        asked.reach()
    made = LanguageModel(model.model, model.tokenizer, meter=Meter())
    return ServedWriter(service=asked, model=made, waits=(0.01,) * 5, kept=kept, log=served.told.append)


def expected(model, asked, *, limit=LIMIT, first=()):
    """What the stand-in is known to go on with, as text, and whether it came to its end."""
    for ids in prompt_tokens(model, asked, max_new_tokens=limit):
        new = [*first, *ids[::-1][:6]]
        yield model.tokenizer.decode(new[:limit], skip_special_tokens=True), len(new) < limit


def told(answers):
    return [(each.text, each.ended) for each in answers]


def test_without_weights_a_model_reads_ends_and_costs_as_with_them(material):
    bare, whole = LanguageModel.without_weights(material.model), LanguageModel.load(material.model)
    asked = [*rows(5), row("long", "word " * 400)]
    assert prompt_tokens(bare, asked, max_new_tokens=9) == prompt_tokens(whole, asked, max_new_tokens=9)
    assert stop_tokens(bare) == stop_tokens(whole)
    assert (bare.shape, bare.max_length) == (whole.shape, whole.max_length)
    assert all(each.is_meta for each in bare.model.parameters())


def test_generation_settings_beside_a_model_say_where_its_texts_end(material, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    for each in material.model.iterdir():
        (folder / each.name).write_bytes(each.read_bytes())
    (folder / "generation_config.json").write_text('{"eos_token_id": [0, 17, 23]}')
    assert stop_tokens(LanguageModel.without_weights(folder)) == stop_tokens(LanguageModel.load(folder)) >= {17, 23}


def test_the_ids_of_this_process_are_asked_and_what_comes_back_is_cut_and_counted(trial, model):
    served = trial("fine")
    asked = rows(9)
    for limit in (LIMIT, 4):
        writer = writer_for(served, model)
        assert told(writer.answer_rows(asked, max_new_tokens=limit)) == list(expected(model, asked, limit=limit))
        ended = limit == LIMIT
        assert writer.num_cut_off == (0 if ended else 9)
        ledger = writer.model.meter.ledger()
        assert ledger.tokens_generated == 9 * (6 if ended else limit)
        assert ledger.tokens_forward == sum(map(len, prompt_tokens(model, asked, max_new_tokens=limit)))
    assert writer.told() == {
        "served_by": "stand-in 1", "served_as": "whole model", "num_answers": 9, "num_cut_off": 9,
        "num_refused": 0,
    }  # fmt: skip


def test_the_work_is_counted_as_that_of_a_process_that_writes_the_same(trial, material):
    """By the engine's own ledger, for the tokens that it wrote itself."""
    from sftbench.engines.generate import answer_rows

    engine = LanguageModel.load(material.model, meter=Meter())
    asked = rows(6)
    texts = answer_rows(engine, asked, max_new_tokens=LIMIT)
    served = trial("fine")
    writer = writer_for(served, engine)
    new = iter([engine.tokenizer(each.text)["input_ids"] for each in texts])
    writer._new_tokens = lambda each: (next(new), True)
    writer.service.num_at_once = 1
    writer.answer_rows(asked, max_new_tokens=LIMIT)
    mine, its = writer.model.meter.ledger(), engine.meter.ledger()
    assert (mine.tokens_forward, mine.tokens_generated) == (its.tokens_forward, its.tokens_generated)
    assert mine.flops == pytest.approx(its.flops, rel=1e-12)


def test_warm_rows_are_drawn_with_their_own_seeds_and_dialogues_go_turn_by_turn(trial, model):
    served = trial("fine")
    asked = [row("a", "say red", "and now?"), row("b", "say blue", temperature=0.7)]
    counted = []
    found = respond_by(writer_for(served, model).answer_rows, asked, max_new_tokens=LIMIT, advance=counted.append)
    assert sum(counted) == 3
    ((first, _), (warm, _)) = expected(model, [row("a", "say red"), asked[1]])
    assert (found.earlier["a"], found.texts[1]) == ((first,), warm)
    shown = Row(
        id="a",
        messages=(
            Message(role="user", content="say red"), Message(role="assistant", content=first),
            Message(role="user", content="and now?"), Message(role="assistant", content=""),
        ),
    )  # fmt: skip
    assert found.texts[0] == next(expected(model, [shown]))[0]
    how = [line.rpartition("] ")[2] for line in served.notes]
    assert sorted(how) == ["0 None", "0 None", f"0.7 {seed_of('b', 0)}"]


def test_no_more_requests_are_under_way_than_the_service_takes(serve, model):
    import time

    def reply(body):
        time.sleep(0.02)
        return json.dumps(
            {"id": "x", "object": "text_completion", "created": 0, "model": "m", "choices": [
                {"index": 0, "finish_reason": "stop", "text": "", "logprobs": None,
                 "token_ids": [5, body["stop_token_ids"][0]]}]}
        ).encode()  # fmt: skip

    server = serve(reply)
    writer = ServedWriter(service=Endpoint(url=server.url, model="m"), model=model)
    writer.answer_rows(rows(40), max_new_tokens=4)
    assert 2 <= server.most_at_once <= writer.service.num_at_once


def test_a_busy_server_is_asked_again(trial, model):
    served = trial("busy")
    asked = rows(3)
    assert told(writer_for(served, model, num_at_once=1).answer_rows(asked, max_new_tokens=LIMIT)) == list(
        expected(model, asked)
    )
    assert len(served.notes) == 5


def test_after_a_crash_the_adapter_is_loaded_again_and_nothing_answered_is_asked_again(trial, model, adapter):
    served = trial("dies-once")
    writer = writer_for(served, model, adapter=adapter)
    asked = rows(12)
    answers = writer.answer_rows(asked, max_new_tokens=LIMIT)
    assert told(answers) == list(expected(model, asked, first=[OF_ADAPTER]))
    assert served.num_starts == 2
    assert [line for line in served.notes if "load" in line] == ["0 load tiny-adapted", "1 load tiny-adapted"]
    prompts = [line.partition(" ")[2] for line in served.notes if " ask " in line]
    # Only what was under way when it died is asked again: at most one request of each of the four threads.
    assert len(set(prompts)) == 12
    assert len(prompts) <= 16


def test_an_adapter_that_is_there_is_not_loaded_twice_and_can_be_taken_out(trial, adapter):
    served = trial("fine")
    base = ServedService(
        described=DESCRIBED, model="tiny", identity=IDENTITY, keeper=served.servers, tell=served.told.append
    )
    adapted = AdaptedService(base=base, model="one", folder=adapter)
    endpoint = adapted.reach()
    assert endpoint.model == "one"
    assert adapted.reach_again(endpoint, silent=False) == endpoint
    assert served.notes == ["0 load one"]
    adapted.unload()
    adapted.unload()
    assert served.notes == ["0 load one", "0 unload one"]
    served.servers.close()
    AdaptedService(base=base, model="one", folder=adapter, _last=endpoint).unload()


@pytest.mark.parametrize(
    ("behaviour", "starts", "why"),
    [("refuses-adapters", 1, "400 .*does not yet support DoRA"), ("dies-over-adapters", 2, "not take the adapter")],
)
def test_an_adapter_that_is_not_taken_is_told_with_the_reason(trial, adapter, behaviour, starts, why):
    served = trial(behaviour)
    base = ServedService(
        described=DESCRIBED, model="tiny", identity=IDENTITY, keeper=served.servers, tell=served.told.append
    )
    with pytest.raises(AdapterRefusedError, match=why):
        AdaptedService(base=base, model="one", folder=adapter).reach()
    assert served.num_starts == starts


@pytest.mark.parametrize(("num_rows", "num_told"), [(2, 2), (40, 16)])
def test_a_server_that_refuses_all_prompts_or_the_first_sixteen_fails_with_the_reason(trial, model, num_rows, num_told):
    why = rf"none of {num_told} prompts: it refuses a prompt of \d+ tokens: .*out of vocabulary"
    with pytest.raises(SftbenchError, match=why):
        writer_for(trial("refuses-prompts"), model).answer_rows(rows(num_rows), max_new_tokens=LIMIT)


@pytest.mark.parametrize("behaviour", ["refuses-400", "refuses-413", "refuses-422", "refuses-by-death"])
def test_a_single_prompt_that_is_refused_or_fatal_is_answered_by_nothing_and_counted(trial, model, behaviour):
    served = trial(behaviour)
    writer = writer_for(served, model)
    asked = rows(20)
    asked[13] = row("r13", "word " * 400)
    answers = told(writer.answer_rows(asked, max_new_tokens=LIMIT))
    wanted = list(expected(model, asked))
    assert [at for at in range(20) if answers[at] != wanted[at]] == [13]
    assert answers[13] == ("", True)
    assert (writer.told()["num_answers"], writer.told()["num_refused"]) == (19, 1)
    assert served.num_starts == (4 if behaviour == "refuses-by-death" else 1)


def test_an_attempt_that_broke_off_is_gone_on_with_and_only_what_is_missing_is_asked(trial, model, tmp_path):
    asked = rows(12)
    dying = trial("dies-for-good")
    first = writer_for(dying, model, kept=KeptAnswers(tmp_path / "kept"), num_at_once=1)
    with pytest.raises(EnvironmentProblem):
        first.answer_rows(asked, max_new_tokens=LIMIT)
    # The process was killed in the midst of a line.
    with (tmp_path / "kept").open("a") as stream:
        stream.write('["abc", [1, 2')
    served = trial("fine")
    again = writer_for(served, model, kept=KeptAnswers(tmp_path / "kept"), num_at_once=1)
    assert told(again.answer_rows(asked, max_new_tokens=LIMIT)) == list(expected(model, asked))
    assert len(served.notes) == 12 - 5
    assert any("5 answers of an attempt" in line for line in served.told)
    assert again.told()["num_answers"] == 12
    # What they cost is counted as if they had been written now.
    assert again.model.meter.ledger().tokens_generated == 12 * 6
    third = writer_for(trial("fine"), model, kept=KeptAnswers(tmp_path / "kept"))
    third.answer_rows(asked, max_new_tokens=LIMIT)
    assert len(KeptAnswers(tmp_path / "kept")) == 12
    # Other limits, seeds and temperatures have other answers.
    warm = writer_for(trial("fine"), model, kept=KeptAnswers(tmp_path / "kept"))
    warm.answer_rows(asked[:2], max_new_tokens=LIMIT, temperature=0.5, seeds=[1, 2])
    warm.answer_rows(asked[:2], max_new_tokens=LIMIT - 1)
    assert len(KeptAnswers(tmp_path / "kept")) == 16


def test_an_endpoint_that_tells_no_token_ids_is_no_use(serve, model):
    server = serve(lambda body: "text alone")
    writer = ServedWriter(service=Endpoint(url=server.url, model="m"), model=model, waits=(0.01,))
    with pytest.raises(EnvironmentProblem, match="no whole answer"):
        writer.answer_rows(rows(1), max_new_tokens=4)


class Table:
    """What of a desk the answers of a model need."""

    def __init__(self, scratch, trained):
        self.scratch, self.trained, self.lines, self.meter = scratch, trained, [], Meter()
        self.started = []
        self.note_start = self.started.append

    def unfinished(self, name):
        return self.scratch / name

    def model_path(self, name):
        assert name == "trained"
        return self.trained

    def log(self, line):
        self.lines.append(line)


def a_step(base, key, **where):
    parents = {"model": f"model/{key}"} if key else {}
    place = {"answers": f"vllm:{base}[dtype=float32]", "base_name": "tiny", **where}
    identity = {"max_new_tokens": LIMIT}
    return Step(room="responses", label="answers", identity=identity, parents=parents, where=place)


@pytest.fixture
def answered(house, monkeypatch, tmp_path):
    """Answers two rows as a step does, for one model after another of a run."""

    def answer(served, *steps):
        with receiving(served.servers) as address:
            monkeypatch.setenv(ADDRESS, address)
            for number, (step, trained) in enumerate(steps):
                scratch = tmp_path / f"scratch-{number}"
                scratch.mkdir()
                table = Table(scratch, trained)
                with served_writer(step, table) as writer:
                    texts = [each.text for each in writer.answer_rows(rows(2), max_new_tokens=LIMIT)]
                yield writer, texts, table

    return answer


def test_base_and_adapters_share_one_server_and_whole_models_have_one_each(
    answered, trial, material, adapter, model, tmp_path
):
    served = trial("fine")
    base = material.model
    whole = tmp_path / "whole"
    whole.mkdir()
    for each in base.iterdir():
        (whole / each.name).write_bytes(each.read_bytes())
    steps = [
        (a_step(base, "", lora_rank="4"), TrainedModel(path=base)),
        (a_step(base, "a" * 64, lora_rank="4"), TrainedModel(path=adapter, base_path=base)),
        (a_step(base, "b" * 64, lora_rank="4"), TrainedModel(path=adapter, base_path=base)),
        (a_step(base, "c" * 64, lora_rank="4"), TrainedModel(path=whole)),
    ]
    as_what, texts, running = [], [], []
    for writer, found, _ in answered(served, *steps):
        as_what.append(writer.served_as)
        texts.append(found)
        running.append(sum(map(runs, served.pids)))
    assert as_what == ["whole model", "adapter loaded", "adapter loaded", "whole model"]
    plain = [text for text, _ in expected(model, rows(2))]
    adapted = [text for text, _ in expected(model, rows(2), first=[OF_ADAPTER])]
    assert texts == [plain, adapted, adapted, plain]
    # Never two at a time, and the folder of the base is not served twice.
    assert running == [1, 1, 1, 1]
    assert served.described == [f"vllm:{base}[dtype=float32,lora_rank=8]", f"vllm:{whole}[dtype=float32]"]
    assert [line for line in served.notes if "load" in line] == [
        "0 load tiny-aaaaaaaaaaaa", "0 unload tiny-aaaaaaaaaaaa", "0 load tiny-bbbbbbbbbbbb",
        "0 unload tiny-bbbbbbbbbbbb",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def trained_adapter(material, tmp_path_factory):
    """An adapter that changes the tiny model's numbers."""
    import torch

    from sftbench.engines.training import models
    from sftbench.engines.training.settings import TrainingSettings

    folder, base = tmp_path_factory.mktemp("trained-adapter"), TrainedModel(path=material.model)
    with torch.random.fork_rng():
        adapted = models.trainable(base, TrainingSettings(rank=4), seed=0)
        for name, values in adapted.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(values, std=0.1)
    models.save(adapted, base=base, out=folder)
    return folder


def test_an_adapter_that_is_refused_is_merged_and_the_whole_is_served_for_as_long_as_it_is_asked(
    answered, trial, material, trained_adapter
):
    served = trial("refuses-adapters")
    step = a_step(material.model, "a" * 64, lora_rank="4")
    ((writer, _, table),) = answered(served, (step, TrainedModel(path=trained_adapter, base_path=material.model)))
    assert writer.served_as == "adapter merged"
    assert any("does not yet support DoRA" in line and "merged" in line for line in table.lines)
    assert served.described[-1] == f"vllm:{table.scratch / 'merged'}[dtype=float32]"
    assert not (table.scratch / "merged").exists()
    assert table.started[0] > 0.1
    assert not list(table.scratch.glob("answers-*"))
    assert served.num_starts == 2


def test_a_merged_folder_holds_the_model_that_a_process_would_ask(material, trained_adapter, tmp_path):
    from sftbench.engines.generate import answer_rows
    from sftbench.engines.loading import save_merged

    save_merged(material.model, trained_adapter, tmp_path / "merged", dtype="float32")
    merged = LanguageModel.load(tmp_path / "merged")
    adapted = LanguageModel.load(material.model, adapter=trained_adapter)
    first, second = (each.model.state_dict() for each in (merged, adapted))
    for name, values in second.items():
        np.testing.assert_array_equal(first[name].numpy(), values.numpy())
    answers = [told(answer_rows(each, rows(3), max_new_tokens=LIMIT)) for each in (merged, adapted)]
    assert answers[0] == answers[1]
    plain = LanguageModel.load(material.model)
    assert answers[0] != told(answer_rows(plain, rows(3), max_new_tokens=LIMIT))


@pytest.mark.parametrize(
    ("dtype", "on_cpu", "rank", "room"),
    [
        ("float32", True, 4, 8), ("float32", True, 16, 16), ("float32", True, 17, 32), ("float32", True, 600, None),
        ("float32", True, 0, None), ("float32", False, 4, None), ("bfloat16", False, 4, 8),
    ],
)  # fmt: skip
def test_there_is_room_for_adapters_in_the_ranks_and_precisions_of_vllm(house, material, dtype, on_cpu, rank, room):
    import dataclasses

    from sftbench.serving.adapters import room_for
    from sftbench.serving.environment import find_environment

    found = find_environment()
    environment = found if on_cpu else dataclasses.replace(found, distribution="vllm")
    assert room_for(rank, base=material.model, dtype=dtype, environment=environment) == room


def test_a_base_of_a_kind_without_adapters_has_no_room_for_them(house, tmp_path):
    from sftbench.serving.adapters import room_for
    from sftbench.serving.environment import find_environment

    (tmp_path / "config.json").write_text('{"architectures": ["GPT2LMHeadModel"]}')
    assert room_for(4, base=tmp_path, dtype="float32", environment=find_environment()) is None
