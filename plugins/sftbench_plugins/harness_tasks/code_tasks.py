"""HumanEval: programs are drawn from the model, run in the sandbox, and counted by the unbiased estimator of pass@k."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sftbench_plugins.harness_tasks.files import Doc

if TYPE_CHECKING:
    from sftbench_plugins.harness_tasks.asking import Samples

UNTIL = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")
"""Where the harness's task ends a program (Chen et al. 2021, section 2.1)."""
NEW_TOKENS = 1024
"""The harness's own limit for this task."""


def pass_at_k(num_drawn: int, num_right: int, k: int) -> float:
    """The chance that at least one of `k` draws without replacement is right: Chen et al. 2021 (2107.03374), eq. 1.

    Raises `ValueError` unless 1 <= k <= num_drawn and 0 <= num_right <= num_drawn.
    """
    if not 1 <= k <= num_drawn or not 0 <= num_right <= num_drawn:
        raise ValueError(f"pass@{k} of {num_right} right among {num_drawn} is not defined")
    return 1 - math.comb(num_drawn - num_right, k) / math.comb(num_drawn, k)


@dataclass(frozen=True, kw_only=True)
class CodeTask:
    """The task as the harness takes it, with our own way of running; nothing of `evaluate` runs code here."""

    samples: Samples
    scratch: Path
    endings: Counter[str] = field(default_factory=Counter)
    """How programs ended, over all items."""

    @property
    def tasks(self) -> Mapping[str, dict[str, Any]]:
        """Configuration by name."""
        drawn = self.samples
        return {
            "humaneval": {
                "task": "humaneval",
                "output_type": "generate_until",
                "doc_to_text": "{{prompt}}",
                "doc_to_target": "{{test}}\ncheck({{entry_point}})",
                "repeats": drawn.count,
                "num_fewshot": 0,
                "generation_kwargs": {
                    "until": list(UNTIL),
                    "max_gen_toks": NEW_TOKENS,
                    "do_sample": True,
                    "temperature": drawn.temperature,
                    "top_p": drawn.top_p,
                },
                "filter_list": [
                    {"name": "programs", "filter": [{"function": "custom", "filter_fn": _programs}]},
                ],
                "process_results": self.results,
                "metric_list": [{"metric": f"pass@{drawn.k}", "aggregation": "mean", "higher_is_better": True}],
            }
        }

    def results(self, doc: Doc, results: Sequence[Sequence[str]]) -> dict[str, float]:
        """The metric of one item from the programs that were drawn for it."""
        right = self.are_right(doc, results[0])
        return {f"pass@{self.samples.k}": pass_at_k(len(right), sum(right), self.samples.k)}

    def are_right(self, doc: Doc, programs: Sequence[str]) -> list[bool]:
        """Of each program, whether it passes the item's tests."""
        from sftbench import run_codes

        tested = (f"{program}\n{doc['test']}\ncheck({doc['entry_point']})\n" for program in programs)
        ended = run_codes(tested, scratch=self.scratch)
        self.endings.update(each.status for each in ended)
        return [each.status == "finished" for each in ended]

    def remarks(self) -> list[str]:
        """How programs ended, for the report."""
        told = ", ".join(f"{count} {status}" for status, count in sorted(self.endings.items()))
        return [f"humaneval: programs run in the sandbox: {told}"] if told else []


def _programs(resps: Sequence[Sequence[str]], docs: Sequence[Doc]) -> list[list[str]]:
    """Prompt and continuation of every draw."""
    return [[doc["prompt"] + each for each in drawn] for drawn, doc in zip(resps, docs, strict=True)]
