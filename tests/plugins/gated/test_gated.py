"""The trainer `gated`: its reference, and its loss end to end on a tiny model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

import sftbench_plugins.gated as plugin
from sftbench import (
    Encoded,
    Needs,
    PartUse,
    Pool,
    Ragged,
    Recipe,
    Row,
    Selection,
    TrainedModel,
    UsageError,
    encode_rows,
)
from sftbench.conformance.material import trial_material
from sftbench.engines.loading import load_tokenizer
from sftbench.parameters import build
from sftbench.pools import read_pool
from sftbench_plugins.gated.trainer import Gated
from sftbench_plugins.sft.trainer import Sft


@dataclass
class TrialDesk:
    scratch: Path
    base: Path
    reference: Path
    seed: int = 0

    def model_path(self, name: str) -> TrainedModel:
        return TrainedModel(path={"base": self.base, "reference": self.reference}[name])

    def training_encoding(self, rows: Iterable[Row], *, max_length: int | None = None) -> Iterator[Encoded]:
        return encode_rows(rows, load_tokenizer(self.base), template="training", max_length=min(max_length or 128, 128))

    def meter(self, **amounts: float) -> None: ...

    def log(self, message: str) -> None: ...

    @contextmanager
    def progress(self, total: int, unit: str) -> Iterator[TrialDesk]:
        yield self

    def advance(self, amount: int = 1) -> None: ...


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> tuple[Pool, Path, Path]:
    """A pool, a base, and a reference with other weights."""
    root = tmp_path_factory.mktemp("bench")
    material = trial_material(root)
    reference = AutoModelForCausalLM.from_pretrained(material.model)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in reference.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    reference.save_pretrained(root / "reference")
    return read_pool(str(material.pool), into=root / "rows"), material.model, root / "reference"


def test_the_plugin_offers_one_trainer_whose_reference_is_a_warmed_up_base() -> None:
    assert plugin.sftbench_trainers() == [Gated]
    warmed = Gated(warmup_budget="5%", warmup_epochs=2, warmup_rank=8, warmup_learning_rate=1e-3).needs().models
    parameters = {"epochs": 2.0, "rank": 8, "learning_rate": 1e-3}
    selector = PartUse(name="random", parameters={"purpose": "warm-up"})
    expected = Recipe(selector=selector, budget="5%", trainer=PartUse(name="sft", parameters=parameters))
    assert warmed == {"reference": expected}
    assert build(Sft, parameters, where="sft").rank == 8


def test_no_model_is_trained_when_the_teacher_is_there_already() -> None:
    assert Gated(reference="base").needs() == Needs()
    assert Gated(reference="base").distillation().teacher == "base"
    assert Gated(reference="scoring").needs() == Needs(language_models=("scoring",))


@pytest.mark.parametrize(
    ("name", "value"),
    [("lam", "1.1"), ("temperature", "0"), ("epochs", "0"), ("reference", "other"), ("micro_batch_rows", "0")],
)
def test_parameters_out_of_range_are_refused(name: str, value: str) -> None:
    with pytest.raises(UsageError):
        build(Gated, {name: value}, where="gated")


def test_the_first_loss_is_that_of_the_papers_formula(bench: tuple[Pool, Path, Path], tmp_path: Path) -> None:
    pool, base, reference = bench
    desk, ids = TrialDesk(tmp_path, base, reference), tuple(pool.ids[:5])
    encoded = list(desk.training_encoding(pool.take(range(5))))
    labels = [np.arange(each.response.sum()) % 3 for each in encoded]
    selection = Selection(ids=ids, token_labels=Ragged.of(labels, np.uint8))
    trainer = Gated(lam=0.6, temperature=1.5, max_steps=1)
    trained = trainer.train(pool, selection, desk, tmp_path / "out")  # type: ignore[arg-type]
    student, teacher = (AutoModelForCausalLM.from_pretrained(path).eval() for path in (base, reference))
    ce, kd = [], []
    for each, of_token in zip(encoded, labels, strict=True):
        ids_ = torch.from_numpy(each.token_ids).long()
        with torch.no_grad():
            z, taught = student(ids_[None]).logits[0], teacher(ids_[None]).logits[0]
        for at, label in zip(np.flatnonzero(each.response), of_token, strict=True):
            ce += [-z[at - 1].log_softmax(-1)[ids_[at]].item()] if label == 1 else []
            q, logp = (taught[at - 1] / 1.5).softmax(-1), (z[at - 1] / 1.5).log_softmax(-1)
            kd += [-(q * logp).sum().item()] if label == 2 else []
    assert trained.report["mean_cross_entropy"] == pytest.approx(np.mean(ce), rel=1e-5)
    assert trained.report["final_loss"] == pytest.approx(0.6 * np.mean(ce) + 0.4 * 1.5**2 * np.mean(kd), rel=1e-5)


def test_official_averages_the_means_of_either_term_over_groups_of_rows(
    bench: tuple[Pool, Path, Path], tmp_path: Path
) -> None:
    pool, base, reference = bench
    desk, ids = TrialDesk(tmp_path, base, reference), tuple(pool.ids[:5])
    encoded = list(desk.training_encoding(pool.take(range(5))))
    labels = [np.arange(each.response.sum()) % 2 + 1 for each in encoded]
    # No token of one row is learnt: alone in its group, it has no part in that mean.
    labels[int(np.random.default_rng([0, 0]).permutation(5)[4])][:] = 2
    selection = Selection(ids=ids, token_labels=Ragged.of(labels, np.uint8))
    trainer = Gated(mode="official", micro_batch_rows=2, max_steps=1)
    trained = trainer.train(pool, selection, desk, tmp_path / "out")  # type: ignore[arg-type]
    student, teacher = (AutoModelForCausalLM.from_pretrained(path).eval() for path in (base, reference))
    ce: list[list[float]] = [[], [], []]
    kd: list[list[float]] = [[], [], []]
    for place, row in enumerate(np.random.default_rng([0, 0]).permutation(5)):
        each, token_ids = encoded[row], torch.from_numpy(encoded[row].token_ids).long()
        with torch.no_grad():
            z, taught = (net(token_ids[None]).logits[0].log_softmax(-1) for net in (student, teacher))
        for at, label in zip(np.flatnonzero(each.response), labels[row], strict=True):
            if label == 1:
                ce[place // 2].append(-z[at - 1][token_ids[at]].item())
            else:
                kd[place // 2].append(-(taught[at - 1].exp() * z[at - 1]).sum().item())
    means = [np.mean([np.mean(group) for group in term if group]) for term in (ce, kd)]
    assert trained.report["final_loss"] == pytest.approx(0.7 * means[0] + 0.3 * means[1], rel=1e-5)
    assert Gated().weighing() is None


def test_distilled_tokens_bring_the_student_nearer_to_the_reference(
    bench: tuple[Pool, Path, Path], tmp_path: Path
) -> None:
    pool, base, reference = bench
    desk, ids = TrialDesk(tmp_path, base, reference), tuple(pool.ids[:7])
    encoded = list(desk.training_encoding(pool.take(range(7))))
    labels = Ragged.of([np.full(each.response.sum(), 2) for each in encoded], np.uint8)
    trainer = Gated(learning_rate=1e-2, epochs=10, batch_size=4)
    trained = trainer.train(pool, Selection(ids=ids, token_labels=labels), desk, tmp_path / "out")  # type: ignore[arg-type]
    assert trained.report["num_steps_without_cross_entropy"] == trained.report["num_steps"]
    assert trained.report["mean_cross_entropy"] is None
    nets = [AutoModelForCausalLM.from_pretrained(path).eval() for path in (base, tmp_path / "out", reference)]
    token_ids = torch.from_numpy(encoded[0].token_ids).long()[None]
    with torch.no_grad():
        before, after, taught = (net(token_ids).logits[0, -4:].log_softmax(-1) for net in nets)
    divergence = [(taught.exp() * (taught - logp)).sum().item() for logp in (before, after)]
    assert divergence[1] < divergence[0]
