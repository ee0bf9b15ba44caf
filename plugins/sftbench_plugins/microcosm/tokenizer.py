"""Trains the suite's own byte-level BPE tokenizer on the suite's own text."""

from __future__ import annotations

from itertools import chain, islice
from typing import Final

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from sftbench_plugins.microcosm.terse import documents
from sftbench_plugins.microcosm.vocabulary import JOBS, OPPOSITES, PEOPLE, RHYMES, TOWNS, WORDS

END_OF_TEXT: Final = "<|endoftext|>"
NUM_TYPES: Final = 1536
MAX_LENGTH: Final = 256


def _whole_words() -> list[str]:
    """Words that should be one type each, at the start of a line as well as inside it."""
    return [*WORDS, *PEOPLE, *JOBS, *TOWNS, *chain(*OPPOSITES), *chain(*RHYMES)]


def train_tokenizer(*, seed: int = 0, num_documents: int = 20_000) -> PreTrainedTokenizerFast:
    """A byte-level BPE with single digits; the end token also pads, and nothing begins a text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=NUM_TYPES,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = [document.text for document in islice(documents(seed), num_documents)]
    texts += [text for word in _whole_words() for text in (word, f" {word}")] * 200
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END_OF_TEXT,
        pad_token=END_OF_TEXT,
        model_max_length=MAX_LENGTH,
        clean_up_tokenization_spaces=False,
    )
