"""A step's output appears whole or not at all, and two makers of one key do not meet."""

from __future__ import annotations

import errno
import subprocess
import sys

import pytest

from sftbench.errors import EnvironmentProblem, VerificationError
from sftbench.record import Failure, Record
from sftbench.store import RECORD, Store, full_disk_explained, write_atomically


def record(key="ab" * 32, **more):
    return Record(key=key, room="scores", identity={"part": "x@1"}, **more)


def make(store, key="ab" * 32, text="output"):
    with store.making("scores", key) as work:
        (work / "scores.txt").write_text(text)
        store.commit(work, record(key))


def test_nothing_is_found_before_it_is_committed(tmp_path):
    store = Store(tmp_path)
    with store.making("scores", "ab" * 32) as work:
        (work / "half").write_text("half")
        assert store.find("scores", "ab" * 32) is None
    assert store.find("scores", "ab" * 32) is None


def test_what_is_committed_is_found_with_its_output(tmp_path):
    store = Store(tmp_path)
    make(store)
    assert store.find("scores", "ab" * 32) == record()
    assert (store.folder("scores", "ab" * 32) / "scores.txt").read_text() == "output"


def test_a_later_output_of_the_same_key_replaces_the_earlier(tmp_path):
    store = Store(tmp_path)
    make(store, text="old")
    make(store, text="new")
    assert (store.folder("scores", "ab" * 32) / "scores.txt").read_text() == "new"


def test_the_scratch_folder_does_not_survive(tmp_path):
    store = Store(tmp_path)
    with store.making("scores", "ab" * 32) as work:
        (work / "scratch").mkdir()
        (work / "scratch" / "noise").write_text("x")
        store.commit(work, record())
    assert not (store.folder("scores", "ab" * 32) / "scratch").exists()


def test_unfinished_work_is_there_again_after_an_interruption(tmp_path):
    store = Store(tmp_path)

    def interrupted():
        with store.making("scores", "ab" * 32) as work:
            (work / "checkpoint").write_text("step 3")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with store.making("scores", "ab" * 32) as work:
        assert (work / "checkpoint").read_text() == "step 3"


MAKER = """
import sys, time
from pathlib import Path
from sftbench.record import Record
from sftbench.store import Store

store, log, key = Store(Path(sys.argv[1])), Path(sys.argv[2]), "ab" * 32
with store.making("scores", key) as work:
    if store.find("scores", key) is None:
        time.sleep(0.5)
        with log.open("a") as stream:
            stream.write("made\\n")
        store.commit(work, Record(key=key, room="scores", identity={}))
"""


def test_two_processes_make_a_step_once(tmp_path):
    log = tmp_path / "log"
    command = [sys.executable, "-c", MAKER, str(tmp_path / "store"), str(log)]
    makers = [subprocess.Popen(command) for _ in range(2)]
    assert [maker.wait(timeout=60) for maker in makers] == [0, 0]
    assert log.read_text() == "made\n"


def test_a_failure_is_a_record_too(tmp_path):
    failure = Failure.of(ValueError("no such row"))
    store = Store(tmp_path)
    with store.making("scores", "ab" * 32) as work:
        store.commit(work, record(status="failed", failure=failure))
    found = store.find("scores", "ab" * 32)
    assert found.failure.message == "no such row"
    assert "ValueError" in found.failure.trace


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 99}', '{"schema": 1, "failure": null, "ledger": {}}'])
def test_a_damaged_record_is_an_error_that_names_the_file(tmp_path, text):
    store = Store(tmp_path)
    make(store)
    (store.folder("scores", "ab" * 32) / RECORD).write_text(text)
    with pytest.raises(VerificationError, match=RECORD):
        store.find("scores", "ab" * 32)


def test_an_interrupted_write_leaves_the_old_text(tmp_path, monkeypatch):
    path = tmp_path / "board.json"
    write_atomically(path, "old")
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, "new")
    assert path.read_text() == "old"


@pytest.mark.parametrize(("number", "words"), [(errno.ENOSPC, "full"), (errno.EROFS, "cannot write")])
def test_a_disk_that_takes_no_more_is_explained(tmp_path, number, words):
    with pytest.raises(EnvironmentProblem, match=words), full_disk_explained(tmp_path):
        raise OSError(number, "problem")


def test_other_errors_of_the_system_stay_what_they_are(tmp_path):
    with pytest.raises(FileNotFoundError), full_disk_explained(tmp_path):
        raise FileNotFoundError(errno.ENOENT, "gone")
