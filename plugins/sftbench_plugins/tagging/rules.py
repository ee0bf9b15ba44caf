"""Tags that hardly ever come without another one, merged into that one.

InsTag mines association rules with FP-Growth. A rule can only say what a tag is to be merged into when one tag
stands on either side, and those rules are what a count of pairs gives, so that no tree is needed.
"""

from __future__ import annotations

import numpy as np

from sftbench_plugins.tagging.vocabulary import Labels, Vocabulary


def associated(vocabulary: Vocabulary, *, support: int, confidence: float) -> Vocabulary:
    """Merge along rules a -> b until there is none: both in at least `support` rows, b in `confidence` of a's rows.

    Of several b the one of highest confidence is taken, then the first by rank. Rules that hold both
    ways lead to the tag of better rank.
    """
    while True:
        into = _rules(vocabulary, support, confidence)
        if (into == np.arange(len(into))).all():
            return vocabulary
        vocabulary = vocabulary.merged(_ends(into))


def _rules(vocabulary: Vocabulary, support: int, confidence: float) -> Labels:
    """The tag [K] that each tag leads to, itself where no rule begins with it."""
    pairs = (vocabulary.matrix.T @ vocabulary.matrix).tocoo()
    alone, ranks = vocabulary.num_rows_with, vocabulary.ranks
    first, second, both = pairs.row, pairs.col, pairs.data
    # Where b has fewer rows than a, the rule holds the other way round too.
    holds = (both >= support) & (both >= confidence * alone[first] - 1e-9) & (ranks[second] < ranks[first])
    first, second, both = first[holds], second[holds], both[holds]
    into = np.arange(len(vocabulary.names))
    best_last = np.lexsort((-ranks[second], both))
    into[first[best_last]] = second[best_last]
    return into


def _ends(into: Labels) -> Labels:
    """Where chains of rules end. Every step goes to a better rank, so that each does."""
    while not np.array_equal(into[into], into):
        into = into[into]
    return into
