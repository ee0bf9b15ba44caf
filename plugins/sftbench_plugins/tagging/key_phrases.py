"""A tagger without a model: the words and pairs of words that a text uses and few other texts of the pool do."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np
import numpy.typing as npt

_WORD = re.compile(r"[^\W\d_](?:[\w'-]*\w)?")
_CELLS = 2**22
_ENGLISH_FUNCTION_WORDS = """
a about above after again against ain all also am an and any are aren as at be because been before being below between
both but by can cannot could couldn did didn do does doesn doing don down during each either else etc ever every few for
from further had hadn has hasn have haven having he hence her here hers herself him himself his how however i if in into
is isn it its itself just let ll may me might mine more moreover most much must my myself neither no nor not now of off
often on once one only or other otherwise our ours ourselves out over own per please rather re same shall she should
shouldn since so some such than that the their theirs them themselves then there therefore these they this those through
thus to too two under until up upon us ve very via was wasn we were weren what when where whether which while who whom
whose why will with within without won would wouldn yes yet you your yours yourself yourselves
"""
_FUNCTION_WORDS = frozenset(_ENGLISH_FUNCTION_WORDS.split())


@dataclass(kw_only=True, eq=False)
class KeyPhrases:
    """Phrases by tf-idf, at most `max_phrases` of a text, each in at least `min_rows` texts.

    A phrase is a word of two letters or more, or two of them with a space between; English function words
    count for neither. Of a pair that is taken no word is taken alone. In how many texts a phrase stands
    is counted in two tables by hash, and the lower count believed: memory does not grow with the pool,
    and a count is never too low.
    """

    max_phrases: int
    min_rows: int
    num_texts: int = 0
    _tables: npt.NDArray[np.int32] = field(default_factory=lambda: np.zeros((2, _CELLS), dtype=np.int32))

    def count(self, texts: Iterable[str]) -> None:
        """Take in texts of the pool."""
        for text in texts:
            self.num_texts += 1
            cells = [_cells(phrase) for phrase in set(self._phrases(text))]
            for table, at in zip(self._tables, zip(*cells, strict=True), strict=False):
                table[list(set(at))] += 1

    def of(self, text: str) -> list[str]:
        """The key phrases of a text, heaviest first; of equals pairs, then what comes first."""
        weights = {}
        for phrase, times in Counter(self._phrases(text)).items():
            num_rows = min(int(table[at]) for table, at in zip(self._tables, _cells(phrase), strict=True))
            if num_rows >= self.min_rows:
                weights[phrase] = times * math.log((1 + self.num_texts) / num_rows)
        taken: list[str] = []
        covered: set[str] = set()
        for phrase in sorted(weights, key=lambda each: (-weights[each], -each.count(" "))):
            words = phrase.split()
            if len(taken) < self.max_phrases and covered.isdisjoint(words):
                taken.append(phrase)
                covered.update(words)
        return taken

    def _phrases(self, text: str) -> Iterator[str]:
        before, end = "", -1
        lowered = text.lower().replace("\u2019", "'")
        for match in _WORD.finditer(lowered):
            word = match[0]
            if len(word) < 2 or word.partition("'")[0] in _FUNCTION_WORDS:
                before = ""
                continue
            yield word
            if before and lowered[end : match.start()].isspace():
                yield f"{before} {word}"
            before, end = word, match.end()


def _cells(phrase: str) -> tuple[int, int]:
    digest = int.from_bytes(blake2b(phrase.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
    return digest % _CELLS, (digest >> 32) % _CELLS
