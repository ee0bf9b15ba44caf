"""Decides whether a response to a microcosm task is right, without a judge."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, TypedDict


class Mentions(TypedDict):
    """A rule for free text: every part must occur in the response as whole words."""

    kind: str
    parts: list[str]


Answers = Sequence[str] | Mentions

_CONCLUSION: Final = re.compile(r"\b(?:the )?answer is:? (.+)$", re.IGNORECASE | re.DOTALL)
_NOT_IN_A_WORD: Final = r"(?<!\w){}(?!\w)"


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


def _mentions_all(response: str, parts: Sequence[str]) -> bool:
    text = normalised(response)
    return all(re.search(_NOT_IN_A_WORD.format(re.escape(normalised(part))), text) for part in parts)
