"""What is one's own where a bundle is done again: where things lie here, and who is asked here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sftbench.parameters import split_list

OWN = (
    "pool", "base", "heldout", "lm", "embedder", "chat", "task_data", "allow_code_execution", "workers", "concurrency",
    "vllm", "store",
)  # fmt: skip
"""Settings of a run that whoever checks it says anew."""


@dataclass(frozen=True, kw_only=True)
class Own:
    """Settings named in `OWN` that take the place of the publisher's.

    `judges` are those asked here: None where nothing was said of them, empty for none.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    judges: tuple[str, ...] | None = None

    @property
    def given(self) -> dict[str, Any]:
        """The settings that say anything."""
        return {name: value for name, value in self.settings.items() if value is not None}

    @property
    def task_data(self) -> Path | None:
        """The folder of one's own files of prompts, tasks and answers."""
        folder = self.given.get("task_data")
        return None if folder is None else Path(folder).absolute()


def judges_given(judge: str | Sequence[str] | None) -> tuple[str, ...] | None:
    """Judges from `--judge`: names with commas between them, or a list; `none` is no judge, and None says nothing."""
    if judge is None:
        return None
    named = split_list(judge) if isinstance(judge, str) else [str(each) for each in judge]
    return () if named == ["none"] else tuple(named)
