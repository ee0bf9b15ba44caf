"""A toy judge that tells what judges by language models tell: labels in both orders, lengths and flags."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sftbench import Judge, Needs, Verdicts, hookimpl, param


@dataclass(frozen=True, kw_only=True)
class ToyJudge:
    """Prefers the longer answer, all turns together; the shorter one if told so."""

    name: ClassVar[str] = "toy-judge"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True

    shorter: bool = param(False, "prefers the shorter answer")

    def needs(self) -> Needs:
        return Needs()

    def judge(self, heldout, model, baseline, desk):
        lengths = []
        for responses in (model, baseline):
            texts = dict(zip(responses.ids, responses.texts, strict=True))
            lengths.append([sum(map(len, (texts[at], *responses.earlier.get(at, ())))) for at in heldout.ids])
        signs = [(-1 if self.shorter else 1) * int(np.sign(mine - other)) for mine, other in zip(*lengths, strict=True)]
        columns = {
            "model_first": [{1: "A>B", 0: "A=B", -1: "B>A"}[sign] for sign in signs],
            "baseline_first": [{1: "B>A", 0: "A=B", -1: "A>B"}[sign] for sign in signs],
            "flags": [[] for _ in signs],
        }
        preference = np.array([0.5 + 0.5 * sign for sign in signs])
        return Verdicts(ids=tuple(heldout.ids), preference=preference, columns=columns)


@hookimpl
def sftbench_judges() -> list[type[Judge]]:
    return [ToyJudge]
