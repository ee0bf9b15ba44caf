"""What is sent to Weights & Biases: numbers and the names of steps, nothing of rows, answers or folders."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from sftbench import EnvironmentProblem
from sftbench_plugins.heard import numbers_of


def tell(record: Mapping[str, Any], run: Mapping[str, Any]) -> None:
    """Send the numbers of one step. Raises `EnvironmentProblem` where the library is not installed."""
    sent = {**numbers_of(record), "step/room": record["room"], "step/name": run["step"]}
    _session(run["name"] or "run", run["observer_folder"]).log(sent, step=int(run["num_ended"]))


@cache
def _session(name: str, folder: str) -> Any:
    """One session per run; `WANDB_MODE=offline` keeps it on this machine. The library ends it when the process does."""
    try:
        import wandb
    except ImportError:
        raise EnvironmentProblem("Weights & Biases is not installed: pip install 'sftbench[wandb]'") from None
    settings = wandb.Settings(disable_git=True, save_code=False, console="off", x_disable_meta=True)
    return wandb.init(project="sftbench", name=name, dir=folder, settings=settings)
