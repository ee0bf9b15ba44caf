"""What is to be scored and how: the fields are the flags of `bench judge score`, checked before anything is read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from sftbench.errors import UsageError, unknown_name
from sftbench.judging.battles import COVARIATES, OFFICIAL_ROUNDS, WEIGHT
from sftbench.judging.counting import Mode
from sftbench.judging.joint_difficulty import MIN_MODELS
from sftbench.judging.length_control import Form

Metric = Literal["win-rate", "alpaca-lc", "arena-style"]
NUM_RESAMPLES = 1000
_OF_METRIC = {"form": "alpaca-lc", "difficulty": "alpaca-lc", "gamed": "alpaca-lc", "control": "arena-style",
              "weight": "arena-style"}  # fmt: skip
_UNUSED = {"difficulty": ("minimal", "joint"), "gamed": ("minimal", "joint")}


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """A file of verdicts, or a folder of results, the metric, and its settings; None is the default.

    `judge` picks one of a folder's judges, by default the first.
    """

    verdicts: Path
    metric: Metric
    mode: Mode = "paper"
    form: Form | None = None
    difficulty: Path | None = None
    gamed: Path | None = None
    control: tuple[str, ...] | None = None
    weight: int | None = None
    resamples: int | None = None
    expected: int | None = None
    seed: int = 0
    judge: str | None = None

    def checked(self) -> Scoring:
        """The same. Raises `UsageError` for settings that are unknown, out of range, or do not go together."""
        if self.metric not in get_args(Metric):
            raise unknown_name("metric", self.metric, get_args(Metric))
        if self.mode not in get_args(Mode):
            raise unknown_name("mode", self.mode, get_args(Mode))
        for name, metric in _OF_METRIC.items():
            if getattr(self, name) is not None and self.metric != metric:
                raise UsageError(f"--{name} belongs to the metric {metric}, not to {self.metric}")
        for name, least in (("weight", 1), ("resamples", 2), ("expected", 1), ("seed", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise UsageError(f"--{name} is at least {least}, not {value}")
        if self.mode == "official":
            self._check_official()
        self._check_form()
        self._check_control()
        return self

    @property
    def num_resamples(self) -> int:
        """Bootstrap draws."""
        return self.resamples or (OFFICIAL_ROUNDS if self.mode == "official" else NUM_RESAMPLES)

    @property
    def controls(self) -> tuple[str, ...]:
        """What the style is controlled for."""
        return tuple(COVARIATES) if self.control is None else self.control

    @property
    def battle_weight(self) -> int:
        """How often a clear win counts."""
        return WEIGHT if self.weight is None else self.weight

    def form_for(self, num_models: int) -> Form:
        """The form of the length-controlled model: the fullest that the files at hand allow, unless one is named."""
        if self.form == "joint" and num_models < MIN_MODELS:
            raise UsageError(f"--form joint needs {MIN_MODELS} models to tell difficulties, not {num_models}")
        if self.form is not None:
            return self.form
        if self.gamed is not None:
            return "v1"
        if self.difficulty is not None:
            return "noreg"
        return "joint" if self.mode == "paper" and num_models >= MIN_MODELS else "minimal"

    def _check_official(self) -> None:
        if self.resamples is not None and self.metric != "arena-style":
            raise UsageError(f"--mode official of {self.metric} has a standard error and no bootstrap: no --resamples")
        if self.control is not None and set(self.control) != set(COVARIATES):
            raise UsageError(
                "--mode official controls for length,markdown only: with one of them the official code "
                "stops or cuts off models instead of covariates; --mode paper has it right"
            )
        if self.form == "joint":
            raise UsageError("--form joint is no form of the official code; use --mode paper")

    def _check_form(self) -> None:
        if self.form is not None and self.form not in get_args(Form):
            raise unknown_name("form", self.form, get_args(Form))
        if self.form == "v1" and self.gamed is None:
            raise UsageError("--form v1 needs the verdicts on gamed baselines: --gamed FILE")
        if self.form == "noreg" and self.difficulty is None and self.gamed is None:
            raise UsageError("--form noreg needs the difficulty of the instructions: --difficulty FILE")
        for name, forms in _UNUSED.items():
            if self.form in forms and getattr(self, name) is not None:
                raise UsageError(f"--form {self.form} has no use for --{name}")

    def _check_control(self) -> None:
        for name in self.control or ():
            if name not in COVARIATES:
                raise unknown_name("style to control for", name, COVARIATES)
        if self.control is not None and len(set(self.control)) != len(self.control):
            raise UsageError(f"--control {','.join(self.control)} names one thing twice")
        if self.control == ():
            raise UsageError(f"--control names what to control for: {','.join(COVARIATES)}")
