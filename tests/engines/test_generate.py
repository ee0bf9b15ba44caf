"""Greedy answers against `model.generate`, one row at a time."""

from __future__ import annotations

import pytest
import torch

from sftbench.engines.forward import LanguageModel
from sftbench.engines.generate import generate_greedy, prompt_tokens, stop_tokens

WORDS = ("the", "a", "then hello", "\n\n", "x" * 30, "he he he", "?", "1 2 3 4 5 6 7 8")


@pytest.fixture
def rows(make_row):
    """Prompts of many lengths."""
    return [make_row(text, "unused", row_id=str(at)) for at, text in enumerate(WORDS)]


def one_by_one(engine, rows, max_new_tokens):
    texts = []
    for ids in prompt_tokens(engine, rows, max_new_tokens=max_new_tokens):
        given = torch.tensor([ids])
        found = engine.model.generate(
            input_ids=given, attention_mask=torch.ones_like(given), max_new_tokens=max_new_tokens, do_sample=False,
            pad_token_id=0, eos_token_id=sorted(stop_tokens(engine)),
        )  # fmt: skip
        new = found[0, len(ids) :].tolist()
        kept = new[:-1] if new[-1] in stop_tokens(engine) else new
        texts.append(engine.tokenizer.decode(kept, skip_special_tokens=True))
    return texts


@pytest.mark.parametrize("max_batch_tokens", [1, 100, 100000])
def test_answers_equal_those_of_the_models_own_generate(language_model, rows, max_batch_tokens):
    language_model.max_length = 60
    found = generate_greedy(language_model, rows, max_new_tokens=20, max_batch_tokens=max_batch_tokens)
    assert found == one_by_one(language_model, rows, 20)
    assert len(set(found)) > 1


def test_a_row_ends_at_eos_and_the_others_go_on(llama, rows):
    free = llama()
    unhindered = generate_greedy(free, rows, max_new_tokens=12)
    frequent = free.tokenizer(unhindered[0])["input_ids"][2]
    engine = llama()
    engine.model.generation_config.eos_token_id = [frequent, 260]
    found = generate_greedy(engine, rows, max_new_tokens=12)
    assert found == one_by_one(engine, rows, 12)
    assert len({len(engine.tokenizer(text)["input_ids"]) for text in found}) > 1
    assert all(whole.startswith(cut) for whole, cut in zip(unhindered, found, strict=True))


def test_the_marker_that_ends_a_turn_in_training_ends_an_answer(llama, make_tokenizer):
    template = "{% for m in messages %}{{ m.content }}<|end|>{% endfor %}"
    tokenizer = make_tokenizer(chat_template=template)
    engine = LanguageModel(llama().model, tokenizer)
    assert stop_tokens(engine) == {260, tokenizer.convert_tokens_to_ids("<|end|>")}


def test_a_prompt_that_is_too_long_loses_its_beginning_and_it_is_logged(llama, make_row, caplog):
    engine = llama()
    engine.max_length = 30
    long = make_row("ab" * 40 + "cdefg", "unused")
    ids = prompt_tokens(engine, [long], max_new_tokens=10)[0]
    assert engine.tokenizer.decode(ids) == ("ab" * 40 + "cdefg\n")[-20:]
    assert "1 of 1 prompts" in caplog.text


def test_a_bos_survives_the_cut(llama, make_row, make_tokenizer):
    engine = LanguageModel(llama().model, make_tokenizer(bos=True))
    engine.max_length = 30
    ids = prompt_tokens(engine, [make_row("x" * 90, "unused")], max_new_tokens=10)[0]
    assert ids[0] == 259
    assert len(ids) == 20


def test_work_is_metered_and_progress_told(llama, rows):
    spent: dict[str, float] = {}
    done: list[int] = []

    def meter(**amounts: float) -> None:
        for name, amount in amounts.items():
            spent[name] = spent.get(name, 0) + amount

    engine = llama(meter=meter)
    texts = generate_greedy(engine, rows, max_new_tokens=5, advance=done.append)
    prompts = prompt_tokens(engine, rows, max_new_tokens=5)
    assert spent["tokens_forward"] == sum(map(len, prompts))
    assert spent["tokens_generated"] == 5 * len(texts)
    assert spent["flops"] > 2 * engine.shape.num_body_parameters * spent["tokens_forward"]
    assert sum(done) == len(rows)


def test_no_rows_give_no_answers(llama):
    assert generate_greedy(llama(), [], max_new_tokens=5) == []


def test_a_prompt_that_the_template_refuses_is_answered_by_nothing(llama, make_row, make_tokenizer, caplog):
    template = (
        "{% for m in messages %}{% if m.content == 'bad' %}{{ raise_exception('no') }}{% endif %}"
        "{{ m.content }}<|end|>{% endfor %}"
    )
    engine = LanguageModel(llama().model, make_tokenizer(chat_template=template))
    done: list[int] = []
    rows = [make_row("fine", "u"), make_row("bad", "u")]
    found = generate_greedy(engine, rows, max_new_tokens=5, advance=done.append)
    assert found[0]
    assert found[1] == ""
    assert sum(done) == 2
    assert "refuses 1 of 2" in caplog.text
