"""One server: started behind a guard, waited for with visible progress, watched, and always ended."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sftbench.chat import Endpoint
from sftbench.errors import EnvironmentProblem
from sftbench.serving import guard
from sftbench.serving.command import Launch

PORTS = 3
"""How many free ports are tried, should another program take one first."""
TELL_SECONDS = 10.0
_TAKEN = re.compile(r"address already in use|errno 98", re.IGNORECASE)
_PREFIX = re.compile(r"^(\(\S+ pid=\d+\) )?((ERROR|CRITICAL) [\d-]+ [\d:]+ \[[^\]]*\] )?")
_TELLING = re.compile(r"^\S*(Error|Exception|Interrupt)\b.*:|^\S*error: |out of memory", re.IGNORECASE)
_SEE_ABOVE = ("root cause", "EngineDeadError")


@dataclass
class Server:
    """A server of one model. `tell` hears how the start goes; `is_wanted` is asked while it is waited for."""

    launch: Launch
    log: Path
    start_seconds: float = 1800.0
    patience_seconds: float = 10.0
    """How long it may take to end by itself."""
    is_wanted: Callable[[], bool] = lambda: True
    endpoint: Endpoint | None = None
    since: float = 0.0
    _guard: subprocess.Popen[bytes] | None = None
    _group: int | None = None
    _log_start: int = 0
    _ports: list[int] = field(default_factory=list)

    def start(self, tell: Callable[[str], None]) -> Endpoint:
        """Start it and wait until it answers.

        Raises `EnvironmentProblem` with the telling lines of its log when it ends before, or takes too long.
        """
        tell(f"starting {self.launch.server} with {self.launch.model}; its log is {self.log}")
        begun = time.monotonic()
        for attempt in range(PORTS):
            port = _free_port()
            self._begin(port)
            if self._waited_for(port, begun, tell):
                self.endpoint = Endpoint(url=f"http://127.0.0.1:{port}/v1", model=self.launch.model)
                self.since = time.monotonic()
                tell(f"{self.launch.model} is served after {self.since - begun:.0f} s")
                return self.endpoint
            told, code = self.told(), self._code()
            self.stop()
            if not _TAKEN.search("\n".join(told)) or attempt == PORTS - 1:
                break
            tell(f"another program took port {port} first; trying another")
        said = " | ".join(told) or "it wrote nothing"
        raise EnvironmentProblem(f"vLLM ended before it served {self.launch.model} ({code}): {said}; see {self.log}")

    def is_running(self) -> bool:
        return self._guard is not None and self._guard.poll() is None

    def has_ended(self, *, within: float) -> bool:
        """Whether it ends within some seconds; a lost connection is often heard of before the end of a process."""
        until = time.monotonic() + within
        while self.is_running() and time.monotonic() < until:
            time.sleep(0.05)
        return not self.is_running()

    def is_well(self, *, seconds: float = 10.0) -> bool:
        """Whether it runs and says so."""
        return self.is_running() and self.endpoint is not None and _says_well(_port_of(self.endpoint), seconds)

    def told(self) -> list[str]:
        """The lines of its log, since it was last started, that tell most about an end."""
        with contextlib.suppress(OSError), self.log.open("rb") as stream:
            stream.seek(self._log_start)
            return telling_lines(stream.read().decode("utf-8", "replace"))
        return []

    def stop(self) -> None:
        """End it and all that it started; returns when it is gone."""
        self.endpoint = None
        if self._guard is None:
            return
        process, self._guard = self._guard, None
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(OSError):
            process.stdin.close()
        try:
            process.wait(timeout=self.patience_seconds + 2 * guard.FORCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
        # Should the guard itself have been killed.
        if self._group is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._group, signal.SIGKILL)
        self._group = None

    def _begin(self, port: int) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            self._guard = subprocess.Popen(  # noqa: S603
                [sys.executable, "-I", "-S", guard.__file__, str(self.patience_seconds), *self.launch.command(port)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=dict(self.launch.environment),
                # Ctrl-C is for the run, which ends its servers itself.
                start_new_session=True,
            )
        assert self._guard.stdout is not None
        line = self._guard.stdout.readline()
        self._group = int(line) if line.strip().isdigit() else None

    def _waited_for(self, port: int, begun: float, tell: Callable[[str], None]) -> bool:
        """True when it serves, False when it has ended."""
        told = begun
        while self.is_running():
            if not self.is_wanted():
                self.stop()
                raise EnvironmentProblem(f"{self.launch.model} is not wanted any more")
            if _says_well(port, 5.0) and self.launch.model in _models(port):
                return True
            now = time.monotonic()
            if now - begun > self.start_seconds:
                last = self._last_line()
                self.stop()
                raise EnvironmentProblem(
                    f"vLLM did not serve {self.launch.model} within {self.start_seconds:g} s; its last line: {last}; "
                    f"see {self.log}"
                )
            if now - told >= TELL_SECONDS:
                told = now
                tell(f"waiting for {self.launch.model}, {now - begun:.0f} s: {self._last_line()}")
            time.sleep(0.1)
        return False

    def _code(self) -> str:
        code = self._guard.wait() if self._guard is not None else 0
        return f"signal {code - 128}" if code > 128 else f"exit code {code}"

    def _last_line(self) -> str:
        with contextlib.suppress(OSError), self.log.open("rb") as stream:
            stream.seek(max(self._log_start, self.log.stat().st_size - 4096))
            lines = [each for each in stream.read().decode("utf-8", "replace").splitlines() if each.strip()]
            return lines[-1].strip()[:160] if lines else "nothing yet"
        return "nothing yet"


def telling_lines(log: str, at_most: int = 3) -> list[str]:
    """The errors that a log ends with, first causes before what they led to; else its last lines."""
    lines = [_PREFIX.sub("", line.strip()).strip() for line in log.splitlines()]
    errors = [line for line in lines if _TELLING.search(line)]
    causes = [line for line in errors if not any(each in line for each in _SEE_ABOVE)]
    found = list(dict.fromkeys(causes or errors or [line for line in lines if line]))
    return [line[:300] for line in found[-at_most:]]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _port_of(endpoint: Endpoint) -> int:
    return int(endpoint.url.rpartition(":")[2].partition("/")[0])


def _got(port: int, path: str, seconds: float) -> bytes | None:
    """The body behind a path of a server of this machine; None when it gives none. No proxy is asked."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        return body if answer.status == 200 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _says_well(port: int, seconds: float) -> bool:
    return _got(port, "/health", seconds) is not None


def _models(port: int) -> list[str]:
    body = _got(port, "/v1/models", 5.0)
    try:
        return [str(each["id"]) for each in json.loads(body or b"{}").get("data", ())]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []
