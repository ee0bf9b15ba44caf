"""ROUGE-L between short texts: whether a text is nearly one that is known, without comparing it with all of them.

The measure is the F of the longest common subsequence of words, 2 LCS / (m + n), lower-cased runs of letters and
digits without stemming (Lin 2004; the settings of Self-Instruct's released code). The decision is exact: known texts
are passed over only when bounds on LCS show that F cannot exceed the limit.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

_WORD = re.compile(r"[a-z0-9]+")
_SLACK = 1e-9
"""Bounds give way by this much, so that rounding passes over nothing."""


def words_of(text: str) -> list[str]:
    """The words that are compared."""
    return _WORD.findall(text.lower())


def common_length(left: Sequence[str], right: Sequence[str]) -> int:
    """Length of the longest common subsequence: one addition and a few bit operations per word of `right`.

    The state is a whole number of len(left) bits (Hyyrö 2004).
    """
    places: defaultdict[str, int] = defaultdict(int)
    for at, word in enumerate(left):
        places[word] |= 1 << at
    full = (1 << len(left)) - 1
    state = full
    for word in right:
        matches = state & places.get(word, 0)
        state = ((state + matches) | (state - matches)) & full
    return len(left) - state.bit_count()


def rouge_l(left: Sequence[str], right: Sequence[str]) -> float:
    """F of two lists of words, 0 when they have nothing in common; rounded as precision and recall are."""
    common = common_length(left, right)
    if not common:
        return 0.0
    precision, recall = common / len(left), common / len(right)
    return 2 * precision * recall / (precision + recall)


@dataclass(kw_only=True)
class Known:
    """Texts that are known, and the question whether another one is nearly one of them.

    F > limit needs LCS > limit / 2 x (m + n), hence n within a range and at least t words in common, counted as often
    as they occur, where t follows from the shortest n of that range. So at least one of the m - t + 1 rarest words of
    the text stands in every text that can be near enough: only those are looked at.
    """

    limit: float = 0.7
    num_compared: int = 0
    """Longest common subsequences that were computed."""
    _texts: list[list[str]] = field(default_factory=list)
    _holders: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))

    def __len__(self) -> int:
        return len(self._texts)

    def add(self, text: str) -> None:
        """Know a text from now on."""
        words = words_of(text)
        for word in set(words):
            self._holders[word].append(len(self._texts))
        self._texts.append(words)

    def has_near(self, text: str) -> bool:
        """Whether some known text has an F above the limit with this one."""
        words = words_of(text)
        if not words:
            return False
        half = self.limit / 2
        shortest, longest = len(words) * half / (1 - half), len(words) * (1 - half) / half
        needed = int(half * (len(words) + shortest) - _SLACK) + 1
        rarest = sorted(words, key=lambda word: len(self._holders.get(word, ())))[: len(words) - needed + 1]
        near = {holder for word in set(rarest) for holder in self._holders.get(word, ())}
        counts = Counter(words)
        for number in near:
            other = self._texts[number]
            if not shortest - _SLACK <= len(other) <= longest + _SLACK:
                continue
            if _shared(counts, other) < half * (len(words) + len(other)) - _SLACK:
                continue
            self.num_compared += 1
            if rouge_l(words, other) > self.limit:
                return True
        return False


def _shared(counts: Counter[str], other: Sequence[str]) -> int:
    """Words in common, counted as often as they occur: no subsequence can be longer."""
    return (counts & Counter(other)).total()
