"""The pairs that a judge can be asked about: from a folder of data, from a file of labels, and made here."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sftbench.errors import UsageError
from sftbench.pools.files import rows_in_file

LLMBAR = "llmbar.jsonl"
PROMPTS = "alpaca_eval_805.jsonl"
OUTPUTS = "alpaca_eval_outputs.jsonl"


@dataclass(frozen=True, kw_only=True, slots=True)
class EarlierTurn:
    """A turn before the one that is judged: what was asked, and what each of the two answered."""

    asked: str
    model: str
    baseline: str


@dataclass(frozen=True, kw_only=True, slots=True)
class HumanVote:
    """What one person says of a pair: 1 for the model's answer, 0 for the baseline's, 0.5 for a tie."""

    voter: str
    preference: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """Two answers to one prompt. `gold` is the preference for the model's that is known to be right, 0 to 1, or None.

    `earlier` is what went before in a dialogue, `votes` what people said, whose mean is then `gold`. `by_model` and
    `by_baseline` name who wrote the answers, where that is known. `cluster` is the same for pairs whose errors may have
    to do with one another; empty: this pair alone.
    """

    id: str
    prompt: str
    model: str
    baseline: str
    gold: float | None = None
    group: str = ""
    by_model: str = ""
    by_baseline: str = ""
    earlier: tuple[EarlierTurn, ...] = ()
    votes: tuple[HumanVote, ...] = ()
    cluster: str = ""

    @property
    def lengths(self) -> tuple[int, int]:
        """Characters that the model wrote, and the baseline, in all turns."""
        return (
            len(self.model) + sum(len(turn.model) for turn in self.earlier),
            len(self.baseline) + sum(len(turn.baseline) for turn in self.earlier),
        )

    def against_itself(self, changed: str) -> Pair:
        """The baseline's answer, `changed`, against what it was; all that went before is the same on both sides."""
        earlier = tuple(replace(turn, model=turn.baseline) for turn in self.earlier)
        return replace(self, model=changed, earlier=earlier, gold=None, votes=())


@dataclass(frozen=True, kw_only=True)
class Material:
    """All pairs at hand: `natural` ones of two models without a gold label, and with one: `human` with votes of people,
    `gold` of ordinary pairs, `adversarial` of pairs made to mislead, `labelled` from a file, `own` made here. `missing`
    names absent files."""

    natural: Sequence[Pair] = ()
    gold: Sequence[Pair] = ()
    adversarial: Sequence[Pair] = ()
    labelled: Sequence[Pair] = ()
    human: Sequence[Pair] = ()
    own: Sequence[Pair] = ()
    missing: Sequence[str] = field(default_factory=tuple)


@dataclass(frozen=True, kw_only=True)
class Sampler:
    """Takes at most `most` of some pairs (None: all): the same ones for the same seed, and among those of a larger
    `most`, so that what was asked for a short card serves the longer one."""

    most: int | None
    seed: int

    def of(self, pairs: Sequence[Pair]) -> list[Pair]:
        if self.most is None or len(pairs) <= self.most:
            return list(pairs)
        return sorted(pairs, key=lambda pair: self.rank(pair.id))[: self.most]

    def rank(self, name: str) -> str:
        """A random number that depends on nothing but the seed and the name."""
        return hashlib.sha256(f"{self.seed}|{name}".encode()).hexdigest()


def read_material(
    folder: Path | None, labelled: Sequence[Pair] = (), *, human: Sequence[Pair] = (), own: Sequence[Pair] = (),
    seed: int = 0,
) -> Material:  # fmt: skip
    """What a folder (`llmbar.jsonl`, `alpaca_eval_805.jsonl` with `alpaca_eval_outputs.jsonl`, each plain or `.gz`, or
    a subfolder `judge` with them) holds, beside the pairs given.

    Raises `UsageError` for files that cannot be read, with the line.
    """
    place = folder / "judge" if folder is not None and (folder / "judge").is_dir() else folder
    golden, prompts, outputs = (_file(place, name) for name in (LLMBAR, PROMPTS, OUTPUTS))
    llmbar = _all_labelled(golden) if golden else []
    found = {LLMBAR: golden, PROMPTS: prompts, OUTPUTS: outputs}
    return Material(
        natural=_natural(prompts, outputs, seed) if prompts and outputs else [],
        gold=[pair for pair in llmbar if not pair.group.startswith("Adversarial")],
        adversarial=[pair for pair in llmbar if pair.group.startswith("Adversarial")],
        labelled=labelled,
        human=human,
        own=own,
        missing=tuple(name for name, path in found.items() if path is None),
    )


def read_labels(path: Path) -> list[Pair]:
    """Human votes or other gold labels: rows with `instruction`, `output_1`, `output_2`, and `gold` (1, 2 or
    "tie") or `preference` (0 to 1 for `output_1`, such as the mean of several votes); `id`, `category`, `generator_1`
    and `generator_2` where they are known.

    Raises `UsageError` with the line for anything else, and for an id that occurs twice.
    """
    pairs = _all_labelled(path)
    if not pairs:
        raise UsageError(f"{path} holds no labels")
    if len({pair.id for pair in pairs}) != len(pairs):
        twice = next(pair.id for index, pair in enumerate(pairs) if pair.id in {each.id for each in pairs[:index]})
        raise UsageError(f"{path}: the id '{twice}' occurs twice; give the votes on one pair as their mean")
    return pairs


def _all_labelled(path: Path) -> list[Pair]:
    return [_labelled(row, f"{path}, {where}") for where, row in rows_in_file(path)]


def _file(folder: Path | None, name: str) -> Path | None:
    if folder is None:
        return None
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}")
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def _labelled(row: Mapping[str, Any], where: str) -> Pair:
    for name in ("instruction", "output_1", "output_2"):
        if not isinstance(row.get(name), str):
            raise UsageError(f"{where}: '{name}' must be a text")
    return Pair(
        id=str(row.get("id", where.rpartition(" ")[2])),
        prompt=row["instruction"],
        model=row["output_1"],
        baseline=row["output_2"],
        gold=_gold(row, where),
        group=str(row.get("category", "")),
        by_model=str(row.get("generator_1", "")),
        by_baseline=str(row.get("generator_2", "")),
    )


def _gold(row: Mapping[str, Any], where: str) -> float:
    given = row.get("preference")
    if isinstance(given, (int, float)) and not isinstance(given, bool) and 0 <= given <= 1:
        return float(given)
    known = {1: 1.0, 2: 0.0, "1": 1.0, "2": 0.0, "tie": 0.5}
    label = row.get("gold")
    if not isinstance(label, (int, str)) or label not in known:
        raise UsageError(f"{where}: needs 'gold' (1, 2 or \"tie\") or 'preference' (0 to 1 for output_1)")
    return known[label]


def _natural(prompts: Path, outputs: Path, seed: int) -> list[Pair]:
    """Of each prompt the answers of two models, by lot."""
    asked = [str(row["instruction"]) for _, row in rows_in_file(prompts)]
    answers: dict[int, dict[str, str]] = {}
    for where, row in rows_in_file(outputs):
        if not isinstance(row.get("i"), int) or not 0 <= row["i"] < len(asked):
            raise UsageError(f"{outputs}, {where}: 'i' names no prompt")
        answers.setdefault(row["i"], {})[str(row["model"])] = str(row["output"])
    lot = Sampler(most=2, seed=seed)
    pairs = []
    for index, by_model in sorted(answers.items()):
        first, *others = sorted(by_model, key=lambda name: lot.rank(f"{index}|{name}"))
        usable = [name for name in others if by_model[name].strip() != by_model[first].strip()]
        if usable:
            pairs.append(_pair(index, asked[index], (first, by_model[first]), (usable[0], by_model[usable[0]])))
    return pairs


def _pair(index: int, prompt: str, one: tuple[str, str], other: tuple[str, str]) -> Pair:
    return Pair(id=str(index), prompt=prompt, model=one[1], baseline=other[1], by_model=one[0], by_baseline=other[0])


def with_gold(pairs: Iterable[Pair]) -> list[Pair]:
    """Those of some pairs whose better answer is known, and that are no tie."""
    return [pair for pair in pairs if pair.gold is not None and pair.gold != 0.5]
