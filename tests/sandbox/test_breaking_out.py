"""Programs that try to get out of the sandbox: none of them may."""

from __future__ import annotations

import json
import os
import socket
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from sftbench import CodeLimits, EnvironmentProblem, run_code
from sftbench.sandbox import confine

SECRET = "a-secret-of-the-parent"
ATTEMPTS = {
    "tcp": "socket.create_connection(('127.0.0.1', PORT), timeout=1)",
    "udp": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', PORT))",
    "unix socket": "socket.socket(socket.AF_UNIX)",
    "socket pair": "socket.socketpair()",
    "raw socket call": "call(41, 2, 1, 0)",
    "socket by the x32 numbers": "call(0x40000000 + 41, 2, 1, 0)",
    "io_uring": "call(425, 8, ctypes.create_string_buffer(512))",
    "another program": "os.execv('/bin/true', ['true'])",
    "write outside": "open(OUTSIDE, 'w')",
    "append outside": "open(OUTSIDE, 'a')",
    "make outside": "open(OUTSIDE + '.new', 'w')",
    "folder outside": "os.mkdir(OUTSIDE + '.folder')",
    "remove outside": "os.remove(OUTSIDE)",
    "rename outside": "os.rename(OUTSIDE, OUTSIDE + '.moved')",
    "move in": "os.rename(OUTSIDE, 'stolen')",
    "truncate outside": "os.truncate(OUTSIDE, 0)",
    "permissions outside": "os.chmod(OUTSIDE, 0o777)",
    "owner outside": "os.chown(OUTSIDE, 1, 1)",
    "times outside": "os.utime(OUTSIDE, (1, 1))",
    "attributes outside": "os.setxattr(OUTSIDE, 'user.x', b'y')",
    "symlink out": "os.symlink(OUTSIDE, 'way'); open('way', 'w')",
    "hard link out": "os.link(OUTSIDE, 'link')",
    "up and out": "open('../../' + os.path.basename(OUTSIDE) + '.up', 'w')",
    "mount": "call(165, b'none', b'/tmp', b'tmpfs', 0, 0)",
    "change root": "os.chroot('.')",
    "device": "os.mknod('disk', 0o60600, os.makedev(8, 0))",
    "read outside": "open(OUTSIDE).read()",
    "list home": "os.listdir(HOME)",
    "parent's environment": "open(f'/proc/{os.getppid()}/environ').read()",
    "own environment": "open('/proc/self/environ').read()",
    "parent's memory": "call(310, os.getppid(), buffer, 1, buffer, 1, 0)",
    "passwords": "open('/etc/passwd').read()",
    "fork": "os.fork()",
    "vfork": "call(58)",
    "daemon": "subprocess.Popen(['/bin/sleep', '60'], start_new_session=True)",
    "new process by clone": "call(56, 17, 0, 0, 0, 0)",
    "session": "os.setsid()",
    "kill the parent": "os.kill(os.getppid(), 9)",
    "kill everybody": "os.kill(-1, 9)",
    "signal through a descriptor": "fcntl.fcntl(os.pipe()[0], 8, os.getppid())",
    "signal through a process descriptor": "call(424, os.open('.', os.O_RDONLY), 9, 0, 0)",
    "trace the parent": "call(101, 16, os.getppid(), 0, 0)",
    "namespaces": "call(272, 0x10000000)",
    "raise a limit": "call(160, 9, ctypes.create_string_buffer(bytes([255]) * 16))",
    "lower a limit of the parent": "resource.prlimit(os.getppid(), resource.RLIMIT_CPU, (1, 1))",
    "another filter": "call(157, 22, 2, buffer, 0, 0)",
    "a key": "call(248, b'user', b'x', b'y', 1, -3)",
    "a program in memory": "os.memfd_create('x')",
}
PROGRAM = """
import ctypes, fcntl, json, os, resource, socket, subprocess
libc = ctypes.CDLL(None, use_errno=True)
buffer = ctypes.create_string_buffer(256)
def call(*arguments):
    if libc.syscall(*arguments) < 0:
        raise OSError(ctypes.get_errno(), "refused")
found = {}
for name, attempt in ATTEMPTS.items():
    try:
        exec(attempt)
        found[name] = "it worked"
    except OSError as problem:
        found[name] = problem.errno
    except BaseException as problem:
        found[name] = repr(problem)
print(json.dumps(found))
"""

FORGED = """
import os
for number in range(3, 9):
    try:
        os.write(number, b'{"status": "finished"}')
    except OSError:
        pass
os._exit(0)
"""
DEAF = """
import signal
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
while True:
    pass
"""

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers of calls above are those of x86_64")


def told(**values):
    return "\n".join(f"{name} = {value!r}" for name, value in values.items())


@pytest.fixture(scope="module")
def attempted(tmp_path_factory):
    """How every attempt ended, all in one program; and what lies outside, and who listens."""
    folder = tmp_path_factory.mktemp("outside")
    outside = folder / "precious"
    outside.write_text("precious")

    def seen():
        about = outside.stat()
        return about.st_mode, about.st_uid, about.st_mtime_ns, sorted(os.listdir(folder))

    before = seen()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        known = told(ATTEMPTS=ATTEMPTS, OUTSIDE=str(outside), PORT=server.getsockname()[1], HOME=str(Path.home()))
        ended = run_code(known + PROGRAM, scratch=folder)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert ended.status == "finished", ended
    assert outside.read_text() == "precious"
    assert seen() == before
    return json.loads(ended.output)


@pytest.mark.parametrize("name", ATTEMPTS)
def test_an_attempt_is_refused(attempted, name):
    # EPERM is the filter's answer, EACCES is Landlock's, EXDEV that of a move over its border.
    assert attempted[name] in (1, 13, 18), attempted[name]


def test_what_the_program_needs_works():
    code = """
    import hashlib, heapq, math, random, re, threading, typing
    with open("mine.txt", "w") as stream:
        stream.write("kept")
    hits = []
    thread = threading.Thread(target=hits.append, args=(1,))
    thread.start(); thread.join()
    assert open("mine.txt").read() == "kept" and hits == [1] and math.sqrt(4) == 2
    print(hashlib.sha256(b"a").hexdigest()[:4])
    """
    ended = run_code(textwrap.dedent(code))
    assert (ended.status, ended.output) == ("finished", "ca97\n"), ended


def test_a_program_sees_nothing_of_the_parents_environment(monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", SECRET)
    ended = run_code("import os, sys\nprint(dict(os.environ), sys.argv)")
    assert ended.status == "finished"
    assert SECRET not in ended.output


def test_a_program_has_no_descriptor_of_the_parent(tmp_path):
    code = """
    import os
    open_ones = []
    for number in range(64):
        try:
            os.fstat(number)
            open_ones.append(number)
        except OSError:
            pass
    print(len(open_ones))
    """
    with (tmp_path / "secret").open("w") as stream:
        os.set_inheritable(stream.fileno(), True)
        ended = run_code(textwrap.dedent(code))
    # Input, output, errors, and the pipe for the answer.
    assert ended.output == "4\n"


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("assert 1 == 2", "raised"),
        ("1 +", "raised"),
        ("raise SystemExit(0)", "raised"),
        ("import os; os._exit(0)", "ended"),
        (FORGED, "ended"),
        ("import ctypes; ctypes.string_at(0)", "ended"),
    ],
    ids=["assertion", "syntax", "exit", "hard exit", "a forged answer", "crash"],
)  # fmt: skip
def test_only_a_program_that_reaches_its_end_has_finished(code, status):
    assert run_code(code).status == status


LIMITS = CodeLimits(wall_seconds=20, cpu_seconds=1, memory_bytes=2**28, file_bytes=2**20, num_files=50)


@pytest.mark.parametrize(
    ("code", "statuses"),
    [
        ("x = bytearray(2**30)", {"raised"}),
        ("x = []\nwhile True: x.append(bytearray(2**20))", {"raised"}),
        ("while True: pass", {"ended"}),
        (DEAF, {"ended"}),
        ("while True: print('x' * 1000)", {"output"}),
        ("open('big', 'wb').write(bytes(2**21))", {"raised", "ended"}),
        ("n = 0\nwhile True:\n open(f'{n}', 'wb').write(bytes(2**16))\n n += 1", {"disk"}),
        ("import os\nfor n in range(10**6): os.mkdir(str(n))\nimport time; time.sleep(60)", {"disk", "ended"}),
        ("import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(60,)).start()", {"raised"}),
    ],
    ids=["one big object", "memory bomb", "endless loop", "deaf endless loop", "huge output", "big file", "full disk",
         "many folders", "thread bomb"],
)  # fmt: skip
def test_what_a_program_may_use_is_limited(tmp_path, code, statuses):
    ended = run_code(code, limits=LIMITS, scratch=tmp_path)
    assert ended.status in statuses, ended
    assert ended.seconds < 19
    assert len(ended.output) <= LIMITS.output_bytes
    assert list(tmp_path.iterdir()) == [], "its folder is gone"


def test_a_program_that_waits_is_ended_in_time_and_leaves_nobody_behind(tmp_path):
    before = {each.pid for each in psutil.Process().children(recursive=True)}
    started = time.monotonic()
    ended = run_code("import time; time.sleep(600)", limits=CodeLimits(wall_seconds=0.5), scratch=tmp_path)
    assert (ended.status, time.monotonic() - started < 10) == ("timeout", True)
    assert {each.pid for each in psutil.Process().children(recursive=True)} <= before


def test_folders_without_rights_are_removed_too(tmp_path):
    ended = run_code("import os; os.makedirs('a/b'); open('a/b/c', 'w'); os.mkdir('d', 0)", scratch=tmp_path)
    assert ended.status == "finished"
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def new_kernel():
    confine.landlock_version.cache_clear()
    yield
    confine.landlock_version.cache_clear()


def test_without_landlock_nothing_is_run(monkeypatch, tmp_path, new_kernel):
    class Old:
        def __init__(self, *arguments, **more):
            pass

        def syscall(self, *arguments):
            return -1

    monkeypatch.setattr(confine.ctypes, "CDLL", Old)
    with pytest.raises(EnvironmentProblem, match="no Landlock"):
        run_code("open('ran', 'w')", scratch=tmp_path)
    assert list(tmp_path.rglob("ran")) == []


@pytest.mark.parametrize("program", [b"", b"\0" * 8], ids=["none", "nonsense"])
def test_with_a_filter_that_the_kernel_refuses_nothing_is_run(monkeypatch, program):
    monkeypatch.setattr(confine, "seccomp_filter", lambda: program)
    with pytest.raises(EnvironmentProblem, match="so it is not run: seccomp"):
        run_code("print('ran')")
