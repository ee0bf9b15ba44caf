"""Find out how far a judge can be trusted, and keep its card: what `bench judge check` does, and what a run does."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sftbench.errors import SftbenchError, UsageError
from sftbench.fingerprint import key_of
from sftbench.judgement import Judged as Judgement
from sftbench.judgement import judge_answers
from sftbench.judging.card import orders
from sftbench.judging.card.ask import Asked, asked, chosen_pairs, findings_of
from sftbench.judging.card.card import FILE, JudgeCard, card_of
from sftbench.judging.card.failures import failure_findings
from sftbench.judging.card.finding import Finding
from sftbench.judging.card.judged import Judged
from sftbench.judging.card.material import Material, Sampler, read_material
from sftbench.judging.card.orders import order_findings
from sftbench.judging.card.own import own_pairs
from sftbench.judging.card.padding import longer_finding
from sftbench.judging.card.readings import readings_of
from sftbench.judging.naming import judge_use
from sftbench.plugins import Plugins
from sftbench.record import Record
from sftbench.rooms import Json, Responses, Row, Verdicts
from sftbench.runner import Run, Watcher, default_store
from sftbench.store import Store, write_atomically

ROOM = "card"
NUM_PROBES = 100
SHORT = 50
"""Pairs of each probe in a card that a run makes itself."""
_OF_A_JUDGE = ("asks:", "model:", "tokenizer:", "folder:")
AGAIN = "asked-again"
"""Folder in the store with a cache of its own, so that the same is really asked twice."""
OF_THE_RUN = "the run's own pairs, in both orders"


@dataclass(frozen=True, kw_only=True)
class Check:
    """Which judge to check, and with what: the fields are the flags of `bench judge check`."""

    judge: str
    probes: int | None = NUM_PROBES
    data: Path | None = None
    labels: Path | None = None
    seed: int = 0
    store: Path | None = None
    chat: str | None = None
    repeat: bool = True

    def material(self) -> Material:
        """The pairs to choose from. Raises `UsageError` for settings and files that cannot be used."""
        if self.probes is not None and self.probes < 1:
            raise UsageError(f"--probes is at least 1, not {self.probes}")
        own = own_pairs(self.probes or NUM_PROBES, self.seed)
        return read_material(self.data, self.labels, own=own, seed=self.seed)


def check_judge(wanted: Check, *, plugins: Plugins, watcher: Watcher) -> JudgeCard:
    """Ask a judge the probes, and make and keep its card. What was asked before comes out of the store.

    Raises `UsageError` for an unknown judge and unusable files, and the error of the judging where that fails.
    """
    material = wanted.material()
    store = Store(wanted.store or default_store())
    pairs = chosen_pairs(material, Sampler(most=wanted.probes, seed=wanted.seed))
    told, record = _judged(wanted, pairs, store, plugins=plugins, watcher=watcher)
    judge = judge_identity(record.identity)
    again, why_not = None, "no language model is asked: the same by construction"
    if asks_a_model(judge):
        why_not = "not asked again"
        if wanted.repeat and orders.NAME in pairs:
            anew, place = _otherwise_seeded(wanted, plugins), Store(store.root / AGAIN)
            again, _ = _judged(anew, {orders.NAME: pairs[orders.NAME]}, place, plugins=plugins, watcher=watcher)
    card = card_of(
        findings_of(told, model=_model_of(judge), again=again, why_not_again=why_not),
        judge=judge,
        sample="all" if wanted.probes is None else str(wanted.probes),
        seed=wanted.seed,
        missing=material.missing if wanted.data is not None else (),
        speed=_speed(record, told),
    )
    keep_card(card, store)
    return card


def _otherwise_seeded(wanted: Check, plugins: Plugins) -> Check:
    """The same judge with another seed, where it has one: a server may draw the same lots for the same seed."""
    use = judge_use(wanted.judge)
    part = plugins.part("judge", use)
    seed = getattr(part, "seed", None)
    if not isinstance(seed, int):
        return wanted
    return replace(wanted, judge=str(replace(use, parameters={**use.parameters, "seed": seed + 1})))


def _judged(
    wanted: Check, pairs: Mapping[str, Sequence[Any]], store: Store, *, plugins: Plugins, watcher: Watcher
) -> tuple[Asked, Record]:
    records: list[Record] = []

    def ask(rows: Sequence[Row], model: Responses, baseline: Responses) -> Verdicts:
        found: Judgement = judge_answers(
            wanted.judge, rows, model, baseline, plugins=plugins, watcher=watcher, store=store.root, chat=wanted.chat
        )
        records.append(found.record)
        return found.verdicts

    told = asked(ask, pairs)
    return told, records[0]


def judge_identity(step: Mapping[str, Json]) -> dict[str, Json]:
    """What identifies a judge, of the identity of a step in which it judges: part, parameters, and whom it asks."""
    return {
        name: value
        for name, value in step.items()
        if name in ("part", "parameters", "chat", "embedder") or name.startswith(_OF_A_JUDGE)
    }


def asks_a_model(judge: Mapping[str, Json]) -> bool:
    """Whether a judge asks a language model, which may err; one that computes is what it is."""
    return any(_names_a_model(name) for name in judge)


def _names_a_model(name: str) -> bool:
    return name == "chat" or name.startswith("asks:")


def _model_of(judge: Mapping[str, Json]) -> str:
    """The name of the language model that judges, without where it is served; empty where there is none."""
    named = [str(value) for name, value in judge.items() if _names_a_model(name)]
    return named[0].rpartition("#")[2].rpartition("/")[2] if named else ""


def _speed(record: Record, told: Asked) -> dict[str, float]:
    """How fast it went when it was first asked. Answers kept from before make it look faster."""
    seconds, tokens = record.ledger.wall_seconds, record.ledger.tokens_forward + record.ledger.tokens_generated
    calls = [each.get("num_requests") for each in record.payload.values() if isinstance(each, Mapping)]
    counted = {"num_pairs": float(len(told.verdicts.ids)), "num_tokens": tokens}
    counted["num_calls"] = float(sum(each for each in calls if isinstance(each, int)))
    if seconds > 0:
        counted |= {"pairs_per_second": counted["num_pairs"] / seconds, "tokens_per_second": tokens / seconds}
    return {**counted, "wall_seconds": seconds}


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
    return max((finding.num for finding in card.findings if finding.probe == "all"), default=0)


def card_for(run: Run, cells: Sequence[Mapping[str, Any]], watcher: Watcher | None) -> JudgeCard | None:
    """The card of a run's judge; None for one that asks no language model, or that has not judged anything.

    Order flips, position bias, parse failures and the preference for length come from the run's own verdicts. The rest
    comes from the card that `bench judge check` has made, or, where `--task-data` has LLMBar, from a short check (not
    without a watcher, when a run was interrupted). A check that fails is named in `missing`: it must not cost a run.
    """
    judged = [cell["verdicts"] for cell in cells if cell.get("verdicts")]
    judge = _judge_of(run)
    if not judged or not asks_a_model(judge):
        return None
    own = run_findings([_verdicts_of(each) for each in judged])
    known, missing = kept_card(judge, run.store), ["a check by 'bench judge check'"]
    data = getattr(run.settings, "task_data", None)
    if known is None and data is not None and watcher is not None:
        try:
            known = _short_check(run, Path(data), watcher)
        except SftbenchError as problem:
            missing = [f"a short check, which failed ({type(problem).__name__})"]
    return card_of(
        [*own, *(known.findings if known is not None else ())],
        judge=judge,
        sample=known.sample if known is not None else "run",
        seed=known.seed if known is not None else 0,
        missing=known.missing if known is not None else missing,
        speed=known.speed if known is not None else None,
    )


def _judge_of(run: Run) -> dict[str, Json]:
    """What identifies the judge of the win rate; nothing where there is none."""
    refs = [ref for cell in run.plan.cells for ref in cell.refs if ref.startswith("verdicts/")]
    return judge_identity(run.plan.steps[refs[0]].identity) if refs else {}


def _short_check(run: Run, data: Path, watcher: Watcher) -> JudgeCard | None:
    """Where there is something with gold labels to ask."""
    named: Any = run.settings.judge
    wanted = Check(
        judge=named if isinstance(named, str) else str(named[0]),
        probes=SHORT,
        data=data,
        store=run.store.root,
        chat=run.settings.chat,
        repeat=False,
    )
    if not wanted.material().gold:
        return None
    return check_judge(wanted, plugins=run.plugins, watcher=watcher)


def run_findings(verdicts: Sequence[Verdicts]) -> list[Finding]:
    """What the verdicts of a run tell of its judge without asking anything."""
    readings = [readings_of(each) for each in verdicts]
    merged = replace(
        readings[0],
        ids=tuple(f"{number}/{name}" for number, each in enumerate(readings) for name in each.ids),
        model_first=np.concatenate([each.model_first for each in readings]),
        baseline_first=np.concatenate([each.baseline_first for each in readings]),
        preference=np.concatenate([each.preference for each in readings]),
        flags=tuple(flag for each in readings for flag in each.flags),
    )
    lengths = [np.concatenate([_lengths(each, name) for each in verdicts]) for name in ("model", "baseline")]
    unknown = np.full(len(merged), np.nan)
    judged = Judged(
        readings=merged, length_model=lengths[0], length_baseline=lengths[1], gold=unknown, groups=("",) * len(merged)
    )
    found = [
        *order_findings(merged, asked=OF_THE_RUN),
        longer_finding(judged, asked=OF_THE_RUN),
        *failure_findings([merged], asked=OF_THE_RUN),
    ]
    return [replace(each, probe="run") for each in found]


def _lengths(verdicts: Verdicts, side: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    told = verdicts.columns.get(f"length_{side}") or [None] * len(verdicts.ids)
    return np.array([each if isinstance(each, int) else math.nan for each in told], dtype=np.float64)


def _verdicts_of(cell: Mapping[str, Any]) -> Verdicts:
    preference = np.array([math.nan if each is None else each for each in cell["preference"]], dtype=np.float64)
    return Verdicts(ids=tuple(cell["ids"]), preference=preference, columns=cell.get("columns", {}))


def write_card(folder: Path, card: JudgeCard | None) -> None:
    """`judge-card.json` in the results of a run; none is left there from an earlier run under this name."""
    if card is not None:
        write_atomically(folder / FILE, card.to_json())
    else:
        (folder / FILE).unlink(missing_ok=True)
