"""What a judge's reply says: a five-way label, or how likely it is to begin with the one letter or the other."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import get_args

from sftbench import Json, Label
from sftbench_plugins.judges.material import LABEL_PATTERN, without_own_thoughts

LABELS: tuple[Label, ...] = ("A>>B", "A>B", "A=B", "B>A", "B>>A")
"""What a judge is offered; what it writes the other way round (`B<A`) is understood."""
SCHEMA: dict[str, Json] = {
    "type": "object",
    "properties": {"verdict": {"type": "string", "enum": list(LABELS)}},
    "required": ["verdict"],
    "additionalProperties": False,
}
_KNOWN = get_args(Label)
_DOUBLE = re.compile(rf"\[\[\s*({LABEL_PATTERN})\s*\]\]")
_SINGLE = re.compile(rf"\[\s*({LABEL_PATTERN})\s*\]")
_JSON = re.compile(rf"\"VERDICT\"\s*:\s*\"\s*({LABEL_PATTERN})\s*\"")
_BARE = re.compile(rf"[\s*_\"'`.]*({LABEL_PATTERN})[\s*_\"'`.]*")
_FENCES = re.compile(r"^```\w*\s|```$")
_AROUND = " \t\r\n▁Ġ\"'`*_()[]{}:.,#"


def label_behind_reasons(reply: str) -> Label:
    """The verdict of a reply that argues first: the last label in double, else in single brackets, and else none.

    As in Arena-Hard's code (arXiv 2406.11939). Raises `ValueError` for a reply without one.
    """
    text = without_own_thoughts(reply).upper()
    for form in (_DOUBLE, _SINGLE):
        found = form.findall(text)
        if found:
            return _label(found[-1])
    raise ValueError("no verdict in brackets")


def label_alone(reply: str) -> Label:
    """The verdict of a reply that should be nothing else: a JSON object, a label in brackets, or a bare label.

    Raises `ValueError` for a reply without one, or with several that differ.
    """
    text = _FENCES.sub("", without_own_thoughts(reply).upper().strip()).strip()
    found = [*_JSON.findall(text), *_DOUBLE.findall(text)] or _SINGLE.findall(text)
    bare = _BARE.fullmatch(text)
    labels = {_label(each) for each in found} or ({_label(bare[1])} if bare else set())
    if len(labels) != 1:
        raise ValueError("several verdicts" if labels else "no verdict")
    return labels.pop()


def _label(text: str) -> Label:
    plain = re.sub(r"\s", "", text)
    for label in _KNOWN:
        if label == plain:
            found: Label = label
            return found
    raise ValueError(f"{json.dumps(text)} is no verdict")


class NoChanceError(Exception):
    """Log-probabilities that say nothing; `flag` is why."""

    def __init__(self, flag: str) -> None:
        super().__init__(flag)
        self.flag = flag


def chance_of_first(logprobs: Mapping[str, float]) -> tuple[float, float]:
    """P(A) / (P(A) + P(B)) from the likeliest first tokens, all spellings of a letter together, and P(A) + P(B).

    A spelling is the letter with blanks, quotes, brackets or marks around it; a small `a` is a word. Raises
    `NoChanceError` where neither letter is among them (`no_label_mass`), or a number is not finite (`non_finite`).
    """
    masses = {"A": 0.0, "B": 0.0}
    seen = False
    for token, value in logprobs.items():
        letter = token.strip(_AROUND)
        if letter in masses:
            seen = True
            if not math.isfinite(value):
                raise NoChanceError("non_finite")
            masses[letter] += math.exp(min(value, 0.0))
    total = masses["A"] + masses["B"]
    if not seen or total <= 0:
        raise NoChanceError("no_label_mass")
    return masses["A"] / total, total
