"""A desk, pools and small models for the tests of IFD and perplexity."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from sftbench import Entropy, LanguageModel, Nll, Passage, PassRequest, PassResult, Pool, Ragged
from sftbench.pools import pool_from_rows


class Count:
    """Counts what is reported as done."""

    total = 0

    def advance(self, amount: int = 1) -> None:
        self.total += amount


@dataclass(kw_only=True)
class StandInDesk:
    """What the scorers ask of a desk, and nothing else."""

    model: LanguageModel
    pool: Pool
    asked: list[str] = field(default_factory=list)

    def language_model(self, name: str = "scoring", *, dtype: str = "auto") -> LanguageModel:
        self.asked.append(f"{name}:{dtype}")
        return self.model

    def passed(self, request: PassRequest) -> PassResult:
        """A clean pass as the harness makes it."""
        self.asked.append(request.view)
        encoded = list(self.model.encode(self.pool, template=request.template))
        bos = self.model.bos_token_id
        given = request.view == "conditional"
        wanted = Nll() if request.statistic == "nll" else Entropy()
        passages = [
            Passage.conditional(each) if given else Passage.response_only(each, bos_token_id=bos) for each in encoded
        ]
        return PassResult(
            values=Ragged.of([each[wanted.name] for each in self.model.run(passages, statistics=[wanted])]),
            reasons={at: each.reason for at, each in enumerate(encoded) if each.reason},
            notes={at: "response_truncated" for at, each in enumerate(encoded) if 0 < each.kept_share < 1},
        )

    @contextmanager
    def progress(self, total: int, unit: str) -> Iterator[Count]:
        count = Count()
        yield count
        assert count.total == total


def byte_model(*, bos: bool = False, window: int = 200, blind: bool = False) -> LanguageModel:
    """A random GPT-2 over bytes; a blind one sees nothing but the newest token."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE(vocab={letter: at for at, letter in enumerate(letters)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(["<s>"])
    if bos:
        backend.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 256)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="<s>")
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=257, n_embd=16, n_layer=2, n_head=2, n_positions=window, bos_token_id=256, eos_token_id=256
    )
    model = GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.mul_(6)
            if blind and ("attn.c_proj" in name or "wpe" in name):
                parameter.zero_()
    return LanguageModel(model, tokenizer)


@pytest.fixture
def make_model() -> Callable[..., LanguageModel]:
    return byte_model


@pytest.fixture
def make_desk(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., StandInDesk]:
    """A desk with a pool of Alpaca rows or of rows as they are."""

    def make(model: LanguageModel, rows: Sequence[Mapping[str, Any]]) -> StandInDesk:
        into: Path = tmp_path_factory.mktemp("pool") / "pool.arrow"
        return StandInDesk(model=model, pool=pool_from_rows(rows, into=into, key="test"))

    return make


def pairs(*texts: tuple[str, str]) -> list[dict[str, str]]:
    return [
        {"id": str(at), "instruction": asked, "input": "", "output": answer} for at, (asked, answer) in enumerate(texts)
    ]


@pytest.fixture
def make_rows() -> Callable[..., list[dict[str, str]]]:
    """Alpaca rows from prompts and responses."""
    return pairs
