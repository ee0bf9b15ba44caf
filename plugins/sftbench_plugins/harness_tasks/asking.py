"""What is asked of the harness: tasks, with the shots and the metrics that are wanted of each."""

from __future__ import annotations

from dataclasses import dataclass

CODE_TASKS = ("humaneval",)
"""Tasks that run what the model wrote."""


@dataclass(frozen=True, kw_only=True)
class Samples:
    """How many answers are drawn to each programming task, and how."""

    count: int = 20
    temperature: float = 0.8
    top_p: float = 0.95
    k: int = 10


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A task, or a group of them, by the harness's name.

    `num_fewshot` None is the task's own number of examples; `metrics` None are all of its metrics.
    """

    name: str
    num_fewshot: int | None = None
    metrics: tuple[str, ...] | None = None

    @property
    def runs_code(self) -> bool:
        return self.name in CODE_TASKS


TSHIRT = (
    Asked(name="arc_challenge", num_fewshot=25, metrics=("acc_norm",)),
    Asked(name="hellaswag", num_fewshot=10, metrics=("acc_norm",)),
    Asked(name="mmlu", num_fewshot=5, metrics=("acc",)),
    Asked(name="truthfulqa_mc2", num_fewshot=0, metrics=("acc",)),
    Asked(name="leaderboard_bbh", num_fewshot=3, metrics=("acc_norm",)),
    Asked(name="gsm8k", num_fewshot=5, metrics=("exact_match/strict-match",)),
)
"""T-SHIRT (arXiv 2506.01317), Tables 1 and 2: tasks and metrics; shots as in the Open LLM Leaderboard."""

TOKENTUNE = (
    Asked(name="tydiqa", num_fewshot=1, metrics=("f1",)),
    Asked(name="hellaswag", num_fewshot=0, metrics=("acc",)),
    Asked(name="arc_challenge", num_fewshot=0, metrics=("acc",)),
    Asked(name="boolq", num_fewshot=0, metrics=("acc",)),
    Asked(name="gsm8k", num_fewshot=8, metrics=("exact_match/strict-match",)),
    Asked(name="humaneval", num_fewshot=0, metrics=("pass@10",)),
    Asked(name="logiqa", num_fewshot=0, metrics=("acc",)),
)
"""TokenTune, section 4.1: TyDiQA F1 1-shot, GSM8K 8-shot, HumanEval pass@10, the others accuracy 0-shot."""


def metric_names(asked: tuple[Asked, ...]) -> tuple[str, ...]:
    """The metrics that are wanted, by the names under which they are reported."""
    return tuple(f"{each.name}/{metric}" for each in asked for metric in each.metrics or ())


def parse_tasks(text: str, *, num_fewshot: int | None) -> tuple[Asked, ...]:
    """`a+b+c` as tasks with all their metrics, each once. Raises `ValueError` where none is named."""
    names = dict.fromkeys(name for name in text.replace("+", " ").split())
    if not names:
        raise ValueError("name the tasks, joined by '+': lm-eval[tasks=arc_challenge+gsm8k]")
    return tuple(Asked(name=name, num_fewshot=num_fewshot) for name in names)
