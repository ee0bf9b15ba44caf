"""Sizes from copied compressors against zlib over the whole text at once."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sftbench_plugins.compression.packing import LITERAL, PLAIN, GrowingText, Threads

PIECES = st.lists(
    st.one_of(st.text(max_size=60), st.sampled_from(["the same again", "", "é\u2028\n", "ab" * 400])), max_size=30
)


@pytest.mark.parametrize("listing", [PLAIN, LITERAL], ids=["plain", "literal"])
@settings(deadline=None)
@given(PIECES, st.text(min_size=1, max_size=60))
def test_the_ratio_is_that_of_the_whole_text_compressed_at_once(listing, texts, last):
    growing = GrowingText(listing)
    for text in texts:
        growing.add(text.encode())
    whole = listing.opening + listing.separator.join(text.encode() for text in [*texts, last]) + listing.closing
    assert growing.sizes_with(last.encode()) == (len(whole), len(zlib.compress(whole, level=9)))


@pytest.mark.parametrize("seed", range(2))
def test_it_is_so_beyond_the_window_and_for_what_hardly_compresses(seed):
    draw = np.random.default_rng(seed)
    growing, whole = GrowingText(PLAIN), b""
    for _ in range(24):
        length = int(draw.choice([3, 200, 5_000, 40_000]))
        alphabet = int(draw.choice([4, 60, 256]))
        text = draw.integers(0, alphabet, length).astype(np.uint8).tobytes()
        expected = len(whole) + length, len(zlib.compress(whole + text, level=9))
        assert growing.sizes_with(text) == expected
        growing.add(text)
        whole += text + b"\n"
    assert len(whole) > 4 * 32 * 1024


def test_asking_changes_nothing():
    growing = GrowingText(PLAIN)
    growing.add(b"one row")
    before = growing.ratio_with(b"another")
    growing.ratio_with(b"something else altogether")
    assert growing.ratio_with(b"another") == before


def test_a_list_of_rows_is_written_as_python_writes_it(make_pool):
    rows = [
        {"id": "a", "instruction": "it's", "output": 'say "no"\n', "more": [1, 2.5, None, True]},
        {"id": "b", "instruction": "\u00e9\u4e2d", "output": "\\", "source": ""},
    ]
    texts = [LITERAL.text(row) for row in make_pool(rows)]
    assert LITERAL.opening + LITERAL.separator.join(texts) + LITERAL.closing == str(rows).encode()


def test_threads_change_no_ratio_and_no_order() -> None:
    draw = np.random.default_rng(3)
    texts = [bytes(draw.integers(97, 105, int(draw.integers(1, 300))).astype(np.uint8)) for _ in range(57)]
    growing = GrowingText(PLAIN)
    growing.add(b"rows that were taken before " * 40)
    alone = [growing.ratio_with(text) for text in texts]
    with Threads(3) as threads:
        assert growing.ratios_with(texts, threads=threads) == alone
        assert growing.ratios_with([], threads=threads) == []
