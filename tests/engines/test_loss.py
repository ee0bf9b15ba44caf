"""The loss contract against explicit formulas, one row at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import Gemma2Config, Gemma2ForCausalLM, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from sftbench.engines import loss
from sftbench.engines.loss import (
    Objective,
    collate,
    combined,
    cross_entropies,
    distillation_sum,
    logits_at,
    weighted_sum,
)
from sftbench.engines.training.rows import TrainingRow
from sftbench.engines.training.settings import TrainingSettings
from sftbench.engines.training.steps import TrainingPlan
from sftbench.errors import UsageError

VOCAB_SIZE = 23
SHAPE = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}


def llama(seed: int, vocab_size: int = VOCAB_SIZE) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    return LlamaForCausalLM(LlamaConfig(vocab_size=vocab_size, initializer_range=0.3, **SHAPE)).double()


def random_rows(count: int, *, kinds: tuple[int, ...] = (0, 1, 2)) -> tuple[TrainingRow, ...]:
    random = np.random.default_rng(5)
    made = []
    for _ in range(count):
        length = int(random.integers(3, 14))
        labels = random.choice(kinds, length)
        labels[0] = 0
        made.append(
            TrainingRow(
                token_ids=random.integers(0, VOCAB_SIZE, length).astype(np.int32),
                ce_weights=(labels == 1).astype(np.float32),
                kd_weights=(labels == 2).astype(np.float32),
            )
        )
    return tuple(made)


def explicit_loss(
    model: nn.Module, teacher: nn.Module, rows: tuple[TrainingRow, ...], lam: float, temperature: float
) -> Tensor:
    """The formula of the contract, one unpadded row and one token at a time."""
    ce, kd, num_ce, num_kd = torch.zeros(()), torch.zeros(()), 0, 0
    for row in rows:
        ids = torch.from_numpy(row.token_ids).long()[None]
        student, taught = model(ids).logits[0], teacher(ids).logits[0].detach()
        for at in range(1, len(row)):
            if row.ce_weights[at]:
                ce, num_ce = ce - student[at - 1].log_softmax(-1)[ids[0, at]], num_ce + 1
            if row.kd_weights[at]:
                q = (taught[at - 1] / temperature).softmax(-1)
                kd, num_kd = kd - (q * (student[at - 1] / temperature).log_softmax(-1)).sum(), num_kd + 1
    return lam * ce / max(num_ce, 1) + (1 - lam) * temperature**2 * kd / max(num_kd, 1)


def gradients(model: nn.Module) -> Tensor:
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("micro_batch_tokens", [1, 20, 10_000])
def test_the_gradient_is_that_of_the_formula_however_a_batch_is_cut(world_size: int, micro_batch_tokens: int) -> None:
    rows, lam, temperature = random_rows(7), 0.7, 1.7
    teacher, expected = llama(1), llama(0)
    value = explicit_loss(expected, teacher, rows, lam, temperature)
    value.backward()
    model = llama(0)
    objective = Objective(model, teacher=teacher, temperature=temperature)
    plan = TrainingPlan(
        rows=rows, settings=TrainingSettings(batch_size=7, micro_batch_tokens=micro_batch_tokens), seed=0
    )
    total = 0.0
    for rank in range(world_size):
        for group in plan.micro_batches(0, rank=rank, world_size=world_size):
            ce_sum, kd_sum, _ = objective(**collate([rows[index] for index in group]))
            part = combined(ce_sum, kd_sum, normalisers=plan.normalisers(0), share=lam)
            part.backward()
            total += part.item()
    assert total == pytest.approx(value.item(), abs=1e-12)
    torch.testing.assert_close(gradients(model), gradients(expected), rtol=1e-9, atol=1e-12)


def test_what_stands_in_the_padding_changes_nothing() -> None:
    rows = random_rows(5)
    found = []
    for pad_token_id in (0, 7):
        model = llama(0)
        ce_sum, kd_sum, _ = Objective(model, teacher=llama(1))(**collate(rows, pad_token_id=pad_token_id))
        (ce_sum + kd_sum).backward()
        found.append(torch.cat([ce_sum.detach()[None], kd_sum.detach()[None], gradients(model)]))
    torch.testing.assert_close(*found, rtol=1e-12, atol=1e-14)


def test_the_label_of_a_masked_token_has_no_influence() -> None:
    row = TrainingRow(
        token_ids=np.array([3, 4, 5, 6, 7, 8], dtype=np.int32),
        ce_weights=np.array([0, 0, 1, 1, 0, 0], dtype=np.float32),
        kd_weights=np.zeros(6, dtype=np.float32),
    )
    other = TrainingRow(
        token_ids=np.array([3, 4, 5, 6, 9, 10], dtype=np.int32), ce_weights=row.ce_weights, kd_weights=row.kd_weights
    )
    model = llama(0)
    sums = [Objective(model)(**collate([each]))[0].item() for each in (row, other)]
    assert sums[0] == pytest.approx(sums[1], abs=1e-13)


def test_real_weights_scale_the_loss_of_their_token() -> None:
    logits, targets = torch.randn(3, 5, dtype=torch.float64), torch.tensor([0, 3, 4])
    singles = [-logits[place].log_softmax(-1)[target].item() for place, target in enumerate(targets)]
    weighted = weighted_sum(cross_entropies(logits, targets), torch.tensor([0.5, 2.0, 0.0]))
    assert weighted.item() == pytest.approx(0.5 * singles[0] + 2 * singles[1])


@pytest.mark.parametrize("temperature", [0.7, 1.0, 3.0])
def test_the_gradient_of_distillation_is_t_times_p_minus_q(temperature: float) -> None:
    torch.manual_seed(0)
    student = torch.randn(4, 6, dtype=torch.float64, requires_grad=True)
    taught, weights = torch.randn(4, 6, dtype=torch.float64), torch.tensor([1.0, 1.0, 0.5, 1.0])
    distillation_sum(student, taught, weights, temperature=temperature).backward()
    p, q = (student.detach() / temperature).softmax(-1), (taught / temperature).softmax(-1)
    torch.testing.assert_close(student.grad, temperature * (p - q) * weights[:, None].double())


def test_the_gradient_of_distillation_agrees_with_finite_differences() -> None:
    torch.manual_seed(0)
    student = torch.randn(2, 5, dtype=torch.float64, requires_grad=True)
    taught, weights = torch.randn(2, 5, dtype=torch.float64), torch.ones(2)
    distillation_sum(student, taught, weights, temperature=2.0).backward()
    for place in np.ndindex(2, 5):
        step = torch.zeros(2, 5, dtype=torch.float64)
        step[place] = 1e-6
        with torch.no_grad():
            up = distillation_sum(student + step, taught, weights, temperature=2.0)
            down = distillation_sum(student - step, taught, weights, temperature=2.0)
        assert student.grad is not None
        assert student.grad[place].item() == pytest.approx(((up - down) / 2e-6).item(), abs=1e-7)


def test_distillation_is_t_squared_times_divergence_plus_the_teachers_entropy() -> None:
    student, taught = torch.randn(3, 8, dtype=torch.float64), torch.randn(3, 8, dtype=torch.float64)
    p, q = (student / 2).softmax(-1), (taught / 2).softmax(-1)
    divergence, entropy = (q * (q / p).log()).sum(), -(q * q.log()).sum()
    found = distillation_sum(student, taught, torch.ones(3), temperature=2.0)
    assert found.item() == pytest.approx(4 * (divergence + entropy).item())


def test_a_smaller_teacher_gives_no_mass_to_the_further_tokens() -> None:
    student, taught = torch.randn(2, 6, dtype=torch.float64, requires_grad=True), torch.randn(2, 4, dtype=torch.float64)
    found = distillation_sum(student, taught, torch.ones(2), temperature=1.0)
    found.backward()
    expected = -(taught.softmax(-1) * student.log_softmax(-1)[:, :4]).sum()
    assert found.item() == pytest.approx(expected.item())
    assert student.grad is not None
    torch.testing.assert_close(student.grad[:, 4:], student.detach().softmax(-1)[:, 4:])


def test_a_larger_teacher_is_refused_with_both_sizes() -> None:
    with pytest.raises(UsageError, match=r"7.*5"):
        distillation_sum(torch.zeros(1, 5), torch.zeros(1, 7), torch.ones(1), temperature=1.0)


@pytest.mark.parametrize("kinds", [(0, 2), (0, 1), (0,)])
def test_a_term_without_tokens_is_zero(kinds: tuple[int, ...]) -> None:
    rows = random_rows(4, kinds=kinds)
    model = llama(0)
    ce_sum, kd_sum, _ = Objective(model, teacher=llama(1))(**collate(rows))
    normalisers = TrainingPlan(rows=rows, settings=TrainingSettings(batch_size=4), seed=0).normalisers(0)
    value = combined(ce_sum, kd_sum, normalisers=normalisers, share=0.7)
    value.backward()
    assert math.isfinite(value.item())
    assert bool(gradients(model).isfinite().all())
    assert (ce_sum.item() == 0) == (1 not in kinds)
    assert (kd_sum.item() == 0) == (2 not in kinds)


def test_chunks_change_neither_value_nor_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = random_rows(6)
    found = []
    for elements in (2**26, 3 * VOCAB_SIZE):
        monkeypatch.setattr(loss, "CHUNK_ELEMENTS", elements)
        model = llama(0)
        ce_sum, kd_sum, _ = Objective(model, teacher=llama(1), temperature=1.3)(**collate(rows))
        (ce_sum + 2 * kd_sum).backward()
        found.append(torch.cat([ce_sum.detach()[None], kd_sum.detach()[None], gradients(model)]))
    torch.testing.assert_close(*found, rtol=1e-11, atol=1e-13)


def test_losses_of_half_precision_logits_are_summed_in_float32() -> None:
    logits, targets = torch.randn(5, 9, dtype=torch.bfloat16), torch.arange(5)
    found = weighted_sum(cross_entropies(logits, targets), torch.ones(5))
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(
        -logits.double().log_softmax(-1)[torch.arange(5), targets].sum().item(), rel=1e-5
    )


def test_losses_are_summed_in_float32_also_where_the_model_runs_in_bfloat16() -> None:
    model, rows = llama(0).float(), random_rows(40)
    exact = Objective(model, teacher=llama(1).float())(**collate(rows))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = Objective(model, teacher=llama(1).float())(**collate(rows))
        losses = cross_entropies(torch.zeros(1001, 3), torch.zeros(1001, dtype=torch.long))
        weighted = weighted_sum(losses, torch.ones(1001))
    assert weighted.item() == pytest.approx(1001 * math.log(3), rel=1e-6)
    for some, other in zip(found[:2], exact[:2], strict=True):
        assert some.dtype == torch.float32
        assert some.item() == pytest.approx(other.item(), rel=2e-2)


def test_the_teacher_is_neither_trained_nor_part_of_the_objective() -> None:
    teacher, model = llama(1), llama(0)
    objective = Objective(model, teacher=teacher)
    sum(objective(**collate(random_rows(3)))[:2]).backward()  # type: ignore[union-attr]
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert len(list(objective.parameters())) == len(list(model.parameters()))


def test_logits_at_positions_keep_what_a_model_does_after_its_head() -> None:
    torch.manual_seed(0)
    gemma = Gemma2ForCausalLM(
        Gemma2Config(vocab_size=VOCAB_SIZE, head_dim=8, num_key_value_heads=1, final_logit_softcapping=0.5, **SHAPE)
    )
    gpt = GPT2LMHeadModel(GPT2Config(vocab_size=VOCAB_SIZE, n_embd=16, n_layer=2, n_head=2, n_positions=32))
    ids, positions = torch.randint(0, VOCAB_SIZE, (2, 9)), torch.tensor([3, 11, 16])
    for model in (gemma.eval(), gpt.eval()):
        whole = model(input_ids=ids).logits.flatten(0, 1)[positions]
        torch.testing.assert_close(logits_at(model, ids, positions), whole)
        assert not model.get_output_embeddings()._forward_pre_hooks
