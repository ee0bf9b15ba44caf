"""The cards of judges in the store, each known by all that identifies its judge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sftbench.errors import UsageError
from sftbench.fingerprint import key_of
from sftbench.judging.card.card import FILE, JudgeCard
from sftbench.judging.card.failures import NAME as ALL
from sftbench.record import Record
from sftbench.rooms import Json
from sftbench.store import Store

ROOM = "card"
_OF_A_JUDGE = ("asks:", "model:", "tokenizer:", "folder:", "file:")
_BOUNDS = ("max_seconds", "max_tokens")
"""Parameters that end a judgement early and make no other judge."""


def judge_identity(step: Mapping[str, Json]) -> dict[str, Json]:
    """What identifies a judge, of the identity of a step in which it judges: part, parameters, and whom it asks."""
    found = {
        name: value
        for name, value in step.items()
        if name in ("part", "chat", "embedder") or name.startswith(_OF_A_JUDGE)
    }
    given = step.get("parameters")
    if isinstance(given, Mapping):
        found["parameters"] = {name: value for name, value in given.items() if name not in _BOUNDS}
    return found


def asks_a_model(judge: Mapping[str, Json]) -> bool:
    """Whether a judge asks a language model, which may err; one that computes is what it is."""
    return any(_names_a_model(name) for name in judge)


def _names_a_model(name: str) -> bool:
    return name == "chat" or name.startswith("asks:")


def model_of(judge: Mapping[str, Json]) -> str:
    """The name of the language model that judges, without where it is served; empty where there is none."""
    named = [str(value) for name, value in judge.items() if _names_a_model(name)]
    return named[0].rpartition("#")[2].rpartition("/")[2] if named else ""


def card_key(judge: Mapping[str, Any]) -> str:
    """The key of a judge's card, whatever it was asked."""
    return key_of({"room": ROOM, "judge": judge})


def keep_card(card: JudgeCard, store: Store) -> None:
    """Put a card in the store, unless the one that is there rests on more pairs."""
    key = card_key(card.judge)
    known = kept_card(card.judge, store)
    if known is not None and _weight(known) > _weight(card):
        return
    with store.making(ROOM, key) as work:
        (work / FILE).write_text(card.to_json(), encoding="utf-8")
        payload: dict[str, Json] = {"sample": card.sample, "seed": card.seed, "passes": card.passes}
        store.commit(work, Record(key=key, room=ROOM, identity=dict(card.judge), payload=payload))


def kept_card(judge: Mapping[str, Any], store: Store) -> JudgeCard | None:
    """The card of a judge that `bench judge check` has made, or None; one of another version is none."""
    path = store.folder(ROOM, card_key(judge)) / FILE
    if not path.is_file():
        return None
    try:
        return JudgeCard.read(path)
    except UsageError:
        return None


def _weight(card: JudgeCard) -> int:
    return max((finding.num for finding in card.findings if finding.probe == ALL), default=0)
