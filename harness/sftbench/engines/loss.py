"""The one loss contract: weighted sums of token losses over normalisers of the whole optimiser step.

`L = share * sum_t w_t CE_t / max(W_ce, 1) + (1 - share) * sum_t v_t KD_t / max(W_kd, 1)`, where W are the
sums of weights over the global batch (all micro-batches of all processes). A process adds up what its
own tokens contribute, so how the batch is cut, padded and spread changes no gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from sftbench.engines.training.rows import TrainingRow
from sftbench.errors import UsageError

CHUNK_ELEMENTS = 2**26
"""Logits turned to float32 at once: 256 MiB."""


def cross_entropies(logits: Tensor, targets: Tensor) -> Tensor:
    """`-log p_t[target_t]`, float32 [n]; logits [n, V], targets int64 [n]."""

    def term(some: Tensor, wanted: Tensor) -> Tensor:
        return F.cross_entropy(_precise(some), wanted, reduction="none")

    return _in_chunks(term, logits, targets)


def weighted_sum(losses: Tensor, weights: Tensor) -> Tensor:
    """`sum_t w_t l_t`, a scalar; both [n]. Not a dot product: autocast would take it in bfloat16."""
    return (losses * weights.to(losses.dtype)).sum()


def distillation_sum(logits: Tensor, teacher_logits: Tensor, weights: Tensor, *, temperature: float) -> Tensor:
    """`sum_t w_t * T^2 * -sum_v q_tv log p_tv` with q, p the teacher's and student's softmax at temperature T.

    Equal to `T^2 KL(q || p)` but for a constant (TokenTune, Eq. 11; the factor T^2 after Hinton et al.
    2015). A teacher with a smaller vocabulary gives no mass to the student's further entries.
    Logits [n, V] and [n, V'], weights [n]. Raises UsageError when V' > V.
    """
    check_vocabularies(student=logits.shape[-1], teacher=teacher_logits.shape[-1])

    def term(some: Tensor, taught: Tensor) -> Tensor:
        student = _precise(some) / temperature
        teacher = F.pad(_precise(taught) / temperature, (0, some.shape[-1] - taught.shape[-1]), value=float("-inf"))
        return F.cross_entropy(student, teacher.softmax(-1), reduction="none")

    return weighted_sum(_in_chunks(term, logits, teacher_logits), weights) * temperature**2


def check_vocabularies(*, student: int, teacher: int) -> None:
    """Refuse a teacher that knows tokens which the student cannot produce."""
    if teacher > student:
        raise UsageError(f"the teacher's vocabulary ({teacher}) is larger than the student's ({student})")


def combined(ce_sum: Tensor, kd_sum: Tensor, *, normalisers: tuple[float, float], share: float) -> Tensor:
    """What these sums contribute to the loss of an optimiser step with these normalisers."""
    ce_weight, kd_weight = (max(weight, 1.0) for weight in normalisers)
    return share * ce_sum / ce_weight + (1 - share) * kd_sum / kd_weight


def collate(rows: Sequence[TrainingRow], *, pad_token_id: int = 0) -> dict[str, Tensor]:
    """Rows as one micro-batch, padded on the right, where a causal model never looks from a real token.

    `token_ids` int64 [b, L]; for either term `*_at` int64 [n], the flat positions whose *next* token is
    predicted, and `*_weights` float32 [n].
    """
    width = max(len(row) for row in rows)
    token_ids = np.full((len(rows), width), pad_token_id, dtype=np.int64)
    weights = np.zeros((2, len(rows), width), dtype=np.float32)
    for place, row in enumerate(rows):
        token_ids[place, : len(row)] = row.token_ids
        weights[0, place, : len(row) - 1] = row.ce_weights[1:]
        weights[1, place, : len(row) - 1] = row.kd_weights[1:]
    ce, kd = weights.reshape(2, -1)
    ce_at, kd_at = np.flatnonzero(ce), np.flatnonzero(kd)
    arrays = {"token_ids": token_ids, "ce_at": ce_at, "ce_weights": ce[ce_at], "kd_at": kd_at, "kd_weights": kd[kd_at]}
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


class Objective(nn.Module):
    """A causal language model as a function from a micro-batch to its two weighted sums, and its cross-entropies.

    The teacher is no submodule: it is neither trained, nor saved, nor wrapped for several processes.
    """

    def __init__(self, model: nn.Module, *, teacher: nn.Module | None = None, temperature: float = 1.0) -> None:
        super().__init__()
        self.model = model
        self.temperature = temperature
        self._teacher: tuple[nn.Module, ...] = () if teacher is None else (teacher.eval().requires_grad_(False),)

    def forward(
        self, token_ids: Tensor, ce_at: Tensor, ce_weights: Tensor, kd_at: Tensor, kd_weights: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Sums of the cross-entropy and the distillation term over a micro-batch (see `collate`).

        Third, the cross-entropy [n] at each of `ce_at`, for whoever watches: it has no gradient.
        """
        logits = logits_at(self.model, token_ids, torch.cat([ce_at, kd_at]))
        losses = cross_entropies(logits[: len(ce_at)], token_ids.flatten()[ce_at + 1])
        ce_sum = weighted_sum(losses, ce_weights)
        if not len(kd_at) or not self._teacher:
            return ce_sum, torch.zeros_like(ce_sum), losses.detach()
        with torch.no_grad():
            taught = logits_at(self._teacher[0], token_ids, kd_at)
        kd_sum = distillation_sum(logits[len(ce_at) :], taught, kd_weights, temperature=self.temperature)
        return ce_sum, kd_sum, losses.detach()


def logits_at(model: Any, token_ids: Tensor, positions: Tensor) -> Tensor:
    """Logits [n, V] at flat positions of `token_ids` [b, L], with the output head run nowhere else.

    Padding stands on the right, so causal attention needs no mask.
    """
    with _head_sees_only(model.get_output_embeddings(), positions):
        logits: Tensor = model(input_ids=token_ids, use_cache=False).logits
    return logits[0]


@contextmanager
def _head_sees_only(head: nn.Module, positions: Tensor) -> Iterator[None]:
    # A hook rather than a call of the head by ourselves: scaling and soft-capping after it stay the model's business.
    def pick(_module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (inputs[0].flatten(0, 1).index_select(0, positions).unsqueeze(0),)

    handle = head.register_forward_pre_hook(pick)
    try:
        yield
    finally:
        handle.remove()


def _precise(logits: Tensor) -> Tensor:
    return logits if logits.dtype == torch.float64 else logits.float()


def _in_chunks(term: Callable[..., Tensor], logits: Tensor, *others: Tensor) -> Tensor:
    """`term` [n] of logits [n, V] and what belongs to them, a piece at a time."""
    size = max(1, CHUNK_ELEMENTS // logits.shape[-1])
    if len(logits) <= size:
        return term(logits, *others)
    parts = []
    for start in range(0, len(logits), size):
        piece = (tensor[start : start + size] for tensor in (logits, *others))
        # Recomputed in the backward pass, so that no float32 copy of a chunk outlives it.
        parts.append(checkpoint(term, *piece, use_reentrant=False, preserve_rng_state=False))
    return torch.cat(parts)
