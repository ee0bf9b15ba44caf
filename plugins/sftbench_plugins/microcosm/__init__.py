"""The embedded suite: short made-up tasks with known answers, and a small base model that knows them."""

from __future__ import annotations

from sftbench import Suite, hookimpl
from sftbench_plugins.microcosm import suite


@hookimpl
def sftbench_suites() -> list[Suite]:
    """Pool, held-out items and base model of microcosm."""
    return [
        Suite(
            name="microcosm",
            summary="made-up tasks with known answers, planted defects, and a base model that lacks only the form",
            rows=suite.pool_rows,
            heldout=suite.heldout_rows,
            base=suite.MODEL_FOLDER,
            defaults=suite.DEFAULTS,
            version=suite.VERSION,
            accepts=suite.is_right,
        )
    ]
