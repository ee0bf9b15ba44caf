"""Which files a benchmark can be read from, and the rows that its tasks get: to score, and to show as examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sftbench import UsageError
from sftbench_plugins.harness_tasks import forms
from sftbench_plugins.harness_tasks.files import Doc, find, read_rows


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The rows of one task; `shots` None where the file has no others than those to score."""

    scored: list[Doc]
    shots: list[Doc] | None = None
    from_validation: bool = False


Tasks = Mapping[str, Rows]
"""By the harness's name of the task."""


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """A task or group of the harness as local files.

    `files` are names without ending by what is in them, the first that is there is read; without one of `scored` there
    is no data. `folders` are those of the harness that define its tasks. `group_metrics` are reported over the
    items of all tasks. `has_own_shots`: its few-shot examples are written in the task. `processed`: rows are as the
    task's own preparation leaves them. `deviation` is what every user of such files should know.
    """

    name: str
    folders: tuple[str, ...]
    files: Mapping[str, tuple[str, ...]]
    read: Callable[[Mapping[str, Path]], Tasks]
    group_metrics: tuple[str, ...] = ()
    has_own_shots: bool = False
    processed: bool = False
    deviation: Mapping[str, str] = field(default_factory=dict)

    def found(self, folder: Path) -> dict[str, Path]:
        """Its files in a folder by what is in them; nothing where those to score are missing."""
        places = {role: find(folder, names) for role, names in self.files.items()}
        there = {role: path for role, path in places.items() if path is not None}
        return there if "scored" in there else {}

    def tasks(self, files: Mapping[str, Path]) -> Tasks:
        """Rows by task. Raises `UsageError` for a file in another form than is known."""
        try:
            return self.read(files)
        except (KeyError, IndexError, TypeError, AttributeError, ValueError) as problem:
            names = ", ".join(path.name for path in files.values())
            what = f"{type(problem).__name__}: {problem}"
            raise UsageError(f"{names}: not in a form in which {self.name} is known ({what})") from None


def _plain(name: str, form: Callable[[Doc], Doc]) -> Callable[[Mapping[str, Path]], Tasks]:
    """A benchmark of one task, a row of a file for each item."""

    def read(files: Mapping[str, Path]) -> Tasks:
        shots = [form(row) for row in read_rows(files["shots"])] if "shots" in files else None
        stand_in = "shots" in files and "train" not in files["shots"].name
        scored = [form(row) for row in read_rows(files["scored"])]
        return {name: Rows(scored=scored, shots=shots, from_validation=stand_in)}

    return read


def _mmlu(files: Mapping[str, Path]) -> Tasks:
    by_subject: dict[str, Rows] = {}
    for row in read_rows(files["scored"]):
        rows = by_subject.setdefault(f"mmlu_{row['subject']}", Rows(scored=[], shots=[]))
        if row["split"] == "test":
            rows.scored.append(forms.mmlu(row))
        elif row["split"] == "dev" and rows.shots is not None:
            rows.shots.append(forms.mmlu(row))
    return by_subject


NO_CHOICES = ("dyck_languages", "multistep_arithmetic_two", "word_sorting")
"""Subtasks of BBH that have no choices, and that the leaderboard's group leaves out."""


def _bbh(files: Mapping[str, Path]) -> Tasks:
    found = forms.bbh(read_rows(files["scored"]))
    return {f"leaderboard_bbh_{name}": Rows(scored=rows) for name, rows in found.items() if name not in NO_CHOICES}


def _tydiqa(files: Mapping[str, Path]) -> Tasks:
    """Examples in the language of the task; of another, where there is none in it."""
    scored = forms.tydiqa(read_rows(files["scored"]))
    shots = forms.tydiqa(read_rows(files["shots"])) if "shots" in files else []
    tasks = {}
    for language, code in forms.LANGUAGES.items():
        mine = _of(language, scored)
        if mine:
            told = _of(language, shots) or _without_language(shots) or None
            tasks[f"tydiqa_goldp_{code}"] = Rows(scored=mine, shots=told)
    return tasks


def _of(language: str, docs: Sequence[Doc]) -> list[Doc]:
    return _without_language([doc for doc in docs if doc["language"] == language])


def _without_language(docs: Sequence[Doc]) -> list[Doc]:
    return [{name: value for name, value in doc.items() if name != "language"} for doc in docs]


_TRUTHFULQA = ("truthfulqa/TruthfulQA", "truthfulqa/validation")
KNOWN = {
    each.name: each
    for each in (
        Benchmark(
            name="arc_challenge",
            folders=("arc",),
            files={
                "scored": ("arc_challenge_test/ARC-Challenge_test", "arc_challenge/test", "ai2_arc_ARC-Challenge/test"),
                "shots": (
                    "ai2_arc_ARC-Challenge/train", "arc_challenge/train",
                    "ai2_arc_ARC-Challenge/validation", "arc_challenge/validation",
                ),
            },
            read=_plain("arc_challenge", forms.arc),
        ),
        Benchmark(
            name="hellaswag",
            folders=("hellaswag",),
            files={"scored": ("hellaswag/hellaswag_val_1000", "hellaswag/validation"), "shots": ("hellaswag/train",)},
            read=_plain("hellaswag", forms.hellaswag),
            processed=True,
            deviation={"hellaswag_val_1000": "a sample of 1,000 validation items, not all 10,042"},
        ),
        Benchmark(
            name="boolq",
            folders=("super_glue",),
            files={"scored": ("boolq/validation",), "shots": ("boolq/train",)},
            read=_plain("boolq", forms.boolq),
        ),
        Benchmark(
            name="gsm8k",
            folders=("gsm8k",),
            files={"scored": ("gsm8k/test",), "shots": ("gsm8k/train",)},
            read=_plain("gsm8k", forms.gsm8k),
        ),
        Benchmark(
            name="truthfulqa_mc1",
            folders=("truthfulqa",),
            files={"scored": _TRUTHFULQA},
            read=_plain("truthfulqa_mc1", forms.truthfulqa),
        ),
        Benchmark(
            name="truthfulqa_mc2",
            folders=("truthfulqa",),
            files={"scored": _TRUTHFULQA},
            read=_plain("truthfulqa_mc2", forms.truthfulqa),
        ),
        Benchmark(
            name="mmlu", folders=("mmlu/default",), files={"scored": ("mmlu/mmlu",)}, read=_mmlu, group_metrics=("acc",)
        ),
        Benchmark(
            name="leaderboard_bbh",
            folders=("leaderboard/bbh_mc",),
            files={"scored": ("bbh/bbh",)},
            read=_bbh,
            group_metrics=("acc_norm",),
            has_own_shots=True,
        ),
        Benchmark(
            name="logiqa",
            folders=("logiqa",),
            files={"scored": ("logiqa/test", "agieval/logiqa-en"), "shots": ("logiqa/train",)},
            read=_plain("logiqa", forms.logiqa),
            deviation={"logiqa-en": "AGIEval's copy of the English test questions"},
        ),
        Benchmark(
            name="tydiqa",
            folders=("tydiqa",),
            files={
                "scored": ("tydiqa/tydiqa-goldp-v1.1-dev", "tydiqa/tiny_dev"),
                "shots": ("tydiqa/tydiqa-goldp-v1.1-train", "tydiqa/small_gold_annotation"),
            },
            read=_tydiqa,
            group_metrics=("f1", "exact_match"),
            processed=True,
            deviation={
                "tiny_dev": "gold passages cut out of the primary task's sample: a handful of items, not the 5,077",
                "small_gold_annotation": "examples of the primary task's sample, of another language where needed",
            },
        ),
        Benchmark(
            name="humaneval",
            folders=(),
            files={"scored": ("humaneval/HumanEval", "humaneval/test")},
            read=_plain("humaneval", forms.humaneval),
        ),
    )
}  # fmt: skip
"""The benchmarks that can be read from files."""
