"""Answers of a step that has not ended, a line each as they come, so that the step done again asks only the rest."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from pathlib import Path

from sftbench.engines.generate import Ids


@dataclass
class KeptAnswers:
    """Token ids of answers, and whether they came to an end, by a key of all that was asked; in a file of one step."""

    path: Path
    _found: dict[str, tuple[Ids, bool]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        if not self.path.exists():
            return
        text = self.path.read_text(encoding="utf-8")
        for line in text.splitlines():
            try:
                key, ids, ended = json.loads(line)
                self._found[str(key)] = ([int(each) for each in ids], bool(ended))
            except (ValueError, TypeError):
                # A process that was killed leaves half a line.
                continue
        if text and not text.endswith("\n"):
            self._write("\n")

    def __len__(self) -> int:
        return len(self._found)

    def get(self, key: str) -> tuple[Ids, bool] | None:
        """An answer kept from before; None where there is none."""
        return self._found.get(key)

    def keep(self, key: str, ids: Ids, *, ended: bool) -> None:
        """From several threads at a time."""
        with self._lock:
            self._write(json.dumps([key, ids, ended]) + "\n")

    def forget(self) -> None:
        """The step has ended, or is about to: nothing is left of them."""
        self.path.unlink(missing_ok=True)

    def _write(self, text: str) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(text)
