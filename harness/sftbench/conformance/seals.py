"""Who wrote into what was not theirs: every finished step is looked at again after each later one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from sftbench.plan import Ref, Step
from sftbench.store import Store

Signature = frozenset[tuple[str, int, int]]


@dataclass(kw_only=True)
class Seals:
    """Folders that nobody may change any more. Steps end one at a time, so that a change has one culprit."""

    store: Store
    culprits: dict[Ref, set[str]] = field(default_factory=dict)
    """What each guilty step has changed, by name."""
    _sealed: dict[str, tuple[Path, Signature]] = field(default_factory=dict)

    def seal(self, name: str, path: Path) -> None:
        """From now on `path`, a file or folder, may not change."""
        self._sealed[name] = path, _signature(path)

    def ended(self, step: Step) -> None:
        """Look at everything that is sealed, then seal what this step has made."""
        for name, (path, before) in self._sealed.items():
            if _signature(path) != before:
                self.culprits.setdefault(step.ref, set()).add(name)
                self.seal(name, path)
        self.seal(f"'{step.label}'", self.store.folder(step.room, step.key))

    def changed_by(self, steps: Iterable[Ref]) -> list[str]:
        """What any of these steps has changed."""
        return sorted(name for ref in steps for name in self.culprits.get(ref, ()))


def _signature(path: Path) -> Signature:
    """Names, sizes and times: a file that was written is another one, whatever is in it now."""
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return frozenset((str(each), each.stat().st_size, each.stat().st_mtime_ns) for each in files)
