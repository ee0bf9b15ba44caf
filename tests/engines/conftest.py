"""Small random models of several architectures, and byte-level tokenizers with every convention that matters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from sftbench.engines.forward import LanguageModel
from sftbench.rooms import Message, Row

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
