"""What a model or a rule wrote, before and after it becomes a row: with its lineage, in the form of the pool."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from sftbench import Json, Message, Row
from sftbench_plugins.generators.parents import Parent, asked


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """One instruction with its response. `kind` names the way it was made, `prompt_id` the prompt or rule."""

    question: str
    answer: str
    kind: str
    prompt_id: str
    seed: int
    context: str = ""
    history: tuple[Message, ...] = ()
    parent_ids: tuple[str, ...] = ()
    about: Mapping[str, Json] = field(default_factory=dict)
    """Further lineage: topic, persona, operator."""
    planted: str | None = None
    planted_spans: tuple[tuple[int, int], ...] = ()
    """A defect of the parent that the response has inherited."""

    @property
    def messages(self) -> tuple[Message, ...]:
        """All turns."""
        question = Message(role="user", content=asked(self.question, self.context))
        return (*self.history, question, Message(role="assistant", content=self.answer))

    @property
    def prompt_text(self) -> str:
        """What is asked, with all that was said before: two rows with the same are duplicates."""
        return "\n".join(message.content for message in self.messages[:-1])


@dataclass(frozen=True, kw_only=True, slots=True)
class Rejected:
    """An attempt that came to nothing, and why."""

    kind: str
    reason: str


Attempt = Draft | Rejected


def changed(batch: Sequence[Attempt], change: Callable[[list[Draft]], Sequence[Attempt]]) -> list[Attempt]:
    """What becomes of the drafts, all together; what is rejected keeps its place."""
    made = iter(change([each for each in batch if isinstance(each, Draft)]))
    return [next(made) if isinstance(each, Draft) else each for each in batch]


def reworded(
    parent: Parent, question: str, *, kind: str, prompt_id: str, seed: int, about: Mapping[str, Json]
) -> Draft:
    """The parent asked in other words: its response stays, and with it whatever defect that has."""
    return Draft(
        question=question,
        answer=parent.answer,
        kind=kind,
        prompt_id=prompt_id,
        seed=seed,
        context=parent.context,
        history=parent.history,
        parent_ids=(parent.row.id,),
        about=about,
        planted=parent.row.planted,
        planted_spans=parent.row.planted_spans,
    )


def row_of(draft: Draft, *, form: str, lineage: Mapping[str, Json]) -> Row:
    """The row; its id is a hash of text and lineage, its `raw` has the form of the pool and the lineage beside it."""
    told = {
        **lineage,
        "kind": draft.kind,
        "prompt_id": draft.prompt_id,
        "parent_ids": list(draft.parent_ids),
        "seed": draft.seed,
        **draft.about,
    }
    content = {**_in_form(draft, form), "lineage": told}
    raw = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    digest = blake2b(raw.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    name = str(lineage.get("generator", "generated")).partition("@")[0]
    return Row(
        id=f"{name}-{digest}",
        messages=draft.messages,
        raw=raw,
        planted=draft.planted,
        planted_spans=draft.planted_spans,
    )


def _in_form(draft: Draft, form: str) -> dict[str, Any]:
    if form == "alpaca" and not draft.history:
        return {"instruction": draft.question, "input": draft.context, "output": draft.answer}
    if form == "sharegpt":
        names = {"user": "human", "assistant": "gpt"}
        turns = [{"from": names.get(each.role, each.role), "value": each.content} for each in draft.messages]
        return {"conversations": turns}
    return {"messages": [{"role": each.role, "content": each.content} for each in draft.messages]}
