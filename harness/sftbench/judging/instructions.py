"""What is known of the instructions beforehand: their difficulty, and the verdicts on two gamed baselines."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sftbench.errors import UsageError
from sftbench.judging.resampling import Floats

DIFFICULTY = "instruction_difficulty"
GAMED_COLUMNS = ("index", "preference", "std_delta_len", DIFFICULTY)


@dataclass(frozen=True, kw_only=True)
class Difficulty:
    """How hard each instruction is, in logits, in the order of the benchmark."""

    prompts: tuple[str, ...]
    values: Floats

    def of(self, prompts: Sequence[str], *, where: str) -> Floats:
        """The difficulties [n] of `prompts`, by id. Raises `UsageError` for an instruction without one."""
        known = dict(zip(self.prompts, self.values.tolist(), strict=True))
        strange = [each for each in prompts if each not in known]
        if strange:
            raise UsageError(
                f"{where}: {len(strange)} of {len(prompts)} prompts have no difficulty, such as '{strange[0]}'"
            )
        return np.array([known[each] for each in prompts])

    def first(self, num: int, *, where: str) -> Floats:
        """The first difficulties [num], whatever the prompts are: what the official code does."""
        if num > len(self.values):
            raise UsageError(f"{where}: {num} verdicts of one model, but {len(self.values)} difficulties")
        return self.values[:num]


@dataclass(frozen=True, kw_only=True)
class Gamed:
    """Verdicts on gamed baselines: a regulariser. Length differences are in standard deviations already."""

    prompts: tuple[str, ...]
    preferences: Floats
    length_differences: Floats
    difficulties: Floats


def read_difficulty(path: Path) -> Difficulty:
    """A CSV file with `index` (or `id`) and `instruction_difficulty`. Raises `UsageError` with the line."""
    found: dict[str, float] = {}
    for line, row in _rows(path, (DIFFICULTY,)):
        prompt = _prompt(row, path, line)
        if prompt in found:
            raise UsageError(f"{path}, line {line}: instruction '{prompt}' for the second time")
        found[prompt] = _number(row, DIFFICULTY, path, line)
    return Difficulty(prompts=tuple(found), values=np.array(list(found.values())))


def read_gamed(path: Path) -> Gamed:
    """The authors' `df_gamed.csv`, or a file with its columns. Raises `UsageError` with the line."""
    rows = list(_rows(path, GAMED_COLUMNS[1:]))
    numbers = np.array([[_number(row, name, path, line) for name in GAMED_COLUMNS[1:]] for line, row in rows])
    for (line, _), preference in zip(rows, numbers[:, 0], strict=True):
        if not 0 <= preference <= 1:
            raise UsageError(f"{path}, line {line}: preference {preference} is not between 0 and 1")
    return Gamed(
        prompts=tuple(_prompt(row, path, line) for line, row in rows),
        preferences=numbers[:, 0],
        length_differences=numbers[:, 1],
        difficulties=numbers[:, 2],
    )


def difficulty_of_gamed(gamed: Gamed) -> Difficulty:
    """The difficulties that stand in the file of gamed baselines, each once."""
    found: dict[str, float] = {}
    for prompt, value in zip(gamed.prompts, gamed.difficulties.tolist(), strict=True):
        found.setdefault(prompt, value)
    return Difficulty(prompts=tuple(found), values=np.array(list(found.values())))


def _rows(path: Path, wanted: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            lacking = [name for name in wanted if name not in (reader.fieldnames or ())]
            if lacking:
                raise UsageError(f"{path} has no column '{lacking[0]}'")
            some = False
            for row in reader:
                some = True
                yield reader.line_num, row
    except (OSError, UnicodeDecodeError, csv.Error) as problem:
        raise UsageError(f"cannot read {path}: {problem}") from None
    if not some:
        raise UsageError(f"{path} has no rows")


def _prompt(row: dict[str, str], path: Path, line: int) -> str:
    prompt = row.get("id") or row.get("index")
    if not prompt:
        raise UsageError(f"{path}, line {line}: neither 'id' nor 'index'")
    return prompt


def _number(row: dict[str, str], name: str, path: Path, line: int) -> float:
    try:
        value = float(row[name])
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(f"{path}, line {line}: {name} is '{row[name]}', not a finite number")
    return value
