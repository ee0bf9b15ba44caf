"""Shared passes and embeddings: what the engines give, row by row, in memory that does not grow with the pool."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pluggy
import pytest

from sftbench import shelf
from sftbench.arrays import load_arrays
from sftbench.bench import Bench
from sftbench.desk import WorkingDesk
from sftbench.engines import embed, forward
from sftbench.engines.loading import load_tokenizer
from sftbench.ledger import Meter
from sftbench.plan import Step
from sftbench.plugins import Plugins
from sftbench.pools import pool_from_rows, read_pool
from sftbench.prepare import embed_pool, run_pass
from sftbench.record import Record
from sftbench.reporting import Reporter
from sftbench.store import Store

NONE = Plugins(manager=pluggy.PluginManager("sftbench"), parts={}, methods={}, suites={}, plugin_of={})
WIDTH = 64
WORDS = "The amber dune has number 7. "


@pytest.fixture
def prepare(tmp_path_factory):
    """Does a shared step over a pool; returns what the step says, and the folder that it wrote into."""

    def do(work, make_pool, *, where=None, **identity):
        folder = tmp_path_factory.mktemp("shared")
        store, reading = Store(folder / "store"), Step(room="pool", label="pool", identity={})
        with store.making("pool", reading.key) as place:
            shelf.save_pool_form(make_pool(place / shelf.POOL_ROWS, reading.ref), place)
            store.commit(place, Record(key=reading.key, room="pool", identity={}))
        where = where or {"embedder": "minilm"}
        step = Step(room="shared", label="s", identity=identity, parents={"pool": reading.ref}, where=where)
        reporter = Reporter(lambda event: None)
        bench = Bench(plugins=NONE, store=store, work=folder, meter=Meter(), reporter=reporter)
        desk = WorkingDesk(step=step, store=store, meter_=bench.meter, reporter=reporter, scratch=folder)
        return work(step, bench, desk), folder

    return do


def plain_rows(count, times=1):
    return lambda into, key: pool_from_rows(
        ({"id": f"r{at}", "instruction": "Say it.", "output": WORDS * (at % 3 + times)} for at in range(count)),
        into=into,
        key=key,
    )


@pytest.mark.parametrize("view", ["conditional", "response_only"])
@pytest.mark.parametrize("template", ["bare", "training"])
def test_a_pass_holds_what_the_engine_says_of_each_row(prepare, material, view, template):
    payload, folder = prepare(
        run_pass,
        lambda into, key: read_pool(material.pool, into=into),
        where={"model": str(material.model)},
        view=view,
        template=template,
        max_length=30,
    )
    pool = read_pool(material.pool, into=folder / "again.arrow")
    model = forward.LanguageModel.load(material.model)
    encoded = list(forward.encode_rows(pool, model.tokenizer, template=template, max_length=30))
    passages = [
        forward.Passage.conditional(each)
        if view == "conditional"
        else forward.Passage.response_only(each, bos_token_id=model.bos_token_id)
        for each in encoded
    ]
    expected = list(model.run(passages, statistics=[forward.Nll(), forward.Entropy()]))
    for name in ("nll", "entropy"):
        found = shelf.load_pass(folder, name)
        assert len(found.values) == len(pool) == payload["num_rows"]
        for mine, its in zip(found.values, expected, strict=True):
            np.testing.assert_array_equal(mine, its[name])
            assert mine.dtype == np.float32
        assert found.reasons == {at: each.reason for at, each in enumerate(encoded) if each.reason}
        assert set(found.notes) == {at for at, each in enumerate(encoded) if not each.reason and each.kept_share < 1}
    assert payload["num_without_tokens"] == len(found.reasons) > 0


class Passing:
    """A model that says of every scored token its number, and holds no row."""

    max_length, bos_token_id = 256, None

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer

    def run(self, passages, *, statistics):
        for each in passages:
            numbers = each.token_ids[each.scored].astype(np.float32)
            yield {statistic.name: numbers for statistic in statistics}


def with_peak(work):
    """The work, telling also the most bytes that it held at a time."""

    def watched(*given):
        tracemalloc.start()
        try:
            return work(*given), tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    return watched


def test_the_memory_of_a_pass_does_not_grow_with_the_pool(prepare, material, monkeypatch):
    model = Passing(load_tokenizer(material.model))
    monkeypatch.setattr(forward.LanguageModel, "load", lambda *args, **settings: model)
    about = {"where": {"model": "m"}, "view": "conditional", "template": "bare"}
    peaks, sizes = [], []
    for count in (2200, 4400):
        (_, most), folder = prepare(with_peak(run_pass), plain_rows(count, times=20), **about)
        peaks.append(most)
        sizes.append((folder / "nll.safetensors").stat().st_size)
    values = shelf.load_pass(folder, "entropy").values
    for at in (4398, 4399):
        ids = model.tokenizer("Say it.\n" + WORDS * (at % 3 + 20))["input_ids"]
        assert values[at].tolist() == ids[-len(values[at]) :]
    # Held, the values of both statistics alone would be twice the file of one.
    assert peaks[1] - peaks[0] < sizes[1] - sizes[0]


class Lettering:
    """An encoder that says how long a text is."""

    width = WIDTH

    def __init__(self, *args, **settings):
        """Nothing is loaded."""

    def embed(self, texts):
        return np.repeat(np.array([[len(each)] for each in texts], dtype=np.float32), WIDTH, axis=1)


def test_the_memory_of_embedding_does_not_grow_with_the_pool(prepare, monkeypatch):
    monkeypatch.setattr(embed, "_loaded", lambda model: None)
    monkeypatch.setattr(embed, "_Encoder", Lettering)
    monkeypatch.setattr(embed, "_TEXTS_AT_ONCE", 512)
    peaks = []
    for count in (3000, 6000):
        (_, most), folder = prepare(with_peak(embed_pool), plain_rows(count), component="response", embedder="e")
        peaks.append(most)
    found = load_arrays(folder / "embeddings.safetensors")["embeddings"]
    assert found.shape == (6000, WIDTH)
    np.testing.assert_array_equal(found[:, 0], [len(WORDS) * (at % 3 + 1) for at in range(6000)])
    assert peaks[1] - peaks[0] < found.nbytes / 8


def test_embeddings_are_those_of_the_engine(prepare, material):
    _, folder = prepare(
        embed_pool, lambda into, key: read_pool(material.pool, into=into), component="both", embedder="e"
    )
    pool = read_pool(material.pool, into=folder / "again.arrow")
    found = load_arrays(folder / "embeddings.safetensors")["embeddings"]
    np.testing.assert_array_equal(found, embed.embed_texts([row.text("both") for row in pool]))
