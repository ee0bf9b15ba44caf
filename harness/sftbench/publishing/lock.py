"""With which packages a run was made and published: names and versions, nothing of the machine."""

from __future__ import annotations

import importlib.metadata
import platform
import re
from collections.abc import Iterable
from typing import Any

from sftbench.plugins import GROUP
from sftbench.record import Record


def lock_of(records: Iterable[Record]) -> dict[str, Any]:
    """Versions of what `sftbench` and the installed plugins need here, and those that the records tell.

    `published_with` holds for the environment of whoever publishes; only `made_with`, which is there where the steps
    were still in the store, tells with what the numbers were made.
    """
    made = {str(sorted(told.items())): told for told in map(_told, records) if told}
    return {
        "published_with": {"python": platform.python_version(), "packages": installed()},
        "made_with": [made[each] for each in sorted(made)],
    }


def _told(record: Record) -> dict[str, Any]:
    names = ("python", "machine", "device", "packages")
    return {name: record.provenance[name] for name in names if name in record.provenance}


def installed() -> dict[str, str]:
    """Versions of `sftbench`, of distributions with plugins, and of all that these require, as installed."""
    found: dict[str, str] = {}
    waiting = ["sftbench", *(each.dist.name for each in importlib.metadata.entry_points(group=GROUP) if each.dist)]
    while waiting:
        name = _plain(waiting.pop())
        if name in found:
            continue
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        waiting += [each for each in map(_required, importlib.metadata.requires(name) or ()) if each]
    return dict(sorted(found.items()))


def _required(requirement: str) -> str | None:
    """The name of a requirement; None for one of an extra."""
    match = re.match(r"[A-Za-z0-9._-]+", requirement)
    return match.group(0) if match and "extra ==" not in requirement.partition(";")[2] else None


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def own_version() -> str:
    """The version of `sftbench` that is installed."""
    return importlib.metadata.version("sftbench")
