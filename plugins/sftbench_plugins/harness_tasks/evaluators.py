"""Evaluators over the harness: any of its tasks, and the sets of two papers. Light: the harness comes with the work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from sftbench import Desk, Evaluation, Json, Needs, Pool, Responses, UsageError, param
from sftbench_plugins.harness_tasks.asking import TOKENTUNE, TSHIRT, Asked, Samples, metric_names, parse_tasks

TRIAL = Path(__file__).parent / "trial"
"""A few made-up items in the forms of benchmarks, with which the evaluators can be tried anywhere."""
_LIMIT = "at most so many items of each task; default: the run's --limit, else all"
_DATA = "folder of the benchmarks' files; default: the run's --task-data, else the hub"
_CODE = "run code that the model wrote; given by --allow-code-execution only"
_CHAT = "put the chat template round prompts, examples as turns before"


@dataclass(frozen=True, kw_only=True)
class _Harness:
    """What all of these share; a subclass says in `asked` which tasks."""

    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True
    generates: ClassVar[bool] = False
    own_items: ClassVar[bool] = True

    limit: int | None = param(None, _LIMIT)
    task_data: str | None = param(None, _DATA, place=True)
    allow_code_execution: bool = param(False, _CODE)
    apply_chat_template: bool = param(False, _CHAT)

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise ValueError("limit must be at least 1")

    @property
    def asked(self) -> tuple[Asked, ...]:
        raise NotImplementedError

    @property
    def samples(self) -> Samples:
        """How answers are drawn that are run as code."""
        return Samples()

    def needs(self) -> Needs:
        if self.task_data is None:
            return Needs()
        return Needs(files=local_files(self.asked, Path(self.task_data)))

    def evaluate(self, heldout: Pool, responses: Responses | None, desk: Desk) -> Evaluation:
        from sftbench_plugins.harness_tasks.working import Work, evaluate

        work = Work(
            asked=self.asked, samples=self.samples, limit=self.limit, runs_code=self.allow_code_execution,
            templated=self.apply_chat_template,
        )  # fmt: skip
        return evaluate(work, desk)


def local_files(asked: Sequence[Asked], folder: Path) -> dict[str, str]:
    """The files of those tasks that a folder has, as `BENCHMARK:ROLE`. Raises `UsageError` where it has none."""
    from sftbench_plugins.harness_tasks.benchmarks import KNOWN

    if not folder.is_dir():
        raise UsageError(f"--task-data: there is no folder {folder}")
    known = [KNOWN[each.name] for each in asked if each.name in KNOWN]
    files = {f"{each.name}:{role}": str(path) for each in known for role, path in each.found(folder).items()}
    if not files:
        looked = [f"{each.name} as {' or '.join(each.files['scored'])}" for each in known]
        unknown = [each.name for each in asked if each.name not in KNOWN]
        told = [*looked, *(f"{name} cannot be read from files" for name in unknown)]
        raise UsageError(f"--task-data {folder} has no data of any task that is asked for: {'; '.join(told)}")
    return files


@dataclass(frozen=True, kw_only=True)
class LmEval(_Harness):
    """Tasks of EleutherAI's lm-evaluation-harness by name, joined by `+`, with all their metrics.

    Prompts, filters and metrics are the harness's. Items are kept, and metrics are named `TASK/METRIC`, or
    `TASK/METRIC/FILTER` where a task has several filters.
    """

    name: ClassVar[str] = "lm-eval"
    trial: ClassVar[Mapping[str, Json]] = {"tasks": "gsm8k+boolq", "limit": 2, "task_data": str(TRIAL)}

    tasks: str = param("arc_challenge", "tasks or groups by the harness's names, joined by '+'")
    num_fewshot: int | None = param(None, "examples in each prompt; default: each task's own number")
    num_samples: int = param(20, "answers that are drawn to a programming task")
    temperature: float = param(0.8, "at which these are drawn")
    top_p: float = param(0.95, "share of the likeliest tokens from which these are drawn")
    pass_at: int = param(1, "k of pass@k")

    def __post_init__(self) -> None:
        super().__post_init__()
        parse_tasks(self.tasks, num_fewshot=None)
        if not 1 <= self.pass_at <= self.num_samples:
            raise ValueError("pass_at must be between 1 and num_samples")

    @property
    def asked(self) -> tuple[Asked, ...]:
        return parse_tasks(self.tasks, num_fewshot=self.num_fewshot)

    @property
    def samples(self) -> Samples:
        return Samples(count=self.num_samples, temperature=self.temperature, top_p=self.top_p, k=self.pass_at)


@dataclass(frozen=True, kw_only=True)
class TshirtPaper(_Harness):
    """The six tasks of T-SHIRT (arXiv 2506.01317), Tables 1 and 2, with its metrics.

    ARC-Challenge (25 shots), HellaSwag (10) and BBH (3) by normalised accuracy, MMLU (5) and TruthfulQA MC2 (0) by
    accuracy, GSM8K (5) by exact match.
    """

    name: ClassVar[str] = "tshirt-paper"
    metrics: ClassVar[tuple[str, ...]] = metric_names(TSHIRT)
    trial: ClassVar[Mapping[str, Json]] = {"limit": 2, "task_data": str(TRIAL)}

    @property
    def asked(self) -> tuple[Asked, ...]:
        return TSHIRT


@dataclass(frozen=True, kw_only=True)
class TokenTunePaper(_Harness):
    """The seven tasks of TokenTune with its metrics.

    TyDiQA F1 (1 shot), HellaSwag, ARC-Challenge, BoolQ and LogiQA by accuracy (0), GSM8K (8) by exact match, and
    HumanEval pass@10, which runs code and so needs --allow-code-execution.
    """

    name: ClassVar[str] = "tokentune-paper"
    metrics: ClassVar[tuple[str, ...]] = metric_names(TOKENTUNE)
    trial: ClassVar[Mapping[str, Json]] = {"limit": 1, "task_data": str(TRIAL)}

    num_samples: int = param(20, "answers that are drawn to each task of HumanEval, at least 10")
    temperature: float = param(0.8, "at which these are drawn")
    top_p: float = param(0.95, "share of the likeliest tokens from which these are drawn")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_samples < 10:
            raise ValueError("num_samples must be at least 10 for pass@10")

    @property
    def asked(self) -> tuple[Asked, ...]:
        return TOKENTUNE

    @property
    def samples(self) -> Samples:
        return Samples(count=self.num_samples, temperature=self.temperature, top_p=self.top_p, k=10)
