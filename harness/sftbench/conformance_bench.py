"""What conformance checks work on: a small pool, a tiny random model, and one run of every part of a plugin."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sftbench import shelf
from sftbench.budget import Budget
from sftbench.executors.local import LocalExecutor, Slots
from sftbench.fingerprint import fingerprint_model, hash_file, key_of
from sftbench.methods import resolve, resolve_recipes
from sftbench.parameters import PartUse
from sftbench.plan import Cell, Facts, ModelFacts, Planner, Ref, Step, Terms, parents_first
from sftbench.plugins import Plugins
from sftbench.record import Record
from sftbench.roles import Method
from sftbench.rooms import Scores, Selection
from sftbench.store import Store

NUM_ROWS = 60
BUDGET = "12"


@dataclass(frozen=True, kw_only=True)
class Material:
    """A pool file and a model folder, and their key before anything was done."""

    pool: Path
    model: Path
    key: str


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """What one trial gave, by part: a hash of the output, or why there is none."""

    hashes: dict[str, str]
    failures: dict[str, str]


def trial_material(folder: Path) -> Material:
    """Sixty short rows with a few awkward ones among them, and a two-layer Llama of random weights."""
    pool, model = folder / "pool.jsonl", folder / "model"
    rows = [_row(index) for index in range(NUM_ROWS)]
    pool.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    _save_tiny_model(model, [f"{row['instruction']} {row['output']}" for row in rows])
    return Material(pool=pool, model=model, key=_material_key(pool, model))


def _row(index: int) -> dict[str, str]:
    word = ("amber", "birch", "cedar", "dune", "ember", "fern")[index % 6]
    long = " ".join(f"Then {word} is followed by number {step * index % 17}." for step in range(index % 9 + 1))
    awkward = {7: "", 23: "x", 41: word}
    return {
        "id": f"row-{index}",
        "instruction": f"Tell me about {word} number {index}.",
        "input": "" if index % 3 else f"Colour {index % 5}.",
        "output": awkward.get(index, f"The {word} has number {index}. {long}"),
    }


def _save_tiny_model(folder: Path, texts: Sequence[str]) -> None:
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<|end|>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|end|>", pad_token="<|end|>", model_max_length=256
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=len(wrapped), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
            max_position_embeddings=256, eos_token_id=wrapped.eos_token_id, pad_token_id=wrapped.pad_token_id,
            bos_token_id=None, tie_word_embeddings=True,
        )  # fmt: skip
        LlamaForCausalLM(config).save_pretrained(folder)
    wrapped.save_pretrained(folder)


def _material_key(pool: Path, model: Path) -> str:
    return key_of({"pool": hash_file(pool), "model": fingerprint_model(model)})


@dataclass(kw_only=True)
class Trial:
    """Plans one step for every part of a plugin and has them done."""

    plugins: Plugins
    material: Material
    parts: Sequence[tuple[str, type[Any]]]
    methods: Sequence[Method]
    tried: list[tuple[str, bool]] = field(default_factory=list)
    """Label of each part or method that was tried, and whether it says that the seed plays no part."""

    def material_key(self) -> str:
        return _material_key(self.material.pool, self.material.model)

    def run(self, root: Path, *, seed: int) -> Outputs:
        """Do every step in a store of its own."""
        self.tried.clear()
        store, planner = Store(root), self._planner(seed)
        given = _Given.put(store, planner)
        ends = self._ends(planner, given, seed)
        steps = parents_first(planner.steps, list(ends.values()))
        executor = LocalExecutor(
            store=store.root, slots=Slots(num_workers=2, num_threads=1), logs=root / "logs", provenance={},
            on_event=lambda step, event: None, on_end=lambda step, outcome, why: None,
        )  # fmt: skip
        done = {ref for ref in steps if store.find(*ref.split("/", 1)) is not None}
        outcomes = executor.run(steps, dict.fromkeys(done, "done"))
        return _outputs(store, planner, ends, outcomes)

    def _planner(self, seed: int) -> Planner:
        model = ModelFacts(
            name="tiny", path=str(self.material.model), fingerprint=fingerprint_model(self.material.model)
        )
        facts = Facts(
            pool_name="check", pool_source={"source": str(self.material.pool)},
            pool_content={"content": hash_file(self.material.pool)}, heldout_source=None, heldout_content=None,
            base=model, scoring=model, embedder="minilm",
        )  # fmt: skip
        terms = Terms(
            budgets=(), seeds=(seed,), plant=0.0, heldout_share=0.2, heldout_at_most=12, max_length=128,
            max_new_tokens=8, evals=(), judge=None,
        )  # fmt: skip
        return Planner(facts, terms)

    def _ends(self, planner: Planner, given: _Given, seed: int) -> dict[str, Ref]:
        """The step that shows each part at work."""
        ends: dict[str, Ref] = {}
        in_methods: set[tuple[str, str]] = set()
        for method in self.methods:
            if method.generator is None and not method.matched_to_each:
                resolved = resolve(self.plugins, PartUse(name=method.name), PartUse(name="sft"))
                label = f"method {method.name}"
                ends[label] = planner.selection(resolved, pool=planner.pool, budget=Budget.parse(BUDGET), seed=seed)
                in_methods.add(("selector", resolved.selector.name))
                scorer = resolved.scorer
                self.tried.append((label, resolved.selector.deterministic and (scorer is None or scorer.deterministic)))
        for role, part_class in self.parts:
            if (role, part_class.name) not in in_methods:
                label = f"{role} {part_class.name}"
                ends[label] = self._end(planner, given, role, part_class(), seed)
                self.tried.append((label, part_class.deterministic))
        return ends

    def _end(self, planner: Planner, given: _Given, role: str, part: Any, seed: int) -> Ref:
        room = {"generator": "generated", "scorer": "scores", "selector": "selection", "trainer": "model"}.get(role)
        if room is None:
            return given.measuring(planner, role, part)
        base = planner.facts.base
        identity: dict[str, Any] = {}
        parents: dict[str, Ref] = {"lengths": planner.lengths}
        if role == "selector":
            identity = {"budget": Budget.parse(BUDGET).identity(), "epochs": 1}
            parents |= {"scores": given.scores} | ({"other": given.selection} if part.needs().other_selection else {})
        if role == "trainer":
            identity = {"base": base.fingerprint, "max_length": planner.terms.max_length}
            parents = {"selection": given.selection}
        return planner.part_step(
            room, part, pool=planner.pool, seed=seed, parents=parents, identity=identity,
            recipes=resolve_recipes(self.plugins, part, PartUse(name="sft")), where={"base": base.path}, given={},
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Given:
    """Ready-made inputs, put into the store as if steps had made them."""

    scores: Ref
    selection: Ref

    @classmethod
    def put(cls, store: Store, planner: Planner) -> _Given:
        """Random scores with one missing, and the first rows as a selection. Which rows are held out is known by id."""
        from sftbench.pools import held_out_split, read_pool

        with store.making("pool", "whole") as work:
            pool = read_pool(planner.facts.pool_source["source"], into=work / shelf.POOL_ROWS)
            candidates, _ = held_out_split(pool, planner.terms.heldout_share, planner.terms.heldout_at_most)
            ids = [pool.ids[index] for index in candidates]
        values = np.random.default_rng(0).normal(size=len(ids))
        values[3] = np.nan
        scores = Step(room="scores", label="given scores", identity={"given": "scores"}, parents={"pool": planner.pool})
        with store.making("scores", scores.key) as work:
            shelf.save_scores(Scores(values=values, reasons={3: "empty_response"}), ids, work)
            store.commit(work, Record(key=scores.key, room="scores", identity=scores.identity))
        chosen = Step(
            room="selection", label="given selection", identity={"given": "selection"}, parents={"pool": planner.pool}
        )
        with store.making("selection", chosen.key) as work:
            shelf.save_selection(Selection(ids=tuple(ids[:10])), work)
            store.commit(work, Record(key=chosen.key, room="selection", identity=chosen.identity))
        return cls(scores=planner.add(scores), selection=planner.add(chosen))

    def measuring(self, planner: Planner, role: str, part: Any) -> Ref:
        """An evaluator on the base model, or a judge on its answers against themselves."""
        from dataclasses import replace

        planner.terms = replace(planner.terms, **({"evals": (part,)} if role == "evaluator" else {"judge": part}))
        evaluations, responses = planner.measured(None)
        if role == "evaluator":
            return evaluations[part.name]
        cell = Cell(
            method="base", label="base", kind="control", budget=BUDGET, seed=0, fidelity="", matched_to=None,
            selection=self.selection, model=None, evaluations={}, responses=responses,
        )  # fmt: skip
        verdicts = planner.verdicts(cell, cell)
        assert verdicts is not None
        return verdicts


def _outputs(store: Store, planner: Planner, ends: dict[str, Ref], outcomes: dict[Ref, Any]) -> Outputs:
    hashes: dict[str, str] = {}
    failures: dict[str, str] = {}
    for label, ref in ends.items():
        if outcomes.get(ref) == "done":
            record = store.find(*ref.split("/", 1))
            assert record is not None
            folder = store.folder(*ref.split("/", 1))
            files = {
                str(path.relative_to(folder)): hash_file(path) for path in sorted(folder.rglob("*")) if path.is_file()
            }
            files.pop("record.json", None)
            hashes[label] = key_of({"files": files, "payload": dict(record.payload)})
        else:
            failures[label] = _why(store, planner, ref, outcomes)
    return Outputs(hashes=hashes, failures=failures)


def _why(store: Store, planner: Planner, ref: Ref, outcomes: dict[Ref, Any]) -> str:
    """The failure of this step, or of the one it waits for."""
    waiting = [ref]
    while waiting:
        each = waiting.pop()
        record = store.find(*each.split("/", 1))
        if record is not None and record.failure is not None:
            return f"{planner.steps[each].label}: {record.failure.error}: {record.failure.message}"
        if outcomes.get(each) == "died":
            return f"{planner.steps[each].label}: its process died"
        waiting.extend(planner.steps[each].parents.values())
    return "it was never reached"
