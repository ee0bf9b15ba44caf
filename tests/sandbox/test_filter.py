"""The filter of system calls, run by a small interpreter of its instructions: on both kinds of processors."""

from __future__ import annotations

import errno
import struct

import pytest

from sftbench import EnvironmentProblem
from sftbench.sandbox.filter import seccomp_filter
from sftbench.sandbox.syscalls import ARCHITECTURES

ALLOW, KILL, EPERM, ENOSYS = 0x7FFF0000, 0x80000000, 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
SOCKET = {"x86_64": 41, "aarch64": 198}
EXECVE = {"x86_64": 59, "aarch64": 221}
KILL_CALL = {"x86_64": 62, "aarch64": 129}
READ = {"x86_64": 0, "aarch64": 63}
CLONE = {"x86_64": 56, "aarch64": 220}
PRLIMIT = {"x86_64": 302, "aarch64": 261}
FCNTL = {"x86_64": 72, "aarch64": 25}
THREAD, NEW_NETWORK = 0x003D0F00, 0x40000000


def verdict(machine, number, *arguments, audit=None):
    """What the kernel would do: struct seccomp_data is number, architecture, pointer, six arguments."""
    padded = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("<iIQ6Q", number, audit or AUDIT[machine], 0, *padded)
    program = list(struct.iter_unpack("HBBI", seccomp_filter(machine)))
    at = value = 0
    while True:
        code, if_true, if_false, operand = program[at]
        at += 1
        if code == 0x20:
            value = struct.unpack_from("<I", data, operand)[0]
        elif code == 0x15:
            at += if_true if value == operand else if_false
        elif code == 0x45:
            at += if_true if value & operand else if_false
        else:
            assert code == 0x06
            return operand


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_the_filter_allows_and_refuses(machine):
    assert verdict(machine, READ[machine]) == ALLOW
    assert verdict(machine, SOCKET[machine], 2, 1, 0) == EPERM
    assert verdict(machine, EXECVE[machine]) == EPERM
    assert verdict(machine, KILL_CALL[machine], 1, 9) == EPERM
    assert verdict(machine, 425) == EPERM, "io_uring"
    assert verdict(machine, 9999) == EPERM
    assert verdict(machine, 435) == ENOSYS, "clone3"


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_threads_may_be_made_and_processes_may_not(machine):
    assert verdict(machine, CLONE[machine], THREAD) == ALLOW
    assert verdict(machine, CLONE[machine], 17) == EPERM
    assert verdict(machine, CLONE[machine], THREAD | NEW_NETWORK) == EPERM


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_limits_may_be_read_and_not_set(machine):
    assert verdict(machine, PRLIMIT[machine], 0, 9, 0) == ALLOW
    assert verdict(machine, PRLIMIT[machine], 0, 9, 1) == EPERM
    assert verdict(machine, PRLIMIT[machine], 0, 9, 1 << 32) == EPERM


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_no_signals_are_ordered_through_descriptors(machine):
    assert verdict(machine, FCNTL[machine], 3, 1) == ALLOW
    assert verdict(machine, FCNTL[machine], 3, 8) == EPERM
    assert verdict(machine, FCNTL[machine], 3, 10) == EPERM


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_calls_by_the_numbers_of_another_processor_end_the_process(machine):
    assert verdict(machine, READ[machine], audit=0x40000003) == KILL
    if machine == "x86_64":
        assert verdict(machine, 0x40000000 + READ[machine]) == EPERM, "x32"


def test_an_unknown_processor_is_refused():
    with pytest.raises(EnvironmentProblem, match="riscv64"):
        seccomp_filter("riscv64")
