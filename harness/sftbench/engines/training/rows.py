"""What a selection means for training: token ids, and the weight of every token in each term of the loss."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from sftbench.engines.encode import Encoded
from sftbench.errors import ContractError, UsageError
from sftbench.roles import Desk
from sftbench.rooms import CROSS_ENTROPY, DISTILLATION, Pool, Ragged, Selection


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingRow:
    """One row: `token_ids` int32 [L]; `ce_weights` and `kd_weights` float32 [L], the weight of predicting each token.

    The first token of a row has nothing before it, so its weights are never used and must be 0. `merits`
    float32 [L] rank the tokens for a `Weighing` that keeps the best; NaN is never kept, None is 0 throughout.
    """

    token_ids: npt.NDArray[np.int32]
    ce_weights: npt.NDArray[np.float32]
    kd_weights: npt.NDArray[np.float32]
    merits: npt.NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.token_ids)


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingRows:
    """The rows to train on in the order of the selection, and how many were left out, by reason."""

    rows: tuple[TrainingRow, ...]
    skipped: Mapping[str, int]
    num_truncated: int = 0
    num_masked: int = 0
    """Rows of which no token is trained, and which keep their place all the same."""
    positions: tuple[int, ...] = ()
    """Where in the selection each row stands."""


def training_rows(
    pool: Pool, selection: Selection, desk: Desk, *, merits: Ragged | None = None, keep_masked: bool = False
) -> TrainingRows:
    """Encode the selected rows and give each response token its weight from `selection.token_labels`.

    A row is skipped, and counted, when truncation leaves no response token (`prompt_too_long`,
    `empty_response`) or when no token is trained (`no_trained_token`; with `keep_masked` such a row keeps
    its place in its batch). Labels of tokens that truncation cut off are dropped. `merits` are laid out like
    token labels, see `TrainingRow`. Raises UsageError when no row is left, ContractError when a row has fewer
    labels than response tokens or is not in the pool.
    """
    if not selection.ids:
        raise UsageError("the selection is empty: there is nothing to train on")
    try:
        indices = [pool.index_of[row_id] for row_id in selection.ids]
    except KeyError as missing:
        raise ContractError(f"the selection names row {missing}, which is not in the pool") from None
    labels = selection.token_labels
    if labels is not None and len(labels) != len(indices):
        raise ContractError(f"{len(indices)} rows are selected, but {len(labels)} have token labels")
    kept, positions, skipped, num_truncated, num_masked = [], [], Counter[str](), 0, 0
    for position, encoded in enumerate(desk.training_encoding(pool.take(indices))):
        row, reason = _weighted(encoded, None if labels is None else labels[position])
        if row is None or (reason and not keep_masked):
            skipped[reason] += 1
            continue
        positions.append(position)
        num_masked += bool(reason)
        num_truncated += encoded.kept_share < 1
        kept.append(row if merits is None else replace(row, merits=_placed(encoded, merits[position])))
    if num_masked and num_masked == len(kept):
        skipped["no_trained_token"] += num_masked
        kept = []
    if not kept:
        told = ", ".join(f"{reason}: {count}" for reason, count in skipped.items())
        raise UsageError(f"none of the {len(indices)} selected rows has a response token to train ({told})")
    return TrainingRows(
        rows=tuple(kept),
        skipped=dict(skipped),
        num_truncated=num_truncated,
        num_masked=num_masked,
        positions=tuple(positions),
    )


def trained_on(pool: Pool, selection: Selection, desk: Desk, *, rows: TrainingRows, uses: Ragged) -> Selection:
    """Those rows of a selection that were trained on, and which of their response tokens.

    `rows` is what `training_rows` made of the selection, `uses` what `Seen.uses` tells of their tokens: a token
    that was used in any step is marked 1, all others 0.
    """
    ids = [selection.ids[position] for position in rows.positions]
    encoded = desk.training_encoding(pool.take([pool.index_of[row_id] for row_id in ids]))
    labels = [each[row.response] > 0 for each, row in zip(uses, encoded, strict=True)]
    scores = None if selection.scores is None else selection.scores[list(rows.positions)]
    return replace(selection, ids=tuple(ids), scores=scores, token_labels=Ragged.of(labels, np.uint8))


def _weighted(encoded: Encoded, labels: npt.NDArray[np.uint8] | None) -> tuple[TrainingRow | None, str]:
    if encoded.reason is not None:
        return None, encoded.reason
    positions = np.flatnonzero(encoded.response)
    if labels is None:
        labels = np.full(len(positions), CROSS_ENTROPY, dtype=np.uint8)
    if len(labels) < len(positions):
        raise ContractError(f"row '{encoded.row_id}' has {len(positions)} response tokens, but {len(labels)} labels")
    of_token = np.zeros(len(encoded.token_ids), dtype=np.uint8)
    of_token[positions] = labels[: len(positions)]
    of_token[:1] = 0
    return TrainingRow(
        token_ids=encoded.token_ids,
        ce_weights=(of_token == CROSS_ENTROPY).astype(np.float32),
        kd_weights=(of_token == DISTILLATION).astype(np.float32),
    ), "" if of_token.any() else "no_trained_token"


def _placed(encoded: Encoded, of_response: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Numbers of response tokens at their places among all tokens; NaN elsewhere."""
    placed = np.full(len(encoded.token_ids), np.nan, dtype=np.float32)
    positions = np.flatnonzero(encoded.response)
    placed[positions] = of_response[: len(positions)]
    return placed
