"""What the harness found, as metrics with their items; what is no mean of items is only told."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sftbench import Evaluation, Json
from sftbench_plugins.harness_tasks.asking import Asked

Items = dict[str, float]
"""Value by item."""


@dataclass(kw_only=True)
class Outcomes:
    """Items by metric; and the aggregates that have none."""

    items: dict[str, Items] = field(default_factory=dict)
    aggregates: dict[str, float | None] = field(default_factory=dict)
    directions: dict[str, bool] = field(default_factory=dict)

    def add(self, name: str, aggregated: Any, items: Items | None, *, bigger_is_better: bool) -> None:
        """A metric: with its items where their mean is the harness's own number."""
        value = float(aggregated) if isinstance(aggregated, (int, float)) and math.isfinite(aggregated) else None
        if items and value is not None and math.isclose(_mean(items), value, rel_tol=1e-9, abs_tol=1e-9):
            self.items[name] = items
            self.directions[name] = bigger_is_better
        else:
            self.aggregates[name] = value


def _mean(items: Items) -> float:
    return math.fsum(items.values()) / len(items)


def evaluation_of(
    results: Mapping[str, Any], asked: Sequence[Asked], members: Mapping[str, Sequence[str]], report: Mapping[str, Json]
) -> Evaluation:
    """The metrics that were asked for.

    `results` is what `lm_eval.evaluator.evaluate` gives; `members` are the tasks of each task or group that was run.
    """
    outcomes, parts = Outcomes(), Outcomes()
    for each in asked:
        for task in members.get(each.name, ()):
            _add_task(parts if task != each.name else outcomes, task, results)
        if list(members.get(each.name, ())) not in ([], [each.name]):
            _add_group(outcomes, each.name, members[each.name], results, parts)
    wanted = {f"{each.name}/{metric}" for each in asked for metric in each.metrics or ()}
    chosen = {name for name in outcomes.items if not wanted or name in wanted}
    others = {name: _mean(items) for name, items in (parts.items | outcomes.items).items() if name not in chosen}
    return Evaluation(
        ids=(),
        ids_of={name: tuple(outcomes.items[name]) for name in sorted(chosen)},
        items={name: np.array(list(outcomes.items[name].values())) for name in sorted(chosen)},
        bigger_is_better={name: outcomes.directions[name] for name in sorted(chosen)},
        report={
            **report,
            "no_means_of_items": dict(sorted((outcomes.aggregates | parts.aggregates).items())),
            "other_metrics": dict(sorted(others.items())),
        },
    )


def _add_task(outcomes: Outcomes, task: str, results: Mapping[str, Any]) -> None:
    samples = results["samples"][task]
    filters = list(dict.fromkeys(sample["filter"] for sample in samples))
    values: dict[tuple[str, str], Items | None] = defaultdict(dict)
    for sample in samples:
        for metric in sample["metrics"]:
            mine = values[metric, sample["filter"]]
            if isinstance(sample[metric], (bool, int, float, np.number)) and mine is not None:
                mine[f"{task}:{sample['doc_id']}"] = float(sample[metric])
            else:
                values[metric, sample["filter"]] = None
    for (metric, used), items in values.items():
        name = f"{task}/{metric}" + (f"/{used}" if len(filters) > 1 else "")
        aggregated = results["results"][task].get(f"{metric},{used}")
        bigger = bool(results["higher_is_better"][task].get(metric, True))
        outcomes.add(name, aggregated, items, bigger_is_better=bigger)


def _add_group(
    outcomes: Outcomes, group: str, tasks: Sequence[str], results: Mapping[str, Any], parts: Outcomes
) -> None:
    """A group's metrics, over the items of all its tasks."""
    told = results["results"].get(group, {})
    for key, aggregated in told.items():
        metric, sign, used = str(key).partition(",")
        if not sign or metric.endswith("_stderr"):
            continue
        names = [f"{task}/{metric}" for task in tasks]
        found = [parts.items.get(name) or parts.items.get(f"{name}/{used}") for name in names]
        items = None if None in found else {item: value for each in found if each for item, value in each.items()}
        bigger = next((parts.directions[name] for name in names if name in parts.directions), True)
        outcomes.add(f"{group}/{metric}", aggregated, items, bigger_is_better=bigger)
