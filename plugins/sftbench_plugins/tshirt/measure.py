"""From a stream of token losses to the scores of a pool: IFD as they come, S-IFD once the threshold is known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from sftbench import Json, Scores
from sftbench_plugins.tshirt.copies import Losses, differences, ifd, selective_ifd, spread, without_empty
from sftbench_plugins.tshirt.threshold import DeltaFile

if TYPE_CHECKING:
    from sftbench_plugins.tshirt.reading import Reading

_COLUMNS = ("std_sifd", "mean_noisy_ifd", "std_noisy_ifd", "ifd_clean", "num_kept")


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How losses become scores. `as_authors`: IFD over unequal token sets, and S-IFD 1 for a copy with nothing kept."""

    keep: float
    as_authors: bool
    selective: bool = True


@dataclass(kw_only=True, eq=False)
class Stock:
    """What is known of rows before the model runs: `num_tokens` int64 [n] for S-IFD, 0 where there is a reason."""

    num_tokens: npt.NDArray[np.int64]
    reasons: dict[int, str] = field(default_factory=dict)
    notes: dict[int, str] = field(default_factory=dict)

    def refuse(self, position: int, reason: str) -> None:
        """Take a row out."""
        self.reasons[position] = reason
        self.num_tokens[position] = 0


def take_stock(readings: Iterable[Reading], *, num_rows: int) -> Stock:
    """What there is to be measured, from the rows of a pool in order."""
    stock = Stock(num_tokens=np.zeros(num_rows, dtype=np.int64))
    for position, reading in enumerate(readings):
        if reading.pair is not None:
            stock.num_tokens[position] = reading.pair.num_shared
        if reading.reason is not None:
            stock.reasons[position] = reading.reason
        if reading.note is not None:
            stock.notes[position] = reading.note
    return stock


class Measured(NamedTuple):
    """The losses of one row's noisy copies, and its IFD without noise."""

    position: int
    losses: Losses
    ifd_clean: float


def measure(stream: Iterable[Measured], stock: Stock, rule: Rule, *, num_copies: int, folder: Path) -> Scores:
    """Scores of the pool that `stock` describes; `stream` has its rows with tokens, in order.

    Differences wait in `folder` until the threshold is known (4 bytes per token and copy); memory holds
    a few numbers per row. A row with a loss that is not finite is left out of the threshold.
    """
    if not rule.selective:
        return _plain(stream, stock, rule)
    columns = _empty_columns(len(stock.num_tokens))
    values = np.full(len(stock.num_tokens), np.nan)
    with DeltaFile(folder / "tshirt-deltas.f32", num_values=num_copies * int(stock.num_tokens.sum())) as deltas:
        for row in _finite(stream, stock, rule, columns):
            deltas.append(differences(row.losses))
        threshold = deltas.percentile(100 * (1 - rule.keep))
        report: dict[str, Json] = {"tau_nats": float(threshold) if deltas.num_values else None}
        report |= {"num_pooled": deltas.num_values, "delta_file_bytes": 4 * deltas.num_values}
        scored = [int(position) for position in np.flatnonzero(stock.num_tokens)]
        shapes = ((num_copies, int(stock.num_tokens[position])) for position in scored)
        some_empty = all_empty = 0
        for position, block in zip(scored, deltas.blocks(shapes), strict=True):
            selective = selective_ifd(block, threshold)
            copies = selective.values if rule.as_authors else without_empty(selective)
            values[position], columns["std_sifd"][position] = spread(copies)
            columns["num_kept"][position] = selective.num_kept.mean()
            some_empty += int((selective.num_kept == 0).any())
            all_empty += int((selective.num_kept == 0).all())
            if np.isnan(copies).all():
                stock.reasons[position] = "no_informative_tokens"
    report |= {"num_rows_with_an_empty_copy": some_empty, "num_rows_with_only_empty_copies": all_empty}
    return _scores(values, columns, stock, report)


def _plain(stream: Iterable[Measured], stock: Stock, rule: Rule) -> Scores:
    """Noisy IFD itself as the score, and its spread in the place of that of S-IFD."""
    columns = _empty_columns(len(stock.num_tokens))
    for row in _finite(stream, stock, rule, columns):
        columns["num_kept"][row.position] = stock.num_tokens[row.position]
    columns["std_sifd"] = columns["std_noisy_ifd"].copy()
    return _scores(columns["mean_noisy_ifd"].copy(), columns, stock, {})


def _finite(
    stream: Iterable[Measured], stock: Stock, rule: Rule, columns: dict[str, npt.NDArray[np.float64]]
) -> Iterator[Measured]:
    """The rows whose losses are finite, after their IFD has been written down."""
    for row in stream:
        with np.errstate(over="ignore", invalid="ignore"):
            noisy = ifd(row.losses, same_tokens=not rule.as_authors)
        if not (np.isfinite(noisy).all() and np.isfinite(differences(row.losses)).all()):
            stock.refuse(row.position, "non_finite")
            continue
        columns["mean_noisy_ifd"][row.position], columns["std_noisy_ifd"][row.position] = spread(noisy)
        columns["ifd_clean"][row.position] = row.ifd_clean
        yield row


def _scores(
    values: npt.NDArray[np.float64], columns: dict[str, npt.NDArray[np.float64]], stock: Stock, report: dict[str, Json]
) -> Scores:
    beyond = np.flatnonzero(np.isinf(values))
    values[beyond] = np.nan
    stock.reasons.update(dict.fromkeys(beyond.tolist(), "non_finite"))
    return Scores(
        values=values,
        reasons=stock.reasons,
        notes={position: note for position, note in stock.notes.items() if position not in stock.reasons},
        columns=columns | {"num_tokens": stock.num_tokens},
        report=report,
    )


def _empty_columns(num_rows: int) -> dict[str, npt.NDArray[np.float64]]:
    return {name: np.full(num_rows, np.nan) for name in _COLUMNS}
