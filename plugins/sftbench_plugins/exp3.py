"""EXP3: exponential weights mixed with chance, over arms that may close (Auer et al. 2002), for the bandits here."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


class Exponential:
    """Weights of arms, and the chances that follow from them.

    p_i = (1 - gamma) w_i / sum w + gamma / K over the K open arms; a reward r in -1..1 multiplies the weight of the arm
    that was drawn by exp(gamma r / (K p_i)).
    """

    def __init__(self, num_arms: int, *, gamma: float) -> None:
        self.gamma = gamma
        self.log_weights: Values = np.zeros(num_arms)
        self.probabilities: Values = np.full(num_arms, 1 / num_arms)
        """The chances at the last draw."""

    def distribution(self, open_arms: Mask) -> Values:
        """The chance of each arm [K], 0 for closed ones."""
        logs = np.where(open_arms, self.log_weights, -np.inf)
        weights = np.exp(logs - logs.max())
        mixed: Values = (1 - self.gamma) * weights / weights.sum() + self.gamma * open_arms / open_arms.sum()
        return mixed

    def draw(self, open_arms: Mask, rng: np.random.Generator) -> int:
        """An open arm by its chance."""
        self.probabilities = self.distribution(open_arms)
        return int(rng.choice(len(self.log_weights), p=self.probabilities))

    def learn(self, arm: int, reward: float) -> None:
        """Take in the reward, in -1..1, of the arm that was drawn last."""
        num_open = np.count_nonzero(self.probabilities)
        self.log_weights[arm] += self.gamma * reward / (num_open * self.probabilities[arm])


class RunningScale:
    """Scales numbers to -1..1 by the range of all that were seen; 0 while they are all alike."""

    def __init__(self) -> None:
        self.low, self.high = np.inf, -np.inf

    def see(self, *values: float) -> None:
        """Widen the range."""
        self.low, self.high = min(self.low, *values), max(self.high, *values)

    def scaled(self, value: float) -> float:
        """A value, seen now, within the range."""
        self.see(value)
        width = self.high - self.low
        return float(2 * (value - self.low) / width - 1) if width > 0 else 0.0
