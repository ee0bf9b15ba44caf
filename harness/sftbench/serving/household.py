"""The servers of a run: which steps still want which, and when each is ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

from sftbench.serving.concierge import receiving
from sftbench.serving.environment import VARIABLE, find_environment
from sftbench.serving.servers import Servers, launched
from sftbench.serving.service import ADDRESS


class ServedStep(Protocol):
    """What must be known of a step here."""

    @property
    def ref(self) -> str: ...
    @property
    def parents(self) -> Mapping[str, str]: ...
    @property
    def serves(self) -> frozenset[str]: ...
    @property
    def is_alone(self) -> bool: ...
    @property
    def stage(self) -> str: ...


@dataclass
class Household:
    """Ends a server when no step that is left wants it, and all before a step begins that expects memory to be free."""

    servers: Servers | None
    environment: Mapping[str, str]
    _children: dict[str, list[str]] = field(default_factory=dict)
    _wishes: dict[str, frozenset[str]] = field(default_factory=dict)
    _stage: str | None = None
    """Of the step that began last, where such steps are alone."""

    def expect(self, steps: Mapping[str, ServedStep], ended: Mapping[str, str]) -> None:
        """The steps to come, and what has ended before."""
        for ref, step in steps.items():
            for parent in step.parents.values():
                self._children.setdefault(parent, []).append(ref)
            if step.serves and ref not in ended:
                self._wishes[ref] = step.serves

    def begins(self, step: ServedStep) -> None:
        """A step begins. One that does not ask a served model may want the memory that servers hold.

        What was served for another stage leaves room for what is served for this.
        """
        if self.servers is not None and (not step.is_alone or self._stage not in (None, step.stage)):
            self.servers.stop_all()
        self._stage = step.stage if step.is_alone else None

    def ended(self, step: ServedStep, outcome: str) -> None:
        """A step has ended; where it failed, those that rest on it will never begin."""
        gone = {step.ref} if outcome == "done" else self._with_descendants(step.ref)
        unwanted: set[str] = set()
        for ref in gone:
            unwanted |= self._wishes.pop(ref, frozenset())
        for described in unwanted.difference(*self._wishes.values()):
            if self.servers is not None:
                self.servers.stop(described)

    def _with_descendants(self, ref: str) -> set[str]:
        found, waiting = {ref}, [ref]
        while waiting:
            for child in self._children.get(waiting.pop(), ()):
                if child not in found:
                    found.add(child)
                    waiting.append(child)
        return found


@contextmanager
def served(
    steps: Mapping[str, ServedStep], ended: Mapping[str, str], logs: Path, *, vllm: Path | None = None
) -> Iterator[Household]:
    """What steps need that ask served models; nothing for others. At the end of the block no server is left.

    `vllm` is where the environment of vLLM is, if it was said.
    Raises `EnvironmentProblem` where models are to be served and there is no vLLM.
    """
    if not any(step.serves for ref, step in steps.items() if ref not in ended):
        yield Household(servers=None, environment={})
        return
    # Told now rather than after hours of choosing and training.
    find_environment(vllm)
    servers = Servers(logs=logs, launched=partial(launched, vllm=vllm))
    with receiving(servers) as address:
        # Steps ask its vLLM what that can do.
        place = {VARIABLE: str(vllm)} if vllm is not None else {}
        household = Household(servers=servers, environment={ADDRESS: address, **place})
        household.expect(steps, ended)
        yield household
