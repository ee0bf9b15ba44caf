"""The harness's own task objects, over local files or over the hub. Imports the harness."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lm_eval.api.group import Group
from lm_eval.config.group import AggMetricConfig
from lm_eval.tasks import TaskManager

from sftbench import EnvironmentProblem, UsageError
from sftbench_plugins.harness_tasks.asking import Asked
from sftbench_plugins.harness_tasks.benchmarks import KNOWN, Benchmark, Rows
from sftbench_plugins.harness_tasks.files import Doc

FEWSHOT_SEED = 1234
"""The harness's own default."""
WRAPPER = "asked"
HUB_GROUPS = {"tydiqa": ("tydiqa_goldp", ("f1", "exact_match"))}
"""Groups that the harness knows by a tag only."""


@dataclass(kw_only=True)
class Built:
    """Tasks and groups as `lm_eval.evaluator.evaluate` takes them, what is left out and why, and remarks."""

    tasks: dict[str, Any] = field(default_factory=dict)
    groups: dict[str, Any] = field(default_factory=dict)
    members: dict[str, list[str]] = field(default_factory=dict)
    """The tasks of each task or group that was asked for."""
    left_out: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def add(self, name: str, made: Sequence[Any], group_metrics: Sequence[str]) -> None:
        """One task, or several as a group whose metrics are means over all of their items."""
        for task in made:
            task.set_fewshot_seed(seed=FEWSHOT_SEED)
            if task.get_config("num_fewshot") is None:
                task.set_config(key="num_fewshot", value=0)
            self.tasks[task.task_name] = task
        self.members[name] = [task.task_name for task in made]
        if group_metrics:
            metrics = [AggMetricConfig(metric=each, weight_by_size=True) for each in group_metrics]
            group = Group(name=name, aggregate_metric_list=metrics)
            for task in made:
                group.add(task)
            self.groups[name] = group


def of_files(asked: Sequence[Asked], files: Mapping[str, Path], code_task: Mapping[str, Doc]) -> Built:
    """Tasks over local files, named `BENCHMARK:ROLE`; `code_task` is the configuration of the task that runs code."""
    built = Built()
    for each in asked:
        benchmark = KNOWN.get(each.name)
        mine = {role: path for role in ("scored", "shots") if (path := files.get(f"{each.name}:{role}"))}
        if benchmark is None or not mine:
            built.left_out[each.name] = missing(each.name)
            continue
        rows = benchmark.tasks(mine)
        manager = _manager(benchmark)
        overrides = {
            name: _overrides(benchmark, name, rows[name], each.num_fewshot, built.remarks) | code_task.get(name, {})
            for name in sorted(rows)
        }
        made = _loaded(manager, overrides, is_whole=each.name in code_task)["tasks"]
        built.add(each.name, list(made.values()), benchmark.group_metrics)
        built.remarks += [
            f"{each.name}: {what}" for name, what in benchmark.deviation.items() if name in _stems(mine.values())
        ]
    return built


def _loaded(manager: TaskManager, overrides: Mapping[str, Doc], *, is_whole: bool) -> dict[str, Any]:
    """Tasks and groups of the index with other settings; a whole definition stands for itself."""
    members = list(overrides.values())
    # Only members of a group are looked up in the index and changed; a definition by itself is taken as it is.
    loaded: dict[str, Any] = manager.load(members if is_whole else [{"group": WRAPPER, "task": members}])
    loaded.get("groups", {}).pop(WRAPPER, None)
    return loaded


def missing(name: str) -> str:
    """Why a task cannot be run from local files."""
    if name not in KNOWN:
        return f"no way to read it from local files is known; known are {', '.join(sorted(KNOWN))}"
    return f"there is none of its files: {' or '.join(KNOWN[name].files['scored'])} (as .jsonl, .json, .csv, ...)"


def _stems(paths: Any) -> set[str]:
    return {path.name.partition(".")[0] for path in paths} | {path.name.rpartition(".jsonl")[0] for path in paths}


def _manager(benchmark: Benchmark) -> TaskManager:
    """An index of the benchmark's own folders: that of all 14,000 tasks takes seconds."""
    home = Path(str(importlib.util.find_spec("lm_eval.tasks").origin)).parent  # type: ignore[union-attr]
    return TaskManager(include_path=[home / each for each in benchmark.folders], include_defaults=False)


def _overrides(
    benchmark: Benchmark, task: str, rows: Rows, num_fewshot: int | None, remarks: list[str]
) -> dict[str, Any]:
    """What in the harness's definition of a task is replaced: where its rows come from, and how many examples."""
    import datasets

    scored, shots = rows.scored, rows.shots
    more: dict[str, Any] = {}
    wanted = _default_shots(benchmark, task) if num_fewshot is None else num_fewshot
    if benchmark.has_own_shots or not wanted:
        shots = None
    elif rows.from_validation:
        remarks.append(f"{task}: few-shot examples from the validation items: there are no training items")
    elif shots is None or len(shots) < wanted:
        if len(scored) <= wanted:
            raise UsageError(f"{task}: {len(scored)} rows are too few for {wanted} few-shot examples and an item")
        scored, shots = scored[:-wanted], scored[-wanted:]
        remarks.append(f"{task}: few-shot examples are the last {wanted} rows of the file, which are not scored")
        more = {"fewshot_config": {"sampler": "first_n"}}
    splits = {"scored": datasets.Dataset.from_list(scored)}
    if shots:
        splits["shots"] = datasets.Dataset.from_list(shots)
    if num_fewshot is not None:
        more["num_fewshot"] = num_fewshot
    if benchmark.processed:
        more["process_docs"] = None
    return {
        "task": task,
        "custom_dataset": lambda **_: splits,
        "dataset_path": None,
        "dataset_name": None,
        "dataset_kwargs": None,
        "training_split": None,
        "validation_split": None,
        "test_split": "scored",
        "fewshot_split": "shots" if shots else None,
        **more,
    }


def _default_shots(benchmark: Benchmark, task: str) -> int:
    from lm_eval.tasks._yaml_loader import load_yaml

    entry = _manager(benchmark).task_index.get(task)
    path = getattr(entry, "yaml_path", None)
    return int(load_yaml(path, resolve_func=False, recursive=True).get("num_fewshot") or 0) if path else 0


def of_hub(asked: Sequence[Asked], code_task: Mapping[str, Doc]) -> Built:
    """Tasks over the hub. Raises `UsageError` for a name that the harness does not know."""
    built, manager = Built(), TaskManager()
    for each in asked:
        name, group_metrics = HUB_GROUPS.get(each.name, (each.name, ()))
        if name not in manager.all_tasks and name not in code_task:
            raise UsageError(f"the harness has no task '{each.name}'; 'lm_eval ls tasks' lists what it has")
        shots = {} if each.num_fewshot is None else {"num_fewshot": each.num_fewshot}
        try:
            if name in code_task:
                hub = {"dataset_path": "openai/openai_humaneval", "test_split": "test"}
                loaded = _loaded(manager, {name: {**hub, **code_task[name]}}, is_whole=True)
            else:
                loaded = _loaded(manager, {name: {"task": name, **shots}}, is_whole=False)
        except (OSError, ConnectionError) as problem:
            raise EnvironmentProblem(
                f"the data of {each.name} could not be fetched from the Hugging Face hub "
                f"({type(problem).__name__}); name a folder that has it with --task-data"
            ) from None
        tasks = list(loaded["tasks"].values())
        built.add(each.name, tasks, group_metrics if len(tasks) > 1 else ())
        built.groups |= loaded.get("groups", {})
    return built
