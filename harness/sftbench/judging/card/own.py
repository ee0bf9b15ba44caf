"""Short tasks whose right answer is known because they are made here: gold labels where no data is at hand."""

from __future__ import annotations

import random
from collections.abc import Callable

from sftbench.judging.card.material import Pair

_WORDS = (
    "amber", "basket", "candle", "dolphin", "engine", "feather", "garden", "hammer", "island", "jacket", "kettle",
    "lantern", "mirror", "needle", "orchard", "pencil", "quarry", "ribbon", "saddle", "tunnel", "umbrella", "velvet",
    "window", "yellow", "zipper",
)  # fmt: skip
_Task = tuple[str, str, str]


def own_pairs(num: int, seed: int) -> list[Pair]:
    """`num` tasks, each with a right answer and a wrong one of the same form; which stands for the model is by lot."""
    lot = random.Random(seed)
    pairs: dict[str, Pair] = {}
    while len(pairs) < num:
        name, make = _KINDS[len(pairs) % len(_KINDS)]
        prompt, right, wrong = make(lot)
        if prompt not in pairs:
            is_right = lot.random() < 0.5
            pairs[prompt] = Pair(
                id=str(len(pairs)),
                prompt=prompt,
                model=right if is_right else wrong,
                baseline=wrong if is_right else right,
                gold=float(is_right),
                group=name,
            )
    return list(pairs.values())


def _sum(lot: random.Random) -> _Task:
    one, other = lot.randint(12, 480), lot.randint(12, 480)
    wrong = one + other + lot.choice((-10, -2, 3, 10, 100))
    return f"What is {one} plus {other}?", f"{one} + {other} = {one + other}.", f"{one} + {other} = {wrong}."


def _order(lot: random.Random) -> _Task:
    words = lot.sample(_WORDS, 5)
    right = sorted(words)
    wrong = right.copy()
    place = lot.randrange(4)
    wrong[place], wrong[place + 1] = wrong[place + 1], wrong[place]
    return f"Put these words in alphabetical order: {', '.join(words)}.", ", ".join(right) + ".", ", ".join(wrong) + "."


def _count(lot: random.Random) -> _Task:
    words = [lot.choice(_WORDS) for _ in range(lot.randint(4, 9))]
    right = f"The list has {len(words)} words."
    wrong = f"The list has {len(words) + lot.choice((-2, -1, 1, 2))} words."
    return f"How many words are in this list: {' '.join(words)}?", right, wrong


def _largest(lot: random.Random) -> _Task:
    numbers = lot.sample(range(100, 999), 6)
    other = lot.choice(sorted(numbers)[:-1])
    return (
        f"Which of these numbers is the largest: {', '.join(map(str, numbers))}?",
        f"The largest number is {max(numbers)}.",
        f"The largest number is {other}.",
    )


def _letters(lot: random.Random) -> _Task:
    words = lot.sample(_WORDS, 2)
    right = f"{words[0].upper()} and {words[1].upper()}"
    wrong = f"{words[0].upper()} and {words[1]}"
    return f"Write these two words in capital letters: {words[0]}, {words[1]}.", right, wrong


_KINDS: tuple[tuple[str, Callable[[random.Random], _Task]], ...] = (
    ("sum", _sum), ("order", _order), ("count", _count), ("largest", _largest), ("capitals", _letters),
)  # fmt: skip
