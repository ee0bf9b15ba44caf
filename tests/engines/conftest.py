"""Small random models of several architectures, and byte-level tokenizers with every convention that matters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from sftbench.engines.forward import LanguageModel
from sftbench.engines.training.rows import TrainingRow, TrainingRows
from sftbench.rooms import Message, Row, TrainedModel

VOCAB_SIZE = 263
BOS, EOS = 259, 260
WINDOW = 96
CHAT = (
    "{% for m in messages %}<|turn|>{{ m.role }}\n{{ m.content | trim }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|turn|>assistant\n{% endif %}"
)
SHAPE = {
    "vocab_size": VOCAB_SIZE, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": WINDOW, "bos_token_id": BOS,
    "eos_token_id": EOS, "pad_token_id": None,
}  # fmt: skip
ARCHITECTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2": ("GPT2", {"vocab_size": VOCAB_SIZE, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": WINDOW,
                      "bos_token_id": BOS, "eos_token_id": EOS}),
    "llama": ("Llama", SHAPE),
    "gemma2": ("Gemma2", {**SHAPE, "head_dim": 8, "final_logit_softcapping": 0.5, "sliding_window": 8}),
    "cohere": ("Cohere", {**SHAPE, "logit_scale": 0.25}),
    "granite": ("Granite", {**SHAPE, "logits_scaling": 4.0, "embedding_multiplier": 3.0}),
}  # fmt: skip


def byte_tokenizer(*, bos: bool = False, chat_template: str | None = None) -> PreTrainedTokenizerFast:
    """Bytes, with a few longer tokens: two newlines, ` t`, `he`. With `bos`, one is put before every text."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("\u010a", "\u010a"), ("\u0120", "t"), ("h", "e")]
    vocabulary = {letter: at for at, letter in enumerate(letters)}
    for left, right in merges:
        vocabulary[left + right] = len(vocabulary)
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<s>", "</s>", "<|turn|>", "<|end|>"])
    if bos:
        number = tokenizer.token_to_id("<s>")
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", number)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", chat_template=chat_template
    )


def random_model(architecture: str) -> Any:
    """A model from its configuration, weights drawn with a fixed seed and large enough to make sharp predictions."""
    family, settings = ARCHITECTURES[architecture]
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(**settings)
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(8)
    return model


@pytest.fixture(params=sorted(ARCHITECTURES))
def language_model(request: pytest.FixtureRequest) -> LanguageModel:
    """One engine per architecture, without BOS."""
    return LanguageModel(random_model(request.param), byte_tokenizer())


@pytest.fixture
def llama() -> Callable[..., LanguageModel]:
    """A small Llama; keywords go to the engine."""
    return lambda **settings: LanguageModel(random_model("llama"), byte_tokenizer(), **settings)


def row(*turns: str, row_id: str = "r") -> Row:
    """User and assistant in turn."""
    roles = ("user", "assistant")
    return Row(id=row_id, messages=tuple(Message(role=roles[at % 2], content=text) for at, text in enumerate(turns)))


@pytest.fixture
def make_row() -> Callable[..., Row]:
    return row


@pytest.fixture
def make_tokenizer() -> Callable[..., PreTrainedTokenizerFast]:
    return byte_tokenizer


class Killed(BaseException):
    """What happens to a process from outside."""


@dataclass
class TrialDesk:
    """The desk of a training, which is killed after some steps when asked to."""

    scratch: Path
    base: Path
    seed: int = 0
    kill_after: int | None = None
    num_advanced: int = 0
    metered: dict[str, float] = field(default_factory=dict)

    def model_path(self, name: str) -> TrainedModel:
        return TrainedModel(path={"base": self.base}[name])

    def meter(self, **amounts: float) -> None:
        for name, amount in amounts.items():
            self.metered[name] = self.metered.get(name, 0.0) + amount

    def log(self, message: str) -> None: ...

    @contextmanager
    def progress(self, total: int, unit: str) -> Iterator[TrialDesk]:
        yield self

    def advance(self, amount: int = 1) -> None:
        self.num_advanced += amount
        if self.kill_after is not None and self.num_advanced >= self.kill_after:
            raise Killed


@dataclass
class Trial:
    """What tests of trainings share: a small Llama, desks, rows, and a look at what was saved."""

    root: Path
    base: Path
    killed: type[BaseException] = Killed

    def desk(self, name: str = "one", *, seed: int = 0, kill_after: int | None = None) -> Any:
        scratch = self.root / f"scratch-{name}"
        scratch.mkdir(exist_ok=True)
        return TrialDesk(scratch, self.base, seed, kill_after)

    def rows(self, count: int = 12, *, merits: bool = False, seed: int = 0) -> TrainingRows:
        """Random rows of 5 to 20 tokens, the first three of each are prompt."""
        random, made = np.random.default_rng(seed), []
        for _ in range(count):
            length = int(random.integers(5, 20))
            trained = (np.arange(length) >= 3).astype(np.float32)
            ids = random.integers(0, VOCAB_SIZE, length).astype(np.int32)
            merit = random.normal(size=length).astype(np.float32) if merits else None
            made.append(TrainingRow(token_ids=ids, ce_weights=trained, kd_weights=0 * trained, merits=merit))
        return TrainingRows(rows=tuple(made), skipped={})

    def losses(self, folder: Path, row: TrainingRow) -> Any:
        """The cross-entropy [L] of each token of a row under a saved model; NaN for the first."""
        model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
        ids = torch.from_numpy(row.token_ids).long()
        with torch.no_grad():
            logp = model(ids[None]).logits[0].log_softmax(-1)
        return np.array([np.nan, *(-logp[at - 1, ids[at]].item() for at in range(1, len(ids)))])

    def weights(self, folder: Path) -> dict[str, Tensor]:
        name = "model.safetensors" if (folder / "model.safetensors").exists() else "adapter_model.safetensors"
        return load_file(folder / name)

    def assert_same(self, first: Path, second: Path, *, within: float = 0.0) -> None:
        one, other = self.weights(first), self.weights(second)
        assert one.keys() == other.keys()
        for name in one:
            torch.testing.assert_close(one[name], other[name], rtol=0, atol=within)


@pytest.fixture(scope="session")
def small_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of two layers with a tokenizer, in a folder."""
    folder = tmp_path_factory.mktemp("base")
    transformers.utils.logging.disable_progress_bar()
    random_model("llama").save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def trial(small_base: Path, tmp_path: Path) -> Trial:
    return Trial(tmp_path, small_base)
