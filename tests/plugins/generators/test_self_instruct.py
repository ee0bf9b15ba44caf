"""Self-Instruct: the released rules, the pool that tasks must differ from, and instances of tasks."""

from __future__ import annotations

import json

import pytest

from sftbench.engines.generate import Continuation
from sftbench_plugins.generators.rouge import rouge_l, words_of
from sftbench_plugins.generators.self_instruct import SelfInstruct, unfit, unfit_instance


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Name three trees", "too_few_words"),
        ("Name four tall trees", ""),
        ("word " * 151, "too_many_words"),
        ("word " * 150, ""),
        ("Describe the image of a dog", "unfit_word"),
        ("Describe the IMAGES of a dog", "unfit_word"),
        ("Tell me where to go to eat", "unfit_word"),
        ("Imagine that it is raining today", ""),
        ("List profiles of famous people here", ""),
        ("Write a program that adds numbers", "write_a_program"),
        ("write a program that adds numbers", ""),
        ("(Name) four tall trees", "starts_with_punctuation"),
    ],
)
@pytest.mark.parametrize("mode", ["paper", "official"])
def test_the_words_alone_reject_a_task(text, reason, mode):
    assert unfit(text, mode) == reason


def test_other_alphabets_are_rejected_in_the_official_mode_only():
    assert unfit("Élabore une liste de mots", "official") == "starts_beyond_ascii"
    assert unfit("Élabore une liste de mots", "paper") == ""


@pytest.mark.parametrize(
    ("context", "output", "paper", "official"),
    [
        ("abc", "abc", "repeats_input", "repeats_input"),
        ("", "It ends here:", "ends_with_colon", "ends_with_colon"),
        ("The text:", "Fine.", "ends_with_colon", "ends_with_colon"),
        ("A long text with many words", "long text with many", "repeats_input", ""),
        ("A red fox", "red", "", ""),
        ("", "Fine.", "", ""),
    ],
)
def test_an_instance_that_repeats_its_input_or_breaks_off_is_rejected(context, output, paper, official):
    assert unfit_instance(context, output, "paper") == paper
    assert unfit_instance(context, output, "official") == official


def test_eight_tasks_are_shown_of_which_two_were_made_before(generate, does_as_told, said, trees):
    made = generate(SelfInstruct(num_rows=60), reply=does_as_told)
    assert len(made.rows) == 60
    lists = made.desk.language.prompts("tasks number 9 to 16")
    real = {row["instruction"] for row in trees()}
    shown = [[line.partition(". ")[2] for line in said(each).splitlines() if line[:1].isdigit()] for each in lists]
    assert all(len(each) == 8 for each in shown)
    machine = [sum(task not in real for task in each) for each in shown]
    assert machine[:5] == [0] * 5, "nothing was made before the first five requests"
    assert set(machine[5:]) == {2}
    assert {(each.temperature, each.top_p) for each in lists} == {(0.7, 0.5)}


def test_every_task_differs_from_all_real_ones_and_from_those_before(generate, said, trees):
    def reply(request):
        if "tasks number" in said(request):
            return (
                "\n".join(
                    f"{at}. Describe the leaves of the {word} tree number {request.seed % 1000}."
                    for at, word in enumerate(("elm", "palm", "kauri"), start=9)
                )
                + f"\n12. Count w{request.seed} from x{request.seed} to y{request.seed}\n13. Say"
            )
        return json.dumps({"classification": False, "input": "", "output": f"Answer {request.seed}."})

    made = generate(SelfInstruct(num_rows=12), reply=reply)
    texts = [row["instruction"] for row in trees()] + [row.prompt for row in made.rows]
    for at in range(40, len(texts)):
        assert max(rouge_l(words_of(texts[at]), words_of(each)) for each in texts[:at]) <= 0.7
    assert made.report["rejected"].keys() == {"rouge", "too_few_words"}


def test_a_list_too_long_for_a_prompt_loses_its_last_tasks_which_is_noted(generate, does_as_told, said, trees):
    rows = [{**row, "instruction": f"{row['instruction']} {'Take your time. ' * 20}"} for row in trees()]
    made = generate(SelfInstruct(num_rows=6, max_prompt_characters=1800), rows, reply=does_as_told)
    lists = made.desk.language.prompts("Go on with the list")
    assert all(1200 < len(said(each)) <= 1800 for each in lists)
    shown = sum(said(each).count("Describe the leaves") for each in lists)
    assert made.report["notes"]["examples_dropped"] == 8 * len(lists) - shown > 0
    asked = {row["id"]: row["instruction"].strip() for row in rows}
    for told in made.lineages:
        assert any(all(asked[parent] in said(each) for parent in told["parent_ids"]) for each in lists)
    nothing = generate(SelfInstruct(num_rows=2, max_prompt_characters=300), rows, reply=does_as_told)
    assert nothing.report["rejected"] == {"prompt_too_long": 6}
    assert nothing.desk.language.requests == []


def test_classification_tasks_are_worked_out_from_the_label(generate, does_as_told, said):
    made = generate(SelfInstruct(num_rows=30), reply=does_as_told)
    by_kind = {told["instance"] for told in made.lineages}
    assert by_kind == {"instance-output-first@1", "instance-input-first@1"}
    labels_first = made.desk.language.prompts("Choose one of its possible labels")
    classified = {told for told in map(said, labels_first) if told}
    for row, told in zip(made.rows, made.lineages, strict=True):
        assert any(row.prompt in text for text in classified) == (told["instance"] == "instance-output-first@1")


def test_the_official_mode_puts_letters_in_small_ones(generate, said):
    def reply(request):
        if "tasks number" in said(request):
            return f"9. compare Paris and Rome w{request.seed} x{request.seed} y{request.seed}"
        return json.dumps({"classification": False, "input": "", "output": f"Answer {request.seed}."})

    official, paper = (generate(SelfInstruct(num_rows=2, mode=mode), reply=reply) for mode in ("official", "paper"))
    assert all(row.prompt.startswith("Compare paris and rome") for row in official.rows)
    assert all(row.prompt.startswith("compare Paris and Rome") for row in paper.rows)


def test_a_list_that_is_none_is_rejected(generate):
    made = generate(SelfInstruct(num_rows=4), reply=lambda request: "I cannot do that.")
    assert made.report["rejected"] == {"parse_error": 12}


def test_no_more_seed_tasks_than_wanted(generate, does_as_told, said, trees):
    made = generate(SelfInstruct(num_rows=8, num_seeds=9), reply=does_as_told)
    real = {row["instruction"] for row in trees()}
    lists = made.desk.language.prompts("tasks number")
    used = {task for task in real for each in lists if f". {task}" in said(each)}
    assert len(used) == 9
    assert made.report["num_seeds"] == 9


def test_without_a_language_model_lists_are_continued(generate, tasks, small_model):
    made = generate(SelfInstruct(num_rows=15), tasks, model=small_model)
    assert len(made.rows) == 15
    known = [row["messages"][0]["content"] for row in tasks]
    for row in made.rows:
        assert unfit(row.prompt, "paper") == ""
        assert "\n" not in row.prompt
        assert max(rouge_l(words_of(row.prompt), words_of(each)) for each in known) <= 0.7
    assert all(len(told["parent_ids"]) in (6, 7, 8) for told in made.lineages)
    assert generate(SelfInstruct(num_rows=15), tasks, model=small_model).rows == made.rows


def test_a_line_left_blank_is_no_instruction_and_the_next_one_is_read(generate, tasks, small_model, monkeypatch):
    """A model that leaves every second line free, and one that writes nothing but blank lines."""

    def writing(text):
        def continued(model, prompts, *, seeds, **rest):
            now = [text if prompt.endswith("\n\n") else "" for prompt in prompts]
            return [Continuation(text=f"{each} {seed}" if each else "", ended=True)
                    for each, seed in zip(now, seeds, strict=True)]  # fmt: skip

        monkeypatch.setattr("sftbench.continue_texts", continued)
        return generate(SelfInstruct(num_rows=4, rouge=1.0), tasks, model=small_model)

    made = writing("Sort all of these words backwards")
    assert all(row.prompt.startswith("Sort all of these") for row in made.rows)
    assert "empty_instruction" not in made.report["rejected"]
    assert writing("").report["rejected"] == {"empty_instruction": 12}


@pytest.mark.parametrize("wrong", [{"num_machine": 8}, {"rouge": 0.0}, {"num_seeds": 0}])
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match=r"expected|must be"):
        SelfInstruct(**wrong)
