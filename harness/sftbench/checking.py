"""Find out how far a judge can be trusted, and keep its card: what `bench judge check` does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sftbench.errors import UsageError
from sftbench.judgement import Judgement, judge_answers
from sftbench.judging.card import orders
from sftbench.judging.card.ask import ProbesAsked, asked, chosen_pairs, findings_of
from sftbench.judging.card.card import JudgeCard, card_of
from sftbench.judging.card.human_votes import given_labels
from sftbench.judging.card.keeping import asks_a_model, judge_identity, keep_card, model_of
from sftbench.judging.card.material import Material, Pair, Sampler, read_material
from sftbench.judging.card.own import own_pairs
from sftbench.judging.naming import judge_use
from sftbench.plugins import Plugins
from sftbench.record import Record
from sftbench.rooms import Responses, Row, Verdicts
from sftbench.runner import Watcher, default_store
from sftbench.serving.household import KeptServers, keeping, logs_in
from sftbench.store import Store

NUM_PROBES = 100
AGAIN = "asked-again"
"""Folder in the store with a cache of its own, so that the same is really asked twice."""


@dataclass(frozen=True, kw_only=True)
class JudgeCheck:
    """Which judge to check, and with what: the fields are the flags of `bench judge check`."""

    judge: str
    probes: int | None = NUM_PROBES
    data: Path | None = None
    labels: Path | None = None
    gold: str | None = None
    seed: int = 0
    store: Path | None = None
    chat: str | None = None
    concurrency: int | None = None
    vllm: Path | None = None
    repeat: bool = True

    def material(self) -> Material:
        """The pairs to choose from. Raises `UsageError` for settings and files that cannot be used."""
        if self.probes is not None and self.probes < 1:
            raise UsageError(f"--probes is at least 1, not {self.probes}")
        own = own_pairs(self.probes or NUM_PROBES, self.seed)
        labelled, human = given_labels(self.labels, self.gold)
        return read_material(self.data, labelled, human=human, own=own, seed=self.seed)


def check_judge(
    wanted: JudgeCheck, *, plugins: Plugins, watcher: Watcher, kept: KeptServers | None = None
) -> JudgeCard:
    """Ask a judge the probes, and make and keep its card. What was asked before comes out of the store.

    Its server is that of a run where that has `kept` it, and one for all that is asked here.
    Raises `UsageError` for an unknown judge and unusable files, and the error of the judging where that fails.
    """
    material = wanted.material()
    store = Store(wanted.store or default_store())
    pairs = check_pairs(wanted, material)
    again, why_not = None, "no language model is asked: the same by construction"
    with nullcontext(kept) if kept is not None else keeping(logs_in(store.root, "judge-check")) as servers:
        ask = _Asking(plugins, watcher, servers)
        told, record = ask.judged(wanted, pairs, store)
        judge = judge_identity(record.identity)
        if asks_a_model(judge):
            why_not = "not asked again"
            if wanted.repeat and orders.NAME in pairs:
                anew, place = _otherwise_seeded(wanted, plugins), Store(store.root / AGAIN)
                again, _ = ask.judged(anew, {orders.NAME: pairs[orders.NAME]}, place)
    card = card_of(
        findings_of(told, model=model_of(judge), again=again, why_not_again=why_not),
        judge=judge,
        sample="all" if wanted.probes is None else str(wanted.probes),
        seed=wanted.seed,
        missing=material.missing if wanted.data is not None else (),
        speed=_speed(record, told),
    )
    keep_card(card, store)
    return card


def check_pairs(wanted: JudgeCheck, material: Material | None = None) -> dict[str, list[Pair]]:
    """The pairs that a check asks about, by probe."""
    return chosen_pairs(material or wanted.material(), Sampler(most=wanted.probes, seed=wanted.seed))


def _otherwise_seeded(wanted: JudgeCheck, plugins: Plugins) -> JudgeCheck:
    """The same judge with another seed, where it has one: a server may draw the same lots for the same seed."""
    use = judge_use(wanted.judge)
    part = plugins.part("judge", use)
    seed = getattr(part, "seed", None)
    if not isinstance(seed, int):
        return wanted
    return replace(wanted, judge=str(replace(use, parameters={**use.parameters, "seed": seed + 1})))


@dataclass(frozen=True)
class _Asking:
    """What all judgements of a check are made with."""

    plugins: Plugins
    watcher: Watcher
    kept: KeptServers

    def judged(
        self, wanted: JudgeCheck, pairs: Mapping[str, Sequence[Any]], store: Store
    ) -> tuple[ProbesAsked, Record]:
        records: list[Record] = []

        def ask(rows: Sequence[Row], model: Responses, baseline: Responses) -> Verdicts:
            found: Judgement = judge_answers(
                wanted.judge, rows, model, baseline, plugins=self.plugins, watcher=self.watcher, store=store.root,
                chat=wanted.chat, vllm=wanted.vllm, concurrency=wanted.concurrency, kept=self.kept,
            )  # fmt: skip
            records.append(found.record)
            return found.verdicts

        told = asked(ask, pairs)
        return told, records[0]


def _speed(record: Record, told: ProbesAsked) -> dict[str, float]:
    """How fast it went when it was first asked. Answers kept from before make it look faster."""
    seconds, tokens = record.ledger.wall_seconds, record.ledger.tokens_forward + record.ledger.tokens_generated
    calls = [each.get("num_requests") for each in record.payload.values() if isinstance(each, Mapping)]
    counted = {"num_pairs": float(len(told.verdicts.ids)), "num_tokens": tokens}
    counted["num_calls"] = float(sum(each for each in calls if isinstance(each, int)))
    if seconds > 0:
        counted |= {"pairs_per_second": counted["num_pairs"] / seconds, "tokens_per_second": tokens / seconds}
    return {**counted, "wall_seconds": seconds}
