"""Files of verdicts: one JSON object a line, checked key by key; every refusal names the line."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sftbench.errors import UsageError

Label = Literal["A>>B", "A>B", "A=B", "A<B", "A<<B", "B>>A", "B>A", "B=A", "B<A", "B<<A"]
LABELS = frozenset(get_args(Label))
Flag = Literal[
    "empty_instruction", "question_too_long", "judge_truncated", "unparsable", "no_label_mass", "non_finite",
    "empty_response", "missing_answer", "no_reference", "model_error", "over_budget",
]  # fmt: skip
Chance = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class StyleCounts(_Strict):
    """Markdown elements of one answer, counted outside of code fences."""

    headers: Count
    lists: Count
    bolds: Count


class _Line(_Strict):
    """One line of a file of verdicts."""

    id: str | int
    model: str
    baseline: str
    preference: float | None = None
    baseline_first: Label | None = None
    model_first: Label | None = None
    baseline_first_chance: Chance | None = None
    model_first_chance: Chance | None = None
    length_model: Count | None = None
    length_baseline: Count | None = None
    tokens_model: Count | None = None
    tokens_baseline: Count | None = None
    style_model: StyleCounts | None = None
    style_baseline: StyleCounts | None = None
    flags: list[Flag] = []


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What the judge said of one answer against the baseline's answer to the same prompt.

    `preference` is the chance, 0 to 1, that the model's answer is the better one; NaN where there is no verdict.
    `games` are the five-way labels of Arena-Hard: first the game in which the baseline is A, then the one in which
    the model is A; None unless both are there. Lengths are in characters or tokens, as the metric wants them; where
    the file has both, `tokens` are the latter.
    """

    line: int
    prompt: str
    preference: float
    games: tuple[Label, Label] | None
    length_model: int | None
    length_baseline: int | None
    tokens: tuple[int, int] | None
    style_model: StyleCounts | None
    style_baseline: StyleCounts | None
    flags: tuple[Flag, ...]


@dataclass(frozen=True, kw_only=True)
class VerdictFile:
    """All verdicts of a file, by model, in the order of the file; `prompts` are all ids, in order of appearance."""

    path: Path
    baseline: str
    prompts: tuple[str, ...]
    by_model: Mapping[str, tuple[Verdict, ...]]


def read_verdicts(path: Path) -> VerdictFile:
    """The verdicts of a JSONL file.

    Raises `UsageError`, with the number of the line, for text that is no JSON object, keys that are unknown or lack,
    values of the wrong kind, preferences outside 0 to 1, a prompt judged twice for one model, or a second baseline.
    """
    by_model: dict[str, list[Verdict]] = {}
    seen: dict[tuple[str, str], int] = {}
    prompts: dict[str, None] = {}
    baseline: str | None = None
    for number, text in _lines(path):
        found = _checked(text, path, number)
        verdict = _verdict(found, number)
        before = seen.setdefault((found.model, verdict.prompt), number)
        if before != number:
            raise UsageError(
                f"{path}, line {number}: prompt '{verdict.prompt}' of '{found.model}' was in line {before} already"
            )
        baseline = found.baseline if baseline is None else baseline
        if found.baseline != baseline:
            raise UsageError(
                f"{path}, line {number}: baseline '{found.baseline}', but '{baseline}' before; "
                "scores are against one baseline, so give each a file of its own"
            )
        prompts.setdefault(verdict.prompt)
        by_model.setdefault(found.model, []).append(verdict)
    if baseline is None:
        raise UsageError(f"{path} holds no verdicts")
    return VerdictFile(
        path=path,
        baseline=baseline,
        prompts=tuple(prompts),
        by_model={model: tuple(verdicts) for model, verdicts in by_model.items()},
    )


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with path.open(encoding="utf-8") as file:
            yield from ((number, text) for number, text in enumerate(file, 1) if text.strip())
    except (OSError, UnicodeDecodeError) as problem:
        raise UsageError(f"cannot read {path}: {problem}") from None


def _checked(text: str, path: Path, number: int) -> _Line:
    where = f"{path}, line {number}"
    try:
        found = _Line.model_validate_json(text)
    except ValidationError as problem:
        first = problem.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise UsageError(f"{where}: unknown key '{key}'{_nearest(key)}") from None
        raise UsageError(f"{where}: {key + ': ' if key else ''}{first['msg']}") from None
    value = found.preference
    if value is not None and math.isfinite(value) and not 0 <= value <= 1:
        raise UsageError(f"{where}: preference {value} is not between 0 and 1")
    return found


def _nearest(key: str) -> str:
    import difflib

    near = difflib.get_close_matches(key, _Line.model_fields, n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def _verdict(found: _Line, number: int) -> Verdict:
    games = None
    if found.baseline_first is not None and found.model_first is not None:
        games = (found.baseline_first, found.model_first)
    preference = found.preference
    flags: Iterable[Flag] = dict.fromkeys(found.flags)
    if preference is not None and not math.isfinite(preference):
        preference, flags = None, dict.fromkeys([*flags, "non_finite"])
    elif preference is None and games is not None:
        preference = preference_of_games(games)
    elif preference is None and found.baseline_first_chance is not None and found.model_first_chance is not None:
        preference = preference_of_chances(found.baseline_first_chance, found.model_first_chance)
    tokens = None
    if found.tokens_model is not None and found.tokens_baseline is not None:
        tokens = (found.tokens_model, found.tokens_baseline)
    return Verdict(
        line=number,
        prompt=str(found.id),
        preference=math.nan if preference is None else preference,
        games=games,
        length_model=found.length_model,
        length_baseline=found.length_baseline,
        tokens=tokens,
        style_model=found.style_model,
        style_baseline=found.style_baseline,
        flags=tuple(flags),
    )


def winner(label: Label) -> int:
    """1 when A wins, -1 when B wins, 0 for a tie; doubled for a clear win (`>>` or `<<`)."""
    sign = 0 if "=" in label else 1 if ">" in label else -1
    return sign * (1 if label.startswith("A") else -1) * (2 if len(label) == 4 else 1)


def preference_of_games(games: tuple[Label, Label]) -> float:
    """1 or 0 where both orders name the same winner, else 0.5 (the rule of FastChat, arXiv 2306.05685, section 3.4)."""
    for_model = (-winner(games[0]), winner(games[1]))
    if min(for_model) > 0:
        return 1.0
    return 0.0 if max(for_model) < 0 else 0.5


def preference_of_chances(baseline_first: float, model_first: float) -> float:
    """From the chances that the answer shown first is the better one: `(f1 + 1 - f2) / 2`, f1 with the model first."""
    return (model_first + 1 - baseline_first) / 2
