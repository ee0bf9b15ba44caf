"""Event files for TensorBoard: one folder per run, one point per finished step."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from sftbench import EnvironmentProblem
from sftbench_plugins.heard import numbers_of


def tell(record: Mapping[str, Any], run: Mapping[str, Any]) -> None:
    """Add the numbers of one step. Raises `EnvironmentProblem` where the library is not installed."""
    writer = _writer(str(Path(run["observer_folder"]) / (run["name"] or "run")))
    number = int(run["num_ended"])
    for name, value in numbers_of(record).items():
        writer.add_scalar(name, value, number)
    writer.add_text(f"steps/{record['room']}", run["step"], number)
    # A run may be ended at any moment, and what was heard so far is to be seen while it goes on.
    writer.flush()


@cache
def _writer(folder: str) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise EnvironmentProblem("TensorBoard is not installed: pip install 'sftbench[tensorboard]'") from None
    return SummaryWriter(folder)
