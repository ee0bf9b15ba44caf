"""What an observer may tell of a finished step: numbers by name, from its record alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sftbench import Json

COSTS = ("wall_seconds", "device_seconds", "flops", "tokens_forward", "tokens_backward", "tokens_generated")


def is_asked_for(name: str, run: Mapping[str, Json]) -> bool:
    """Whether a run has asked for the observer `name`, with `--observers`."""
    asked = run.get("observers")
    return isinstance(asked, list | tuple) and name in asked


def numbers_of(record: Mapping[str, Any]) -> dict[str, float]:
    """Cost of the step, means over the items that were measured or judged, and 1 or 0 for whether it failed."""
    room = record["room"]
    found = {f"cost/{room}/{name}": float(record["ledger"].get(name, 0.0)) for name in COSTS}
    found[f"failed/{room}"] = float(record["status"] == "failed")
    payload = record.get("payload") or {}
    for metric, values in (payload.get("items") or {}).items():
        found |= _mean(f"evaluation/{metric}", values)
    if room == "verdicts":
        found |= _mean("verdicts/preference", payload.get("preference") or ())
    return found


def _mean(name: str, values: Iterable[float | None]) -> dict[str, float]:
    known = [float(value) for value in values if value is not None]
    return {name: sum(known) / len(known)} if known else {}
