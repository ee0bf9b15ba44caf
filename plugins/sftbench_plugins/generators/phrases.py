"""Key phrases of a pool's instructions, from the most telling on: what stands in for topics that a model would name."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from sftbench import Pool
from sftbench_plugins.generators.parents import Parents
from sftbench_plugins.generators.rewriting import ASKING, ORDERING

MAX_ROWS = 20_000
"""So many rows are read, in the order of the parents; more would not change which phrases lead."""
MAX_WORDS = 3
MAX_SHARE = 0.1
"""A phrase in more rows than this is a manner of speaking and no topic."""
MIN_REST = 2
"""Words that follow the phrase in a row it is taken from: there the row can be finished in another way."""
_OF_TASKS = {"following", "given", "provided", "based", "using", "include", "includes", "including", "example", "input"}
"""Words that say what is to be done and not what it is about, beside the verbs of orders and questions."""
_WORD = re.compile(r"[^\W\d_][\w'-]*")
_BREAK = re.compile(r"[.,:;!?()\[\]{}\"\n]")


@dataclass(frozen=True, kw_only=True, eq=False)
class Phrase:
    """A phrase in lower case and the numbers of the parents in whose question it stands."""

    text: str
    parents: npt.NDArray[np.int64]

    def opening(self, question: str) -> str | None:
        """The question up to the end of the phrase; None if too little follows."""
        found = re.search(rf"(?<!\w){re.escape(self.text)}(?!\w)", question, re.IGNORECASE)
        if found is None or len(question[found.end() :].split()) < MIN_REST:
            return None
        return question[: found.end()]


def key_phrases(parents: Parents, *, max_phrases: int) -> list[Phrase]:
    """At most so many phrases, the leading ones first; each stands in at least two rows (one if there is no such).

    A phrase is up to three words in a row, none of them a stop word, within one clause. They are ranked by the number
    of rows times the number of words, ties by the alphabet.
    """
    count = min(len(parents), MAX_ROWS)
    holders: defaultdict[str, list[int]] = defaultdict(list)
    for start in range(0, count, 1024):
        numbers = range(start, min(start + 1024, count))
        for number, parent in zip(numbers, parents.take(numbers), strict=True):
            for text in set(_phrases(parent.question)):
                if Phrase(text=text, parents=np.empty(0, np.int64)).opening(parent.question) is not None:
                    holders[text].append(number)
    sizes = Counter({text: len(numbers) for text, numbers in holders.items()})
    most = max(2.0, MAX_SHARE * count)
    usual = [text for text, size in sizes.items() if 2 <= size <= most]
    usual = usual or list(sizes)
    usual.sort(key=lambda text: (-sizes[text] * (text.count(" ") + 1), text))
    return [Phrase(text=text, parents=np.array(holders[text])) for text in usual[:max_phrases]]


def is_stop_word(word: str) -> bool:
    """Whether a word, in small letters, says nothing by itself."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return word in ENGLISH_STOP_WORDS


@cache
def _stop_words() -> frozenset[str]:
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return frozenset(ENGLISH_STOP_WORDS | ASKING | ORDERING | _OF_TASKS)


def _phrases(question: str) -> Iterator[str]:
    stop = _stop_words()
    for clause in _BREAK.split(question.lower()):
        words = _WORD.findall(clause)
        for start in range(len(words)):
            for size in range(1, MAX_WORDS + 1):
                run = words[start : start + size]
                if len(run) < size or any(word in stop or len(word) < 3 for word in run):
                    break
                yield " ".join(run)


def pool_words(pool: Pool, *, most: int) -> list[str]:
    """The words of a pool's responses that are met most often, without stop words."""
    counts: Counter[str] = Counter()
    for number, batch in enumerate(pool.batches()):
        if number * 1024 >= MAX_ROWS:
            break
        for row in batch:
            counts.update(set(_WORD.findall(row.response.lower())))
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    return [word for word in ranked if word not in _stop_words() and len(word) > 3][:most]
