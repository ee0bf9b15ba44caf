"""The filter of system calls (seccomp BPF) that confined code runs under: what is not allowed fails with EPERM.

Left out are, among others, sockets, new processes, other programs, signals to others, tracing, mounts, changed
permissions and owners, raised limits, and `io_uring`, which would go round the filter.
"""

from __future__ import annotations

import errno
import platform
import struct
from collections.abc import Iterable, Iterator

from sftbench.errors import EnvironmentProblem
from sftbench.sandbox.syscalls import ARCHITECTURES, FCNTL, IOCTL

Instruction = tuple[int, int, int, int]
"""Code, jump if true, jump if false, operand: `struct sock_filter`."""
_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW, _KILL, _FAIL = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_CLONE_THREAD = 0x00010000
_CLONE_NAMESPACES = 0x7E020000


def seccomp_filter(machine: str | None = None) -> bytes:
    """The filter as the kernel takes it. Raises `EnvironmentProblem` for a processor that is not known."""
    name = machine or platform.machine()
    if name not in ARCHITECTURES:
        raise EnvironmentProblem(f"code of a model cannot be confined on {name}: only on {' and '.join(ARCHITECTURES)}")
    audit, numbers = ARCHITECTURES[name]
    program = [(_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 1, 0, audit), _end(_KILL), (_LOAD, 0, 0, _NUMBER)]
    for call, number in numbers.items():
        rule = list(_rule(call))
        program += [(_EQUAL, 0, len(rule), number), *rule]
    program.append(_end(_FAIL | errno.EPERM))
    return b"".join(struct.pack("HBBI", *each) for each in program)


def _end(verdict: int) -> Instruction:
    return (_RETURN, 0, 0, verdict)


def _argument(index: int, *, high: bool = False) -> Instruction:
    """Load half of an argument, 32 bits; both kinds of processors are little-endian."""
    return (_LOAD, 0, 0, _ARGUMENTS + 8 * index + 4 * high)


def _rule(call: str) -> Iterator[Instruction]:
    """What is done about one call."""
    if call == "clone":
        # Threads, and no processes; and none that begins in a namespace of its own.
        yield from (_argument(0), (_ANY_BIT, 0, 2, _CLONE_THREAD), (_ANY_BIT, 1, 0, _CLONE_NAMESPACES))
        yield from (_end(_ALLOW), _end(_FAIL | errno.EPERM))
    elif call == "clone3":
        # Its flags lie in memory, where a filter cannot look; told that it does not exist, libraries take `clone`.
        yield _end(_FAIL | errno.ENOSYS)
    elif call == "prlimit64":
        # Limits may be read: the pointer to new ones is null.
        yield from (_argument(2), (_EQUAL, 0, 3, 0), _argument(2, high=True), (_EQUAL, 0, 1, 0))
        yield from (_end(_ALLOW), _end(_FAIL | errno.EPERM))
    elif call in ("fcntl", "ioctl"):
        yield _argument(1)
        yield from _one_of(FCNTL if call == "fcntl" else IOCTL)
        yield _end(_FAIL | errno.EPERM)
    else:
        yield _end(_ALLOW)


def _one_of(values: Iterable[int]) -> Iterator[Instruction]:
    for value in values:
        yield from ((_EQUAL, 0, 1, value), _end(_ALLOW))
