"""What runs in the confined process: it gives up every right that the code is not to have, then runs the code.

Started as a script by `python -I -S`, without this package. The payload is JSON on standard input.
"""

from __future__ import annotations

import base64
import ctypes
import json
import os
import resource
import sys
from typing import Any

_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 22, 4, 38
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_SIGKILL = 9
_libc = ctypes.CDLL(None, use_errno=True)


class Refused(Exception):
    """A right could not be given up."""


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def _done(what: str, returned: int) -> int:
    if returned < 0:
        raise Refused(f"{what}: {os.strerror(ctypes.get_errno())}")
    return returned


def _limit(limits: dict[str, int]) -> None:
    for name, value in limits.items():
        resource.setrlimit(getattr(resource, name), (value, value))


def _bar_files(rules: dict[str, Any]) -> None:
    """Landlock: nothing may be read or written but beneath what is listed."""
    wanted = _Ruleset(*rules["handled"])
    size = 8 * rules["size"]
    handle = _done("Landlock", _libc.syscall(_CREATE_RULESET, ctypes.byref(wanted), size, 0))
    for path, allowed in rules["allowed"]:
        try:
            folder = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        rule = _Beneath(allowed, folder)
        _done(f"Landlock rule for {path}", _libc.syscall(_ADD_RULE, handle, 1, ctypes.byref(rule), 0))
        os.close(folder)
    _done("Landlock", _libc.syscall(_RESTRICT_SELF, handle, 0))
    os.close(handle)


def _bar_calls(program: bytes) -> None:
    buffer = ctypes.create_string_buffer(program, len(program))
    wanted = _Program(len(program) // 8, ctypes.addressof(buffer))
    _done("seccomp", _libc.prctl(_PR_SET_SECCOMP, 2, ctypes.byref(wanted), 0, 0))


def _give_up_rights(payload: dict[str, Any]) -> None:
    _done("death signal", _libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0))
    if os.getppid() != payload["parent"]:
        raise Refused("who started it is gone")
    _done("no new privileges", _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _limit(payload["limits"])
    _bar_files(payload["files"])
    _bar_calls(base64.b64decode(payload["calls"]))


def _run(code: str) -> dict[str, str]:
    names: dict[str, Any] = {"__name__": "__main__", "__builtins__": __builtins__}
    try:
        exec(compile(code, "<program>", "exec"), names)  # noqa: S102 -- that is what all this is for
    except BaseException as problem:
        return {"status": "raised", "detail": f"{type(problem).__name__}: {problem}"[:500]}
    return {"status": "finished", "detail": ""}


def main() -> None:
    payload = json.load(sys.stdin)
    # What was read must not be read again: it has the word by which the answer is known.
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    answer, word = payload["answer"], payload["word"]
    try:
        _give_up_rights(payload)
    except (Refused, OSError, ValueError) as problem:
        told = {"status": "refused", "detail": str(problem)}
    else:
        told = _run(payload["code"])
    os.write(answer, json.dumps({**told, "word": word}).encode())
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
