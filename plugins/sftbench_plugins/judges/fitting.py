"""How much of each answer a judge can be shown whose context is too short for all of it: the search for that length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sftbench import Room

LEAST_SHOWN = 200
"""Characters of each answer; where not even these fit, it is the question that is too long."""
SPARE = 8
"""Tokens left free: the same texts the other way round may take a few more."""
_FULL = 0.97
"""A context that is filled so far is filled."""
_NARROW, _ROUGH = 0.02, 0.125
"""The search ends where what fits and what does not are so near, with tokens counted and without."""
_MOST_TRIED = 9


@dataclass(kw_only=True)
class Fitting:
    """Seeks the greatest number of characters of each answer that fits, all cut to the same; the whole does not.

    `lengths` are those of the answers, `size` the characters of the whole request. Each length tried is told by `fits`
    or `too_long`, with the tokens that it asks for where they are known: they lead to the next, by the straight line
    through the last two; without them it is the middle between what fits and what does not.
    """

    lengths: Sequence[int]
    size: int
    best: int = 0
    """The greatest length known to fit; 0 until one is."""
    _refused: int = 0
    _num_tried: int = 0
    _is_full: bool = False
    _points: list[tuple[int, Room]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._refused = max(self.lengths)

    @property
    def window(self) -> int | None:
        """Tokens of the context, where anybody has told them."""
        return self._points[-1][1].window if self._points else None

    def too_long(self, limit: int, room: Room | None) -> None:
        """So much does not fit; if it was thought to, what was counted is of no use."""
        if limit <= self.best:
            self.best = self._num_tried = 0
            self._points.clear()
        self._refused, self._is_full = min(self._refused, limit), False
        self._note(limit, room)

    def fits(self, limit: int, room: Room | None) -> None:
        """So much does."""
        self.best = max(self.best, limit)
        self._is_full = room is not None and room.asked >= _FULL * room.window
        self._note(limit, room)

    def measure(self, limit: int, room: Room) -> None:
        """The same as one of these, as a tokenizer says."""
        if room.asked <= room.window - SPARE:
            self.fits(limit, room)
        else:
            self.too_long(limit, room)

    def next(self) -> int | None:
        """The length to try now; None when `best` is near enough to the greatest, or nothing fits."""
        enough = _NARROW if self._points else _ROUGH
        if self._is_full or self._refused <= LEAST_SHOWN or self._num_tried >= _MOST_TRIED:
            return None
        if self.best and self._refused - self.best <= max(1, enough * self._refused):
            return None
        wanted = self._by_tokens() if self._points else (self.best + self._refused) // 2
        return max(min(wanted, self._refused - 1), self.best + 1, LEAST_SHOWN)

    def _note(self, limit: int, room: Room | None) -> None:
        self._num_tried += 1
        if room is not None:
            self._points.append((self._shown(limit), room))

    def _by_tokens(self) -> int:
        shown, room = self._points[-1]
        per_token = self.size / self._points[0][1].asked
        if len(self._points) > 1:
            before, other = self._points[-2]
            if (shown - before) * (room.asked - other.asked) > 0:
                per_token = (shown - before) / (room.asked - other.asked)
        excess = room.asked - (room.window - SPARE)
        return self._limit_of(int(shown - excess * per_token))

    def _shown(self, limit: int) -> int:
        return sum(min(length, limit) for length in self.lengths)

    def _limit_of(self, shown: int) -> int:
        """The greatest limit that shows no more than so many characters of all answers together."""
        low, high = 0, max(self.lengths)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self._shown(middle) <= shown else (low, middle - 1)
        return low
