"""The scorer `sae-features`: what a language model sees in a row, as features of a sparse autoencoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from sftbench import Desk, Json, Needs, Pool, Ragged, Scores, UsageError, param

if TYPE_CHECKING:
    import torch

    from sftbench_plugins.sae.autoencoder import Autoencoder
    from sftbench_plugins.sae.features import Activity
    from sftbench_plugins.sae.states import StateReader

States = npt.NDArray[np.float32]

_TRAIN = "train"
_MOST_VALUES = 2**30
_ROWS_FOR_TARGET, _TOKENS_FOR_QUANTILE = 1000, 16384
_EXPANSION, _LEAST_K, _WIDTH_PER_K = 32, 8, 32
"""131,072 latents and 128 active ones for a width of 4,096, as in the paper; never fewer than 8 active ones."""


@dataclass(frozen=True, kw_only=True)
class SaeFeatures:
    """Number of features that are active in a row; which ones stands in the column `features` (arXiv 2502.14050).

    A reconstruction, not checked by the authors: what is not known is a parameter. See the README.
    """

    name: ClassVar[str] = "sae-features"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True

    sae: str = param(_TRAIN, "folder of a TopK autoencoder (sparsify's form), or train: one is trained on the pool")
    layer: int = param(-1, "states after this layer, 0 before the first; -1: after the last, before the final norm")
    span: Literal["both", "response"] = param("both", "tokens that are looked at: of the whole row or of the response")
    threshold: Literal["sparsity", "absolute", "quantile", "target"] = param(
        "sparsity",
        "a feature is active above: where a token has k active ones in the mean; theta; the quantile theta of all "
        "activations; where a row has theta active ones in the mean",
    )
    theta: float | None = param(None, "number for the threshold; none: 10 for absolute, 0.999 for quantile")
    activation: Literal["jumprelu", "topk"] = param(
        "jumprelu", "all latents of a token may be active, or its k largest"
    )
    aggregate: Literal["max", "mean"] = param("max", "a row's activation: of its strongest token, or the mean")
    expansion: int = param(_EXPANSION, "latents for each dimension of the states (train)")
    k: int | None = param(
        None, "active latents of a token in training; none: one per 32 dimensions, at least 8 (train)"
    )
    train_tokens: int = param(1_000_000, "tokens that are trained on, at most 4 GiB of states (train)")
    steps: int = param(400, "batches of the training (train)")
    batch: int = param(4096, "tokens of a batch, at most a 32nd of them all (train)")
    learning_rate: float | None = param(
        None,
        "peak of the learning rate; none: 2.1e-4 for 131,072 latents, more for fewer, by the root (train)",
    )
    random_state: int = param(0, "seed of the training; apart from the seed of the run (train)")

    def __post_init__(self) -> None:
        for name in ("expansion", "k", "train_tokens", "steps", "batch"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is at least 1, not {value}")
        if self.threshold == "quantile" and not 0 < (self.theta or 0.5) < 1:
            raise ValueError(f"theta is a share between 0 and 1 for threshold=quantile, not {self.theta:g}")
        if self.threshold == "target" and (self.theta or 0) <= 0:
            raise ValueError("threshold=target needs theta, the features that a row has in the mean")
        if self.threshold == "sparsity" and self.theta is not None:
            raise ValueError("threshold=sparsity takes no theta; say absolute, quantile or target")

    def needs(self) -> Needs:
        folders = {} if self.sae == _TRAIN else {"sae": self.sae}
        return Needs(language_models=("scoring",), folders=folders)

    @property
    def passes_over_pool(self) -> float:
        """One to see what is active, and at most one to train on; the autoencoder itself comes on top."""
        return 2.0 if self.sae == _TRAIN else 1.0

    def score(self, pool: Pool, desk: Desk) -> Scores:
        """Columns: `features`, int32 lists; `num_tokens` looked at. An empty response is NaN with that reason."""
        from sftbench_plugins.sae.features import Activity
        from sftbench_plugins.sae.states import StateReader

        model = desk.language_model("scoring")
        reader = StateReader(pool=pool, model=model, layer=self.layer, span=self.span)
        states = self._sample(reader, desk)
        autoencoder, report = self._autoencoder(reader, states, desk)
        activity = Activity(
            autoencoder=autoencoder, device=model.device, aggregate=self.aggregate, top_k=self.activation == "topk"
        )
        threshold = self._threshold(activity, reader, states)
        reasons: dict[int, str] = {}
        notes: dict[int, str] = {}
        found, lengths = [], np.zeros(len(pool), dtype=np.int64)
        with desk.progress(len(pool), "row") as progress:
            for row, each in enumerate(reader):
                finite = bool(np.isfinite(each.states).all())
                found.append(activity.active(each.states if finite else each.states[:0], threshold))
                lengths[row] = len(each.states)
                if not finite:
                    reasons[row] = "non_finite"
                elif each.reason == "empty_response":
                    reasons[row] = each.reason
                elif each.kept_share < 1:
                    notes[row] = f"truncated to {each.kept_share:.0%}"
                elif not len(found[-1]):
                    notes[row] = "no_features"
                progress.advance()
        desk.meter(flops=2.0 * autoencoder.num_latents * autoencoder.width * float(lengths.sum()))
        values = np.array([len(each) for each in found], dtype=np.float64)
        values[list(reasons)] = np.nan
        report |= {"threshold": threshold, **_described(found, lengths, np.isfinite(values))}
        return Scores(
            values=values,
            reasons=reasons,
            notes=notes,
            columns={"features": Ragged.of(found, dtype=np.int32), "num_tokens": lengths},
            report=report,
        )

    def _sample(self, reader: StateReader, desk: Desk) -> States:
        """States to train on and to find the threshold by, as many as either needs."""
        from sftbench_plugins.sae.states import sampled_states

        by_tokens = self.threshold in ("sparsity", "quantile")
        wanted = self.train_tokens if self.sae == _TRAIN else _TOKENS_FOR_QUANTILE if by_tokens else 0
        number = min(wanted, _MOST_VALUES // reader.model.shape.width)
        return sampled_states(reader, desk.scratch / "states.float32", num_tokens=number, seed=self.random_state)

    def _autoencoder(self, reader: StateReader, states: States, desk: Desk) -> tuple[Autoencoder, dict[str, Json]]:
        from sftbench_plugins.sae.autoencoder import Autoencoder

        width, device = reader.model.shape.width, reader.model.device
        if self.sae != _TRAIN:
            made = Autoencoder.read(desk.folder("sae"), width=width, device=device)
            return made, {"sae": "read", "num_latents": made.num_latents, "k": made.k}
        if not len(states):
            raise UsageError("sae: no row has a token to train on after its first")
        return self._trained(states, desk, device)

    def _trained(self, states: States, desk: Desk, device: torch.device) -> tuple[Autoencoder, dict[str, Json]]:
        from sftbench_plugins.sae.training import Schedule, train

        width = states.shape[1]
        num_latents = self.expansion * width
        schedule = Schedule(
            num_latents=num_latents,
            k=min(num_latents, self.k or max(_LEAST_K, width // _WIDTH_PER_K)),
            num_steps=self.steps,
            batch_size=max(1, min(self.batch, max(64, len(states) // 32), len(states))),
            learning_rate=self.learning_rate,
        )
        with desk.progress(self.steps, "step") as progress:
            trained = train(states, schedule, seed=self.random_state, device=device, advance=progress.advance)
        # All latents forward; of encoder and decoder k rows forward, and twice that backward.
        desk.meter(flops=2.0 * width * (num_latents + 6 * schedule.k) * trained.num_inputs)
        return trained.autoencoder, {
            "sae": "trained here",
            "num_latents": num_latents,
            "k": schedule.k,
            "num_training_tokens": len(states),
            "epochs": trained.epochs,
            "explained_variance": trained.explained_variance,
            "explained_variance_held_out": trained.explained_held_out,
            "dead_share": trained.dead_share,
            "num_moved": trained.num_moved,
        }

    def _threshold(self, activity: Activity, reader: StateReader, states: States) -> float:
        if self.threshold == "absolute":
            return 10.0 if self.theta is None else self.theta
        if self.threshold == "target":
            drawn = np.random.default_rng(self.random_state).permutation(len(reader.pool))[:_ROWS_FOR_TARGET]
            rows = (each.states for each in reader.of(reader.pool.take(drawn)))
            return activity.threshold_for(rows, self.theta or 1.0)
        share = 1 - activity.autoencoder.k / activity.autoencoder.num_latents
        if self.threshold == "quantile":
            share = 0.999 if self.theta is None else self.theta
        return activity.quantile(states, share)


def _described(
    found: Sequence[npt.NDArray[np.int32]], lengths: npt.NDArray[np.int64], scored: npt.NDArray[np.bool_]
) -> dict[str, Json]:
    """How many features rows have, and how much that says about their length (the paper: a correlation of 0.92).

    Features of no row or of most rows tell rows apart no better than none.
    """
    counts = np.array([len(each) for each in found], dtype=np.float64)[scored]
    lengths = lengths[scored]
    varied = len(counts) > 1 and counts.std() > 0 and lengths.std() > 0
    rows_having = np.zeros(1 + max((int(each[-1]) for each in found if len(each)), default=-1), dtype=np.int64)
    for row in np.flatnonzero(scored).tolist():
        rows_having[found[row]] += 1
    return {
        "mean_features": float(counts.mean()) if len(counts) else 0.0,
        "most_features": int(counts.max(initial=0)),
        "features_of_any_row": int((rows_having > 0).sum()),
        "features_of_most_rows": int((rows_having > len(counts) / 2).sum()),
        "correlation_with_length": float(np.corrcoef(counts, lengths)[0, 1]) if varied else None,
    }
