"""A desk with what the parts ask for, pools of conversations, and small classification models on disk."""

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
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar

from sftbench import Allowance, PassRequest, PassResult, Pool, Ragged, Selection, TrainedModel
from sftbench.pools import pool_from_rows

Vectors = npt.NDArray[np.float32]
WINDOW = 64


class Count:
    """Counts what is reported as done."""

    total = 0

    def advance(self, amount: int = 1) -> None:
        self.total += amount


@dataclass(kw_only=True)
class StandInDesk:
    """What the parts ask of a desk, and nothing else."""

    pool: Pool
    vectors: Vectors | None = None
    embeds: Callable[[Sequence[str]], Vectors] | None = None
    passes: PassResult | None = None
    tokens: npt.NDArray[np.int64] | None = None
    folders: Mapping[str, Path] = field(default_factory=dict)
    models: Mapping[str, Any] = field(default_factory=dict)
    seeds: Sequence[str] = ()
    seed: int = 0
    stand_ins: list[str] = field(default_factory=list)
    logged: list[str] = field(default_factory=list)
    spent: dict[str, float] = field(default_factory=dict)

    def embedded(self, component: str) -> Vectors:
        assert component == "both"
        assert self.vectors is not None
        return self.vectors

    def embed(self, texts: Sequence[str]) -> Vectors:
        assert self.embeds is not None
        return self.embeds(texts)

    def passed(self, request: PassRequest) -> PassResult:
        assert request == PassRequest(view="conditional")
        assert self.passes is not None
        return self.passes

    def training_tokens(self) -> npt.NDArray[np.int64]:
        if self.tokens is None:
            return np.array([len(row.response) for row in self.pool], dtype=np.int64)
        return self.tokens

    def model_path(self, name: str) -> TrainedModel:
        return TrainedModel(path=self.folders[name])

    def language_model(self, name: str = "scoring") -> Any:
        return self.models[name]

    def trained_on(self, name: str) -> Selection:
        assert name == "seeded"
        return Selection(ids=tuple(self.seeds))

    def stand_in(self, what: str) -> None:
        self.stand_ins.append(what)

    def meter(self, **amounts: float) -> None:
        for name, amount in amounts.items():
            self.spent[name] = self.spent.get(name, 0.0) + amount

    def log(self, message: str) -> None:
        self.logged.append(message)

    @contextmanager
    def progress(self, total: int, unit: str) -> Iterator[Count]:
        count = Count()
        yield count
        assert count.total == total


@pytest.fixture
def make_pool(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Sequence[Any]], Pool]:
    """Rows from conversations (lists of turns that begin with the user's) or from mappings as they are."""

    def make(rows: Sequence[Any]) -> Pool:
        roles = ("user", "assistant")
        given = [
            row
            if isinstance(row, Mapping)
            else {
                "id": f"r{at}",
                "messages": [{"role": roles[turn % 2], "content": text} for turn, text in enumerate(row)],
            }
            for at, row in enumerate(rows)
        ]
        into: Path = tmp_path_factory.mktemp("pool") / "pool.arrow"
        return pool_from_rows(given, into=into, key="test")

    return make


@pytest.fixture
def make_desk(make_pool: Callable[[Sequence[Any]], Pool]) -> Callable[..., StandInDesk]:
    def make(rows: Sequence[Any] | Pool, **more: Any) -> StandInDesk:
        return StandInDesk(pool=rows if isinstance(rows, Pool) else make_pool(rows), **more)

    return make


@pytest.fixture
def rows_allowed() -> Callable[..., Allowance]:
    """A budget in rows, or in what rows cost."""

    def make(pool: Pool, cap: float, costs: Sequence[float] | None = None) -> Allowance:
        row_costs = np.ones(len(pool)) if costs is None else np.asarray(costs, dtype=float)
        return Allowance(cap=float(cap), row_costs=row_costs, unit="rows" if costs is None else "tokens")

    return make


@pytest.fixture
def losses() -> Callable[..., PassResult]:
    """A pass that gave these losses, row by row."""

    def make(values: Sequence[Sequence[float]], *, reasons: Mapping[int, str] | None = None) -> PassResult:
        lists = [np.array(each, dtype=np.float32) for each in values]
        return PassResult(values=Ragged.of(lists), reasons=reasons or {}, notes={0: "response_truncated"})

    return make


def pair_tokenizer(*, pads: bool = True) -> PreTrainedTokenizerFast:
    """One token per byte, `<s>` before a text and `</s>` after each of its parts, as models for pairs have it."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE(vocab={letter: at for at, letter in enumerate(letters)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(["<s>", "</s>", "<pad>"])
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B:1 </s>:1", special_tokens=[("<s>", 256), ("</s>", 257)]
    )
    special = {"pad_token": "<pad>"} if pads else {}
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>", **special)


@pytest.fixture(scope="session")
def save_classifier(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A small random classification model with its tokenizer in a folder; its numbers differ from text to text."""
    disable_progress_bar()  # type: ignore[no-untyped-call]

    def save(model: Any = None, *, pads: bool = True, seed: int = 0, **config: Any) -> Path:
        folder = tmp_path_factory.mktemp("classifier")
        torch.manual_seed(seed)
        if model is None:
            model = BertForSequenceClassification(
                BertConfig(
                    vocab_size=259, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
                    max_position_embeddings=WINDOW, initializer_range=0.5, pad_token_id=258,
                    **{"num_labels": 1, **config},
                )
            )  # fmt: skip
        model.save_pretrained(folder)
        pair_tokenizer(pads=pads).save_pretrained(folder)
        return folder

    return save


@pytest.fixture(scope="session")
def reward_folder(save_classifier: Callable[..., Path]) -> Path:
    return save_classifier()


def directly(folder: Path, *texts: str, length: int | None = None) -> npt.NDArray[np.float64]:
    """All outputs of the model in a folder for one text or pair, by nothing but the library."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    given = AutoTokenizer.from_pretrained(folder)(*texts, return_tensors="pt")
    with torch.no_grad():
        found = model(**{name: each[:, :length] for name, each in given.items()}).logits[0]
    return np.asarray(found.double().numpy())


@pytest.fixture(scope="session")
def ask_directly() -> Callable[..., npt.NDArray[np.float64]]:
    return directly
