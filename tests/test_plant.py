"""Planting defects in any pool."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from sftbench.defects import near_copy, truncated
from sftbench.plant import KINDS, PlantableRow, PlantedRow, plant, plant_stream, response_of

NUM_ROWS = 500


def row(index: int, response: str) -> PlantableRow:
    return {
        "id": f"row-{index}",
        "messages": [
            {"role": "user", "content": f"Question number {index}, please?"},
            {"role": "assistant", "content": response},
        ],
    }


@pytest.fixture(scope="module")
def pool() -> list[PlantableRow]:
    rng = random.Random(7)
    words = [
        "harbour",
        "copper",
        "window",
        "meadow",
        "lantern",
        "Otto",
        "Berta",
        "Carla",
        "saddle",
        "violet",
        "thunder",
        "paper",
    ]
    shapes = (
        lambda: " ".join(rng.sample(words, 6)).capitalize() + ". Then it was over.",
        lambda: f"It took {rng.randint(3, 900)} days and {rng.randint(3, 900)} nights.",
        lambda: rng.choice(words),
        lambda: str(rng.randint(1, 99)),
    )
    return [row(index, shapes[index % len(shapes)]()) for index in range(NUM_ROWS)]


@pytest.fixture(scope="module")
def planted(pool: list[PlantableRow]) -> list[PlantedRow]:
    return plant(pool, share=0.3, seed=1)


def of_kind(planted: list[PlantedRow], pool: list[PlantableRow], kind: str) -> list[tuple[PlantedRow, PlantableRow]]:
    return [(after, before) for after, before in zip(planted, pool, strict=True) if after["planted_kind"] == kind]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.333, 1.0])
def test_exactly_the_share_is_planted(pool: list[PlantableRow], share: float) -> None:
    kinds = [after["planted_kind"] for after in plant(pool, share=share, seed=3)]
    assert sum(map(bool, kinds)) == round(share * NUM_ROWS)


def test_ids_and_order_stay(pool: list[PlantableRow], planted: list[PlantedRow]) -> None:
    assert [after["id"] for after in planted] == [before["id"] for before in pool]


def test_clean_rows_are_untouched(pool: list[PlantableRow], planted: list[PlantedRow]) -> None:
    for after, before in of_kind(planted, pool, ""):
        assert after["messages"] == before["messages"]
        assert after["planted_spans"] == []


def test_the_given_rows_are_not_changed(pool: list[PlantableRow]) -> None:
    before = [response_of(one) for one in pool]
    plant(pool, share=1.0, seed=5)
    assert [response_of(one) for one in pool] == before


def test_every_kind_is_planted(planted: list[PlantedRow]) -> None:
    counts = Counter(after["planted_kind"] for after in planted)
    assert set(counts) == {"", *KINDS}
    assert all(counts[kind] >= 10 for kind in KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_one_kind_alone_can_be_asked_for(pool: list[PlantableRow], kind: str) -> None:
    sentences = pool[::4]
    assert {after["planted_kind"] for after in plant(sentences, share=0.5, seed=0, kinds=[kind])} == {"", kind}


def test_every_planted_row_differs_from_its_original(pool: list[PlantableRow], planted: list[PlantedRow]) -> None:
    for kind in KINDS:
        for after, before in of_kind(planted, pool, kind):
            assert after["messages"] != before["messages"]


def test_spans_lie_inside_the_response(planted: list[PlantedRow]) -> None:
    for after in planted:
        length = len(response_of(after))
        ends = [end for span in after["planted_spans"] for end in span]
        assert ends == sorted(ends)
        assert all(0 <= start < end <= length for start, end in after["planted_spans"])


def test_the_spans_of_a_wrong_answer_are_what_was_changed(pool: list[PlantableRow], planted: list[PlantedRow]) -> None:
    for after, before in of_kind(planted, pool, "wrong_answer"):
        new, old = response_of(after), response_of(before)
        assert after["planted_spans"]
        assert new != old
        place = 0
        for start, end in after["planted_spans"]:
            assert new[place:start] in old
            place = end
        assert old.startswith(new[: after["planted_spans"][0][0]])
        assert old.endswith(new[place:])


def test_filler_without_its_spans_is_the_original(pool: list[PlantableRow], planted: list[PlantedRow]) -> None:
    for after, before in of_kind(planted, pool, "filler"):
        text = response_of(after)
        for start, end in reversed(after["planted_spans"]):
            text = text[:start] + text[end:]
        assert text.strip().rstrip(".") == response_of(before).rstrip(".")


def test_a_truncation_is_a_shorter_beginning_and_has_no_span(
    pool: list[PlantableRow], planted: list[PlantedRow]
) -> None:
    for after, before in of_kind(planted, pool, "truncation"):
        assert after["planted_spans"] == []
        assert response_of(before).startswith(response_of(after))
        assert 0 < len(response_of(after)) < len(response_of(before))


def test_an_other_answer_belongs_to_another_row(pool: list[PlantableRow], planted: list[PlantedRow]) -> None:
    responses = {response_of(before) for before in pool}
    for after, before in of_kind(planted, pool, "other_answer"):
        assert response_of(after) in responses - {response_of(before)}
        assert after["planted_spans"] == [(0, len(response_of(after)))]
        assert after["messages"][0] == before["messages"][0]


def test_a_near_duplicate_copies_a_row_that_stays_clean(pool: list[PlantableRow], planted: list[PlantedRow]) -> None:
    clean = {response_of(after) for after in planted if not after["planted_kind"]}
    prompts = {before["messages"][0]["content"] for before in pool}
    for after, _ in of_kind(planted, pool, "near_duplicate"):
        assert response_of(after) in clean
        assert after["planted_spans"] == [(0, len(response_of(after)))]
        assert after["messages"][0]["content"] not in prompts


def test_planting_repeats_itself_and_follows_the_seed(pool: list[PlantableRow], planted: list[PlantedRow]) -> None:
    assert plant(pool, share=0.3, seed=1) == planted
    assert plant(pool, share=0.3, seed=2) != planted


def test_the_stream_gives_the_same_rows(pool: list[PlantableRow], planted: list[PlantedRow]) -> None:
    assert list(plant_stream(lambda index: pool[index], NUM_ROWS, share=0.3, seed=1)) == planted


def test_empty_responses_are_left_alone_and_made_up_for() -> None:
    rows = [row(index, "" if index % 2 else f"The result is {index}.") for index in range(100)]
    planted = plant(rows, share=0.4, seed=0)
    assert sum(bool(after["planted_kind"]) for after in planted) == 40
    assert not any(after["planted_kind"] for after in planted[1::2])
    with pytest.raises(ValueError, match="60 rows to plant, but 50 have a response"):
        plant(rows, share=0.6, seed=0)


def test_a_checker_keeps_a_wrong_answer_wrong() -> None:
    rows = [row(index, "red") for index in range(60)] + [row(index, "blue") for index in range(60, 120)]
    right = {"red", "blue"}
    kinds = {after["planted_kind"] for after in plant(rows, share=0.5, seed=0, accepts=lambda _, text: text in right)}
    assert kinds == {"", "near_duplicate", "filler"}


def test_only_the_last_response_of_a_conversation_is_planted() -> None:
    rows: list[PlantableRow] = [
        {
            "id": str(index),
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "First?"},
                {"role": "assistant", "content": "one two three"},
                {"role": "user", "content": f"And {index}?"},
                {"role": "assistant", "content": f"{index} apples and some pears"},
            ],
        }
        for index in range(40)
    ]
    for after, before in zip(plant(rows, share=1.0, seed=0), rows, strict=True):
        assert after["messages"][:3] == before["messages"][:3]
        assert len(after["messages"]) == 5


def test_further_keys_are_carried_along(pool: list[PlantableRow]) -> None:
    rows = [{**one, "source": "here"} for one in pool[:20]]
    assert all(after["source"] == "here" for after in plant(rows, share=0.5, seed=0))  # type: ignore[typeddict-item, arg-type]


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_outside_zero_to_one_is_refused(pool: list[PlantableRow], share: float) -> None:
    with pytest.raises(ValueError, match="share must be between 0 and 1"):
        plant(pool, share=share, seed=0)


def test_an_unknown_kind_is_refused(pool: list[PlantableRow]) -> None:
    with pytest.raises(ValueError, match="kinds must be some of"):
        plant(pool, share=0.1, seed=0, kinds=["typo"])


def test_a_lone_row_can_be_planted() -> None:
    (after,) = plant([row(0, "word")], share=1.0, seed=0)
    assert after["planted_kind"] == "filler"


def test_a_single_word_cannot_be_truncated() -> None:
    assert truncated("word", random.Random(0)) is None


@pytest.mark.parametrize("prompt", ["a", "please", "Who?", "", "É", "1 + 1"])
def test_a_near_copy_is_never_the_same_text(prompt: str) -> None:
    assert all(near_copy(prompt, random.Random(seed)) != prompt for seed in range(20))
