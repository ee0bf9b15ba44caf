"""Instructions in other words, by rules that leave what is asked, and any data in it, as it is."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

VERSION = "1"
"""Bumped when a rule changes."""

ASKING = frozenset(
    """
    what who whom whose which where when why how is are was were do does did can could will would should has have had
    may might am shall
    """.split()  # noqa: SIM905 -- a list of words reads better as words
)
ORDERING = frozenset(
    """
    add analyze answer arrange ask assign brainstorm build calculate categorize change check choose cite classify
    come compare compile complete compose compute condense construct continue convert copy correct count create
    critique debate decide deduce define delete demonstrate derive describe design detect determine develop devise
    differentiate discuss distinguish divide do draft draw edit elaborate eliminate estimate evaluate examine  explain
    express extract fill find fix form format formulate generate give group guess highlight hypothesize  identify
    illustrate imagine improve infer insert interpret introduce invent join judge justify label let list  locate make
    mark match mention modify multiply name narrate note offer order organize outline output paraphrase  pick plan
    play point predict prepare present print produce proofread propose provide put rank rate read  rearrange recall
    recite recommend reconstruct reformat remove reorder repeat rephrase replace report research  respond restate
    retrieve reverse review revise reword rewrite say score search select sentence set share show  simplify sketch
    solve sort specify spell split state subtract suggest sum summarise summarize synthesize take  tell test think
    trace transcribe transform translate turn type unscramble update use validate verify visualize  write
    """.split()  # noqa: SIM905 -- a list of words reads better as words
)
"""First words of questions and of orders."""

_BEFORE_AN_ORDER = (
    "Please {low}",
    "I would like you to {low}",
    "I need you to {low}",
    "I want you to {low}",
    "Kindly {low}",
    "Your task is to {low}",
    "Help me with this: {low}",
    "Do the following: {low}",
    "Here is what to do: {low}",
    "Could you please {low}",
    "Can you {low}",
    "Would you {low}",
)
_BEFORE_A_QUESTION = (
    "I would like to know: {low}",
    "Please tell me: {low}",
    "Tell me: {low}",
    "I have a question: {low}",
    "I wonder: {low}",
    "Here is a question: {low}",
    "Please answer this: {low}",
    "Can you tell me this: {low}",
    "Question: {as_is}",
    "Help me with this: {low}",
    "I need an answer: {low}",
    "Answer the following: {low}",
)
_BEFORE_ANYTHING = (
    "Here is a task. {as_is}",
    "Task: {as_is}",
    "I have a request. {as_is}",
    "Please help with the following. {as_is}",
    "This is what I need. {as_is}",
    "Consider this. {as_is}",
    "I need your help. {as_is}",
    "Here is my request. {as_is}",
    "Read this and respond. {as_is}",
    "Take a look at this. {as_is}",
    "Please do this. {as_is}",
    "Work on this. {as_is}",
)
_AFTER = ("{as_is} Thank you.", "{as_is} Thanks in advance.")
"""Never where a colon announces data: they would be taken for a part of it."""

_PLACES_OF_WORDS = (
    (r"\bgive me\b", "provide me with"),
    (r"\btell me\b", "let me know"),
    (r"\bthe following\b", "these"),
    (r"\bthese\b", "the following"),
    (r"\bwhat is\b", "what's"),
    (r"\bhere are some\b", "you are given some"),
    (r"^generate\b", "produce"),
    (r"^create\b", "make"),
    (r"^find\b", "identify"),
    (r"^identify\b", "find"),
    (r"^describe\b", "give a description of"),
    (r"^explain\b", "give an explanation of"),
    (r"^summarize\b", "give a summary of"),
    (r"^calculate\b", "work out"),
    (r"^compute\b", "work out"),
    (r"^determine\b", "find out"),
    (r"^suggest\b", "propose"),
    (r"^construct\b", "build"),
    (r"^list\b", "make a list of"),
    (r"^rewrite\b", "reword"),
    (r"^sort\b", "arrange"),
    (r"^arrange\b", "sort"),
    (r"^select\b", "choose"),
    (r"^choose\b", "pick"),
    (r"^classify\b", "categorize"),
    (r"^categorize\b", "classify"),
)
_DATA_LAST = re.compile(r"(?P<head>[^:\n]{3,80}):\s+(?P<data>[^:\n]*[^:\n.?!\s])")


@dataclass(frozen=True, kw_only=True)
class Rewriting:
    """An instruction in other words, and the rules that made it."""

    text: str
    rules: str


def rewritings(question: str, rng: random.Random) -> Iterator[Rewriting]:
    """All that the rules make of an instruction, each once and none equal to it, in an order drawn by chance."""
    forms = list(product(_orders(question), (False, True), (*_frames(question), ("plain", "{as_is}"))))
    rng.shuffle(forms)
    seen = {question}
    for (order, text), reword, (frame, form) in forms:
        worded = _reworded(text) if reword else text
        if (reword and worded == text) or (frame not in ("framed", "plain") and order != "as it stands"):
            continue
        text = _capital(form.format(low=_low(worded), as_is=worded))
        if text not in seen:
            seen.add(text)
            rules = [order, *(["other words"] if reword else []), *([frame] if frame != "plain" else [])]
            yield Rewriting(text=text, rules=", ".join(rule for rule in rules if rule != "as it stands"))


def kind_of(question: str) -> str:
    """`question`, `order`, or `other`, by the first word."""
    first = re.match(r"[a-z']+", question.lower())
    word = first[0] if first else ""
    return "question" if word in ASKING else "order" if word in ORDERING else "other"


def _orders(question: str) -> list[tuple[str, str]]:
    """As it stands, and with the data first where a colon announces it at the very end."""
    found = _DATA_LAST.fullmatch(question.strip())
    orders = [("as it stands", question)]
    if found and kind_of(question) != "other":
        stop = "?" if kind_of(question) == "question" else "."
        orders.append(("data first", f"Given this: {found['data']}. {found['head']}{stop}"))
    return orders


def _frames(question: str) -> list[tuple[str, str]]:
    kind = kind_of(question)
    before = {"question": _BEFORE_A_QUESTION, "order": _BEFORE_AN_ORDER, "other": ()}[kind]
    frames = [(kind, form) for form in before]
    frames += [("framed", form) for form in _BEFORE_ANYTHING]
    if question.rstrip()[-1:] in ".?!" and ":" not in question and "\n" not in question:
        frames += [("after", form) for form in _AFTER]
    return frames


def _reworded(text: str) -> str:
    """The first rule that fits, in what stands before a colon or line break alone: the rest may be data."""
    end = min((at for at in (text.find(":"), text.find("\n")) if at >= 0), default=len(text))
    head, rest = text[:end], text[end:]
    for pattern, words in _PLACES_OF_WORDS:
        found = re.search(pattern, head, re.IGNORECASE)
        if found:
            put = _capital(words) if found[0][0].isupper() else words
            return head[: found.start()] + put + head[found.end() :] + rest
    return text


def _low(text: str) -> str:
    """Without the first capital, unless the first word is all capitals or stands for a name."""
    word = re.match(r"\w+", text)
    known = word is not None and word[0].lower() in ORDERING | ASKING
    return text[:1].lower() + text[1:] if known and not text[:2].isupper() else text


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
