"""What two selections consist of, counted in the same bins: lengths, sources, clusters, and bands of tokens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sftbench.diversity.corpus import Segmenter
from sftbench.diversity.entropy import TypeCounts
from sftbench.pools.words import words_of
from sftbench.rooms import Pool, Row

Floats = npt.NDArray[np.float32]
SOURCES = ("source", "dataset", "origin", "category", "family", "task")
"""Keys of a row by which its origin is told, the first that any row has."""
_MOST_SOURCES = 12
_LINE = 60


def histogram(names: Sequence[str], first: Sequence[float], second: Sequence[float], **about: Any) -> dict[str, Any]:
    """Bins with the counts of both sides and their shares of all that was counted."""
    sides = {"a": [float(each) for each in first], "b": [float(each) for each in second]}
    shares = {f"share_{side}": [each / (sum(counts) or 1) for each in counts] for side, counts in sides.items()}
    return {"bins": list(names), **sides, **shares, **about}


def lengths(first: Sequence[Row], second: Sequence[Row], text: Callable[[Row], str]) -> dict[str, Any]:
    """Words of a text, in bins that double: 0, 1, 2 to 3, 4 to 7, ...; with the median of each side."""
    counts = [np.array([len(words_of(text(row))) for row in rows], dtype=np.int64) for rows in (first, second)]
    places = [np.frexp(each.astype(np.float64))[1] for each in counts]
    low, high = min(int(each.min()) for each in places), max(int(each.max()) for each in places)
    bins = range(low, high + 1)
    names = [_doubling(place) for place in bins]
    told = [[int((each == place).sum()) for place in bins] for each in places]
    return histogram(names, *told, unit="words", median_a=float(np.median(counts[0])), median_b=_median(counts[1]))


def _median(values: npt.NDArray[np.int64]) -> float:
    return float(np.median(values))


def _doubling(place: int) -> str:
    low, high = (0, 0) if place == 0 else (2 ** (place - 1), 2**place - 1)
    return str(low) if low == high else f"{low}-{high}"


def sources(first: Sequence[Row], second: Sequence[Row]) -> dict[str, Any] | None:
    """Where rows are from, by the first of `SOURCES` that any row names; None where none does."""
    originals = [[row.original() for row in rows] for rows in (first, second)]
    key = next((name for name in SOURCES if any(_named(each, name) for side in originals for each in side)), None)
    if key is None:
        return None
    counts = [Counter(_named(each, key) or "(none)" for each in side) for side in originals]
    order = [name for name, _ in (counts[0] + counts[1]).most_common()]
    names, rest = order[:_MOST_SOURCES], order[_MOST_SOURCES:]
    told = [[each[name] for name in names] + ([sum(each[name] for name in rest)] if rest else []) for each in counts]
    return histogram(names + ([f"({len(rest)} more)"] if rest else []), *told, key=key)


def _named(original: dict[str, Any], name: str) -> str:
    value = original.get(name)
    return value if isinstance(value, str) else str(value) if isinstance(value, (int, bool)) else ""


def clusters(
    first: Sequence[Row], second: Sequence[Row], vectors: tuple[Floats, Floats], *, num_clusters: int, seed: int
) -> dict[str, Any]:
    """Rows by cluster of their instructions: k-means over both sides together. A cluster is named by the instruction
    that lies nearest to its centre; the largest come first."""
    from sklearn.cluster import KMeans

    both = np.concatenate(vectors)
    count = max(1, min(num_clusters, len(np.unique(both, axis=0))))
    found = KMeans(n_clusters=count, n_init=4, random_state=seed).fit(both)
    distances = found.transform(both)
    rows = [*first, *second]
    names = [_line(rows[int(distances[:, place].argmin())].text("instruction")) for place in range(count)]
    told = [np.bincount(each, minlength=count) for each in np.split(found.labels_, [len(vectors[0])])]
    order = np.argsort(-(told[0] + told[1]), kind="stable")
    return histogram([names[place] for place in order], told[0][order].tolist(), told[1][order].tolist())


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LINE else line[: _LINE - 1] + "…"


def bands(first: Sequence[Row], second: Sequence[Row], pool: Pool, tokenize: Segmenter, unit: str) -> dict[str, Any]:
    """Response tokens by how often the pool has their type: rarer than its middle band, in it, or more often.

    The middle band is that of `bench describe`.
    """
    counts, num_rows = np.zeros(0, dtype=np.int64), 0
    for batch in pool.batches():
        texts = [text for text in (row.text("response") for row in batch) if text.strip()]
        found = _counted(tokenize(texts) if texts else [], len(counts))
        found[: len(counts)] += counts
        counts, num_rows = found, num_rows + len(texts)
    types = TypeCounts(counts=counts, num_rows=num_rows)
    middle = types.band
    least = int(counts[middle].min()) if middle.any() else 0
    band = np.where(middle, 1, np.where(counts < least, 0, 2))
    told = []
    for rows in (first, second):
        mine = _counted(tokenize([row.text("response") for row in rows]), len(counts))[: len(counts)]
        told.append(np.bincount(band, weights=mine, minlength=3).tolist())
    return histogram(["rare", "middle", "frequent"], *told, unit=unit)


def _counted(ids: Iterable[Sequence[int]], num_types: int) -> npt.NDArray[np.int64]:
    flat = np.fromiter((each for one in ids for each in one), dtype=np.int64)
    return np.bincount(flat, minlength=num_types)


class LowerWords:
    """Words as `sftbench.pools.words` has them, as ids: what stands in for a tokenizer that is not known."""

    def __init__(self) -> None:
        self.ids: dict[str, int] = {}

    def __call__(self, texts: Sequence[str]) -> list[list[int]]:
        known = self.ids
        return [[known.setdefault(word, len(known)) for word in words_of(text)] for text in texts]
