"""Magpie: the template that a model is given, where a turn ends, ratings, and the base model that stands in."""

from __future__ import annotations

import json
from collections import Counter
from hashlib import sha256

import pytest

from sftbench import LanguageModel, UsageError
from sftbench_plugins.generators.magpie import QUALITIES, Magpie, families, pre_query

LLAMA = "meta-llama/Meta-Llama-3-8B-Instruct"


@pytest.mark.parametrize(
    ("model", "family", "text"),
    [
        (LLAMA, "llama-3", "<|start_header_id|>user<|end_header_id|>\n\n"),
        ("Qwen2.5-7B-Instruct", "qwen", "<|im_start|>user\n"),
        ("google/gemma-2-9b-it", "gemma", "<start_of_turn>user\n"),
        ("microsoft/Phi-3-mini-4k", "phi-3", "<|user|>\n"),
        ("mistralai/Mistral-7B-Instruct-v0.3", "mistral", "[INST] "),
        ("NousResearch/Hermes-2-Pro", "chatml", "<|im_start|>user\n"),
    ],
)
def test_the_template_is_found_by_the_models_name(model, family, text):
    found = pre_query("auto", model, "")
    assert (found.name, found.text) == (family, text)
    assert found.stop


def test_a_model_of_no_known_family_is_refused_with_the_way_out(generate, does_as_told):
    with pytest.raises(UsageError, match=r"'some-model'.*template=NAME.*pre_query=TEXT"):
        generate(Magpie(), reply=does_as_told, name="some-model")
    made = generate(Magpie(pre_query="### User:\n", num_rows=3), reply=does_as_told, name="some-model")
    assert {each.prompt for each in made.desk.language.requests if each.prompt} == {"### User:\n"}
    with pytest.raises(UsageError, match="no place for a system prompt"):
        pre_query("gemma", "", "Be a poet.")


def test_every_family_has_what_it_needs():
    for name, told in families().items():
        assert all(told[piece] for piece in ("names", "plain", "stop")), name
        assert "$system" in told.get("with_system", "$system")


def test_a_model_is_given_nothing_but_the_beginning_of_a_turn(generate, does_as_told, said):
    made = generate(Magpie(num_rows=20), reply=does_as_told, name=LLAMA)
    turns = [each for each in made.desk.language.requests if each.prompt is not None]
    assert {each.prompt for each in turns} == {"<|start_header_id|>user<|end_header_id|>\n\n"}
    assert len({each.seed for each in turns}) == len(turns)
    assert {(each.temperature, each.top_p) for each in turns} == {(1.0, 1.0)}
    answers = [each for each in made.desk.language.requests if each.messages and "{" not in said(each)]
    assert {each.temperature for each in answers} == {0.0}
    assert {each.messages[-1].content for each in answers} >= {row.prompt for row in made.rows}
    assert all(told["parent_ids"] == [] for told in made.lineages)
    assert all(told["quality"] == "good" for told in made.lineages)
    assert made.report["template"] == "llama-3"
    assert made.report["prompts"].keys() == {"pre-query@1", "quality@1"}
    (digest,) = {told["prompt_hash"] for told in made.lineages}
    assert digest == sha256(turns[0].prompt.encode()).hexdigest()[:16]


@pytest.mark.parametrize(("mode", "stops"), [("official", True), ("paper", False)])
def test_a_line_break_ends_an_instruction_in_the_official_mode(generate, does_as_told, mode, stops):
    made = generate(Magpie(num_rows=2, mode=mode), reply=does_as_told, name=LLAMA)
    turns = [each for each in made.desk.language.requests if each.prompt is not None]
    assert all(("\n" in each.stop) == stops for each in turns)
    assert all("<|eot_id|>" in each.stop for each in turns)


def test_a_system_prompt_leads_and_stands_before_the_answer_too(generate, does_as_told, said):
    made = generate(Magpie(num_rows=2, system="You know plants."), reply=does_as_told, name=LLAMA)
    turn = next(each for each in made.desk.language.requests if each.prompt is not None)
    assert "You know plants.<|eot_id|>" in turn.prompt
    answers = [each for each in made.desk.language.requests if each.messages and "{" not in said(each)]
    assert all(each.messages[0].content == "You know plants." for each in answers)
    assert made.lineages[0]["system"] == "You know plants."


@pytest.mark.parametrize("least", [*QUALITIES, "off"])
def test_instructions_below_the_least_quality_are_rejected(generate, does_as_told, said, least):
    def reply(request):
        if '{"quality"' in said(request):
            asked = said(request).partition("<instruction>")[2]
            return json.dumps({"quality": QUALITIES[sum(asked.encode()) % 5], "difficulty": "hard"})
        return does_as_told(request)

    made = generate(Magpie(num_rows=30, least_quality=least), reply=reply, name=LLAMA)
    kept = Counter(told.get("quality") for told in made.lineages)
    expected = {None} if least == "off" else set(QUALITIES[QUALITIES.index(least) :])
    assert set(kept) == expected
    assert set(made.report["rejected"]) <= {"low_quality"}
    assert bool(made.desk.language.prompts('{"quality"')) == (least != "off")


@pytest.mark.parametrize(
    ("turn", "reason"),
    [("", "empty_instruction"), ("# A heading", "starts_with_markdown"), ("Answer these:", "ends_with_colon")],
)
def test_turns_that_are_no_instructions_are_rejected(generate, does_as_told, turn, reason):
    def reply(request):
        return turn if request.prompt is not None else does_as_told(request)

    made = generate(Magpie(num_rows=4), reply=reply, name=LLAMA)
    assert made.report["rejected"] == {reason: 12}


@pytest.mark.parametrize("least_quality", ["good", "off"])
def test_a_turn_too_long_to_be_asked_about_is_rejected_and_not_sent(generate, does_as_told, said, least_quality):
    def reply(request):
        return "Why? " * 100 if request.prompt is not None else does_as_told(request)

    part = Magpie(num_rows=4, least_quality=least_quality, max_prompt_characters=450)
    made = generate(part, reply=reply, name=LLAMA)
    reason = "prompt_too_long" if least_quality == "off" else "quality_prompt_too_long"
    assert made.report["rejected"] == {reason: 12}
    assert max(len(said(each)) for each in made.desk.language.requests) <= 450


def test_an_unreadable_rating_is_a_reason_of_its_own(generate, does_as_told, said):
    def reply(request):
        return "fine" if '{"quality"' in said(request) else does_as_told(request)

    made = generate(Magpie(num_rows=4), reply=reply, name=LLAMA)
    assert made.report["rejected"] == {"quality_parse_error": 12}


def test_without_a_language_model_the_base_model_writes_from_nothing(generate, tasks, small_model):
    made = generate(Magpie(num_rows=12), tasks, model=small_model)
    assert len(made.rows) == 12
    assert made.report["pre_query"] == ""
    assert all("\n" not in row.prompt for row in made.rows)
    assert set(made.desk.asked_for) == {"base", "warmed-up"}
    assert made.rows == generate(Magpie(num_rows=12), tasks, model=small_model).rows


def test_a_model_with_a_chat_template_begins_with_that(generate, tasks, small_model):
    template = (
        "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}<|endoftext|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
    )
    from copy import copy

    tokenizer = copy(small_model.tokenizer)
    tokenizer.chat_template = template
    model = LanguageModel(small_model.model, tokenizer)
    made = generate(Magpie(num_rows=1, system="Be brief."), tasks, model=model)
    assert made.report["pre_query"] == "<|system|>\nBe brief.<|endoftext|>\n<|user|>\n"
