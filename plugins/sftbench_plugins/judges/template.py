"""Templates: the texts that a judge is asked with, in files that have a version and are known by their content."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sftbench import UsageError
from sftbench_plugins.wordings import Wording

PACKAGED = Path(__file__).parent / "templates"
_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, kw_only=True)
class Template:
    """Texts by name. `user` has the slots; the others have none and are taken as they are."""

    wording: Wording

    @classmethod
    def of(cls, path: Path, *, slots: Sequence[str], tasks: Sequence[str]) -> Template:
        """Read a template. Raises `UsageError` naming the file and the text or placeholder that lacks."""
        try:
            wording = Wording.of(path)
        except KeyError:
            raise UsageError(f"the template {path} lacks its 'version'") from None
        except (OSError, ValueError, AttributeError, TypeError) as problem:
            raise UsageError(f"the template {path} cannot be read: {problem}") from None
        _check(wording.texts, slots, ("system", "user", *tasks), path)
        return cls(wording=wording)

    @property
    def system(self) -> str:
        """What the judge is told before anything else."""
        return str(self.wording.texts["system"])

    def task(self, name: str) -> str:
        """What it has to write."""
        return str(self.wording.texts[name])

    def user(self, values: Mapping[str, str]) -> str:
        """The user's turn. Braces in what is filled in mean nothing."""
        return _SLOT.sub(lambda found: values.get(found[1], found[0]), str(self.wording.texts["user"]))

    def told(self) -> dict[str, str]:
        """Version and hash, for the report."""
        return self.wording.told()


def template_path(name: str, packaged: str) -> str:
    """Where the template of a parameter lies: `default` is the packaged one."""
    return str(PACKAGED / f"{packaged}.json") if name == "default" else name


def _check(texts: Mapping[str, object], slots: Sequence[str], names: Sequence[str], path: Path) -> None:
    for name in names:
        if not isinstance(texts.get(name), str):
            raise UsageError(f"the template {path} lacks the text '{name}' (it needs {', '.join(names)})")
    found = _SLOT.findall(str(texts["user"]))
    for slot in slots:
        if found.count(slot) != 1:
            what = "lacks the placeholder" if slot not in found else "has more than once the placeholder"
            raise UsageError(f"the template {path} {what} {json.dumps('{' + slot + '}')[1:-1]} in its text 'user'")
    strange = [each for each in found if each not in slots]
    if strange:
        raise UsageError(f"the template {path} has an unknown placeholder {{{strange[0]}}} in its text 'user'")
