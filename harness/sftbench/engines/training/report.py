"""What a finished training tells: its cost for the ledger, and counts and mean losses for people."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from sftbench.engines.flops import forward_flops, shape_at
from sftbench.engines.training.job import Job
from sftbench.engines.training.models import root
from sftbench.engines.training.rows import TrainingRows
from sftbench.engines.training.seen import Seen
from sftbench.roles import Desk
from sftbench.rooms import Json


def meter(job: Job, desk: Desk) -> None:
    """Put the work of the whole plan on the desk's ledger, padding left out.

    The backward pass costs twice the forward pass, with LoRA once: frozen weights get no gradient. A
    teacher's forward pass is added for the rows with distilled tokens, and one more of the model where it ranks
    its tokens at every step.
    """
    seen = np.concatenate([job.plan.batch(step) for step in range(job.plan.num_steps)])
    lengths = np.array([len(row) for row in job.rows])[seen]
    scored = np.array([np.count_nonzero(row.ce_weights + row.kd_weights) for row in job.rows])[seen]
    shape = shape_at(root(job.base))
    forward = forward_flops(shape, lengths, num_scored_tokens=int(scored.sum()))
    flops, tokens = forward * (2 if job.settings.rank else 3), float(lengths.sum())
    if job.weighing is not None and job.weighing.keep is not None and job.weighing.live:
        flops, tokens = flops + forward, tokens + float(lengths.sum())
    if job.teacher is not None:
        distilled = np.array([np.count_nonzero(row.kd_weights) for row in job.rows])[seen]
        taught = lengths[distilled > 0]
        flops += forward_flops(shape_at(root(job.teacher)), taught, num_scored_tokens=int(distilled.sum()))
        tokens += float(taught.sum())
    desk.meter(tokens_forward=tokens, tokens_backward=float(lengths.sum()), flops=flops)


def report_of(job: Job, seen: Seen, rows: TrainingRows) -> Mapping[str, Json]:
    """Counts, and mean losses per trained token over the whole training and per tenth of it.

    A term that had no token is None, and the steps in which that happened are counted.
    """
    sums, weights = np.split(seen.sums.numpy(), 2, axis=1)
    share = 1.0 if job.distillation is None else job.distillation.cross_entropy_share
    losses = (sums / np.maximum(weights, 1.0)) @ np.array([share, 1 - share])
    report: dict[str, Json] = {
        "num_rows_trained": len(job.rows) - rows.num_masked,
        "num_rows_skipped": dict(rows.skipped),
        "num_rows_truncated": rows.num_truncated,
        "num_steps": len(sums),
        "num_response_tokens_trained": _num_tokens(job, seen),
        "learning_rate": job.settings.peak_learning_rate,
        "final_loss": float(losses[-1]),
        "loss_by_tenth": [float(part.mean()) for part in np.array_split(losses, min(10, len(losses)))],
        "mean_cross_entropy": _mean(sums[:, 0], weights[:, 0]),
    }
    if rows.num_masked:
        report["num_rows_without_a_trained_token"] = rows.num_masked
    if job.distillation is not None:
        report["mean_distillation"] = _mean(sums[:, 1], weights[:, 1])
        report["num_steps_without_cross_entropy"] = int((weights[:, 0] == 0).sum())
        report["num_steps_without_distillation"] = int((weights[:, 1] == 0).sum())
    return report


def _num_tokens(job: Job, seen: Seen) -> int:
    """Tokens that were trained on, once for all epochs."""
    if job.weighing is not None:
        return int((seen.uses > 0).sum())
    return sum(int(np.count_nonzero(row.ce_weights + row.kd_weights)) for row in job.rows)


def _mean(sums: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]) -> float | None:
    return float(sums.sum() / weights.sum()) if weights.sum() else None
