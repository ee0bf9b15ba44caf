"""Tags for every row, asked of a chat model or made from key phrases: what InsTag and meso diversity choose by."""

from __future__ import annotations

from sftbench import Scorer, hookimpl
from sftbench_plugins.tagging.scorer import Tags


@hookimpl
def sftbench_scorers() -> list[type[Scorer]]:
    return [Tags]
