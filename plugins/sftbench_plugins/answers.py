"""When an answer is right: shared by the evaluator of exact matches, the checking judge and the embedded suite."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final, TypedDict

from sftbench import Row, UsageError


class Mentions(TypedDict):
    """A rule for free text: every part must occur in the response as whole words."""

    kind: str
    parts: list[str]


Answers = Sequence[str] | Mentions

_CONCLUSION: Final = re.compile(r".*\banswer is:?\s(.+)", re.IGNORECASE | re.DOTALL)
_NOT_IN_A_WORD: Final = r"(?<!\w){}(?!\w)"
_WORD: Final = re.compile(r"\w+")


def accepted_answers(row: Row) -> Answers:
    """The right answers of a row: its `answers`, or its reference response where it has none (none if that is empty).

    A list of texts or numbers, or the rule `{"kind": "mentions", "parts": [...]}`; a single one is a list of one.
    Raises `UsageError` for another mapping.
    """
    given = row.original().get("answers")
    if given is None:
        return [row.response] if row.response else []
    if isinstance(given, dict):
        if not isinstance(given.get("parts"), list):
            raise UsageError(f"row {row.id}: 'answers' is neither texts nor {{'kind': 'mentions', 'parts': [...]}}")
        return {"kind": "mentions", "parts": [str(part) for part in given["parts"]]}
    return [str(answer) for answer in (given if isinstance(given, list) else [given])]


def normalised(text: str) -> str:
    """Lower case, single spaces, no quotes around and no punctuation at the end, unless the text is nothing else."""
    spaced = " ".join(text.lower().split())
    return spaced.lstrip("\"'").rstrip(" .!?,;:\"'") or spaced


def is_correct(response: str, answers: Answers) -> bool:
    """True if the response is one of `answers`, or ends by concluding `answer is X` (the last one counts).

    What follows the answer counts against it: "fox. Hope this helps!" is not "fox".
    """
    if isinstance(answers, dict):
        return _mentions_all(response, answers["parts"])
    accepted = {normalised(answer) for answer in answers}
    if normalised(response) in accepted:
        return True
    conclusion = _CONCLUSION.match(response)
    return conclusion is not None and normalised(conclusion[1]) in accepted


def token_f1(response: str, reference: str) -> float:
    """Harmonic mean of precision and recall over words, counted as often as they occur; 1 when both are empty."""
    mine, theirs = (Counter(_WORD.findall(text.lower())) for text in (response, reference))
    common = (mine & theirs).total()
    return 2 * common / (mine.total() + theirs.total()) if mine or theirs else 1.0


def _mentions_all(response: str, parts: Sequence[str]) -> bool:
    text = normalised(response)
    return all(re.search(_NOT_IN_A_WORD.format(re.escape(normalised(part))), text) for part in parts)
