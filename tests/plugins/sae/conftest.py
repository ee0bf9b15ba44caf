"""Small random models and pools for the tests of sparse autoencoders."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from sftbench import LanguageModel, Pool
from sftbench.pools import pool_from_rows
from sftbench_plugins.sae.autoencoder import Autoencoder

WIDTH = 16


class Count:
    def advance(self, amount: int = 1) -> None: ...


@dataclass(kw_only=True)
class Desk:
    """What the scorer asks of a desk."""

    model: LanguageModel
    pool: Pool
    scratch: Path
    folders: Mapping[str, Path] = field(default_factory=dict)
    flops: float = 0.0

    def language_model(self, name: str = "scoring") -> LanguageModel:
        assert name == "scoring"
        return self.model

    def folder(self, name: str) -> Path:
        return self.folders[name]

    def meter(self, **amounts: float) -> None:
        self.flops += amounts["flops"]

    @contextmanager
    def progress(self, total: int, unit: str) -> Iterator[Count]:
        yield Count()


@pytest.fixture(scope="session")
def model() -> LanguageModel:
    """A random Llama over bytes, with a window of 60 tokens."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE(vocab={letter: at for at, letter in enumerate(letters)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(["</s>"])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=257, hidden_size=WIDTH, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=60, bos_token_id=None, eos_token_id=256,
    )  # fmt: skip
    language_model = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        for parameter in language_model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(10)
    return LanguageModel(language_model, tokenizer)


@pytest.fixture
def make_desk(model: LanguageModel, tmp_path: Path) -> Callable[..., Desk]:
    """A desk with a pool of prompts and responses."""

    def make(pairs: Sequence[tuple[str, str]], **more: Any) -> Desk:
        rows = [
            {"id": str(at), "instruction": asked, "input": "", "output": told} for at, (asked, told) in enumerate(pairs)
        ]
        number = len(list(tmp_path.iterdir()))
        scratch = tmp_path / f"scratch-{number}"
        scratch.mkdir()
        pool = pool_from_rows(rows, into=scratch / "pool.arrow", key="test")
        return Desk(model=model, pool=pool, scratch=scratch, **more)

    return make


@pytest.fixture
def autoencoder() -> Autoencoder:
    """Of random weights."""
    torch.manual_seed(1)
    decoder = torch.nn.functional.normalize(torch.randn(40, WIDTH), dim=1)
    return Autoencoder(
        encoder=torch.randn(40, WIDTH), encoder_bias=torch.randn(40), decoder=decoder, bias=torch.randn(WIDTH), k=5
    )


@pytest.fixture(scope="module")
def sparse_states() -> npt.NDArray[np.float32]:
    """States that are sums of 3 of 24 directions in 16 dimensions, far from the origin and of uneven scale."""
    draw = np.random.default_rng(0)
    directions = draw.normal(size=(24, WIDTH))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    strengths = np.zeros((4000, 24))
    for row in strengths:
        row[draw.choice(24, 3, replace=False)] = draw.uniform(4, 8, 3)
    return (strengths @ directions + 50 * draw.normal(size=WIDTH)).astype(np.float32)
