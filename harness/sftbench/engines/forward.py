"""Token-level statistics from forward passes of a causal language model."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
import numpy.typing as npt
import torch

from sftbench.engines.batching import length_batches, windows
from sftbench.engines.encode import Encoded, TemplateName, encode_rows, leading_tokens
from sftbench.engines.flops import ModelShape, forward_flops, shape_of
from sftbench.engines.heads import Cut, cut
from sftbench.engines.loading import fingerprint_of, fitting_device, load_model, load_tokenizer
from sftbench.engines.statistics import Entropy, Nll, Statistic, TopK
from sftbench.rooms import Row

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

__all__ = ["Entropy", "LanguageModel", "Meter", "Nll", "Passage", "Perturbation", "Statistic", "TopK"]

Floats = npt.NDArray[np.float32]
_log = logging.getLogger(__name__)


class Meter(Protocol):
    """Takes amounts of work done, by name (`tokens_forward`, `flops`, `tokens_generated`)."""

    def __call__(self, **amounts: float) -> None: ...


def _unmetered(**amounts: float) -> None:
    """For models used outside a step."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Passage:
    """What goes through the model: `token_ids` int32 [L]; `scored` bool [L], the tokens whose statistic is wanted."""

    token_ids: npt.NDArray[np.int32]
    scored: npt.NDArray[np.bool_]

    @classmethod
    def conditional(cls, encoded: Encoded) -> Passage:
        """The response given the prompt."""
        return cls(token_ids=encoded.token_ids, scored=encoded.response)

    @classmethod
    def response_only(cls, encoded: Encoded, *, bos_token_id: int | None) -> Passage:
        """The same response token ids alone, after a BOS if there is one."""
        response = encoded.token_ids[encoded.response]
        lead = np.asarray([] if bos_token_id is None else [bos_token_id], dtype=np.int32)
        scored = np.concatenate([np.zeros(len(lead), dtype=np.bool_), np.ones(len(response), dtype=np.bool_)])
        return cls(token_ids=np.concatenate([lead, response]), scored=scored)


class Perturbation(Protocol):
    """Noise on the input embeddings: several copies of each passage."""

    @property
    def num_copies(self) -> int: ...

    def draw(self, index: int, num_tokens: int, width: int) -> torch.Tensor:
        """What to add to the embeddings of passage number `index`: [num_copies, num_tokens, width]; called in order."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Copy:
    """One sequence of a batch; `noise` [L, width] is added to its embeddings."""

    passage: Passage
    noise: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.passage.token_ids)


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
        meter: Meter | None = None,
        max_batch_tokens: int | None = None,
        identify: Callable[[], str] = lambda: "unnamed",
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.meter: Meter = meter or _unmetered
        self.device = torch.device(model.device)
        on_cpu = self.device.type == "cpu"
        self.max_batch_tokens = max_batch_tokens or (2048 if on_cpu else 32768)
        self.shape: ModelShape = shape_of(model)
        self.vocab_size = self.shape.vocab_size
        self.width = int(cast(torch.nn.Embedding, model.get_input_embeddings()).weight.shape[1])
        self.max_length = _window_of(model, tokenizer)
        self.bos_token_id = next(iter(leading_tokens(tokenizer)), None)
        # Chunks that stay in a CPU's cache, or that fill an accelerator without crowding it.
        self._chunk = max(1, (2**23 if on_cpu else 2**28) // (4 * self.vocab_size))
        self._identify = identify

    @classmethod
    def load(
        cls,
        path: Path | str,
        *,
        adapter: Path | str | None = None,
        dtype: str = "auto",
        device: str | None = None,
        meter: Meter | None = None,
        max_batch_tokens: int | None = None,
    ) -> LanguageModel:
        """From a folder or hub name; see `load_model` for `dtype`. Raises `UsageError` without a tokenizer."""
        tokenizer = load_tokenizer(path)
        model = load_model(path, adapter=adapter, dtype=dtype, device=fitting_device(device))
        identify = partial(fingerprint_of, path, adapter)
        return cls(model, tokenizer, meter=meter, max_batch_tokens=max_batch_tokens, identify=identify)

    @cached_property
    def fingerprint(self) -> str:
        return self._identify()

    @cached_property
    def _cut(self) -> Cut:
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
    ) -> Iterator[dict[str, Floats]]:
        """Per passage, in order: statistic name -> float32 [m] ([copies, m] when perturbed).

        A scored token at position 0 has no context and is NaN. A passage too long for the memory of
        the device is NaN throughout, with a logged warning.
        """
        copies = perturb.num_copies if perturb else 1
        # Noise is as large as the embeddings of its copies, so that no more than a batch of it is held.
        held = self.max_batch_tokens * (1 if perturb else 64)
        drawn = 0
        for window in windows(passages, size_of=lambda each: copies * len(each.token_ids), max_total=held):
            items = [each for at, passage in enumerate(window) for each in self._copies(passage, perturb, drawn + at)]
            drawn += len(window)
            results: list[dict[str, Floats]] = [{}] * len(items)
            for batch in length_batches([len(each) for each in items], max_tokens=self.max_batch_tokens):
                for at, result in zip(batch, self._measure([items[at] for at in batch], statistics), strict=True):
                    results[at] = result
            for start in range(0, len(items), copies):
                yield _stacked(results[start : start + copies]) if perturb else results[start]

    def hidden_states(self, passages: Iterable[Passage], *, layer: int = -1) -> Iterator[Floats]:
        """Per passage, in order: the states of its scored tokens after a layer, float32 [m, width].

        Layer 0 is the embedding, -1 the last (after the final norm).
        """
        for window in windows(passages, size_of=lambda each: len(each.token_ids), max_total=8 * self.max_batch_tokens):
            results: list[Floats] = [np.empty(0, np.float32)] * len(window)
            for batch in length_batches([len(each.token_ids) for each in window], max_tokens=self.max_batch_tokens):
                for at, states in zip(batch, self._states([window[at] for at in batch], layer), strict=True):
                    results[at] = states
            yield from results

    def _copies(self, passage: Passage, perturb: Perturbation | None, index: int) -> list[_Copy]:
        if perturb is None:
            return [_Copy(passage=passage)]
        noise = perturb.draw(index, len(passage.token_ids), self.width)
        return [_Copy(passage=passage, noise=each) for each in noise]

    def _measure(self, batch: list[_Copy], statistics: Sequence[Statistic]) -> list[dict[str, Floats]]:
        """The batch, or its halves where it does not fit in memory."""
        try:
            return self._forward(batch, statistics)
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
        if len(batch) == 1:
            _log.warning("a passage of %d tokens does not fit in memory; it has no result", len(batch[0]))
            return [{each.name: np.full(int(batch[0].passage.scored.sum()), np.nan, np.float32) for each in statistics}]
        half = len(batch) // 2
        return self._measure(batch[:half], statistics) + self._measure(batch[half:], statistics)

    @torch.inference_mode()
    def _forward(self, batch: list[_Copy], statistics: Sequence[Statistic]) -> list[dict[str, Floats]]:
        token_ids, longest = _padded(batch), max(map(len, batch))
        positions = [np.flatnonzero(each.passage.scored) for each in batch]
        flat = np.concatenate([row * longest + at[at > 0] for row, at in enumerate(positions)])
        index = torch.from_numpy(flat).to(self.device)
        ids = token_ids.to(self.device)
        numbers: dict[str, Floats] = {}
        if len(flat):
            states = self._body(ids, batch)
            numbers = self._reduce(states.flatten(0, 1)[index - 1], ids.flatten()[index], statistics)
        lengths = [len(each) for each in batch]
        self.meter(tokens_forward=sum(lengths), flops=forward_flops(self.shape, lengths, num_scored_tokens=len(flat)))
        return _by_passage(numbers, positions, [each.name for each in statistics])

    def _body(self, ids: torch.Tensor, batch: list[_Copy]) -> torch.Tensor:
        # No attention mask: padding stands on the right, and a causal model never looks there.
        if batch[0].noise is None:
            return self._cut.body(input_ids=ids)
        embeddings = self.model.get_input_embeddings()(ids)
        for row, each in enumerate(batch):
            if each.noise is not None:
                embeddings[row, : len(each)] += each.noise.to(embeddings)
        return self._cut.body(inputs_embeds=embeddings)

    def _reduce(
        self, states: torch.Tensor, targets: torch.Tensor, statistics: Sequence[Statistic]
    ) -> dict[str, Floats]:
        """The statistics of states [N, x], a chunk of logits at a time: name -> [N] or [N, k]."""
        parts: dict[str, list[torch.Tensor]] = {each.name: [] for each in statistics}
        for start in range(0, len(states), self._chunk):
            logits = self._cut.head(states[start : start + self._chunk])
            log_normaliser = torch.logsumexp(logits, dim=1)
            for each in statistics:
                parts[each.name].append(each.reduce(logits, log_normaliser, targets[start : start + self._chunk]))
        return {name: torch.cat(part).float().cpu().numpy() for name, part in parts.items()}

    @torch.inference_mode()
    def _states(self, passages: list[Passage], layer: int) -> list[Floats]:
        ids = _padded([_Copy(passage=each) for each in passages]).to(self.device)
        decoder: Any = cast(Any, self.model).get_decoder()
        states = decoder(input_ids=ids, use_cache=False, output_hidden_states=True).hidden_states[layer]
        lengths = [len(each.token_ids) for each in passages]
        self.meter(tokens_forward=sum(lengths), flops=forward_flops(self.shape, lengths, num_scored_tokens=0))
        return [
            states[row, torch.from_numpy(np.flatnonzero(each.scored)).to(self.device)].float().cpu().numpy()
            for row, each in enumerate(passages)
        ]


def _stacked(copies: Sequence[dict[str, Floats]]) -> dict[str, Floats]:
    return {name: np.stack([each[name] for each in copies]) for name in copies[0]}


def _padded(batch: Sequence[_Copy]) -> torch.Tensor:
    """Token ids [B, longest], filled up with zeros on the right."""
    ids = np.zeros((len(batch), max(map(len, batch))), dtype=np.int64)
    for row, each in enumerate(batch):
        ids[row, : len(each)] = each.passage.token_ids
    return torch.from_numpy(ids)


def _by_passage(
    numbers: dict[str, Floats], positions: Sequence[npt.NDArray[np.int64]], names: Sequence[str]
) -> list[dict[str, Floats]]:
    """Numbers of all tokens of a batch, dealt out; tokens at position 0 become NaN."""
    results, start = [], 0
    for at in positions:
        end = start + int((at > 0).sum())
        result = {}
        for name in names:
            values = numbers[name][start:end] if numbers else np.empty(0, dtype=np.float32)
            unscored = np.full((len(at) - len(values), *values.shape[1:]), np.nan, dtype=np.float32)
            result[name] = np.concatenate([unscored, values])
        results.append(result)
        start = end
    return results


def _window_of(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> int:
    """Tokens that fit the model; tokenizers without a limit state an absurdly large one."""
    window = getattr(model.config.get_text_config(), "max_position_embeddings", None) or 2**20
    return int(min(window, tokenizer.model_max_length))
