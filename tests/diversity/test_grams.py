"""N-gram ids against tuples in Python sets."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from sftbench.diversity.grams import grams


@pytest.mark.parametrize("tokens_at_once", [10**6, 100, 7])
def test_ids_count_as_tuples_do_in_one_shard_and_in_many(ragged, zipfian, tokens_at_once):
    texts = [each.tolist() for each in zipfian(40, num_types=6, mean_length=8)] + [[], [3]]
    found = {n: Counter() for n in (1, 2, 3, 4)}
    for each in grams(ragged(texts), 4, tokens_at_once=tokens_at_once):
        assert set(each.ids) == set(range(each.num_kinds))
        found[each.n].update(Counter(np.bincount(each.ids).tolist()))
    for n, counts in found.items():
        wanted = Counter(tuple(text[at : at + n]) for text in texts for at in range(len(text) - n + 1))
        assert counts == Counter(wanted.values())


def test_a_gram_knows_its_row_and_where_it_ends(ragged):
    texts = [[5, 6, 7], [], [6, 7]]
    (bigrams,) = [each for each in grams(ragged(texts), 2) if each.n == 2]
    assert bigrams.rows.tolist() == [0, 0, 2]
    assert bigrams.ends.tolist() == [2, 3, 2]
    assert bigrams.ids[1] == bigrams.ids[2] != bigrams.ids[0]


def test_no_text_no_grams(ragged):
    for texts in ([], [[], []]):
        assert sum(len(each.ids) for each in grams(ragged(texts), 3)) == 0
