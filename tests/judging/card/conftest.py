"""Judges of known faults: what they say is drawn, and the card must find the faults again."""

from __future__ import annotations

import numpy as np
import pytest

from sftbench.judging.card.padding import _SENTENCES
from sftbench.rooms import Verdicts


class SimulatedJudge:
    """Names the better answer with chance `right`, in both orders; then with chance `flips` turns the second verdict
    over, with chance `lean` names the first place in both, and with chance `likes_length` names the longer one in both.

    `better` knows the better answer by prompt and texts without filler; None is a tie.
    """

    def __init__(self, better, *, right=1.0, flips=0.0, lean=0.0, likes_length=0.0, silent=0.0, seed=0):
        self.better, self.right, self.flips, self.lean = better, right, flips, lean
        self.likes_length, self.silent = likes_length, silent
        self.draw = np.random.default_rng(seed)
        self.num_asked = 0

    def __call__(self, rows, model, baseline):
        prompts = [row.prompt for row in rows]
        told = [self.verdict(*each) for each in zip(prompts, model.texts, baseline.texts, strict=True)]
        self.num_asked += len(told)
        names = [each is None for each in told]
        known = [each or ("A=B", "A=B") for each in told]
        preference = [
            np.nan if silent else 0.5 if first == second else float(first == "A>B")
            for silent, (first, second) in zip(names, known, strict=True)
        ]
        columns = {
            "model_first": [None if silent else first for silent, (first, _) in zip(names, known, strict=True)],
            "baseline_first": [None if silent else second for silent, (_, second) in zip(names, known, strict=True)],
            "flags": [["unparsable"] if silent else [] for silent in names],
        }
        return Verdicts(ids=model.ids, preference=np.array(preference, dtype=float), columns=columns)

    def verdict(self, prompt, model, baseline):
        """Labels with the model first, and with the baseline first; None for a verdict that cannot be read."""
        if self.draw.random() < self.silent:
            return None
        if self.draw.random() < self.lean:
            return "A>B", "A>B"
        if self.draw.random() < self.likes_length and len(model) != len(baseline):
            wins = len(model) > len(baseline)
        else:
            better = self.better(prompt, plain(model), plain(baseline))
            if better is None:
                return "A=B", "A=B"
            wins = better == (self.draw.random() < self.right)
        turned = self.draw.random() < self.flips
        return ("A>B" if wins else "B>A"), ("A>B" if wins == turned else "B>A")


def plain(text):
    """An answer without filler and doubled spaces."""
    return text.split("\n\n" + _SENTENCES[0])[0].replace("  ", " ").rstrip()


@pytest.fixture
def simulated():
    """Makes a judge that knows the gold labels of some pairs."""

    def make(pairs, **faults):
        known = {
            (pair.prompt, plain(pair.model), plain(pair.baseline)): pair.gold > 0.5
            for pair in pairs
            if pair.gold is not None
        }

        def better(prompt, model, baseline):
            return known.get((prompt, model, baseline))

        return SimulatedJudge(better, **faults)

    return make
