"""A run with its store, made by hand: two methods that chose other rows of a pool; one may label tokens."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sftbench import plugins as loading
from sftbench import shelf
from sftbench.anatomy.compare import ComparisonWanted, compare_selections
from sftbench.pools import pool_from_rows
from sftbench.positions import positions_as_text
from sftbench.record import Record
from sftbench.rooms import Message, Ragged, Row, Selection
from sftbench.store import Store

NUM_ROWS = 40
FIRST, SECOND = (7, 2, 3, 1, 20, 21), (3, 1, 2, 30, 31, 32)
"""Positions that the two methods chose, best first."""


def pool_rows():
    """Rows of three sources, whose responses have two words each; every fourth is planted."""
    for place in range(NUM_ROWS):
        yield {
            "id": f"r{place}", "instruction": f"Say number {place}", "output": f"word{place} end",
            "source": ("alpha", "beta", "gamma")[place % 3], **({"_planted": "truncation"} if place % 4 == 3 else {}),
        }  # fmt: skip


class MadeRun:
    """Records in a folder and, as far as it is wanted, the store that they are from."""

    def __init__(self, folder):
        self.results, self.store, self.folder = folder / "results", Store(folder / "store"), folder

    def put(self, room, key, save=lambda work: None, *, identity=None, **payload):
        with self.store.making(room, key) as work:
            save(work)
            self.store.commit(work, Record(key=key, room=room, identity=identity or {}, payload=payload))
        return f"{room}/{key}"

    def put_pool(self, key, rows):
        def save(work):
            made = pool_from_rows(rows, into=work / shelf.POOL_ROWS, key=f"pool/{key}")
            shelf.save_pool_form(made, work)

        return self.put("pool", key, save)

    def put_selection(self, key, positions, labels=None, pool="pool/p"):
        ids = tuple(f"r{place}" for place in positions)
        chosen = Selection(ids=ids, token_labels=labels)
        return self.put("selection", key, lambda work: shelf.save_selection(chosen, work), parents={"pool": pool})

    def put_all(self, *, labels=None):
        """Everything that a comparison may look for."""
        self.put_pool("p", pool_rows())
        self.put_pool("h", ({"id": f"h{n}", "instruction": f"Say number {n}!", "output": "x"} for n in range(30, 50)))
        self.put("lengths", "l", identity={"max_length": 64})
        self.put("evaluation", "e", parents={"pool": "pool/h"})
        for seed in range(2):
            self.put_selection(f"one-{seed}", FIRST if not seed else (*FIRST[:5], 39))
            self.put_selection(f"two-{seed}", SECOND, labels)

    def cell(self, label, positions, key, seed, scores, **changes):
        ids = [f"h{n}" for n in range(30, 50)]
        right = {"ids": ids, "items": {"exact-match": scores}, "bigger_is_better": {"exact-match": True}}
        chosen = {
            "num_rows": len(positions), "num_response_tokens": 18,
            "num_planted_rows": sum(place % 4 == 3 for place in positions),
            "num_planted_tokens": 0, "status": "full", "key": f"selection/{key}", "ids_hash": "h", "trained_share": 1.0,
            "positions": positions_as_text(positions),
        }  # fmt: skip
        steps = [{"room": room, "part": "", "key": key} for room, key in (("lengths", "l"), ("evaluation", "e"))]
        return {
            "schema": 1, "method": label, "label": label, "kind": "method", "matched_to": None, "budget": "6",
            "seed": seed, "base": {"name": "toy", "fingerprint": "f"}, "fidelity": "exact", "status": "done",
            "pool": {"name": "rows", "key": "pool/p", "num_rows": NUM_ROWS, "num_planted": 10,
                     "num_planted_tokens": 0, "num_response_tokens": 120},
            "failure": None, "selection": chosen, "evaluations": {"exact-match": right}, "verdicts": None,
            "cost": {"selecting": {"flops": 1e9}}, "steps": steps, **changes,
        }  # fmt: skip

    def write(self, cell):
        path = self.results / cell["label"] / cell["budget"] / f"seed-{cell['seed']}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(cell), encoding="utf-8")

    def write_all(self):
        rng = np.random.default_rng(0)
        for seed in range(2):
            first = FIRST if not seed else (*FIRST[:5], 39)
            self.write(self.cell("one", first, f"one-{seed}", seed, rng.integers(0, 2, 20).astype(float).tolist()))
            self.write(self.cell("two", SECOND, f"two-{seed}", seed, rng.integers(0, 2, 20).astype(float).tolist()))

    def compare(self, a="one", b="two", **more):
        given = {"results": self.results, "store": self.store.root, "embeddings": False, **more}
        found = loading.load()
        return compare_selections(
            ComparisonWanted(a=str(a), b=str(b), **given), plugins=found, scratch=self.folder / "scratch"
        )


@pytest.fixture
def made(tmp_path):
    run = MadeRun(tmp_path)
    run.write_all()
    return run


@pytest.fixture
def tokens(material):
    """The response tokens of the rows of the second method, in its order, by the tokenizer of the toy model."""
    from sftbench.engines.encode import encode_rows
    from sftbench.engines.loading import load_tokenizer

    every = list(pool_rows())
    rows = [Row(id=each["id"], messages=_turns(each)) for each in (every[place] for place in SECOND)]
    return list(encode_rows(rows, load_tokenizer(material.model), max_length=64))


@pytest.fixture
def labels(tokens):
    """For each row of the second method: labels 0, 1, 2, 0, 1, ... of its response tokens."""
    return Ragged.of([np.arange(len(each.spans)) % 3 for each in tokens], dtype=np.uint8)


def _turns(row):
    return (Message(role="user", content=row["instruction"]), Message(role="assistant", content=row["output"]))
