"""The task families: the same every time, all there, and right by independent recomputation."""

from __future__ import annotations

import datetime
import re
from collections import defaultdict
from collections.abc import Callable

import pytest

from sftbench_plugins.answers import is_correct
from sftbench_plugins.microcosm.tasks import FAMILIES, Task, make_task
from sftbench_plugins.microcosm.vocabulary import CATEGORIES, OPPOSITES, RHYMES, WORDS

NUM_TASKS = 1500


@pytest.fixture(scope="module")
def tasks() -> dict[str, list[Task]]:
    by_family: dict[str, list[Task]] = defaultdict(list)
    for index in range(NUM_TASKS):
        for heldout in (False, True):
            task = make_task(3, index, heldout=heldout)
            by_family[task.family].append(task)
    return by_family


def numbers_in(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text)]


def listed_words(task: Task) -> list[str]:
    """The longest run of words of the closed list, which is the list that is asked about."""
    runs: list[list[str]] = [[]]
    for token in re.findall(r"\w+|[^\w\s]", task.instruction):
        if token in WORDS:
            runs[-1].append(token)
        else:
            runs.append([])
    return max(runs, key=len)


def test_a_task_is_the_same_for_the_same_seed_and_index() -> None:
    assert [make_task(1, index) for index in range(100)] == [make_task(1, index) for index in range(100)]
    assert [make_task(1, index) for index in range(100)] != [make_task(2, index) for index in range(100)]


def test_every_family_comes_once_per_turn() -> None:
    turn = [make_task(5, index).family for index in range(len(FAMILIES), 2 * len(FAMILIES))]
    assert sorted(turn) == sorted(FAMILIES)
    assert len(FAMILIES) >= 12


def test_every_family_has_several_phrasings_and_a_right_reference(tasks: dict[str, list[Task]]) -> None:
    for family, many in tasks.items():
        assert all(is_correct(task.response, task.answers) for task in many), family
        assert len({task.instruction.split()[0] for task in many}) >= 2, family


def test_response_lengths_vary_from_one_word_to_many(tasks: dict[str, list[Task]]) -> None:
    lengths = sorted(len(task.response.split()) for many in tasks.values() for task in many)
    assert lengths[0] == 1
    assert lengths[len(lengths) // 2] <= 3
    assert lengths[-1] >= 25


@pytest.mark.parametrize(
    ("family", "solve"),
    [
        ("sort_words", lambda words: " ".join(sorted(words))),
        ("reverse_words", lambda words: " ".join(words[::-1])),
        ("count_words", lambda words: str(len(words))),
        ("join_words", lambda words: " and".join(", ".join(words).rsplit(",", 1))),
    ],
)
def test_lists_are_right(tasks: dict[str, list[Task]], family: str, solve: Callable[[list[str]], str]) -> None:
    for task in tasks[family]:
        assert task.answers == (solve(listed_words(task)),)


@pytest.mark.parametrize(
    ("family", "solve"),
    [
        ("add", lambda numbers, _: str(sum(numbers))),
        ("subtract", lambda numbers, _: str(max(numbers) - min(numbers))),
        ("sort_numbers", lambda numbers, _: " ".join(map(str, sorted(numbers)))),
        ("sequence", lambda numbers, _: str(2 * numbers[-1] - numbers[-2])),
        ("compare_numbers", lambda numbers, text: str(max(numbers) if "bigger" in text else min(numbers))),
    ],
)
def test_numbers_are_right(tasks: dict[str, list[Task]], family: str, solve: Callable[[list[int], str], str]) -> None:
    for task in tasks[family]:
        assert task.answers == (solve(numbers_in(task.instruction), task.instruction),)


def test_dates_are_right(tasks: dict[str, list[Task]]) -> None:
    for task in tasks["format_date"]:
        written = re.search(r"\d+ [A-Z][a-z]+ \d{4}", task.instruction)
        assert written is not None
        parsed = datetime.datetime.strptime(written.group(), "%d %B %Y").replace(tzinfo=datetime.UTC)
        assert task.answers == (parsed.date().isoformat(),)


def test_the_odd_word_is_of_another_kind(tasks: dict[str, list[Task]]) -> None:
    for task in tasks["odd_one_out"]:
        words = set(listed_words(task))
        (odd,) = task.answers
        assert any(words - {odd} <= set(members) and odd not in members for members in CATEGORIES.values())


def test_open_questions_accept_several_answers(tasks: dict[str, list[Task]]) -> None:
    for family in ("name_one", "rhyme"):
        for task in tasks[family]:
            assert len(task.answers) >= 3
            assert all(is_correct(str(answer), task.answers) for answer in task.answers)


def test_closed_words_are_unambiguous() -> None:
    assert len(set(WORDS)) == len(WORDS)
    assert len({word for pair in OPPOSITES for word in pair}) == 2 * len(OPPOSITES)
    assert len({word for group in RHYMES for word in group}) == sum(map(len, RHYMES))
