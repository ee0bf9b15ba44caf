"""Make or load by content key: a step's folder appears whole, by rename, or not at all."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sftbench.errors import EnvironmentProblem, SftbenchError
from sftbench.record import Record

RECORD = "record.json"


class Store:
    """A folder of step outputs, `ROOM/KEY/`, each with a `record.json` written last.

    Several runs may use one store at once: a step is made under a lock on its key, and others wait.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    def folder(self, room: str, key: str) -> Path:
        """Where the output of a step is, or will be."""
        return self.root / room / key[:2] / key

    def find(self, room: str, key: str) -> Record | None:
        """The record of a step that ended (also of one that failed), or None."""
        path = self.folder(room, key) / RECORD
        try:
            text = path.read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return None
        return Record.from_json(text, where=str(path))

    def folder_of(self, ref: str) -> Path:
        """Where the output of the step `ROOM/KEY` is, or will be."""
        return self.folder(*ref.split("/", 1))

    def record_of(self, ref: str) -> Record | None:
        """The record of the step `ROOM/KEY`, or None."""
        return self.find(*ref.split("/", 1))

    def ended(self, ref: str) -> Record:
        """The record of a step that another rests on. Raises `SftbenchError` when it is gone."""
        record = self.record_of(ref)
        if record is None:
            raise SftbenchError(f"{ref} is no longer in the store {self.root}; run again, and it is made again")
        return record

    @contextmanager
    def making(self, room: str, key: str) -> Iterator[Path]:
        """A folder to make a step in, that survives a kill, so that a long step can go on from checkpoints.

        Held under a lock; `commit` moves it to its place.
        """
        work = self.root / "unfinished" / f"{room}-{key}"
        with full_disk_explained(self.root):
            work.mkdir(parents=True, exist_ok=True)
        with self._lock(f"{room}-{key}"):
            work.mkdir(parents=True, exist_ok=True)
            yield work

    def commit(self, work: Path, record: Record) -> None:
        """Put a finished folder in place, its record last; an older output of the same key is replaced."""
        target = self.folder(record.room, record.key)
        with full_disk_explained(self.root):
            shutil.rmtree(work / "scratch", ignore_errors=True)
            # A record may not outlive the files beside it when the power goes.
            for path in (each for each in work.rglob("*") if each.is_file() and not each.is_symlink()):
                _sync(path)
            write_atomically(work / RECORD, record.to_json())
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists():
                aside = self.root / "unfinished" / f"old-{uuid.uuid4().hex}"
                target.rename(aside)
                shutil.rmtree(aside, ignore_errors=True)
            work.rename(target)
            _sync(target.parent)

    def is_in_use(self) -> bool:
        """True while a step is being made, by whichever run."""
        for path in (self.root / "locks").glob("*"):
            with path.open("w") as handle:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return True
        return False

    @contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        path = self.root / "locks" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield


def _sync(path: Path) -> None:
    """Have the disk hold what was written to a file, or a folder's list of names."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_atomically(path: Path, text: str) -> None:
    """Write a text file so that a reader sees all of it or none, also after a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    with partial.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)


@contextmanager
def full_disk_explained(root: Path, what: str = "store") -> Iterator[None]:
    """Turn a full or read-only disk into a message with the way out: the flag `--what`."""
    try:
        yield
    except OSError as problem:
        if problem.errno in (errno.ENOSPC, errno.EDQUOT):
            raise EnvironmentProblem(
                f"the disk of the {what} {root} is full; what was finished is kept. Free some space "
                f"('bench cache' lists what is large) or choose another place with --{what}, then run again"
            ) from None
        if problem.errno in (errno.EACCES, errno.EROFS):
            raise EnvironmentProblem(
                f"cannot write to the {what} {root}: {problem.strerror}; choose another with --{what}"
            ) from None
        raise
