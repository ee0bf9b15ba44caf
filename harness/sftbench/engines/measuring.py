"""One batch through a model: states of the body, logits of the head where a token is scored, statistics of those."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from sftbench.engines.heads import Cut
from sftbench.engines.passages import Floats, Layout, Sequenced
from sftbench.engines.statistics import Statistic, log_normaliser

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_log = logging.getLogger(__name__)
Numbers = dict[str, Floats]


def nothing(statistics: Sequence[Statistic], vocab_size: int) -> Numbers:
    """The statistics of no token at all, in their shapes: name -> [0] or [0, k]."""
    logits, normaliser, target = torch.zeros((1, vocab_size)), torch.zeros(1), torch.zeros(1, dtype=torch.int64)
    shown = {each.name: each.reduce(logits, normaliser, target) for each in statistics}
    return {name: values[:0].float().numpy() for name, values in shown.items()}


@dataclass(frozen=True, kw_only=True)
class Measuring:
    """A model with what is asked of it; several threads may use one."""

    model: PreTrainedModel
    cut: Cut
    statistics: Sequence[Statistic]
    nothing: Numbers
    chunk_tokens: int

    def __call__(self, batch: Sequence[Sequenced]) -> list[Numbers]:
        """Results of a batch, or of its halves where it does not fit in memory."""
        try:
            return self._forward(batch)
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
        if len(batch) == 1:
            _log.warning("a passage of %d tokens does not fit in memory; it has no result", batch[0].length)
            return [batch[0].finished(self.nothing)]
        half = len(batch) // 2
        return self(batch[:half]) + self(batch[half:])

    @torch.inference_mode()
    def _forward(self, batch: Sequence[Sequenced]) -> list[Numbers]:
        layout, device = Layout.of(batch), self.model.device
        states = self._body(layout.token_ids.to(device), batch).flatten(0, 1)[layout.read_at.to(device)]
        numbers = self._reduce(states, layout.targets.to(device))
        return [each.finished(values) for each, values in zip(batch, layout.deal(numbers), strict=True)]

    def _body(self, ids: torch.Tensor, batch: Sequence[Sequenced]) -> torch.Tensor:
        # No attention mask: padding stands on the right, and a causal model never looks there.
        if batch[0].noise is None:
            return self.cut.body(input_ids=ids)
        embeddings = self.model.get_input_embeddings()(ids)
        for row, each in enumerate(batch):
            if each.noise is not None:
                embeddings[row, : each.length] += each.noise[: each.length].to(embeddings)
        return self.cut.body(inputs_embeds=embeddings)

    def _reduce(self, states: torch.Tensor, targets: torch.Tensor) -> Numbers:
        """The statistics of states [N, x], a chunk of logits at a time: name -> [N] or [N, k]."""
        parts: dict[str, list[torch.Tensor]] = {each.name: [] for each in self.statistics}
        scratch: torch.Tensor | None = None
        for start in range(0, len(states), self.chunk_tokens):
            chunk = slice(start, start + self.chunk_tokens)
            logits = self.cut.head(states[chunk])
            if scratch is None:
                scratch = torch.empty_like(logits)
            normaliser = log_normaliser(logits, scratch)
            for each in self.statistics:
                parts[each.name].append(each.reduce(logits, normaliser, targets[chunk]))
        return {name: torch.cat(part).float().cpu().numpy() for name, part in parts.items()}
