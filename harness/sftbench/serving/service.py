"""A served model as the chat client sees it: reached when first asked, found again after a crash."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from sftbench.chat import Endpoint, Service
from sftbench.errors import EnvironmentProblem, SftbenchError
from sftbench.fingerprint import user_cache
from sftbench.serving.description import PREFIX, is_served
from sftbench.serving.servers import Servers, Tell

NUM_AT_ONCE = 96
"""Enough for large batches; more than a hundred connections are not kept open between requests."""
ADDRESS = "SFTBENCH_CONCIERGE"
"""The environment variable by which the processes of a run find who keeps its servers."""


class _Keeper(Protocol):
    """Who keeps the servers: this process or the run's."""

    def reach(
        self, described: str, name: str, tell: Tell, *, lost: str | None = None, silent: bool = False,
        alone: bool = False, forgiven: bool = False,
    ) -> tuple[Endpoint, str]: ...  # fmt: skip


@dataclass
class ServedService:
    """See `sftbench.chat.Service`. Nothing is started before the first request that no cache answers."""

    described: str
    model: str
    identity: str
    keeper: _Keeper
    tell: Tell
    server: str | None = None
    num_at_once: int = NUM_AT_ONCE
    alone: bool = False
    """Whether all other servers are to be ended when it is reached."""

    def reach(self) -> Endpoint:
        return self._told(lost=None, silent=False)

    def reach_again(self, lost: Endpoint, *, silent: bool, forgiven: bool = False) -> Endpoint:
        return self._told(lost=lost.url, silent=silent, forgiven=forgiven)

    def _told(self, *, lost: str | None, silent: bool, forgiven: bool = False) -> Endpoint:
        endpoint, self.server = self.keeper.reach(
            self.described, self.model, self.tell, lost=lost, silent=silent, alone=self.alone, forgiven=forgiven
        )
        return endpoint


@dataclass(frozen=True)
class Concierge:
    """The run's keeper of servers, asked through its socket from another process."""

    address: str

    def reach(
        self, described: str, name: str, tell: Tell, *, lost: str | None = None, silent: bool = False,
        alone: bool = False, forgiven: bool = False,
    ) -> tuple[Endpoint, str]:  # fmt: skip
        how = {"silent": silent, "alone": alone, "forgiven": forgiven}
        wish = {"described": described, "name": name, "lost": lost, **how}
        try:
            with socket.socket(socket.AF_UNIX) as wire:
                wire.connect(self.address)
                wire.sendall(json.dumps(wish).encode() + b"\n")
                with wire.makefile("r", encoding="utf-8") as lines:
                    for line in lines:
                        told: dict[str, Any] = json.loads(line)
                        if "problem" in told:
                            error = EnvironmentProblem(told["problem"])
                            error.exit_code = told["exit_code"]
                            raise error
                        if "url" in told:
                            return Endpoint(url=told["url"], model=name), told["server"]
                        tell(told["message"])
        except OSError as problem:
            raise EnvironmentProblem(f"the run that serves {name} is not there: {problem}") from None
        raise EnvironmentProblem(f"the run that serves {name} went away")


def service_of(where: str, identity: str, tell: Tell) -> Service:
    """What a working process asks: `vllm:FOLDER[...]`, kept by its run, or `URL#MODEL`."""
    if not is_served(where):
        return Endpoint.parse(where)
    return ServedService(
        described=where, model=name_in(identity), identity=identity, keeper=concierge(where), tell=tell
    )


def concierge(where: str) -> Concierge:
    """Who keeps the servers of the run that this process works for."""
    address = os.environ.get(ADDRESS)
    if not address:
        raise EnvironmentProblem(f"nobody serves {where} here: only a run does, or `sftbench.serving.service.serving`")
    return Concierge(address)


def name_in(identity: str) -> str:
    """The name of a model in the identity that `ServedModel.identity` gave."""
    return identity.removeprefix(PREFIX).rpartition("@")[0]


@contextmanager
def serving(
    described: str, identity: str, *, tell: Callable[[str], None], logs: Path | None = None,
    servers: Servers | None = None,
) -> Iterator[Service]:  # fmt: skip
    """A model outside a run, as `sftbench.survey.asked_facts` describes it; ended with the block, however that ends.

    `described` is `vllm:FOLDER[...]` or `URL#MODEL`. The server starts with the first request that the cache of the
    chat client has no answer to; `serving(...) as service: service.reach()` starts it at once.
    """
    if not is_served(described):
        yield Endpoint.parse(described)
        return
    kept = servers or Servers(logs=logs or user_cache() / "logs")
    with contextlib.closing(kept):
        yield ServedService(described=described, model=name_in(identity), identity=identity, keeper=kept, tell=tell)


def problem_line(problem: SftbenchError) -> dict[str, Any]:
    """An error as the concierge tells it."""
    return {"problem": str(problem), "exit_code": problem.exit_code}
