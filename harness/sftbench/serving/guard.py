"""Run a server, and end it with all that it started when whoever wanted it is gone, however that came about.

A program of its own, without any import of sftbench: `guard.py SECONDS COMMAND...`. It watches its stdin, which nobody
writes to. When that ends (closed on purpose, or because the owner was killed), the server's process group is asked to
end, then, after SECONDS, made to. The first line on stdout is the number of that group; the exit code is the server's,
or 128 + signal.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from types import FrameType

FORCE_SECONDS = 10.0
"""What cannot be killed within so long hangs in the kernel, and nobody can end it."""
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


def main(patience_seconds: float, command: list[str]) -> int:
    # Whatever the server starts and leaves behind becomes a child of this process, to be ended as well.
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    server = subprocess.Popen(  # noqa: S603
        command, stdin=subprocess.DEVNULL, stdout=2, stderr=2, start_new_session=True, preexec_fn=_die_with_guard
    )
    code: int | None = None
    try:
        print(server.pid, flush=True)
        while code is None and not _stdin_ended(0.1):
            code = _reaped(server.pid)
    finally:
        # A second signal must not keep it from ending what it guards.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        code = _ended(server.pid, code, patience_seconds)
        server.returncode = code
    return code if code >= 0 else 128 - code


def _prctl(option: int, value: int) -> None:
    # Not every system has it; the process group is ended all the same.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _die_with_guard() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _stdin_ended(seconds: float) -> bool:
    readable, _, _ = select.select([0], [], [], seconds)
    return bool(readable) and not os.read(0, 4096)


def _reaped(wanted: int) -> int | None:
    """Take note of children that ended; the exit code of the one wanted, negative for a signal."""
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == wanted:
                return os.waitstatus_to_exitcode(status)
            if not pid:
                break
    return None


def _ended(group: int, code: int | None, patience_seconds: float) -> int:
    """End the group in good manners, then by force, then whatever left the group; the server's exit code."""
    _signal(group, signal.SIGTERM)
    until = time.monotonic() + patience_seconds
    while time.monotonic() < until:
        found = _reaped(group)
        code = found if found is not None else code
        if not _signal(group, 0):
            break
        time.sleep(0.05)
    _signal(group, signal.SIGKILL)
    while (left := _children()) and time.monotonic() < until + FORCE_SECONDS:
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
        found = _reaped(group)
        code = found if found is not None else code
    return code if code is not None else -signal.SIGKILL


def _signal(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _children() -> list[int]:
    """Direct children of this process that still run."""
    found = []
    for entry in os.listdir("/proc") if os.path.isdir("/proc") else ():
        with contextlib.suppress(OSError, ValueError, IndexError):
            if entry.isdigit():
                with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as stream:
                    state, parent = stream.read().rpartition(")")[2].split()[:2]
                if int(parent) == os.getpid() and state != "Z":
                    found.append(int(entry))
    return found


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
