"""Opening a bundle that was handed over: a folder, or an archive that is unpacked with nothing trusted."""

from __future__ import annotations

import contextlib
import gzip
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from sftbench.errors import UsageError, VerificationError
from sftbench.publishing.layout import MANIFEST, files_below, is_safe

CHUNK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class UnpackLimits:
    """How large a bundle may become on unpacking."""

    num_files: int = 100_000
    file_bytes: int = 1 << 30
    total_bytes: int = 4 << 30
    ratio: float = 100.0
    """Unpacked over packed size; records of real runs have 5 to 20. Small archives (`free_bytes`) may have any."""
    free_bytes: int = 16 << 20


@contextmanager
def opened(bundle: Path, *, limits: UnpackLimits | None = None) -> Iterator[Path]:
    """The folder of a bundle; an archive is unpacked into a temporary folder that is gone afterwards.

    Raises `UsageError` when there is no bundle, and `VerificationError` for an archive or a folder with links, devices,
    names that lead out of it, or more than `limits` allows.
    """
    if bundle.is_dir():
        files_below(bundle)
        yield bundle
        return
    if not bundle.is_file():
        raise UsageError(f"there is no bundle '{bundle}'")
    with tempfile.TemporaryDirectory(prefix="sftbench-bundle-") as place:
        _unpack(bundle, Path(place), limits or UnpackLimits())
        yield _top(Path(place), bundle)


def _top(folder: Path, bundle: Path) -> Path:
    """Archives hold the bundle itself, or one folder with it."""
    if (folder / MANIFEST).is_file():
        return folder
    inner = [each for each in folder.iterdir() if each.is_dir()]
    if len(inner) == 1 and (inner[0] / MANIFEST).is_file():
        return inner[0]
    raise VerificationError(f"{bundle.name} holds no {MANIFEST}: it is cut off, or no bundle")


def _unpack(archive: Path, into: Path, limits: UnpackLimits) -> None:
    allowed = max(limits.free_bytes, limits.ratio * archive.stat().st_size)
    budget = _Budget(limits=limits, left=int(min(limits.total_bytes, allowed)), archive=archive.name)
    try:
        if zipfile.is_zipfile(archive):
            _unpack_zip(archive, into, budget)
        elif archive.name.endswith((".tar.gz", ".tgz", ".tar")):
            _unpack_tar(archive, into, budget)
        else:
            raise UsageError(f"{archive.name} is neither a folder nor a .tar.gz, .tar or .zip file")
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, gzip.BadGzipFile, ValueError) as problem:
        raise VerificationError(f"{archive.name} is cut off or damaged: {problem}") from None
    except (NotImplementedError, RuntimeError) as problem:
        raise VerificationError(f"{archive.name} cannot be unpacked: {problem}") from None
    except OSError as problem:
        # Without the name, which would be one of the temporary folder.
        raise VerificationError(f"{archive.name} cannot be unpacked: {problem.strerror}") from None


@dataclass
class _Budget:
    """What may still be unpacked."""

    limits: UnpackLimits
    left: int
    archive: str
    num_files: int = 0

    def name(self, name: str, told_bytes: int, into: Path) -> Path:
        """Where a file goes. Raises for what may not be there."""
        self.num_files += 1
        if not is_safe(name):
            raise VerificationError(f"{self.archive}: {name[:200]!r} is too long, or would lie outside of the bundle")
        if self.num_files > self.limits.num_files:
            raise VerificationError(f"{self.archive} holds more than {self.limits.num_files} files")
        if told_bytes > min(self.limits.file_bytes, self.left):
            self.refuse()
        target = into / name
        # Links cannot be there: a parent that is a file was unpacked from this archive.
        if target.exists() or any(each.is_file() for each in target.parents):
            raise VerificationError(f"{self.archive} holds {name} twice, or a file that is a folder too")
        return target

    def copy(self, source: IO[bytes], target: Path) -> None:
        """What was told of a size is not trusted: bytes are counted as they come."""
        target.parent.mkdir(parents=True, exist_ok=True)
        size = 0
        with target.open("wb") as stream:
            while piece := source.read(CHUNK):
                size += len(piece)
                self.left -= len(piece)
                if self.left < 0 or size > self.limits.file_bytes:
                    self.refuse()
                stream.write(piece)

    def refuse(self) -> None:
        limit = f"{self.limits.total_bytes >> 20} MiB, or {self.limits.ratio:g} times its own size"
        raise VerificationError(f"{self.archive} unpacks to more than a bundle may have ({limit})")


def _unpack_zip(archive: Path, into: Path, budget: _Budget) -> None:
    with zipfile.ZipFile(archive) as opened_zip:
        for member in opened_zip.infolist():
            kind = stat.S_IFMT(member.external_attr >> 16)
            if member.is_dir():
                continue
            if kind not in (0, stat.S_IFREG):
                raise VerificationError(f"{archive.name}: {member.filename[:200]!r} is a link or a device")
            target = budget.name(member.filename, member.file_size, into)
            with opened_zip.open(member) as source:
                budget.copy(source, target)


def _unpack_tar(archive: Path, into: Path, budget: _Budget) -> None:
    with contextlib.ExitStack() as stack:
        raw: Any = stack.enter_context(archive.open("rb"))
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        stream = _Counted(stack.enter_context(gzip.GzipFile(fileobj=raw)) if packed else raw, budget)
        # As a stream: what is skipped is read and counted, so that a bomb cannot hide where nobody looks.
        opened_tar = stack.enter_context(tarfile.open(fileobj=stream, mode="r|"))  # type: ignore[call-overload]
        for member in opened_tar:
            if member.isdir():
                continue
            if not member.isreg() or member.issparse():
                raise VerificationError(f"{archive.name}: {member.name[:200]!r} is a link or a device")
            name = member.name.removeprefix("./")
            target = budget.name(name, member.size, into)
            # The standard library's own rules as well, where this Python has them.
            if hasattr(tarfile, "data_filter"):
                tarfile.data_filter(member, str(into))
            source = opened_tar.extractfile(member)
            assert source is not None
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as copy:
                shutil.copyfileobj(source, copy, CHUNK)


class _Counted:
    """A stream that refuses to give more than the budget has, whatever asks it: headers are read whole by `tarfile`."""

    def __init__(self, stream: Any, budget: _Budget) -> None:
        self.stream, self.budget = stream, budget
        # Headers and padding of each file come on top of its content.
        self.left = budget.left + 4096 * 16

    def read(self, size: int = -1) -> bytes:
        if size < 0 or size > 16 * CHUNK:
            self.budget.refuse()
        piece: bytes = self.stream.read(size)
        self.left -= len(piece)
        if self.left < 0:
            self.budget.refuse()
        return piece
