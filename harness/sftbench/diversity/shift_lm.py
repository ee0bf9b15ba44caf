"""KL(real || generated) by language models: how much better real text is foretold by one trained on real text."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sftbench.diversity.corpus import lengths_of, taken
from sftbench.diversity.measure import TOO_FEW, Bounds, Floats, Measure, mean_bounds
from sftbench.ledger import Meter
from sftbench.rooms import Ragged

if TYPE_CHECKING:
    import torch

LAYERS, HEADS, WIDTH, WINDOW = 2, 4, 128, 128
EPOCHS, BATCH, LEARNING_RATE = 4, 16, 2e-3
MOST_TOKENS = 200_000
LEAST_TOKENS = 2 * WINDOW
Ints = npt.NDArray[np.int64]


def divergence_of_models(real: Ragged, generated: Ragged, *, seed: int, meter: Meter | None = None) -> Measure:
    """E_real[log p_R - log p_G] in nats per token, on real rows that neither model was trained on.

    Two GPT-2-like models of equal size (2 layers, width 128) and equal beginning are trained for four
    epochs on equally many tokens: one on half of the real rows, one on generated rows; at most 200,000
    tokens each. Tokens are numbered anew over both sides, so that the vocabulary is no larger than it must.
    Small models trained for this short say less than there is to say: read the value as a lower bound.
    """
    kinds = np.unique(np.concatenate([real.values, generated.values]))
    order = np.random.default_rng([seed, 7]).permutation(np.flatnonzero(lengths_of(real) > 0))
    half = len(order) // 2
    heldout = taken(real, order[half:])
    mine = _stream(taken(real, order[:half]), kinds)
    filled = np.random.default_rng([seed, 8]).permutation(np.flatnonzero(lengths_of(generated) > 0))
    theirs = _stream(taken(generated, filled), kinds)
    size = min(len(mine), len(theirs), MOST_TOKENS) // WINDOW * WINDOW
    n = int((lengths_of(generated) > 0).sum())
    nothing = Measure(
        metric="kl-lm", value=math.nan, unit="nats per token", tokens=size, n=n, direction="shift", note=TOO_FEW
    )  # fmt: skip
    if size < LEAST_TOKENS or not len(heldout.values):
        return nothing
    losses = [
        _losses(_trained(stream[:size], len(kinds) + 1, seed, meter), heldout, kinds, meter)
        for stream in (mine, theirs)
    ]
    value, edges = _per_token(losses[1] - losses[0], lengths_of(heldout))
    return replace(nothing, value=value, ci_lo=edges["ci_lo"], ci_hi=edges["ci_hi"], note="")


def _per_token(differences: Floats, lengths: Ints) -> tuple[float, Bounds]:
    """`differences` [n]: summed over the tokens of each row; the bounds take rows, not tokens, as independent."""
    value = float(differences.sum() / lengths.sum())
    residuals = differences - value * lengths
    return value, {"ci_lo": value, "ci_hi": value, **mean_bounds(value + residuals / lengths.mean())}


def _stream(texts: Ragged, kinds: Ints) -> Ints:
    """All texts in a row, each begun by the token 0; others are numbered from 1."""
    numbers = np.searchsorted(kinds, texts.values) + 1
    return np.insert(numbers, texts.offsets[:-1], 0)


def _trained(stream: Ints, num_types: int, seed: int, meter: Meter | None) -> torch.nn.Module:
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    device = "cuda" if torch.cuda.is_available() else "cpu"
    config = GPT2Config(
        vocab_size=num_types, n_positions=WINDOW, n_embd=WIDTH, n_layer=LAYERS, n_head=HEADS,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model: Any = GPT2LMHeadModel(config).eval()
    model.to(device)
    blocks = torch.from_numpy(stream.reshape(-1, WINDOW)).to(device)
    orders = np.random.default_rng([seed, 9])
    num_steps = EPOCHS * math.ceil(len(blocks) / BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=num_steps)
    for _ in range(EPOCHS):
        order = torch.from_numpy(orders.permutation(len(blocks)))
        for batch in order.split(BATCH):
            ids = blocks[batch]
            loss = model(input_ids=ids, labels=ids).loss
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    _count(model, meter, tokens_forward=EPOCHS * stream.size, tokens_backward=EPOCHS * stream.size)
    trained: torch.nn.Module = model.eval()
    return trained


def _losses(model: torch.nn.Module, heldout: Ragged, kinds: Ints, meter: Meter | None) -> Floats:
    """Negative log-likelihood in nats, summed over the tokens of each text [n]; long texts in windows of their own."""
    import torch

    device = next(model.parameters()).device
    pieces, owners = _windows(heldout, kinds)
    found = np.zeros(len(heldout))
    with torch.inference_mode():
        for start in range(0, len(pieces), BATCH):
            ids = torch.from_numpy(pieces[start : start + BATCH]).to(device)
            logits = model(input_ids=ids.clamp_min(0)).logits[:, :-1].float()
            losses = torch.nn.functional.cross_entropy(
                logits.transpose(1, 2), ids[:, 1:], ignore_index=-100, reduction="none"
            )
            np.add.at(found, owners[start : start + BATCH], losses.sum(dim=1).double().cpu().numpy())
    _count(model, meter, tokens_forward=pieces.size, tokens_backward=0)
    return found


def _windows(texts: Ragged, kinds: Ints) -> tuple[Ints, Ints]:
    """Texts cut into pieces of at most a window less one, each begun by token 0; -100 fills up. Whose each piece is."""
    pieces: list[Ints] = []
    owners: list[int] = []
    for row, text in enumerate(texts):
        numbers = np.searchsorted(kinds, text) + 1
        for start in range(0, len(numbers), WINDOW - 1):
            piece = np.full(WINDOW, -100, dtype=np.int64)
            part = numbers[start : start + WINDOW - 1]
            piece[0], piece[1 : 1 + len(part)] = 0, part
            pieces.append(piece)
            owners.append(row)
    return np.stack(pieces), np.array(owners, dtype=np.int64)


def _count(model: Any, meter: Meter | None, *, tokens_forward: int, tokens_backward: int) -> None:
    if meter is not None:
        # Two operations per weight and token forwards, four backwards; the embedding of the input is looked up.
        weights = sum(each.numel() for each in model.parameters())
        flops = 2.0 * weights * tokens_forward + 4.0 * weights * tokens_backward
        meter(tokens_forward=tokens_forward, tokens_backward=tokens_backward, flops=flops)
