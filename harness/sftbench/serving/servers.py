"""All servers of one process: each started when it is first asked for, and again after a crash, a few times."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sftbench.chat import Endpoint
from sftbench.errors import EnvironmentProblem
from sftbench.serving.command import Launch, launch
from sftbench.serving.description import ServedModel
from sftbench.serving.environment import find_environment
from sftbench.serving.server import Server

RESTARTS = 3
START_SECONDS = 1800.0
PATIENCE_SECONDS = 10.0
Tell = Callable[[str], None]


def launched(described: str, name: str, *, vllm: Path | None = None) -> Launch:
    """The launch of a settled model by vLLM, in the environment that is given or found."""
    served = ServedModel.parse(described)
    return launch(served, find_environment(vllm), name=name)


@dataclass
class _Entry:
    """One model's server, and how often it had to be started again."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    server: Server | None = None
    restarts: int = 0
    problem: str | None = None
    wanted: bool = True


@dataclass
class Servers:
    """Servers by description. Several threads may ask at once; those that ask for the same one wait together."""

    logs: Path
    launched: Callable[[str, str], Launch] = launched
    start_seconds: float = START_SECONDS
    patience_seconds: float = PATIENCE_SECONDS
    _entries: dict[str, _Entry] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _closed: bool = False
    _started_with: set[str] = field(default_factory=set)
    """Options with which a server has started."""
    _refused_with: dict[str, str] = field(default_factory=dict)
    """Options with which the first server did not start, where one is to follow another, and why."""

    def reach(
        self, described: str, name: str, tell: Tell, *, lost: str | None = None, silent: bool = False,
        alone: bool = False, forgiven: bool = False,
    ) -> tuple[Endpoint, str]:  # fmt: skip
        """Where `vllm:FOLDER[...]` answers under `name`, and who serves it; it is started if it does not run.

        `lost` is the URL at which it answered no more; `silent` says that it took a request and never answered;
        `forgiven` that neither this loss nor those before it count, since it has answered much since its start, or the
        request is known that it was lost over; `alone` that all other servers are to be ended first.
        Raises `EnvironmentProblem` when it cannot be started, or has crashed more than `RESTARTS` times.
        """
        if alone:
            self.stop_all(but=frozenset([described]))
        entry = self._entry(described)
        with entry.lock:
            if entry.problem is not None:
                raise EnvironmentProblem(entry.problem)
            server = entry.server
            if server is not None and server.endpoint is not None:
                if server.endpoint.url != lost and server.is_running():
                    return server.endpoint, server.launch.server
                if not silent and server.is_well():
                    return server.endpoint, server.launch.server
                self._note_crash(entry, server, tell, silent=silent, forgiven=forgiven)
            options = str(ServedModel.parse(described).options)
            if alone and options in self._refused_with:
                raise EnvironmentProblem(self._refused_with[options])
            try:
                found = self._started(entry, described, name, tell)
            except EnvironmentProblem as problem:
                if entry.wanted and not self._closed:
                    entry.problem = str(problem)
                    # What has not served any model will serve no other of the run.
                    if alone and options not in self._started_with:
                        self._refused_with[options] = f"{problem} (not tried again for other models with these options)"
                raise
            self._started_with.add(options)
            return found

    def stop(self, described: str) -> None:
        """End a server if it runs. Asked for again, it is started again."""
        with self._lock:
            entry = self._entries.get(described)
        if entry is None:
            return
        # Whoever waits for its start lets go of the lock then.
        entry.wanted = False
        with entry.lock:
            if entry.server is not None:
                entry.server.stop()
            entry.server, entry.wanted = None, True

    def stop_all(self, *, but: frozenset[str] = frozenset()) -> None:
        """End all servers, at once, but those named."""
        with self._lock:
            described = [each for each in self._entries if each not in but]
        ending = [threading.Thread(target=self.stop, args=(each,)) for each in described]
        for each in ending:
            each.start()
        for each in ending:
            each.join()

    def close(self) -> None:
        """End all servers; none is started any more."""
        with self._lock:
            self._closed = True
        self.stop_all()

    def _entry(self, described: str) -> _Entry:
        with self._lock:
            return self._entries.setdefault(described, _Entry())

    def _note_crash(self, entry: _Entry, server: Server, tell: Tell, *, silent: bool, forgiven: bool) -> None:
        """Put an end to what does not serve; refuse when that has happened too often."""
        died = not silent and server.has_ended(within=1.0)
        why = f"died: {' | '.join(server.told()) or 'no word'}" if died else "gives no answer"
        server.stop()
        if forgiven:
            entry.restarts = 0
            tell(f"the server of {server.launch.model} {why}; starting it again")
            return
        if entry.restarts >= RESTARTS:
            entry.problem = (
                f"the server of {server.launch.model} {why}; it was started again {RESTARTS} times; its log is "
                f"{server.log}; what was answered until now is kept"
            )
            raise EnvironmentProblem(entry.problem)
        entry.restarts += 1
        tell(f"the server of {server.launch.model} {why}; starting it again ({entry.restarts} of {RESTARTS})")

    def _started(self, entry: _Entry, described: str, name: str, tell: Tell) -> tuple[Endpoint, str]:
        if self._closed:
            raise EnvironmentProblem("the run is ending; no server is started any more")
        log = self.logs / f"vllm-{re.sub(r'[^A-Za-z0-9._-]+', '-', name)}-{os.getpid()}.log"
        entry.server = Server(
            launch=self.launched(described, name),
            log=log,
            start_seconds=self.start_seconds,
            patience_seconds=self.patience_seconds,
            is_wanted=lambda: entry.wanted and not self._closed,
        )
        try:
            return entry.server.start(tell), entry.server.launch.server
        except BaseException:
            entry.server.stop()
            raise
