"""Observer `wandb`: finished steps sent to Weights & Biases, if a run asks for it."""

from __future__ import annotations

from sftbench import Json, hookimpl
from sftbench_plugins.heard import is_asked_for
from sftbench_plugins.observers_wandb.sending import tell


@hookimpl
def sftbench_step_ended(record: dict[str, Json], run: dict[str, Json]) -> None:
    """Send what was heard; nothing unless `--observers` names `wandb`."""
    if is_asked_for("wandb", run):
        tell(record, run)
