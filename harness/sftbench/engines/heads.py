"""A causal language model cut in two: the transformer body, and the output head that makes logits from it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Cut:
    """`body` gives a state per position [B, L, x]; `head` turns chosen states [c, x] into float32 logits [c, V].

    `body` takes what the transformer takes, by name (`input_ids` or `inputs_embeds`, a cache, ...).
    """

    body: Callable[..., torch.Tensor]
    head: Callable[[torch.Tensor], torch.Tensor]


def cut(model: PreTrainedModel) -> Cut:
    """The model in two parts, so that the head need only run where a token is scored.

    The cut is tried on a short passage against the model's own logits. A model with an output rule
    that is not known here stays whole: its states are its logits, which costs time and memory only.
    """
    halves = _halves(model)
    if halves is not None and _agrees(model, halves):
        return halves
    _log.warning("%s is run whole: its logits are not those of body and output head", type(model).__name__)
    return Cut(body=partial(_logits, model), head=lambda states: states.float())


def _halves(model: Any) -> Cut | None:
    projection, decoder = model.get_output_embeddings(), model.get_decoder()
    if projection is None or decoder is None or decoder is model:
        return None
    config = model.config.get_text_config()
    cap = getattr(config, "final_logit_softcapping", None)
    scale = _scale(config)

    def head(states: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = projection(states).float()
        if scale != 1.0:
            logits = logits * scale
        return torch.tanh(logits / cap) * cap if cap else logits

    def body(**inputs: Any) -> torch.Tensor:
        states: torch.Tensor = decoder(**{"use_cache": False, **inputs}).last_hidden_state
        return states

    return Cut(body=body, head=head)


def _scale(config: Any) -> float:
    """Cohere and Falcon-H1 multiply their logits, Granite divides them."""
    factor = getattr(config, "logit_scale", None) or getattr(config, "lm_head_multiplier", None) or 1.0
    return float(factor) / float(getattr(config, "logits_scaling", None) or 1.0)


@torch.inference_mode()
def _agrees(model: PreTrainedModel, halves: Cut) -> bool:
    vocab_size = model.config.get_text_config().vocab_size
    ids = torch.linspace(0, vocab_size - 1, 12, device=model.device).long()[None]
    try:
        parts = halves.head(halves.body(input_ids=ids)[0])
    except (AttributeError, TypeError, RuntimeError) as problem:
        _log.warning("%s cannot be cut: %s", type(model).__name__, problem)
        return False
    whole = _logits(model, input_ids=ids)[0].float()
    # The head works in float32, the model's own logits may have been rounded to 16 bits on the way.
    tolerance = 1e-4 if model.dtype == torch.float32 else 3e-2
    return parts.shape == whole.shape and bool((parts - whole).abs().max() <= tolerance * whole.abs().max())


def _logits(model: PreTrainedModel, **inputs: Any) -> torch.Tensor:
    logits: torch.Tensor = model(**{"use_cache": False, **inputs}).logits
    return logits
