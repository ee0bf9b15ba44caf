"""Makes the packaged base model: `python -m sftbench_plugins.microcosm.pretrain`.

Tokenizer and weights come from the suite's own terse text and a fixed seed; half an hour
on two cores, minutes on a GPU.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from sftbench_plugins.microcosm.muon import Muon
from sftbench_plugins.microcosm.suite import MODEL_FOLDER
from sftbench_plugins.microcosm.terse import documents
from sftbench_plugins.microcosm.tokenizer import MAX_LENGTH, train_tokenizer

BLOCK_TOKENS: Final = 128
BATCH_BLOCKS: Final = 16
POSED_WEIGHT: Final = 0.2
"""In the loss, of tokens that nothing foretells, such as which words are to be sorted."""
WARMUP_SHARE: Final = 0.05


def new_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """A Llama of 1.03 M parameters with tied embeddings and random weights."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=MAX_LENGTH,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


def batches(tokenizer: PreTrainedTokenizerFast, seed: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Endless blocks `[BATCH_BLOCKS, BLOCK_TOKENS]` of tokens and of their weights in the loss."""
    stream = documents(seed)
    ids: list[int] = []
    weights: list[float] = []
    size = BATCH_BLOCKS * BLOCK_TOKENS
    while True:
        while len(ids) < size:
            document = next(stream)
            encoded = tokenizer(document.text, return_offsets_mapping=True)
            ends = [end for _, end in encoded["offset_mapping"]]
            ids += [*encoded["input_ids"], tokenizer.eos_token_id]
            weights += [POSED_WEIGHT if end <= len(document.posed) else 1.0 for end in ends] + [1.0]
        shape = (BATCH_BLOCKS, BLOCK_TOKENS)
        yield torch.tensor(ids[:size]).view(shape), torch.tensor(weights[:size]).view(shape)
        ids, weights = ids[size:], weights[size:]


def weighted_loss(model: LlamaForCausalLM, tokens: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Mean negative log-likelihood of the next token under the weights of `batches`."""
    logits = model(input_ids=tokens, use_cache=False).logits[:, :-1]
    losses = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten(), reduction="none")
    return (losses * weights[:, 1:].flatten()).sum() / weights[:, 1:].sum()


def optimizers_of(model: LlamaForCausalLM) -> list[tuple[torch.optim.Optimizer, float]]:
    """Muon for the matrices inside the blocks, AdamW for the rest, each with its peak rate."""
    inside = [weight for weight in model.model.layers.parameters() if weight.ndim == 2]
    within = {id(weight) for weight in inside}
    rest = [weight for weight in model.parameters() if id(weight) not in within]
    return [
        (Muon(inside, lr=0.02), 0.02),
        (torch.optim.AdamW(rest, lr=4e-3, betas=(0.9, 0.98), weight_decay=0.0), 4e-3),
    ]


def rate_share(step: int, num_steps: int) -> float:
    """Linear warmup, then a cosine to zero."""
    warmup = max(1, int(WARMUP_SHARE * num_steps))
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (num_steps - warmup)))


def pretrain(model: LlamaForCausalLM, stream: Iterator[tuple[torch.Tensor, torch.Tensor]], *, num_steps: int) -> None:
    """Trains the model in place on `num_steps` batches; progress goes to stderr."""
    optimizers = optimizers_of(model)
    started = time.monotonic()
    for step in range(num_steps):
        tokens, weights = (tensor.to(model.device) for tensor in next(stream))
        loss = weighted_loss(model, tokens, weights)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer, peak in optimizers:
            optimizer.param_groups[0]["lr"] = peak * rate_share(step, num_steps)
            optimizer.step()
            optimizer.zero_grad()
        if step % 100 == 0 or step == num_steps - 1:
            seconds = time.monotonic() - started
            print(f"step {step} loss {loss.item():.3f} {seconds:.0f} s", file=sys.stderr)


def main() -> None:
    """Trains tokenizer and model and writes both to the model folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--num-steps", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=MODEL_FOLDER)
    given = parser.parse_args()
    torch.manual_seed(given.seed)
    tokenizer = train_tokenizer()
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = new_model(tokenizer)
    pretrain(model, batches(tokenizer, given.seed), num_steps=given.num_steps)
    model.half().save_pretrained(given.output)
    tokenizer.save_pretrained(given.output)


if __name__ == "__main__":
    main()
