"""What conformance checks work on: a small pool with a few awkward rows, and a tiny random model."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NUM_ROWS = 60


@dataclass(frozen=True, kw_only=True)
class TrialMaterial:
    """A pool file and a model folder."""

    pool: Path
    model: Path


def trial_material(folder: Path) -> TrialMaterial:
    """Sixty short rows with a few awkward ones among them, and a two-layer Llama that has seen them for a second.

    It has not learned much, but it ends lines and answers, without which nothing could be generated.
    """
    pool, model = folder / "pool.jsonl", folder / "model"
    rows = [_row(index) for index in range(NUM_ROWS)]
    pool.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    asked = ["\n".join(filter(None, (row["instruction"], row["input"]))) for row in rows]
    lists = ["\n".join(row["instruction"] for row in rows[start : start + 4]) for start in range(0, NUM_ROWS, 4)]
    _save_tiny_model(model, [f"{each}\n{row['output']}" for each, row in zip(asked, rows, strict=True)] + lists)
    return TrialMaterial(pool=pool, model=model)


def _row(index: int) -> dict[str, str]:
    word = ("amber", "birch", "cedar", "dune", "ember", "fern")[index % 6]
    long = " ".join(f"Then {word} is followed by number {step * index % 17}." for step in range(index % 9 + 1))
    awkward = {7: "", 23: "x", 41: word}
    return {
        "id": f"row-{index}",
        "instruction": f"Tell me about {word} number {index}.",
        "input": "" if index % 3 else f"Colour {index % 5}.",
        "output": awkward.get(index, f"The {word} has number {index}. {long}"),
    }


def _save_tiny_model(folder: Path, texts: Sequence[str]) -> None:
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<|end|>"], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|end|>", pad_token="<|end|>", model_max_length=256
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=len(wrapped), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
            max_position_embeddings=256, eos_token_id=wrapped.eos_token_id, pad_token_id=wrapped.pad_token_id,
            bos_token_id=None, tie_word_embeddings=True,
        )  # fmt: skip
        language_model = LlamaForCausalLM(config)
        _train(language_model, [wrapped(f"{text}<|end|>")["input_ids"] for text in texts])
        # Saving shows a bar of its own.
        with contextlib.redirect_stderr(io.StringIO()):
            language_model.save_pretrained(folder)
    wrapped.save_pretrained(folder)


def _train(model: Any, texts: Sequence[list[int]]) -> None:
    """A hundred steps over whole texts, which are short."""
    import torch

    longest = max(map(len, texts))
    tokens = torch.tensor([[*text, *[0] * (longest - len(text))] for text in texts])
    labels = torch.tensor([[*text, *[-100] * (longest - len(text))] for text in texts])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for step in range(100):
        batch = torch.arange(step * 16, step * 16 + 16) % len(texts)
        model(input_ids=tokens[batch], labels=labels[batch]).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
