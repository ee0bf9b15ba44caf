"""The servers of a run: which steps still want which, and when each is ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
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
    keeps_last: bool = False
    """Whether the servers of the last steps are left to whoever comes after them."""
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

    @property
    def wanted(self) -> frozenset[str]:
        """The models that steps to come ask."""
        return frozenset().union(*self._wishes.values())

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
        if self.keeps_last and not self._wishes:
            return
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


def logs_in(store: Path, command: str) -> Path:
    """Where the servers of a run, or of a command without one, have their logs."""
    return store / "logs" / command


@dataclass
class KeptServers:
    """The servers of a command that carries out more than once: what one part leaves running the next one asks."""

    logs: Path
    _stack: ExitStack
    _opened: tuple[Servers, str] | None = None

    def opened(self, vllm: Path | None) -> tuple[Servers, str]:
        """The servers, and the address where processes ask for them; the same every time."""
        if self._opened is None:
            servers = Servers(logs=self.logs, launched=partial(launched, vllm=vllm))
            self._opened = servers, self._stack.enter_context(receiving(servers))
        return self._opened


@contextmanager
def keeping(logs: Path) -> Iterator[KeptServers]:
    """Servers for all that is carried out in the block, started when they are first asked for; none is left at its end.

    Their logs go to `logs`.
    """
    with ExitStack() as stack:
        yield KeptServers(logs, stack)


@contextmanager
def served(
    steps: Mapping[str, ServedStep], ended: Mapping[str, str], logs: Path, *, vllm: Path | None = None,
    kept: KeptServers | None = None,
) -> Iterator[Household]:  # fmt: skip
    """What steps need that ask served models; nothing for others. At the end of the block no server is left.

    Unless they are `kept`: then those that the last steps asked are left for what comes next, and `logs` is theirs.
    `vllm` is where the environment of vLLM is, if it was said.
    Raises `EnvironmentProblem` where models are to be served and there is no vLLM.
    """
    if not any(step.serves for ref, step in steps.items() if ref not in ended):
        yield Household(servers=None, environment={})
        return
    # Told now rather than after hours of choosing and training.
    find_environment(vllm)
    with ExitStack() as stack:
        house = kept or stack.enter_context(keeping(logs))
        servers, address = house.opened(vllm)
        # Steps ask its vLLM what that can do.
        place = {VARIABLE: str(vllm)} if vllm is not None else {}
        household = Household(servers=servers, environment={ADDRESS: address, **place}, keeps_last=kept is not None)
        household.expect(steps, ended)
        # What another part has left may hold the memory that this one wants.
        servers.stop_all(but=household.wanted)
        yield household
