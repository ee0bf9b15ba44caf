"""The concierge of a run: a thread of its process that hands the addresses of served models to the processes of steps.

Steps say `vllm:...` through a Unix socket, wait, and hear a URL. Models are served by the run and not by a step, since
several steps ask the same one, and a process that is killed must leave nothing behind.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sftbench.errors import SftbenchError
from sftbench.serving.servers import Servers
from sftbench.serving.service import problem_line

LONGEST_ADDRESS = 100
"""Bytes of a Unix socket's path; systems allow 104 or 108."""


@contextmanager
def receiving(servers: Servers) -> Iterator[str]:
    """Answer the processes of a run until the block ends; gives the address. All servers are ended with it."""
    folder = Path(tempfile.mkdtemp(prefix="sftbench-"))
    if len(bytes(folder / "wire")) > LONGEST_ADDRESS:
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix="sftbench-", dir="/tmp"))
    address = str(folder / "wire")
    try:
        with socket.socket(socket.AF_UNIX) as door, contextlib.closing(servers):
            door.bind(address)
            door.listen(64)
            threading.Thread(target=_answer_all, args=(door, servers), daemon=True).start()
            try:
                yield address
            finally:
                # Whoever waits in accept does not hear that its socket is closed.
                with contextlib.suppress(OSError):
                    door.shutdown(socket.SHUT_RDWR)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _answer_all(door: socket.socket, servers: Servers) -> None:
    while True:
        try:
            wire, _ = door.accept()
        except OSError:
            return
        threading.Thread(target=_Visit(wire, servers).answer, daemon=True).start()


@dataclass
class _Visit:
    """One process that asks for one model, and hears how its start goes."""

    wire: socket.socket
    servers: Servers

    def answer(self) -> None:
        # A process that has gone meanwhile needs no answer.
        with self.wire, contextlib.suppress(OSError, ValueError, KeyError):
            with self.wire.makefile("r", encoding="utf-8") as lines:
                wish = json.loads(lines.readline())
            self._say(self._answer_to(wish))

    def _answer_to(self, wish: dict[str, Any]) -> dict[str, Any]:
        try:
            endpoint, server = self.servers.reach(
                wish["described"], wish["name"], self._tell, lost=wish["lost"], silent=wish["silent"],
                alone=wish["alone"], forgiven=wish["forgiven"],
            )  # fmt: skip
        except SftbenchError as problem:
            return problem_line(problem)
        return {"url": endpoint.url, "server": server}

    def _tell(self, message: str) -> None:
        # That one who waits was killed is no reason to break off a start that others wait for.
        with contextlib.suppress(OSError):
            self._say({"message": message})

    def _say(self, what: dict[str, Any]) -> None:
        self.wire.sendall(json.dumps(what).encode() + b"\n")
