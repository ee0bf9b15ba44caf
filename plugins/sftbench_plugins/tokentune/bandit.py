"""Which cluster to look into next: upper confidence bound, Thompson sampling, EXP3, or chance.

T counts samples, in the confidence bound and in the mean alike.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

import numpy as np

from sftbench_plugins.exp3 import Exponential, Mask, RunningScale, Values

Kind = Literal["ucb", "thompson", "exp3", "random"]


class Bandit(ABC):
    """Arms with T samples and a mean utility I each; subclasses say which arm is next."""

    def __init__(self, num_arms: int, *, rng: np.random.Generator) -> None:
        self.counts: Values = np.zeros(num_arms)
        self.means: Values = np.zeros(num_arms)
        self.rng = rng

    @abstractmethod
    def choose(self, open_arms: Mask) -> int:
        """One of the arms that `open_arms` [K] allows (at least one)."""

    def reward(self, arm: int, utilities: Values) -> None:
        """Take the utilities of samples of an arm into its mean (Eq. 9)."""
        if len(utilities):
            total = self.means[arm] * self.counts[arm] + utilities.sum()
            self.counts[arm] += len(utilities)
            self.means[arm] = total / self.counts[arm]

    def warm(self, pilots: Sequence[Values]) -> None:
        """Take in what a pilot found about every arm before the first choice."""
        for arm, utilities in enumerate(pilots):
            self.reward(arm, utilities)


class Ucb(Bandit):
    """I + gamma sqrt(2 ln(sum T) / T), the largest wins; an arm without samples is infinite (Eq. 8)."""

    def __init__(self, num_arms: int, *, rng: np.random.Generator, gamma: float) -> None:
        super().__init__(num_arms, rng=rng)
        self.gamma = gamma

    def bounds(self) -> Values:
        """The upper confidence bound of every arm, [K]."""
        bounds = np.full(len(self.counts), np.inf)
        known = self.counts > 0
        if known.any():
            spread = np.sqrt(2 * np.log(self.counts.sum()) / self.counts[known])
            bounds[known] = self.means[known] + self.gamma * spread
        return bounds

    def choose(self, open_arms: Mask) -> int:
        return int(np.argmax(np.where(open_arms, self.bounds(), -np.inf)))


class Thompson(Bandit):
    """A draw from N(I, s^2 / T) per arm, the largest wins; s is the pooled deviation within arms."""

    def __init__(self, num_arms: int, *, rng: np.random.Generator) -> None:
        super().__init__(num_arms, rng=rng)
        self.squares: Values = np.zeros(num_arms)

    def reward(self, arm: int, utilities: Values) -> None:
        super().reward(arm, utilities)
        self.squares[arm] += float((utilities**2).sum())

    def deviation(self) -> float:
        """Pooled within-arm standard deviation; 1 while no arm has two samples."""
        freedom = float(np.maximum(self.counts - 1, 0).sum())
        within = float((self.squares - self.counts * self.means**2).sum())
        return float(np.sqrt(max(within, 0.0) / freedom)) if freedom else 1.0

    def choose(self, open_arms: Mask) -> int:
        known = self.counts > 0
        noise = self.rng.standard_normal(len(self.counts)) * self.deviation()
        draws = np.where(known, self.means + noise / np.sqrt(np.maximum(self.counts, 1)), np.inf)
        return int(np.argmax(np.where(open_arms, draws, -np.inf)))


class Exp3(Bandit):
    """Exponential weights mixed with chance; the mean utility is scaled to -1..1 by its running range."""

    def __init__(self, num_arms: int, *, rng: np.random.Generator, gamma: float) -> None:
        super().__init__(num_arms, rng=rng)
        self.arms, self.scale = Exponential(num_arms, gamma=gamma), RunningScale()

    def choose(self, open_arms: Mask) -> int:
        return self.arms.draw(open_arms, self.rng)

    def warm(self, pilots: Sequence[Values]) -> None:
        means = [float(utilities.mean()) for utilities in pilots if len(utilities)]
        if means:
            self.scale.see(*means)
        super().warm(pilots)

    def reward(self, arm: int, utilities: Values) -> None:
        super().reward(arm, utilities)
        if len(utilities):
            self.arms.learn(arm, self.scale.scaled(float(utilities.mean())))


class Chance(Bandit):
    """Any open arm, all equally likely (the ablation without a bandit)."""

    def choose(self, open_arms: Mask) -> int:
        return int(self.rng.choice(np.flatnonzero(open_arms)))


def fresh_bandit(kind: Kind, num_arms: int, *, rng: np.random.Generator, gamma: float, exp3_gamma: float) -> Bandit:
    """A fresh bandit of this kind; `gamma` is the confidence bound's, `exp3_gamma` the share of chance of EXP3."""
    if kind == "ucb":
        return Ucb(num_arms, rng=rng, gamma=gamma)
    if kind == "exp3":
        return Exp3(num_arms, rng=rng, gamma=exp3_gamma)
    return Thompson(num_arms, rng=rng) if kind == "thompson" else Chance(num_arms, rng=rng)
