"""One trial: every part of some plugins does its work once, in a store of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sftbench.conformance.ends import SEED, Ends
from sftbench.conformance.given import Given
from sftbench.conformance.material import TrialMaterial
from sftbench.conformance.offers import Offer, part_for_trial
from sftbench.conformance.seals import Seals
from sftbench.devices import device_kind
from sftbench.executors.local import LocalExecutor, Outcome, Slots
from sftbench.fingerprint import fingerprint_model, hash_file, key_of
from sftbench.plan import Facts, ModelFacts, Ref, Step, Terms, parents_first
from sftbench.planner import Planner
from sftbench.plugins import Plugins
from sftbench.store import Store
from sftbench.survey import embedder_facts, file_facts


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """What one trial gave, by label: a hash of the output, or why there is none.

    `in_tokens` says why a selection under a budget in tokens failed, empty if it did not; `changed` names the inputs
    that were written into.
    """

    hashes: Mapping[str, str]
    failures: Mapping[str, str]
    in_tokens: Mapping[str, str]
    changed: Mapping[str, Sequence[str]]


@dataclass(kw_only=True)
class PluginTrial:
    """Plans a step for everything that the plugins offer and has the steps done."""

    plugins: Plugins
    material: TrialMaterial
    offers: Mapping[str, Offer]
    labels: dict[str, list[str]] = field(default_factory=dict)
    """What was tried of each plugin module, after a run."""

    def run(self, root: Path) -> Outputs:
        """Do every step in a new store."""
        store, planner = Store(root), self._planner()
        given = Given.put(store, planner)
        ends = Ends(plugins=self.plugins, planner=planner, given=given)
        for name, offer in self.offers.items():
            self.labels[name] = ends.add(offer)
        seals = Seals(store=store)
        seals.seal("the pool file", self.material.pool)
        seals.seal("the model folder", self.material.model)
        for ref in given.refs:
            seals.ended(planner.steps[ref])
        steps = parents_first(planner.steps, ends.refs())
        outcomes = _done(store, steps, seals, given)
        failures = {label: why(store, steps, ref, outcomes) for label, ref in ends.in_rows.items()}
        return Outputs(
            hashes={label: _hash(store, ref) for label, ref in ends.in_rows.items() if not failures[label]},
            failures={**{label: reason for label, reason in failures.items() if reason}, **ends.unplanned},
            in_tokens={label: why(store, steps, ref, outcomes) for label, ref in ends.in_tokens.items()},
            changed={label: seals.changed_by(parents_first(steps, [ref])) for label, ref in ends.in_rows.items()},
        )

    def _planner(self) -> Planner:
        from sftbench.pools import pool_key

        folder, pool = self.material.model, self.material.pool
        model = ModelFacts(name="tiny", path=str(folder), fingerprint=fingerprint_model(folder))
        facts = Facts(
            pool_name="check", pool_source={"source": str(pool)},
            pool_content={"content": pool_key(pool), "limit": None},
            heldout_source=None, heldout_content=None, base=model, scoring=model, embedder=embedder_facts("minilm"),
            chat=None,
            device=device_kind(), processor="any", files=self._files(),
        )  # fmt: skip
        terms = Terms(
            budgets=(), seeds=(SEED,), plant=0.0, heldout_share=0.2, heldout_at_most=12, max_length=128,
            max_new_tokens=8, evals=(), judges={},
        )  # fmt: skip
        return Planner(facts, terms)

    def _files(self) -> dict[str, ModelFacts]:
        """What the parts read besides, as they are tried: the files that they bring along, or their packaged ones."""
        found: dict[str, ModelFacts] = {}
        for part_class in (part_class for offer in self.offers.values() for _, part_class in offer.parts):
            # A part that cannot be made, or names what is not there, is told of where its step is planned.
            with contextlib.suppress(Exception):
                found |= {file: file_facts(file) for file in part_for_trial(part_class).needs().files.values()}
        return found


def _done(store: Store, steps: Mapping[Ref, Step], seals: Seals, given: Given) -> dict[Ref, Outcome]:
    """One process at a time, so that a change of something sealed has one culprit."""
    executor = LocalExecutor(
        store=store.root, slots=Slots(num_workers=1, num_threads=1), logs=store.root / "logs", provenance={},
        on_event=lambda step, event: None, on_end=lambda step, outcome, reason: seals.ended(step),
    )  # fmt: skip
    return executor.run(steps, dict.fromkeys(given.refs, "done"))


def _hash(store: Store, ref: Ref) -> str:
    """Of every file of a step but its record, which tells times, and of what the record tells besides."""
    folder = store.folder_of(ref)
    files = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
    record = store.record_of(ref)
    hashes = {name: hash_file(path) for name, path in files.items() if name != "record.json"}
    return key_of({"files": hashes, "payload": dict(record.payload) if record else {}})


def why(store: Store, steps: Mapping[Ref, Step], ref: Ref, outcomes: Mapping[Ref, Outcome]) -> str:
    """Why a step was not done: its failure, or that of one it waits for; empty if it was done."""
    if outcomes.get(ref) == "done":
        return ""
    waiting = [ref]
    while waiting:
        each = waiting.pop()
        record = store.record_of(each)
        if record is not None and record.failure is not None:
            return f"{steps[each].label}: {record.failure.error}: {record.failure.message}"
        if outcomes.get(each) == "died":
            return f"{steps[each].label}: its process died"
        waiting.extend(steps[each].parents.values())
    return "it was never reached"
