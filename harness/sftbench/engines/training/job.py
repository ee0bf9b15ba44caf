"""One fine-tuning as data, so that it can be identified, and handed to other processes as plain files."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file, save_file

from sftbench.engines.training.rows import TrainingRow
from sftbench.engines.training.settings import Distillation, TrainingSettings, Weighing
from sftbench.engines.training.steps import TrainingPlan
from sftbench.rooms import TrainedModel


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Where in a training of several rounds a job stands.

    `state` is the file in which the round before left weights and optimiser, under the identity `after`; both
    are None in the first round. The learning rate is that of steps from `first_step` on, of `num_steps` in all rounds.
    """

    first_step: int
    num_steps: int
    state: str | None = None
    after: str | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Job:
    """Train `base` on `rows` and leave the model in `out`; checkpoints go to `scratch`.

    With a `stretch`, `out` is a file, and what is left in it is the state that the next round starts from; an
    optimiser goes into it where `keeps_optimizer`.
    """

    rows: tuple[TrainingRow, ...]
    settings: TrainingSettings
    seed: int
    base: TrainedModel
    out: Path
    scratch: Path
    distillation: Distillation | None = None
    teacher: TrainedModel | None = None
    weighing: Weighing | None = None
    stretch: Stretch | None = None
    keeps_optimizer: bool = False

    @cached_property
    def plan(self) -> TrainingPlan:
        """Which rows make up each step."""
        return TrainingPlan(rows=self.rows, settings=self.settings, seed=self.seed)

    @cached_property
    def identity(self) -> str:
        """A hash of all that decides the result, so that a checkpoint of another training is not taken up."""
        digest = hashlib.sha256(json.dumps(self._described(), sort_keys=True).encode())
        for array in _packed(self.rows).values():
            digest.update(array.tobytes())
        return digest.hexdigest()

    def _described(self) -> dict[str, Any]:
        return {
            "settings": {
                field.name: getattr(self.settings, field.name) for field in dataclasses.fields(TrainingSettings)
            },
            "seed": self.seed,
            "distillation": None if self.distillation is None else dataclasses.asdict(self.distillation),
            "base": _paths(self.base),
            "teacher": None if self.teacher is None else _paths(self.teacher),
            "weighing": None if self.weighing is None else dataclasses.asdict(self.weighing),
            "stretch": None if self.stretch is None else dataclasses.asdict(self.stretch),
            "keeps_optimizer": self.keeps_optimizer,
        }

    def write(self, folder: Path) -> None:
        """Leave the job in a folder, for `read` in another process."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file(_packed(self.rows), folder / "rows.safetensors")
        described = {**self._described(), "out": str(self.out), "scratch": str(self.scratch)}
        (folder / "job.json").write_text(json.dumps(described), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Job:
        """The job that `write` left in this folder."""
        described = json.loads((folder / "job.json").read_text(encoding="utf-8"))
        return cls(
            rows=_unpacked(load_file(folder / "rows.safetensors")),
            settings=TrainingSettings(**described["settings"]),
            seed=described["seed"],
            base=_model(described["base"]),
            out=Path(described["out"]),
            scratch=Path(described["scratch"]),
            distillation=Distillation(**described["distillation"]) if described["distillation"] else None,
            teacher=_model(described["teacher"]) if described["teacher"] else None,
            weighing=Weighing(**described["weighing"]) if described["weighing"] else None,
            stretch=Stretch(**described["stretch"]) if described["stretch"] else None,
            keeps_optimizer=described["keeps_optimizer"],
        )


def _packed(rows: tuple[TrainingRow, ...]) -> dict[str, npt.NDArray[Any]]:
    arrays: dict[str, npt.NDArray[Any]] = {
        "token_ids": np.concatenate([row.token_ids for row in rows]).astype(np.int32),
        "ce_weights": np.concatenate([row.ce_weights for row in rows]).astype(np.float32),
        "kd_weights": np.concatenate([row.kd_weights for row in rows]).astype(np.float32),
        "ends": np.cumsum([len(row) for row in rows]).astype(np.int64),
    }
    merits = [row.merits for row in rows if row.merits is not None]
    if len(merits) == len(rows):
        arrays["merits"] = np.concatenate(merits).astype(np.float32)
    return arrays


def _unpacked(arrays: dict[str, npt.NDArray[Any]]) -> tuple[TrainingRow, ...]:
    ends = arrays["ends"].tolist()
    parts = [slice(start, end) for start, end in zip([0, *ends], ends, strict=False)]
    names = [name for name in arrays if name != "ends"]
    return tuple(TrainingRow(**{name: arrays[name][part] for name in names}) for part in parts)


def _paths(model: TrainedModel) -> list[str | None]:
    return [str(model.path), None if model.base_path is None else str(model.base_path)]


def _model(paths: list[str | None]) -> TrainedModel:
    path, base = paths
    return TrainedModel(path=Path(str(path)), base_path=None if base is None else Path(base))
