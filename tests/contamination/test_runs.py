"""Items found in rows by words, against a search that compares everything with everything."""

from __future__ import annotations

import random

import numpy as np
import pytest

from sftbench.contamination import runs as told
from sftbench.contamination.kinds import complete
from sftbench.contamination.longest import longest_common_run
from sftbench.contamination.runs import FEWEST_WORDS, ItemsWanted
from sftbench.pools.words import turns_of, word_places, words_of
from sftbench.rooms import Message, Row

SIDES = {"instruction": ("user",), "response": ("assistant",), "both": ("user", "assistant")}
THIRTEEN = "one two three four five six seven eight nine ten eleven twelve thirteen"


def row(name, *turns):
    """Turns of user and assistant in alternation; a turn given as a pair is of that role."""
    messages = []
    for place, turn in enumerate(turns):
        role, text = turn if isinstance(turn, tuple) else (("user", "assistant")[place % 2], turn)
        messages.append(Message(role=role, content=text))
    return Row(id=name, messages=tuple(messages))


def counted(item, num_words, component):
    """All runs of an item that may count, as tuples of words."""
    found = set()
    for role, content in turns_of(item):
        if role in SIDES[component]:
            words = words_of(content)
            found |= {tuple(words[at : at + num_words]) for at in range(len(words) - num_words + 1)}
            if role == "user" and FEWEST_WORDS <= len(words) < num_words:
                found.add(tuple(words))
    return found


def brute_force(items, rows, *, num_words=13, component="both", most_items=10):
    """(row, item, runs, is whole) by comparing every run of every item with every place of every turn."""
    every = [counted(item, num_words, component) for item in items]
    counts = {run: sum(run in each for each in every) for each in every for run in each}
    every = [{run for run in each if counts[run] <= most_items} for each in every]
    prompts = [words_of("\n".join(c for r, c in turns_of(item) if r == "user")) for item in items]
    expected = set()
    for number, each in enumerate(rows):
        turns = [(role, words_of(content)) for role, content in turns_of(each) if role in SIDES[component]]
        texts = [tuple(words) for _, words in turns]
        asked = [words for role, words in turns if role == "user"]
        wholes = [*asked, [word for words in asked for word in words]]
        for place, runs in enumerate(every):
            here = {
                run for run in runs for text in texts
                if any(text[at : at + len(run)] == run for at in range(len(text) - len(run) + 1))
            }  # fmt: skip
            prompt = prompts[place]
            is_whole = component != "response" and bool(prompt) and prompt in wholes
            is_whole = is_whole and prompts.count(prompt) <= most_items
            if here or is_whole:
                expected.add((number, place, len(here), is_whole))
    return expected


def found(wanted, rows, first=0):
    told = wanted.find(rows, first=first)
    listed = zip(told.rows.tolist(), told.items.tolist(), told.runs.tolist(), told.is_whole.tolist(), strict=True)
    return set(listed)


def made_up(seed, *, words=4):
    """Items and rows of few different words, so that runs meet by chance, with copies of parts of items."""
    rng = random.Random(seed)

    def text(least, most):
        return " ".join(rng.choice(["a", "B", "c,", "d!", "水", "é"][:words]) for _ in range(rng.randint(least, most)))

    items = [row(f"i{n}", *(text(0, 30) for _ in range(rng.choice([2, 2, 4])))) for n in range(12)]
    rows = [row(f"r{n}", *(text(0, 40) for _ in range(rng.choice([2, 4])))) for n in range(25)]
    for n in range(8):
        source = rng.choice(items).messages[0].content.split(" ")
        start = rng.randrange(len(source))
        rows.append(row(f"c{n}", f"{text(0, 5)} {' '.join(source[start:])}", text(0, 9)))
    rows += [row("same", items[0].messages[0].content.upper(), "x"), row("none", "", "")]
    return items, rows


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("component", ["instruction", "response", "both"])
@pytest.mark.parametrize(("num_words", "most_items"), [(13, 10), (9, 2), (4, 3)])
def test_what_is_found_is_what_comparing_everything_finds(seed, component, num_words, most_items):
    items, rows = made_up(seed)
    wanted = ItemsWanted(items, num_words=num_words, component=component, most_items=most_items)
    expected = brute_force(items, rows, num_words=num_words, component=component, most_items=most_items)
    assert found(wanted, rows) == expected
    every = [counted(item, num_words, component) for item in items]
    counting = [sum(sum(run in other for other in every) <= most_items for run in each) for each in every]
    assert wanted.num_runs.tolist() == counting


def test_the_made_up_rows_have_all_kinds_of_hits():
    told = [hit for seed in range(6) for hit in brute_force(*made_up(seed))]
    assert {is_whole for *_, is_whole in told} == {True, False}
    assert max(runs for _, _, runs, _ in told) > 5


def test_rows_that_come_in_pieces_are_found_as_in_one():
    items, rows = made_up(3)
    wanted = ItemsWanted(items)
    assert found(wanted, rows) == found(wanted, rows[:10]) | found(wanted, rows[10:], first=10)


def test_two_runs_with_one_hash_are_told_apart(monkeypatch):
    """With few different hashes most places of a pool have that of an item's run, and only the words decide."""
    import sftbench.contamination.kinds as kinds

    real = kinds._hashes
    monkeypatch.setattr(kinds, "_hashes", lambda *given: real(*given) >> np.uint64(50))
    items = [row("i", f"a b c {THIRTEEN} d", "x")]
    rows = [row(f"r{n}", " ".join(random.Random(n).sample(f"a b c {THIRTEEN} d".split(), 17)), "y") for n in range(300)]
    rows.append(row("hit", THIRTEEN, "y"))
    assert found(ItemsWanted(items), rows) == brute_force(items, rows) == {(300, 0, 1, False)}


@pytest.mark.parametrize(
    ("item", "other", "is_found"),
    [
        ("What is the capital city of the country France", "Say what is the capital city of the country france?", True),
        ("What is the capital of France", "Tell me: what is the capital of France?", False),
        ("What is the capital of France", "WHAT is the capital of France?", True),
        ("Yes", "yes!", True),
        ("Yes", "yes or no", False),
        ("?!", "?!", False),
    ],
)  # fmt: skip
def test_short_prompts_are_found_as_a_whole(item, other, is_found):
    assert bool(found(ItemsWanted([row("i", item, "")]), [row("r", other, "x")])) == is_found


def test_the_wording_of_a_benchmark_tells_of_no_item():
    template = f"Read this carefully: {THIRTEEN}. "
    items = [row(f"i{n}", f"{template} {n}a {n}b {n}c", "x") for n in range(told.MOST_ITEMS + 1)]
    rows = [row("same wording", f"{template} something else", "y"), row("copy", items[4].messages[0].content, "y")]
    assert {(number, item) for number, item, _, _ in found(ItemsWanted(items), rows)} == {(1, 4)}
    assert {item for _, item, _, _ in found(ItemsWanted(items[:3]), rows[:1])} == {0, 1, 2}


def test_a_system_prompt_is_not_compared():
    item = row("i", ("system", THIRTEEN), ("user", "Hello there"), ("assistant", "x"))
    other = row("r", ("system", THIRTEEN), ("user", "Something else"), ("assistant", "y"))
    assert found(ItemsWanted([item]), [other]) == set()


def test_complete_runs_have_no_gap():
    tokens = np.array([1, 2, -1, 3, 4, 5, -1, -1, 6])
    assert complete(tokens, 2).tolist() == [0, 3, 4]
    assert complete(tokens, 3).tolist() == [3]
    assert complete(tokens, 10).tolist() == []


@pytest.mark.parametrize("seed", range(20))
def test_the_longest_run_is_that_of_comparing_everything(seed):
    rng = random.Random(seed)
    first, second = ([" ".join(rng.choice("ab水!") for _ in range(rng.randint(0, 15))) for _ in range(2)] for _ in "12")
    common = longest_common_run(first, second)

    def runs(turns):
        words = [words_of(turn) for turn in turns]
        return {tuple(w[a:b]) for w in words for a in range(len(w)) for b in range(a + 1, len(w) + 1)}

    assert common.num_words == max((len(run) for run in runs(first) & runs(second)), default=0)
    texts = "\n".join(first)[slice(*common.first)], "\n".join(second)[slice(*common.second)]
    assert len(words_of(texts[0])) == common.num_words
    assert words_of(texts[0]) == words_of(texts[1])


@pytest.mark.parametrize("text", ["İstanbul and İzmir, ΑΣ ﬁn", "水 is water", "plain ASCII_text 12", ""])
def test_places_of_words_are_those_of_the_text_as_it_is_written(text):
    places = word_places(text)
    assert len(places) == len(words_of(text))
    for (start, end), word in zip(places, words_of(text), strict=True):
        assert word in text[start:end].lower()
