"""Measure how diverse the rows of a file are: what `bench describe` does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sftbench.choosing import carried_out, planner_of
from sftbench.errors import UsageError
from sftbench.plan import Ref, Step
from sftbench.planner import Planner
from sftbench.plugins import Plugins
from sftbench.pools import pool_key
from sftbench.rooms import Component
from sftbench.runner import Watcher
from sftbench.settings import RunSettings, check_settings
from sftbench.survey import absolute

COLUMNS = ("metric", "value", "ci_lo", "ci_hi", "unit", "direction", "tokens", "n", "note")


@dataclass(frozen=True, kw_only=True)
class Description:
    """What to measure, and on what: the fields are the flags of `bench describe`."""

    pool: str
    component: Component = "response"
    against: str | None = None
    lm: str | None = None
    embedder: str = "auto"
    limit: int | None = None
    token_budget: int | None = None
    mode: str = "paper"
    seed: int = 42
    kl_lm: bool = False
    store: Path | None = None


def describe_pool(wanted: Description, *, plugins: Plugins, watcher: Watcher) -> list[dict[str, Any]]:
    """Every diversity metric of one side of the rows: metric, value, bounds, unit, tokens, n, direction, note.

    Raises `UsageError` for bad input; a metric that cannot be computed is None with the reason in `note`.
    """
    for name, given, known in (
        ("component", wanted.component, ("instruction", "response", "both")),
        ("mode", wanted.mode, ("paper", "paper_literal")),
    ):
        if given not in known:
            raise UsageError(f"{name} '{given}': expected one of {', '.join(known)}")
    if wanted.token_budget is not None and wanted.token_budget < 1:
        raise UsageError(f"a token budget is at least 1, not {wanted.token_budget}")
    if wanted.kl_lm and wanted.against is None:
        raise UsageError("--kl-lm compares with real rows; name them with --against")
    settings = _settings(wanted, plugins)
    planner = planner_of(settings, plugins, (), wanted.seed, describe_tokens=wanted.token_budget)
    against = _read(planner, wanted.against) if wanted.against else None
    ref = planner.description(
        wanted.component, pool=planner.pool, bands=against, against=against,
        mode=wanted.mode, seed=wanted.seed, kl_lm=wanted.kl_lm,
    )  # fmt: skip
    run = carried_out(planner, ref, settings, plugins, watcher, wanted.store)
    measures: Any = run.store.ended(ref).payload["measures"]
    return [{name: each[name] for name in COLUMNS} for each in measures]


def _settings(wanted: Description, plugins: Plugins) -> RunSettings:
    """Without `lm` the embedded suite's base counts the tokens."""
    suite = str(RunSettings.model_fields["suite"].default)
    base = wanted.lm or str(plugins.suite(suite).base)
    return check_settings(
        {
            "methods": ["none"], "pool": wanted.pool, "limit_pool": wanted.limit, "base": base, "redo": "failed",
            "embedder": wanted.embedder, "describe": [wanted.component],
        }
    )  # fmt: skip


def _read(planner: Planner, source: str) -> Ref:
    return planner.add(
        Step(
            room="pool",
            label=f"read {Path(source).name}",
            identity={"make": "read", "content": pool_key(source), "limit": None},
            where={"source": absolute(source)},
        )
    )
