"""When an answer is right: shared by the evaluator of exact matches, the checking judge and the embedded suite."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final, TypedDict

from sftbench import Row


class Mentions(TypedDict):
    """A rule for free text: every part must occur in the response as whole words."""

    kind: str
    parts: list[str]


Answers = Sequence[str] | Mentions

_CONCLUSION: Final = re.compile(r"\b(?:the )?answer is:? (.+)$", re.IGNORECASE | re.DOTALL)
_NOT_IN_A_WORD: Final = r"(?<!\w){}(?!\w)"
_WORD: Final = re.compile(r"\w+")


def accepted_answers(row: Row) -> Answers:
    """The right answers of a row: its `answers`, or its reference response where it has none.

    A list of texts, or the rule `{"kind": "mentions", "parts": [...]}`; a single text is a list of one.
    """
    given = row.original().get("answers")
    if given is None:
        return [row.response]
    if isinstance(given, dict):
        return {"kind": "mentions", "parts": [str(part) for part in given["parts"]]}
    return [given] if isinstance(given, str) else [str(answer) for answer in given]


def normalised(text: str) -> str:
    """Lower case, single spaces, no quotes around and no punctuation at the end."""
    return " ".join(text.lower().split()).strip("\"'").rstrip(" .!?,;:")


def is_correct(response: str, answers: Answers) -> bool:
    """True if the response is one of `answers`, or ends by concluding `The answer is X`.

    What follows the answer counts against it: "fox. Hope this helps!" is not "fox".
    """
    if isinstance(answers, dict):
        return _mentions_all(response, answers["parts"])
    accepted = {normalised(answer) for answer in answers}
    if normalised(response) in accepted:
        return True
    conclusion = _CONCLUSION.search(response)
    return conclusion is not None and normalised(conclusion.group(1)) in accepted


def token_f1(response: str, reference: str) -> float:
    """Harmonic mean of precision and recall over words, counted as often as they occur; 1 when both are empty."""
    mine, theirs = (Counter(_WORD.findall(text.lower())) for text in (response, reference))
    common = (mine & theirs).total()
    return 2 * common / (mine.total() + theirs.total()) if mine or theirs else 1.0


def _mentions_all(response: str, parts: Sequence[str]) -> bool:
    text = normalised(response)
    return all(re.search(_NOT_IN_A_WORD.format(re.escape(normalised(part))), text) for part in parts)
