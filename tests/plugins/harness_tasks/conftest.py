"""A desk with a model and the files that a part declares, and a small random model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sftbench import LanguageModel


@dataclass
class TaskDesk:
    """What an evaluator of tasks asks of its desk."""

    model: LanguageModel
    scratch: Path
    given: dict[str, Path]
    logged: list[str] = field(default_factory=list)
    num_loaded: int = 0

    def files(self) -> dict[str, Path]:
        return self.given

    def language_model(self, name: str = "scoring", *, dtype: str = "auto") -> LanguageModel:
        assert name == "trained"
        self.num_loaded += 1
        return self.model

    def log(self, message: str) -> None:
        self.logged.append(message)

    @contextmanager
    def progress(self, total: int, unit: str) -> Iterator[TaskDesk]:
        yield self

    def advance(self, amount: int = 1) -> None:
        pass


@pytest.fixture(scope="module")
def trial_model(material: Any) -> LanguageModel:
    """The tiny model of the conformance checks."""
    return LanguageModel.load(material.model)


@pytest.fixture
def desk_for(trial_model: LanguageModel, tmp_path: Path) -> Callable[[Any], TaskDesk]:
    """A desk for a part, with the files that it declares."""

    def make(part: Any) -> TaskDesk:
        files = {name: Path(path) for name, path in part.needs().files.items()}
        return TaskDesk(model=trial_model, scratch=tmp_path, given=files)

    return make
