"""Pairs together with what a judge said of them, and what a probe is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sftbench.judging.card.finding import Finding
from sftbench.judging.card.material import Material, Pair, Sampler
from sftbench.judging.card.readings import Readings
from sftbench.judging.resampling import Floats


@dataclass(frozen=True, kw_only=True, eq=False)
class JudgedPairs:
    """`readings` of n pairs, with what is known of them: lengths in characters, the gold preference (NaN where there is
    none), and the group; `pairs` are the texts, where they are at hand."""

    readings: Readings
    length_model: Floats
    length_baseline: Floats
    gold: Floats
    groups: tuple[str, ...]
    pairs: tuple[Pair, ...] = ()

    def __len__(self) -> int:
        return len(self.readings)

    @classmethod
    def of(cls, pairs: Sequence[Pair], readings: Readings) -> JudgedPairs:
        """Pairs and their readings, in the same order."""
        return cls(
            readings=readings,
            length_model=np.array([pair.lengths[0] for pair in pairs], dtype=np.float64),
            length_baseline=np.array([pair.lengths[1] for pair in pairs], dtype=np.float64),
            gold=np.array([np.nan if pair.gold is None else pair.gold for pair in pairs], dtype=np.float64),
            groups=tuple(pair.group for pair in pairs),
            pairs=tuple(pairs),
        )

    def of_group(self, group: str) -> JudgedPairs:
        """The pairs of one group."""
        places = [index for index, each in enumerate(self.groups) if each == group]
        return JudgedPairs(
            readings=self.readings.taken(places),
            length_model=self.length_model[places],
            length_baseline=self.length_baseline[places],
            gold=self.gold[places],
            groups=(group,) * len(places),
            pairs=tuple(self.pairs[place] for place in places) if self.pairs else (),
        )

    @property
    def for_gold(self) -> Floats:
        """The preference [n] for the better answer; NaN where there is no verdict, no gold label, or gold is a tie."""
        sign = np.where(self.gold == 0.5, np.nan, np.sign(self.gold - 0.5))
        return np.asarray(0.5 + sign * (self.readings.preference - 0.5), dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class Probe:
    """One thing that a judge is asked: `about` says in words with which pairs. `wanted` chooses them, and `found` reads
    the verdicts; by name it also gets those of the other probes that were asked."""

    name: str
    about: str
    wanted: Callable[[Material, Sampler], list[Pair]]
    found: Callable[[Mapping[str, JudgedPairs]], list[Finding]]
