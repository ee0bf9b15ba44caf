"""The trainer `sft`: what it declares, and what it does with token labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file

import sftbench_plugins.sft as plugin
from sftbench import Encoded, Needs, Pool, Ragged, Row, Selection, TrainedModel, UsageError, encode_rows
from sftbench.conformance.material import trial_material
from sftbench.engines.loading import load_tokenizer
from sftbench.parameters import build
from sftbench.pools import read_pool
from sftbench_plugins.sft.trainer import Sft


@dataclass
class TrialDesk:
    scratch: Path
    base: Path
    seed: int = 0
    metered: dict[str, float] = field(default_factory=dict)

    def model_path(self, name: str) -> TrainedModel:
        return TrainedModel(path={"base": self.base}[name])

    def training_encoding(self, rows: Iterable[Row], *, max_length: int | None = None) -> Iterator[Encoded]:
        return encode_rows(rows, load_tokenizer(self.base), template="training", max_length=min(max_length or 128, 128))

    def meter(self, **amounts: float) -> None:
        self.metered.update(amounts)

    def log(self, message: str) -> None: ...

    @contextmanager
    def progress(self, total: int, unit: str) -> Iterator[TrialDesk]:
        yield self

    def advance(self, amount: int = 1) -> None: ...


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> tuple[Pool, Path]:
    root = tmp_path_factory.mktemp("bench")
    material = trial_material(root)
    return read_pool(str(material.pool), into=root / "rows"), material.model


def label_all(pool: Pool, ids: tuple[str, ...], desk: TrialDesk, value: int) -> Ragged:
    rows = pool.take([pool.index_of[row_id] for row_id in ids])
    return Ragged.of([np.full(e.response.sum(), value) for e in desk.training_encoding(rows)], np.uint8)


def test_the_plugin_offers_one_trainer_that_needs_nothing_but_the_base() -> None:
    assert plugin.sftbench_trainers() == [Sft]
    assert Sft().needs() == Needs()


def test_parameters_come_from_text() -> None:
    made = build(Sft, {"epochs": "2.5", "rank": "8", "learning_rate": "none", "max_steps": "7"}, where="sft")
    assert (made.epochs, made.rank, made.learning_rate, made.max_steps) == (2.5, 8, None, 7)
    with pytest.raises(UsageError, match="batch_size"):
        build(Sft, {"batch_size": "0"}, where="sft")


def test_it_trains_a_selection_and_reports_the_rows_it_skipped(bench: tuple[Pool, Path], tmp_path: Path) -> None:
    pool, model = bench
    desk = TrialDesk(tmp_path, model)
    trainer = Sft(learning_rate=1e-2, epochs=4, batch_size=4)
    trained = trainer.train(pool, Selection(ids=tuple(pool.ids[:12])), desk, tmp_path / "out")  # type: ignore[arg-type]
    assert trained.report["num_rows_trained"] == 11
    assert trained.report["num_rows_skipped"] == {"empty_response": 1}
    losses = trained.report["loss_by_tenth"]
    assert isinstance(losses, list)
    assert losses[-1] < losses[0]
    assert desk.metered["flops"] > 0


def test_tokens_for_distillation_are_refused_masked_or_trained(bench: tuple[Pool, Path], tmp_path: Path) -> None:
    pool, model = bench
    desk = TrialDesk(tmp_path, model)
    ids = tuple(pool.ids[:4])
    ones, twos = (label_all(pool, ids, desk, value) for value in (1, 2))
    half = Ragged(values=np.where(np.arange(len(ones.values)) % 2, 1, 2).astype(np.uint8), offsets=ones.offsets)
    with pytest.raises(UsageError, match="gated"):
        Sft().train(pool, Selection(ids=ids, token_labels=half), desk, tmp_path / "refused")  # type: ignore[arg-type]
    masked = Sft(distillation_tokens="mask").relabelled(Selection(ids=ids, token_labels=half)).token_labels
    assert masked is not None
    assert masked.values.tolist() == (half.values == 1).astype(int).tolist()
    for name, trainer, given in (
        ("plain", Sft(max_steps=1), ones),
        ("all", Sft(max_steps=1, distillation_tokens="train"), twos),
    ):
        desk = TrialDesk(tmp_path / name, model)
        trainer.train(pool, Selection(ids=ids, token_labels=given), desk, tmp_path / name / "out")  # type: ignore[arg-type]
    plain, every = (load_file(tmp_path / name / "out" / "model.safetensors") for name in ("plain", "all"))
    assert all(bool((plain[name] == every[name]).all()) for name in plain)
