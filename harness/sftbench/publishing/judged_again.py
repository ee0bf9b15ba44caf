"""How the published judges of a row are made again: each by itself, by another language model, or by nobody."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sftbench.board.cells import Cell, CellVerdicts
from sftbench.judging.card.keeping import asks_a_model, judge_identity
from sftbench.plan import PlannedCell, Ref
from sftbench.runner import Run
from sftbench.serving.description import PREFIX


@dataclass(frozen=True, kw_only=True)
class JudgedAgain:
    """Published verdicts and the step here that they are compared with, by the judge called `here`.

    `same` says that it is the published judge: one that computes, or a language model of the same content (behind an
    address: of the same address and name). `may_differ` holds for language models, which are not held to every digit.
    """

    told: CellVerdicts
    step: Ref
    here: str
    same: bool
    may_differ: bool


def judged_again(run: Run, planned: PlannedCell, told: Cell) -> tuple[tuple[JudgedAgain, ...], tuple[str, ...]]:
    """Each published judge of a row with who stands for it here, and the names of those for whom nobody does.

    A judge that computes stands for itself alone; a language model for its own verdicts first, else for those of the
    next language model.
    """
    here = {name: judge_identity(run.plan.steps[ref].identity) for name, ref in planned.verdicts.items()}
    own = {each.judge: _itself(each, here) for each in told.judgements}
    spare = [name for name, judge in here.items() if asks_a_model(judge) and name not in own.values()]
    found, left_out = [], []
    for each in told.judgements:
        name = own[each.judge]
        same = name is not None
        if name is None and spare and (not each.judged_by or asks_a_model(each.judged_by)):
            name = spare.pop(0)
        if name is None:
            left_out.append(each.judge)
        else:
            asks = asks_a_model(here[name])
            found.append(JudgedAgain(told=each, step=planned.verdicts[name], here=name, same=same, may_differ=asks))
    return tuple(found), tuple(left_out)


def _itself(told: CellVerdicts, here: Mapping[str, Mapping[str, Any]]) -> str | None:
    """The judge here that gave the published verdicts. Older records do not tell what identifies theirs."""
    computing: Sequence[str] = [name for name, judge in here.items() if not asks_a_model(judge)]
    if told.judge in computing and not asks_a_model(told.judged_by):
        return told.judge
    return next((name for name, judge in here.items() if told.judged_by and alike(judge, told.judged_by)), None)


def alike(judge: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two judges are one, whatever the folders of their models and files are called."""
    return bool(_placeless(judge) == _placeless(other))


def _placeless(judge: Mapping[str, Any]) -> Any:
    """What identifies a judge, without names of folders: `vllm:NAME@CONTENT` is its content, a file its hash."""
    told = dict(judge)
    files = {name.removeprefix("file:") for name in told if name.startswith("file:")}
    given = told.get("parameters")
    if isinstance(given, Mapping):
        told["parameters"] = {name: value for name, value in given.items() if name not in files}
    return json.loads(json.dumps(told), object_hook=_without_names)


def _without_names(told: dict[str, Any]) -> dict[str, Any]:
    is_served = {name for name, value in told.items() if isinstance(value, str) and value.startswith(PREFIX)}
    return {name: value.rpartition("@")[2] if name in is_served else value for name, value in told.items()}
