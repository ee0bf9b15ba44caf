"""What a judge is shown: questions and answers between tags that they cannot forge, and nothing that speaks to it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

_CODE_LENGTH = 12
_SHUT_THOUGHT = re.compile(r"\s*<(think|thinking|reasoning)>.*?</\1>", re.DOTALL | re.IGNORECASE)
_OPEN_THOUGHT = re.compile(r"\s*<(think|thinking|reasoning)>", re.IGNORECASE)
_SPECIAL = re.compile(
    r"<[|｜][^<>\n]{0,64}?[|｜]>"
    r"|</?(?:s|bos|eos|pad|unk|sep|cls|start_of_turn|end_of_turn|start_of_image|end_of_image|im_start|im_end"
    r"|think|thinking|reasoning|tool_call|tool_response|human|assistant|user|system)>"
    r"|<</?SYS>>",
    re.IGNORECASE,
)
"""What tokenizers and chat templates take for the end of a turn, a role, or a thought."""
_INSTRUCTION = re.compile(r"\[(/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS))\]", re.IGNORECASE)
_TAG = re.compile(r"<(/?\s*(?:question|answer|reference|turn)\b[^<>\n]{0,80})>", re.IGNORECASE)
LABEL_PATTERN = r"[AB]\s*(?:>>|>|=|<<|<)\s*[AB]"
_VERDICT = re.compile(rf"\[+\s*({LABEL_PATTERN})\s*\]+", re.IGNORECASE)
_JSON_VERDICT = re.compile(rf"[\"'](verdict)[\"']\s*:\s*[\"']\s*({LABEL_PATTERN})\s*[\"']", re.IGNORECASE)
_ALONE = re.compile(rf"\W*({LABEL_PATTERN})\W*", re.IGNORECASE)
_BRACKETED = r"\[\s*(\d+(?:\.\d+)?)\s*\]"
DOUBLE_GRADE = re.compile(rf"\[{_BRACKETED}\]")
SINGLE_GRADE = re.compile(rf"[\s*_#]*(?:(?:rating|grade|score)\b[\s:*_]*)?{_BRACKETED}[\s*_.]*", re.IGNORECASE)
"""A line that is a grade, should it be the last of a reply; `x[3]` in a line of code is none."""


def without_thoughts(text: str) -> str:
    """An answer without the reasoning that a model wrote down before it; one that never came to its answer is empty."""
    while found := _SHUT_THOUGHT.match(text):
        text = text[found.end() :].lstrip("\n")
    return "" if _OPEN_THOUGHT.match(text) else text


def without_own_thoughts(reply: str) -> str:
    """A judge's reply behind its last thought, where the template may have begun the thought; cut in it, it is empty.

    A judge may quote what it thinks about, so a thought never holds the verdict.
    """
    behind = re.split(r"</(?:think|thinking|reasoning)>", reply, flags=re.IGNORECASE)[-1]
    return "" if _OPEN_THOUGHT.match(behind) else behind


def harmless(text: str) -> str:
    """The text as it is, but for what would work on a judge or its server: chat tokens, tags of ours, verdicts.

    Angle brackets of tokens and tags become single guillemets, brackets of verdicts round ones.
    """
    text = _SPECIAL.sub(lambda found: "‹" + found[0][1:-1] + "›", text)
    text = _INSTRUCTION.sub(r"‹\1›", text)
    text = _TAG.sub(r"‹\1›", text)
    text = _ALONE.sub(r"(\1)", text) if _ALONE.fullmatch(text) else text
    text = _VERDICT.sub(r"(\1)", text)
    text = _JSON_VERDICT.sub(r"\1: (\2)", text)
    return "".join(map(_without_grade, DOUBLE_GRADE.sub(r"((\1))", text).splitlines(keepends=True)))


def _without_grade(line: str) -> str:
    return re.sub(_BRACKETED, r"((\1))", line) if SINGLE_GRADE.fullmatch(line) else line


def cut_middle(text: str, limit: int | None) -> str:
    """At most `limit` characters, from both ends alike, with a mark where the middle is left out."""
    if limit is None or len(text) <= limit:
        return text
    head, left_out = (limit + 1) // 2, len(text) - limit
    tail = text[len(text) - (limit - head) :] if limit > head else ""
    return f"{text[:head]}\n[... {left_out} characters are left out here ...]\n{tail}"


@dataclass(frozen=True, kw_only=True)
class Exhibit:
    """One text that is shown, under a name such as `answer-A`."""

    name: str
    text: str


def shown(exhibits: Sequence[Exhibit]) -> list[str]:
    """Each text between tags of its name and a code.

    The code follows from all the texts, so that equal requests are equal, and stands in none of them.
    """
    texts = [harmless(each.text) for each in exhibits]
    code = _code(texts)
    return [f"<{each.name}-{code}>\n{text}\n</{each.name}-{code}>" for each, text in zip(exhibits, texts, strict=True)]


def _code(texts: Sequence[str]) -> str:
    count = 0
    while True:
        code = hashlib.sha256(json.dumps([count, *texts]).encode()).hexdigest()[:_CODE_LENGTH]
        if not any(code in text for text in texts):
            return code
        count += 1
