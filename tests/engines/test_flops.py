"""The FLOP formula against torch's own count of what a model does."""

from __future__ import annotations

import json

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from sftbench.engines.flops import forward_flops, shape_at, shape_of, training_flops


def counted(model, ids, *, backward=False):
    """What torch counts, matrix products alone; attention is written out, so that it is counted whole."""
    model.set_attn_implementation("eager")
    with FlopCounterMode(display=False) as counter:
        logits = model(input_ids=ids).logits
        if backward:
            logits.sum().backward()
    return counter.get_total_flops()


def half_of_attention(shape, lengths):
    """Torch counts the half of attention that a causal model masks."""
    return forward_flops(shape, lengths, causal=False) - forward_flops(shape, lengths)


def test_a_forward_pass_costs_what_torch_counts(language_model):
    model, shape = language_model.model, language_model.shape
    ids = torch.zeros((3, 50), dtype=torch.int64)
    expected = counted(model, ids) - half_of_attention(shape, [50] * 3)
    # Norms and biases are among the parameters, though they are no matrix products.
    assert forward_flops(shape, [50] * 3) == pytest.approx(expected, rel=0.08)
    assert forward_flops(shape, [50] * 3) >= expected


def test_training_costs_what_torch_counts(llama):
    engine = llama()
    ids = torch.zeros((2, 60), dtype=torch.int64)
    expected = counted(engine.model, ids, backward=True) - 3 * half_of_attention(engine.shape, [60] * 2)
    assert training_flops(engine.shape, [60] * 2) == pytest.approx(expected, rel=0.08)


def test_attention_grows_with_the_square_of_each_length(llama):
    shape = llama().shape
    apart = forward_flops(shape, [30, 30], num_scored_tokens=0)
    joined = forward_flops(shape, [60], num_scored_tokens=0)
    assert joined - apart == 2 * shape.num_layers * shape.attention_width * (60**2 - 2 * 30**2)


def test_the_head_is_counted_at_scored_tokens_only(llama):
    shape = llama().shape
    at_all, at_none = (forward_flops(shape, [40], num_scored_tokens=count) for count in (None, 0))
    assert at_all - at_none == 2 * shape.vocab_size * shape.width * 40


def test_the_shape_is_known_without_weights(llama, tmp_path):
    engine = llama()
    engine.model.config.save_pretrained(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["config.json"]
    assert shape_at(tmp_path) == engine.shape


def test_of_a_mixture_of_experts_only_those_that_a_token_meets_are_counted():
    from transformers import MixtralConfig, MixtralForCausalLM

    def body(num_experts, per_token):
        config = MixtralConfig(
            vocab_size=50, hidden_size=16, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
            num_key_value_heads=2, num_local_experts=num_experts, num_experts_per_tok=per_token,
        )  # fmt: skip
        return shape_of(MixtralForCausalLM(config)).num_body_parameters

    router = 16 * 6
    assert body(8, 2) == pytest.approx(body(2, 2) + router)
    assert json.dumps(body(8, 2))
