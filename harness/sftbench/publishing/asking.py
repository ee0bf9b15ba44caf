"""Who of a bundle's judges and graders is asked here: those that compute as they are, a language model if one names it.

A stranger's bundle may not have this machine ask a server, fetch a model or send a key along.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sftbench.errors import UsageError
from sftbench.judging.naming import judge_use
from sftbench.jury import MODEL
from sftbench.parameters import PartUse, parse_use
from sftbench.plugins import Plugins
from sftbench.publishing.own import Own
from sftbench.serving.description import PREFIX

WAYS = "give yours with --judge vllm:FOLDER or --judge URL#MODEL"


@dataclass(frozen=True, kw_only=True)
class Asking:
    """Judges and evaluators of a run that is made again; `left_out` are evaluators that nobody here stands in for."""

    judges: tuple[str, ...]
    evals: tuple[str, ...]
    left_out: tuple[str, ...]


def judges_told(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """The judges of `run.json`, in their order; older ones name just one."""
    named = settings.get("judge")
    return tuple(map(str, named)) if isinstance(named, list) else (str(named),) if named else ()


def names_a_model(text: str) -> bool:
    """Whether a setting names a language model that is served or behind an address."""
    return "://" in text or PREFIX in text


def is_a_model(judge: str, plugins: Plugins) -> bool:
    """Whether a judge is a language model. Raises `UsageError` for a judge that nobody here has."""
    use = judge_use(judge)
    return _asks(use, plugins, role="judge")


def asking_again(settings: Mapping[str, Any], own: Own, plugins: Plugins) -> Asking:
    """Judges and evaluators for the settings of a bundle. Raises `UsageError` where a language model has judged and
    nothing was said of who is to judge here."""
    judges = own.judges
    if judges is None:
        judges = judges_told(settings)
        refuse_unnamed(judges, own, plugins)
    evals: list[str] = []
    left_out: list[str] = []
    for text in settings.get("evals") or ():
        use = parse_use(str(text))
        if not _asks(use, plugins, role="evaluator") or _by_chat(use, own):
            evals.append(str(text))
            continue
        mine = _in_place_of(use, judges, plugins)
        if mine is None:
            left_out.append(use.name)
        else:
            evals.append(str(mine))
    return Asking(judges=tuple(judges), evals=tuple(evals), left_out=tuple(left_out))


def refuse_unnamed(judges: Sequence[str], own: Own, plugins: Plugins) -> None:
    """Raises `UsageError` for a bundle's judge that is a language model which nobody here has named."""
    for judge in judges:
        if is_a_model(judge, plugins) and not _by_chat(judge_use(judge), own):
            raise UsageError(
                f"the run was judged by {judge}, a language model, and none is asked that you have not named: {WAYS}; "
                "or, for --reproduce, --judge none, which leaves win rates out"
            )


def _asks(use: PartUse, plugins: Plugins, *, role: str) -> bool:
    if any(name == MODEL or names_a_model(str(value)) for name, value in use.parameters.items()):
        return True
    return bool(plugins.part(role, use).needs().chat)


def _by_chat(use: PartUse, own: Own) -> bool:
    """Whether a part asks no model of its own but that of `--chat`, which is named here."""
    return "chat" in own.given and not any(
        name == MODEL or names_a_model(str(value)) for name, value in use.parameters.items()
    )


def _in_place_of(grader: PartUse, judges: Sequence[str], plugins: Plugins) -> PartUse | None:
    """A grader that asks one's own judge's model; None where no judge here is a language model."""
    asking = next((judge_use(judge) for judge in judges if is_a_model(judge, plugins)), None)
    if asking is None:
        return None
    kept = {name: value for name, value in grader.parameters.items() if name != MODEL}
    named = {MODEL: asking.parameters[MODEL]} if MODEL in asking.parameters else {}
    return PartUse(name=grader.name, parameters={**kept, **named})
