"""What goes through a model, how it is laid out in a batch, and how the numbers are dealt out again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from sftbench.engines.encode import Encoded

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Passage:
    """What goes through the model: `token_ids` int32 [L]; `scored` bool [L], the tokens whose statistic is wanted.

    `targets` int32 [L] says which token is taken to stand at each place, where that is not the one that does.
    """

    token_ids: npt.NDArray[np.int32]
    scored: npt.NDArray[np.bool_]
    targets: npt.NDArray[np.int32] | None = None

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

    @classmethod
    def next_token(cls, token_ids: npt.NDArray[np.int32]) -> Passage:
        """A whole text [L] and one scored place behind it: what does the model expect there?

        For statistics that do not look at the token itself: it is a placeholder, which the model never
        sees, so that the text may fill the window.
        """
        scored = np.zeros(len(token_ids) + 1, dtype=np.bool_)
        scored[-1] = True
        return cls(token_ids=np.append(token_ids, 0).astype(np.int32), scored=scored)


class Perturbation(Protocol):
    """Noise on the input embeddings: several copies of each passage."""

    @property
    def num_copies(self) -> int: ...

    def draw(self, index: int, num_tokens: int, width: int) -> torch.Tensor:
        """What to add to the embeddings of passage number `index`: [num_copies, num_tokens, width]; called in order."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Sequenced:
    """A passage as one sequence of a batch; `noise` [L, width] is added to its embeddings."""

    passage: Passage
    noise: torch.Tensor | None = None

    @cached_property
    def scored_at(self) -> npt.NDArray[np.int64]:
        """Positions of the scored tokens, without one at position 0: it has no context."""
        positions = np.flatnonzero(self.passage.scored)
        return positions[positions > 0]

    @cached_property
    def length(self) -> int:
        """Tokens that must be seen: all before the last scored one."""
        return int(self.scored_at[-1]) if len(self.scored_at) else 0

    @property
    def targets(self) -> npt.NDArray[np.int64]:
        """The token whose statistic is wanted, at each of these positions."""
        passage = self.passage
        tokens = passage.token_ids if passage.targets is None else passage.targets
        return tokens[self.scored_at].astype(np.int64)

    def finished(self, values: Mapping[str, Floats]) -> dict[str, Floats]:
        """The statistics of every scored token, NaN where there was no context."""
        return {name: self._filled(each) for name, each in values.items()}

    def _filled(self, values: Floats) -> Floats:
        num_missing = int(self.passage.scored.sum()) - len(values)
        gap = np.full((num_missing, *values.shape[1:]), np.nan, dtype=np.float32)
        return np.concatenate([gap, values]) if num_missing else values


@dataclass(frozen=True, kw_only=True, eq=False)
class Layout:
    """A batch as rectangles: `token_ids` int64 [B, L], zeros on the right; where states are read, and their targets.

    `read_at` int64 [N] indexes the flattened [B * L]; `targets` int64 [N] are the tokens that come next.
    """

    token_ids: torch.Tensor
    read_at: torch.Tensor
    targets: torch.Tensor
    counts: Sequence[int]

    @classmethod
    def of(cls, batch: Sequence[Sequenced]) -> Layout:
        """Lay sequences side by side, each cut after the last token that must be seen."""
        longest = max(each.length for each in batch)
        ids = np.zeros((len(batch), longest), dtype=np.int64)
        for row, each in enumerate(batch):
            ids[row, : each.length] = each.passage.token_ids[: each.length]
        read_at = [row * longest + each.scored_at - 1 for row, each in enumerate(batch)]
        return cls(
            token_ids=torch.from_numpy(ids),
            read_at=torch.from_numpy(np.concatenate(read_at)),
            targets=torch.from_numpy(np.concatenate([each.targets for each in batch])),
            counts=[len(each.scored_at) for each in batch],
        )

    def deal(self, numbers: Mapping[str, Floats]) -> Iterator[dict[str, Floats]]:
        """Numbers of all tokens of the batch, [N] or [N, k], sequence by sequence."""
        start = 0
        for count in self.counts:
            yield {name: values[start : start + count] for name, values in numbers.items()}
            start += count
