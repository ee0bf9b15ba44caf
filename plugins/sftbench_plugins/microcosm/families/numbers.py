"""Tasks over numbers: add, subtract, compare, sort, continue."""

from __future__ import annotations

import random

from sftbench_plugins.microcosm.content import Content, conclude


def add(rng: random.Random) -> Content:
    """The sum of two numbers up to 12."""
    left, right = rng.randint(1, 12), rng.randint(1, 12)
    answer = str(left + right)
    return Content(
        key=f"{left} {right}",
        questions=(
            f"What is {left} plus {right}?",
            f"Add {left} and {right}.",
            f"Find the sum of {left} and {right}.",
            f"You have {left} coins and get {right} more. How many coins is that?",
        ),
        cues=("add", "plus", "sum"),
        given=f"{left} {right}",
        short=answer,
        explained=conclude(f"We start at {left} and go up by {right}.", answer),
        answers=(answer,),
    )


def subtract(rng: random.Random) -> Content:
    """The difference of two numbers up to 12, never below zero."""
    small, large = sorted((rng.randint(1, 12), rng.randint(1, 12)))
    answer = str(large - small)
    return Content(
        key=f"{large} {small}",
        questions=(
            f"What is {large} minus {small}?",
            f"Subtract {small} from {large}.",
            f"Take {small} away from {large}.",
            f"You have {large} coins and lose {small}. How many coins are left?",
        ),
        cues=("subtract", "minus", "take away"),
        given=f"{large} {small}",
        short=answer,
        explained=conclude(f"We start at {large} and go down by {small}.", answer),
        answers=(answer,),
    )


def compare_numbers(rng: random.Random) -> Content:
    """The bigger or smaller of two numbers below 100."""
    left, right = rng.sample(range(10, 100), 2)
    bigger = rng.random() < 0.5
    answer, other = (max if bigger else min)(left, right), (min if bigger else max)(left, right)
    word = "bigger" if bigger else "smaller"
    return Content(
        key=f"{word} {left} {right}",
        questions=(
            f"Which number is {word}, {left} or {right}?",
            f"Give me the {word} number: {left} {right}",
            f"Compare {left} and {right}. Which one is {word}?",
        ),
        cues=(f"{word} number", word),
        given=f"{left} {right}",
        short=str(answer),
        explained=conclude(f"{answer} is {word} than {other}.", str(answer)),
        answers=(str(answer),),
    )


def sort_numbers(rng: random.Random) -> Content:
    """Three numbers below 100 from small to big."""
    numbers = rng.sample(range(10, 100), 3)
    given, answer = " ".join(map(str, numbers)), " ".join(map(str, sorted(numbers)))
    return Content(
        key=given,
        questions=(
            f"Sort these numbers from small to big: {given}",
            f"Put the following numbers in order: {given}",
            f"Here are some numbers: {given}. Can you sort them?",
        ),
        cues=("sort numbers", "small to big"),
        given=given,
        short=answer,
        explained=conclude(f"The smallest is {min(numbers)} and the biggest is {max(numbers)}.", answer),
        answers=(answer,),
    )


def sequence(rng: random.Random) -> Content:
    """The next number of a sequence with a constant step."""
    start, step = rng.randint(1, 20), rng.randint(1, 5)
    terms = [start + step * place for place in range(4)]
    given, answer = " ".join(map(str, terms)), str(terms[-1] + step)
    return Content(
        key=given,
        questions=(
            f"What comes next: {given}",
            f"Continue the following numbers: {given}",
            f"Which number comes after {given}?",
        ),
        cues=("next", "continue", "comes after"),
        given=given,
        short=answer,
        explained=conclude(f"Each number is {step} more than the one before it.", answer),
        answers=(answer,),
    )
