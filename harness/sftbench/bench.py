"""What every step is done with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sftbench import shelf
from sftbench.ledger import Meter
from sftbench.plan import Step
from sftbench.plugins import Plugins
from sftbench.reporting import Reporter
from sftbench.rooms import Pool
from sftbench.store import Store


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What every step is done with: the plugins, the store, a folder to leave output in, a meter, a reporter."""

    plugins: Plugins
    store: Store
    work: Path
    meter: Meter
    reporter: Reporter


def parent_pool(step: Step, bench: Bench, role: str = "pool") -> Pool:
    """The pool that a step works on, memory-mapped."""
    ref = step.parents[role]
    return shelf.load_pool(bench.store.folder_of(ref), ref)
