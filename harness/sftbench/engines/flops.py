"""Floating-point operations of forward passes, training and generation, from a model's shape.

Every multiply-add counts as two. For T tokens of which S meet the output head, in sequences of lengths L:

    forward = 2 * body_parameters * T  +  2 * vocab_size * width * S  +  2 * num_layers * attention_width * sum(L^2)

The last term is the two products of causal attention (half of 4 L^2 d per layer). Sliding windows and
padding are not counted: the figure describes the work asked for, not one machine's way of doing it.
A backward pass counts twice its forward pass (Kaplan et al. 2020, arXiv 2001.08361, section 2.1).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """What the cost of a token depends on; `num_body_parameters` leaves out embeddings and output head.

    For a mixture of experts only the experts that one token meets are counted.
    """

    num_body_parameters: float
    vocab_size: int
    width: int
    num_layers: int
    attention_width: int


def shape_of(model: Any) -> ModelShape:
    """The shape of a causal language model of transformers, loaded or without weights."""
    from torch import nn

    config = model.config.get_text_config()
    head = model.get_output_embeddings()
    outside = {id(each.weight) for each in model.modules() if isinstance(each, nn.Embedding)}
    outside |= {id(parameter) for parameter in head.parameters()} if head is not None else set()
    num_experts = getattr(config, "num_experts", None) or getattr(config, "num_local_experts", None) or 1
    active_share = (getattr(config, "num_experts_per_tok", None) or 1) / num_experts if num_experts > 1 else 1.0
    body = sum(
        parameter.numel() * (active_share if ".experts." in name else 1.0)
        for name, parameter in model.named_parameters()
        if id(parameter) not in outside
    )
    head_width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return ModelShape(
        num_body_parameters=float(body),
        vocab_size=int(config.vocab_size),
        width=int(config.hidden_size),
        num_layers=int(config.num_hidden_layers),
        attention_width=int(head_width * config.num_attention_heads),
    )


def shape_at(path: Path | str) -> ModelShape:
    """The shape of the model in a folder (or on the hub), from its configuration alone: no weight is read."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        build: Any = AutoModelForCausalLM.from_config
        return shape_of(build(AutoConfig.from_pretrained(str(path))))


def forward_flops(
    shape: ModelShape, lengths: Iterable[int], *, num_scored_tokens: int | None = None, causal: bool = True
) -> float:
    """FLOPs of a forward pass over sequences of these lengths; the head runs at `num_scored_tokens` (None: all)."""
    sizes = np.fromiter(lengths, dtype=np.float64)
    tokens = float(sizes.sum())
    scored = tokens if num_scored_tokens is None else float(num_scored_tokens)
    attention = (2.0 if causal else 4.0) * shape.num_layers * shape.attention_width * float((sizes**2).sum())
    return 2.0 * shape.num_body_parameters * tokens + 2.0 * shape.vocab_size * shape.width * scored + attention


def training_flops(shape: ModelShape, lengths: Iterable[int], *, num_scored_tokens: int | None = None) -> float:
    """FLOPs of training once on these sequences: a forward pass and a backward pass of twice its cost."""
    return 3.0 * forward_flops(shape, lengths, num_scored_tokens=num_scored_tokens)
