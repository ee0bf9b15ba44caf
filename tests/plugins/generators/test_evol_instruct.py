"""Evol-Instruct: operators, rounds, what is given up, and the rules that stand in."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from sftbench_plugins.generators.evol_instruct import DEPTH, METHODS, EvolInstruct, eliminated


@pytest.mark.parametrize(
    ("question", "answer", "reason"),
    [
        ("Explain trees in depth.", "Trees are tall plants.", ""),
        ("The Rewritten Prompt: explain trees.", "Trees are tall.", "echo"),
        ("Improve the old instruction.", "Trees are tall.", "echo"),
        ("Explain trees.", "I am sorry, but I cannot do that.", "refusal"),
        ("Explain trees.", "Sorry " + "tree " * 90, ""),
        ("Explain trees.", "...!?", "no_content"),
        ("Explain trees.", "and the, of it!", "no_content"),
    ],
)
def test_what_the_paper_gives_up(question, answer, reason):
    assert eliminated(question, answer) == reason


@pytest.mark.parametrize(("mode", "num_operators"), [("official", 5), ("paper", 6)])
def test_operators_are_drawn_equally_often(mode, num_operators):
    part = EvolInstruct(mode=mode)
    counts = Counter(part.operator(chain, turn, 0) for chain in range(1500) for turn in range(1, 5))
    assert set(counts) == {"breadth", *DEPTH[mode]}
    assert len(counts) == num_operators
    for count in counts.values():
        assert count / 6000 == pytest.approx(1 / num_operators, abs=0.02)


def test_the_share_of_breadth_can_be_chosen():
    part = EvolInstruct(breadth_share=0.75)
    counts = Counter(part.operator(chain, 1, 3) for chain in range(4000))
    assert counts["breadth"] / 4000 == pytest.approx(0.75, abs=0.03)
    assert {EvolInstruct(breadth_share=0.0).operator(chain, 1, 0) for chain in range(200)} == set(METHODS)


def chained(request, said):
    """Every new instruction holds the old one."""
    text = said(request)
    if '{"equal"' in text:
        return json.dumps({"equal": False})
    if "<old>" in text:
        old = text.partition("<old>")[2].partition("</old>")[0].strip()
        return json.dumps({"instruction": f"{old} And {request.seed}?"})
    return f"This tree answers {request.seed}."


def test_every_round_starts_from_what_the_last_one_gave(generate, said, trees):
    made = generate(EvolInstruct(rounds=3, num_rows=30), reply=lambda request: chained(request, said))
    asked = {row["id"]: row["instruction"] for row in trees()}
    for at in range(0, 30, 3):
        chain = [row.prompt for row in made.rows[at : at + 3]]
        told = made.lineages[at : at + 3]
        assert [each["round"] for each in told] == [1, 2, 3]
        assert len({each["parent_ids"][0] for each in told}) == 1
        assert chain[0].startswith(asked[told[0]["parent_ids"][0]])
        assert chain[1].startswith(chain[0])
        assert chain[2].startswith(chain[1])
    assert len({told["parent_ids"][0] for told in made.lineages}) == 10
    methods = [each for each in made.desk.language.requests if "<old>" in said(each)]
    assert {(each.temperature, each.top_p, each.max_new_tokens) for each in methods} == {(1.0, 0.95, 2048)}


def test_what_is_given_up_is_tried_again_from_the_old_instruction_in_mode_paper_alone(generate, said):
    def reply(request):
        text = said(request)
        if '{"equal"' in text:
            return json.dumps({"equal": "And" not in text.partition("<first>")[2].partition("</first>")[0]})
        return chained(request, said)

    paper = generate(EvolInstruct(rounds=4, num_rows=8), reply=reply)
    assert paper.rows == []
    assert paper.report["rejected"] == {"no_gain": 24}
    official = generate(EvolInstruct(rounds=4, num_rows=8, mode="official"), reply=reply)
    assert len(official.rows) == 8
    assert not official.desk.language.prompts('{"equal"')


def test_what_is_too_long_to_be_asked_is_rejected_or_noted_and_never_sent(generate, said):
    def reply(request):
        text = said(request)
        if "<old>" in text:
            return json.dumps({"instruction": f"Why {request.seed}? " * 60})
        return chained(request, said)

    made = generate(EvolInstruct(rounds=1, num_rows=4, max_prompt_characters=700), reply=reply)
    assert made.report["rejected"] == {"prompt_too_long": 12}
    unjudged = generate(EvolInstruct(rounds=1, num_rows=4, max_prompt_characters=1100), reply=reply)
    assert len(unjudged.rows) == 4
    assert unjudged.report["notes"]["gain_not_judged"] >= 4
    assert max(len(said(each)) for each in unjudged.desk.language.requests) <= 1100


def test_a_failed_round_leaves_the_later_ones(generate, said):
    def reply(request):
        text = said(request)
        if "<old>" in text and "And" not in text and request.seed % 2:
            return "nonsense"
        return chained(request, said)

    made = generate(EvolInstruct(rounds=2, num_rows=16, mode="official"), reply=reply)
    assert len(made.rows) == 16
    assert made.report["rejected"].keys() <= {"parse_error"}
    assert made.report["kinds"].keys() == {"round 1", "round 2"}


def test_a_conversation_keeps_its_beginning(generate, said):
    turns = [("user", "Name a tree."), ("assistant", "Elm."), ("user", "Describe it."), ("assistant", "It is tall.")]
    row = {"messages": [{"role": role, "content": text} for role, text in turns]}
    made = generate(EvolInstruct(rounds=1, num_rows=1), [row], reply=lambda request: chained(request, said))
    assert [each.content for each in made.rows[0].messages[:2]] == ["Name a tree.", "Elm."]
    assert made.rows[0].messages[2].content.startswith("Describe it. And")
    answers = [each for each in made.desk.language.requests if "{" not in said(each)]
    assert [each.role for each in answers[0].messages] == ["user", "assistant", "user"]


def test_without_a_language_model_rules_make_rows_of_every_round(generate, trees):
    made = generate(EvolInstruct(num_rows=40), trees(40, inputs=True))
    assert len(made.rows) == 40
    assert {told["round"] for told in made.lineages} == {1, 2, 3, 4}
    rows = {row["id"]: row for row in trees(40, inputs=True)}
    for row, told in zip(made.rows, made.lineages, strict=True):
        assert rows[told["parent_ids"][0]]["instruction"] in row.original()["instruction"]
        assert rows[told["parent_ids"][0]]["output"].lower() in row.response.lower()
    assert made.rows == generate(EvolInstruct(num_rows=40), trees(40, inputs=True)).rows


def test_planted_defects_are_inherited(generate, trees):
    rows = [{**row, "_planted": "filler", "_planted_spans": [[4, 10]]} for row in trees(10)]
    made = generate(EvolInstruct(num_rows=20), rows)
    for row in made.rows:
        assert row.planted == "filler"
        assert all(row.response[start:end].lower() == "leaves" for start, end in row.planted_spans)


@pytest.mark.parametrize("wrong", [{"rounds": 0}, {"breadth_share": 1.5}])
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="must be"):
        EvolInstruct(**wrong)
