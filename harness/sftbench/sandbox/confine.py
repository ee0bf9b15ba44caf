"""Running Python code that a model wrote: no network, no writing and little reading outside its folder, and limits."""

from __future__ import annotations

import base64
import contextlib
import ctypes
import json
import os
import secrets
import select
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from sftbench.errors import EnvironmentProblem
from sftbench.sandbox.filter import seccomp_filter

Status = Literal["finished", "raised", "ended", "timeout", "output", "disk"]
_INSIDE = Path(__file__).parent / "inside.py"
_WATCH_SECONDS = 0.05
_READ = (1 << 0) | (1 << 2) | (1 << 3)
"""Landlock: execute, read files, list folders."""
_OF_ABI = {1: 13, 2: 14, 3: 15, 5: 16}
"""Landlock: how many kinds of access to files each version of its interface knows."""


@dataclass(frozen=True, kw_only=True)
class CodeLimits:
    """What a program may use. There is one process; it may have threads, and no children."""

    wall_seconds: float = 15.0
    cpu_seconds: int = 5
    memory_bytes: int = 2**29
    file_bytes: int = 2**24
    """For one file, and for all together."""
    num_files: int = 1000
    output_bytes: int = 2**16
    open_files: int = 64


@dataclass(frozen=True, kw_only=True)
class CodeOutcome:
    """How a program ended, what it printed, and how long it took.

    `finished`: its last line was reached. `raised`: an exception, which `detail` names. `ended`: it left, or was
    killed, before its end; the limits of processor time and memory show as this or as `raised`. `timeout`, `output`,
    `disk`: it was ended for that.
    """

    status: Status
    detail: str
    output: str
    seconds: float


def run_code(code: str, *, limits: CodeLimits | None = None, scratch: Path | None = None) -> CodeOutcome:
    """Run a program in a folder of its own below `scratch`, which is removed afterwards, with all of its threads.

    Linux only, without privileges: limits of resources, Landlock for files, and a filter of system calls. Raises
    `EnvironmentProblem` where the kernel cannot give all of these; nothing is ever run without.
    """
    bounds = limits or CodeLimits()
    with _folder(scratch) as folder:
        work = folder / "work"
        work.mkdir()
        return _Confined(code=code, limits=bounds, folder=folder, work=work).run()


@cache
def landlock_version() -> int:
    """The version of the kernel's Landlock interface. Raises `EnvironmentProblem` where there is none."""
    if not sys.platform.startswith("linux"):
        raise EnvironmentProblem(f"code of a model can be confined on Linux only, not on {sys.platform}")
    found = int(ctypes.CDLL(None, use_errno=True).syscall(444, None, 0, 1))
    if found < 1:
        raise EnvironmentProblem(
            "code of a model cannot be confined: this kernel has no Landlock (Linux 5.13 or newer, with 'landlock' "
            "among its security modules), so the code is not run"
        )
    return found


@contextmanager
def _folder(scratch: Path | None) -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="sftbench-code-", dir=scratch)).resolve()
    try:
        yield path
    finally:
        shutil.rmtree(path, onerror=_made_removable)


def _made_removable(remove: Any, path: str, problem: Any) -> None:
    """A folder that the program made without rights for itself."""
    for each in (os.path.dirname(path), path):
        with contextlib.suppress(OSError):
            os.chmod(each, 0o700)
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            os.unlink(path)


def _files(work: Path) -> dict[str, Any]:
    """The Landlock rules: everything within the work folder, reading of Python itself and of what it is linked to."""
    version = landlock_version()
    kinds = max(count for first, count in _OF_ABI.items() if first <= version)
    everything = (1 << kinds) - 1
    network = 0b11 if version >= 4 else 0
    scoped = 0b11 if version >= 6 else 0
    paths = sysconfig.get_paths()
    folders = {paths["stdlib"], paths["platstdlib"], "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib"}
    folders |= {os.path.join(sys.base_prefix, "lib"), "/usr/share/zoneinfo"}
    of_files = (1 << 1) | (1 << 2)
    allowed: list[tuple[str, int]] = [(str(work), everything)]
    allowed += [(os.path.realpath(each), _READ) for each in sorted(folders) if os.path.isdir(each)]
    allowed += [(each, 1 << 2) for each in ("/etc/ld.so.cache", "/etc/localtime", "/dev/urandom", "/dev/zero")]
    allowed.append((os.devnull, of_files))
    size = 1 + (version >= 4) + (version >= 6)
    return {"handled": [everything, network, scoped], "size": size, "allowed": allowed}


@dataclass(kw_only=True)
class _Confined:
    """One program, from start to end."""

    code: str
    limits: CodeLimits
    folder: Path
    work: Path

    def run(self) -> CodeOutcome:
        word = secrets.token_hex(16)
        answer, into = os.pipe()
        try:
            payload = self.folder / "payload.json"
            payload.write_text(json.dumps(self._payload(into, word)), encoding="utf-8")
            with payload.open("rb") as told:
                started = time.monotonic()
                process = subprocess.Popen(  # noqa: S603 -- our own interpreter, no shell
                    [sys.executable, "-I", "-S", str(_INSIDE)],
                    stdin=told, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=self.work,
                    env=self._environment(), pass_fds=(into,), start_new_session=True,
                )  # fmt: skip
            payload.unlink()
            os.close(into)
            into = -1
            try:
                output, stopped = self._watched(process, started)
            finally:
                _end(process)
            return self._outcome(_read(answer), word, output, stopped, time.monotonic() - started)
        finally:
            for each in (answer, into):
                if each >= 0:
                    os.close(each)

    def _environment(self) -> dict[str, str]:
        """Nothing of the parent's: secrets are kept there."""
        kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
        return {**kept, "HOME": str(self.work), "TMPDIR": str(self.work), "LANG": "C.UTF-8", "PYTHONHASHSEED": "0"}

    def _payload(self, answer: int, word: str) -> dict[str, Any]:
        limits = self.limits
        return {
            "code": self.code,
            "word": word,
            "answer": answer,
            "parent": os.getpid(),
            "files": _files(self.work),
            "calls": base64.b64encode(seccomp_filter()).decode(),
            "limits": {
                "RLIMIT_CPU": limits.cpu_seconds,
                "RLIMIT_AS": limits.memory_bytes,
                "RLIMIT_FSIZE": limits.file_bytes,
                "RLIMIT_NOFILE": limits.open_files,
                "RLIMIT_CORE": 0,
            },
        }

    def _watched(self, process: subprocess.Popen[bytes], started: float) -> tuple[bytes, Status | None]:
        """What it printed, and for what it must be ended, if it did not end by itself."""
        assert process.stdout is not None
        pipe = process.stdout.fileno()
        os.set_blocking(pipe, False)
        gone = os.pidfd_open(process.pid)
        output = b""
        try:
            while True:
                ready, _, _ = select.select([pipe, gone], [], [], _WATCH_SECONDS)
                if pipe in ready:
                    output += _read(pipe)
                if len(output) > self.limits.output_bytes:
                    return output[: self.limits.output_bytes], "output"
                if gone in ready:
                    return output + _read(pipe), None
                if time.monotonic() - started > self.limits.wall_seconds:
                    return output, "timeout"
                if self._is_full():
                    return output, "disk"
        finally:
            os.close(gone)

    def _is_full(self) -> bool:
        size = count = 0
        for folder, folders, files in os.walk(self.work):
            count += len(folders) + len(files)
            for name in files:
                with contextlib.suppress(OSError):
                    size += os.lstat(os.path.join(folder, name)).st_size
            if count > self.limits.num_files or size > self.limits.file_bytes:
                return True
        return False

    def _outcome(self, told: bytes, word: str, output: bytes, stopped: Status | None, seconds: float) -> CodeOutcome:
        text = output[: self.limits.output_bytes].decode("utf-8", errors="replace")
        answer: dict[str, Any] = {}
        with contextlib.suppress(ValueError):
            answer = json.loads(told)
        if not isinstance(answer, dict) or answer.get("word") != word:
            answer = {"status": "ended", "detail": "it left before its end, or was killed"}
        if answer["status"] == "refused":
            raise EnvironmentProblem(f"code of a model cannot be confined here, so it is not run: {answer['detail']}")
        if stopped is not None:
            answer = {"status": stopped, "detail": f"ended for its {stopped}"}
        return CodeOutcome(status=answer["status"], detail=answer["detail"], output=text, seconds=seconds)


def _read(pipe: int) -> bytes:
    """What is in a pipe now, as far as one answer goes."""
    os.set_blocking(pipe, False)
    try:
        return os.read(pipe, 2**16)
    except BlockingIOError:
        return b""


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and whatever is in its group; it is waited for after that, so that nobody else has its number."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
