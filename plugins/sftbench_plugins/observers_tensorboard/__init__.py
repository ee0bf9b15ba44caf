"""Observer `tensorboard`: finished steps as event files, if a run asks for them."""

from __future__ import annotations

from sftbench import Json, hookimpl
from sftbench_plugins.heard import is_asked_for
from sftbench_plugins.observers_tensorboard.events import tell


@hookimpl
def sftbench_step_ended(record: dict[str, Json], run: dict[str, Json]) -> None:
    """Write what was heard; nothing unless `--observers` names `tensorboard`."""
    if is_asked_for("tensorboard", run):
        tell(record, run)
