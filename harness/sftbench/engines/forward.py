"""Token-level statistics from forward passes of a causal language model."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np
import torch

from sftbench.engines.batching import length_batches, windows
from sftbench.engines.encode import Encoded, TemplateName, encode_rows, leading_tokens
from sftbench.engines.flops import ModelShape, forward_flops, shape_of
from sftbench.engines.heads import Cut, cut
from sftbench.engines.loading import (
    fingerprint_of,
    fitting_device,
    load_model,
    load_tokenizer,
    load_without_weights,
)
from sftbench.engines.measuring import Measuring, Numbers, nothing
from sftbench.engines.passages import Floats, Passage, Perturbation, Sequenced
from sftbench.engines.states import Depth
from sftbench.engines.statistics import Entropy, LogProbs, Nll, Statistic, TopK
from sftbench.engines.workers import Workers
from sftbench.rooms import Row

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

__all__ = ["Entropy", "LanguageModel", "LogProbs", "Nll", "Passage", "Perturbation", "Statistic", "TopK", "WorkMeter"]

_log = logging.getLogger(__name__)


class WorkMeter(Protocol):
    """Takes amounts of work done, by name (`tokens_forward`, `flops`, `tokens_generated`)."""

    def __call__(self, **amounts: float) -> None: ...


def _unmetered(**amounts: float) -> None:
    """For models used outside a step."""


class LanguageModel:
    """A loaded causal language model with its tokenizer. Work is metered.

    Attributes: `model`, `tokenizer`, `max_length` (context window), `width` (of the input
    embeddings), `vocab_size`, `device`, `bos_token_id` (what the tokenizer itself puts first, or
    None), `shape` (for FLOPs), `fingerprint` (by content, computed when first asked for).
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerFast,
        *,
        meter: WorkMeter | None = None,
        max_batch_tokens: int | None = None,
        identify: Callable[[], str] = lambda: "unnamed",
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.meter: WorkMeter = meter or _unmetered
        self.device = torch.device(model.device)
        on_cpu = self.device.type == "cpu"
        self.max_batch_tokens = max_batch_tokens or (2048 if on_cpu else 32768)
        self.shape: ModelShape = shape_of(model)
        self.vocab_size = self.shape.vocab_size
        self.width = int(cast(torch.nn.Embedding, model.get_input_embeddings()).weight.shape[1])
        self.max_length = _window_of(model, tokenizer)
        self.bos_token_id = next(iter(leading_tokens(tokenizer)), None)
        # Chunks that stay in a CPU's cache, or that fill an accelerator without crowding it.
        self.chunk_tokens = max(1, (2**22 if on_cpu else 2**28) // (4 * self.vocab_size))
        self.workers = Workers(1 if not on_cpu else None)
        self._identify = identify

    @classmethod
    def load(
        cls,
        path: Path | str,
        *,
        adapter: Path | str | None = None,
        dtype: str = "auto",
        device: str | None = None,
        meter: WorkMeter | None = None,
        max_batch_tokens: int | None = None,
    ) -> LanguageModel:
        """From a folder or hub name; see `load_model` for `dtype`. Raises `UsageError` without a tokenizer."""
        tokenizer = load_tokenizer(path)
        model = load_model(path, adapter=adapter, dtype=dtype, device=fitting_device(device))
        identify = partial(fingerprint_of, path, adapter)
        return cls(model, tokenizer, meter=meter, max_batch_tokens=max_batch_tokens, identify=identify)

    @classmethod
    def without_weights(cls, path: Path | str, *, meter: WorkMeter | None = None) -> LanguageModel:
        """All of a model but its weights: it reads prompts, knows where texts end and what work costs, and does none.

        For a model that computes elsewhere. Raises as `load` does.
        """
        return cls(load_without_weights(path), load_tokenizer(path), meter=meter)

    @cached_property
    def fingerprint(self) -> str:
        return self._identify()

    @cached_property
    def cut(self) -> Cut:
        """Transformer body and output head."""
        return cut(self.model)

    def encode(self, rows: Iterable[Row], *, template: TemplateName = "bare") -> Iterator[Encoded]:
        """Rows as this model's tokens, within its context window."""
        return encode_rows(rows, self.tokenizer, template=template, max_length=self.max_length)

    def run(
        self,
        passages: Iterable[Passage],
        *,
        statistics: Sequence[Statistic],
        perturb: Perturbation | None = None,
    ) -> Iterator[Numbers]:
        """Per passage, in order: statistic name -> float32 [m] ([copies, m] when perturbed).

        A scored token at position 0 has no context and is NaN. A passage too long for the memory of
        the device is NaN throughout, with a logged warning.
        """
        copies = perturb.num_copies if perturb else 1
        # Noise is as large as the embeddings of its copies, so that no more than a batch of it is held.
        held = self.max_batch_tokens * (1 if perturb else 64)
        drawn = 0
        for window in windows(passages, size_of=lambda each: copies * len(each.token_ids), max_total=held):
            batch = [each for at, passage in enumerate(window) for each in self._copies(passage, perturb, drawn + at)]
            drawn += len(window)
            results = self._in_batches(batch, statistics)
            for start in range(0, len(batch), copies):
                yield _stacked(results[start : start + copies]) if perturb else results[start]

    def hidden_states(self, passages: Iterable[Passage], *, layer: int | None = -1) -> Iterator[Floats]:
        """Per passage, in order: the states of its scored tokens after a layer, float32 [m, width].

        Layer 0 is what enters the first layer, -1 what leaves the last, before the final norm; None is what
        leaves that norm. Later layers are not computed. A passage with a token that the model does not know
        is NaN throughout.
        """
        depth = Depth.of(self.model, layer)
        for window in windows(passages, size_of=lambda each: len(each.token_ids), max_total=8 * self.max_batch_tokens):
            results = [np.full((int(each.scored.sum()), self.shape.width), np.nan, np.float32) for each in window]
            waiting = [at for at, each in enumerate(window) if each.scored.any() and self._known(each)]
            lengths = [len(window[at].token_ids) for at in waiting]
            for batch in length_batches(lengths, max_tokens=self.max_batch_tokens):
                places = [waiting[at] for at in batch]
                for at, states in zip(places, self._states([window[at] for at in places], depth), strict=True):
                    results[at] = states
            yield from results

    def _copies(self, passage: Passage, perturb: Perturbation | None, index: int) -> list[Sequenced]:
        if perturb is None:
            return [Sequenced(passage=passage)]
        noise = perturb.draw(index, len(passage.token_ids), self.width)
        return [Sequenced(passage=passage, noise=each) for each in noise]

    def _in_batches(self, sequences: Sequence[Sequenced], statistics: Sequence[Statistic]) -> list[Numbers]:
        """Results in the order of the sequences; one with nothing to score, or unknown tokens, meets no model."""
        blank = nothing(statistics, self.vocab_size)
        results = [each.finished(blank) for each in sequences]
        waiting = [at for at, each in enumerate(sequences) if each.length and self._known(each.passage)]
        if not waiting:
            return results
        lengths = [sequences[at].length for at in waiting]
        batches = [[waiting[at] for at in batch] for batch in length_batches(lengths, max_tokens=self.max_batch_tokens)]
        measure = Measuring(
            model=self.model, cut=self.cut, statistics=statistics, nothing=blank, chunk_tokens=self.chunk_tokens
        )
        found = self.workers.map(measure, [[sequences[at] for at in batch] for batch in batches])
        for at, result in zip(chain(*batches), chain(*found), strict=True):
            results[at] = result
        num_scored = sum(len(sequences[at].scored_at) for at in waiting)
        self.meter(tokens_forward=sum(lengths), flops=forward_flops(self.shape, lengths, num_scored_tokens=num_scored))
        return results

    def _known(self, passage: Passage) -> bool:
        """Whether the model has every token; a tokenizer can have more types than its model."""
        known = int(passage.token_ids.max()) < self.vocab_size
        if not known:
            _log.warning("a passage has a token that the model does not know (%d or above)", self.vocab_size)
        return known

    def _states(self, passages: Sequence[Passage], depth: Depth) -> list[Floats]:
        lengths = [len(each.token_ids) for each in passages]
        ids = torch.zeros((len(passages), max(lengths)), dtype=torch.int64)
        for row, each in enumerate(passages):
            ids[row, : lengths[row]] = torch.from_numpy(each.token_ids)
        states: Floats = depth.states(ids.to(self.device)).float().cpu().numpy()
        share = 1.0 if depth.layer is None else depth.layer / max(1, self.shape.num_layers)
        self.meter(tokens_forward=sum(lengths), flops=share * forward_flops(self.shape, lengths, num_scored_tokens=0))
        return [states[row, : lengths[row]][each.scored] for row, each in enumerate(passages)]


def _stacked(copies: Sequence[Numbers]) -> Numbers:
    return {name: np.stack([each[name] for each in copies]) for name in copies[0]}


def _window_of(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> int:
    """Tokens that fit the model; tokenizers without a limit state an absurdly large one."""
    window = getattr(model.config.get_text_config(), "max_position_embeddings", None) or 2**20
    return int(min(window, tokenizer.model_max_length))
