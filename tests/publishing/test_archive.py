"""Bundles as archives: what is unpacked, and what is refused before it can do harm."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import warnings
import zipfile

import pytest

from sftbench.errors import SftbenchError, UsageError, VerificationError
from sftbench.publishing.archive import UnpackLimits, opened
from sftbench.publishing.verify import verify


def packed(folder, target, *, top="bundle"):
    """A folder as an archive of the kind that the name of `target` says."""
    if target.suffix == ".zip":
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as made:
            for path in sorted(folder.rglob("*")):
                made.write(path, f"{top}/{path.relative_to(folder)}" if top else str(path.relative_to(folder)))
    else:
        with tarfile.open(target, "w:gz" if target.name.endswith("gz") else "w") as made:
            made.add(folder, arcname=top or ".")
    return target


@pytest.mark.parametrize("name", ["b.tar.gz", "b.tgz", "b.tar", "b.zip"])
@pytest.mark.parametrize("top", ["bundle", ""])
def test_an_archive_verifies_as_its_folder_does(bundle, tmp_path, name, top):
    archive = packed(bundle, tmp_path / name, top=top)
    found = verify(archive)
    assert found.holds
    assert found.seal == verify(bundle).seal


@pytest.mark.parametrize("name", ["b.tar.gz", "b.tar", "b.zip"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_an_archive_cut_short_is_told(bundle, tmp_path, name, share):
    archive = packed(bundle, tmp_path / name)
    content = archive.read_bytes()
    archive.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(SftbenchError, match=name):
        whole(archive)


def whole(archive):
    """Nothing, where an archive verifies. A tar may end between two files: then the manifest tells what is missing."""
    findings = verify(archive).findings
    if findings:
        raise VerificationError(f"{archive.name}: {findings}")


def tar_of(target, *members):
    """A tar with members that no packer would make; each is a TarInfo and its content."""
    with tarfile.open(target, "w:gz") as made:
        for member, content in members:
            member.size = len(content)
            made.addfile(member, io.BytesIO(content))
    return target


def member(name, kind=tarfile.REGTYPE, link=""):
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, link
    return made


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (member("../outside.txt"), "outside of the bundle"),
        (member("/outside.txt"), "outside of the bundle"),
        (member("bundle/../../outside.txt"), "outside of the bundle"),
        (member("bundle/link", tarfile.SYMTYPE, "/etc/passwd"), "a link or a device"),
        (member("bundle/link", tarfile.LNKTYPE, "../outside.txt"), "a link or a device"),
        (member("bundle/device", tarfile.CHRTYPE), "a link or a device"),
        (member("bundle/pipe", tarfile.FIFOTYPE), "a link or a device"),
    ],
    ids=["parent", "absolute", "climbing", "symlink", "hard link", "device", "pipe"],
)
def test_a_tar_that_would_leave_its_folder_is_refused(tmp_path, made, says):
    archive = tar_of(tmp_path / "b.tar.gz", (made, b"x" if made.type == tarfile.REGTYPE else b""))
    with pytest.raises(VerificationError, match=says):
        verify(archive)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["b.tar.gz"]


def test_a_file_through_a_link_in_the_archive_is_refused(tmp_path):
    archive = tar_of(
        tmp_path / "b.tar.gz", (member("bundle", tarfile.SYMTYPE, str(tmp_path)), b""), (member("bundle/x"), b"x")
    )
    with pytest.raises(VerificationError, match="a link or a device"):
        verify(archive)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("name", ["../outside.txt", "/outside.txt", "a/../../outside.txt", "a\\..\\outside.txt"])
def test_a_zip_that_would_leave_its_folder_is_refused(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as made:
        made.writestr(name, "x")
    with pytest.raises(VerificationError, match="outside of the bundle"):
        verify(tmp_path / "b.zip")


def test_a_link_in_a_zip_is_refused(tmp_path):
    link = zipfile.ZipInfo("bundle/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as made:
        made.writestr(link, "/etc/passwd")
    with pytest.raises(VerificationError, match="a link or a device"):
        verify(tmp_path / "b.zip")


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_a_file_that_is_there_twice_or_is_a_folder_too_is_refused(tmp_path, kind):
    for names in (("bundle/x", "bundle/x"), ("bundle/x", "bundle/x/y")):
        if kind == "tar":
            archive = tar_of(tmp_path / "b.tar.gz", *((member(name), b"x") for name in names))
        else:
            archive = tmp_path / "b.zip"
            with warnings.catch_warnings(), zipfile.ZipFile(archive, "w") as made:
                warnings.simplefilter("ignore")
                for name in names:
                    made.writestr(name, "x")
        with pytest.raises(
            VerificationError, match=r"^b\.\S+ holds bundle/x\S* twice, or a file that is a folder too$"
        ):
            verify(archive)


@pytest.mark.parametrize("name", ["b.tar", "b.zip"])
@pytest.mark.parametrize("inner", ["bundle/" + "x" * 256, "bundle/" + "é" * 128, "a/" * 600 + "x"])
def test_names_that_no_file_can_have_are_refused(tmp_path, name, inner):
    archive = tmp_path / name
    if name.endswith("zip"):
        with zipfile.ZipFile(archive, "w") as made:
            made.writestr(inner, "x")
    else:
        tar_of(archive, (member(inner), b"x"))
    with pytest.raises(VerificationError, match="is too long, or would lie outside"):
        verify(archive)


def test_what_the_system_refuses_is_told_without_the_temporary_folder(bundle, tmp_path, monkeypatch):
    archive = packed(bundle, tmp_path / "b.zip")

    def full(*_, **__):
        raise OSError(28, "No space left on device", "/tmp/hidden/place")

    monkeypatch.setattr("sftbench.publishing.archive._Budget.copy", full)
    with pytest.raises(VerificationError, match=r"^b.zip cannot be unpacked: No space left on device$"):
        verify(archive)


SMALL = UnpackLimits(num_files=5, file_bytes=1 << 20, total_bytes=4 << 20, ratio=10, free_bytes=2 << 20)


def refused(archive, limits=SMALL):
    with pytest.raises(VerificationError) as problem, opened(archive, limits=limits):
        raise AssertionError("it was unpacked")
    return str(problem.value)


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_archive_bombs_are_refused(tmp_path, kind):
    archive = tmp_path / f"b.{kind}"

    def pack(*files):
        archive.unlink(missing_ok=True)
        if kind == "zip":
            with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as made:
                for name, size in files:
                    made.writestr(name, bytes(size))
            return archive
        return tar_of(archive, *((member(name), bytes(size)) for name, size in files))

    assert "unpacks to more" in refused(pack(("bundle/one", 2 << 20)))
    assert "unpacks to more" in refused(pack(*((f"bundle/{index}", 900_000) for index in range(4))))
    assert "more than 5 files" in refused(pack(*((f"bundle/{index}", 1) for index in range(6))))


def test_a_zip_that_lies_about_its_sizes_is_refused(tmp_path):
    archive = tmp_path / "b.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("bundle/one", bytes(3 << 20))
    content = archive.read_bytes()
    told, lie = (3 << 20).to_bytes(4, "little"), (10).to_bytes(4, "little")
    assert content.count(told) == 2
    archive.write_bytes(content.replace(told, lie))
    assert refused(archive)


def test_a_tar_with_a_header_of_many_megabytes_is_refused(tmp_path):
    header = tarfile.TarInfo("pax")
    header.type = tarfile.XHDTYPE
    archive = tar_of(tmp_path / "b.tar.gz", (header, bytes(40 << 20)))
    assert archive.stat().st_size < 100_000
    assert "unpacks to more" in refused(archive, UnpackLimits())


def test_what_is_unpacked_is_gone_afterwards(bundle, tmp_path):
    archive = packed(bundle, tmp_path / "b.tar.gz")
    with opened(archive) as folder:
        assert (folder / "manifest.json").is_file()
    assert not folder.exists()


def test_another_kind_of_file_is_told(tmp_path):
    (tmp_path / "b.rar").write_bytes(os.urandom(100))
    with pytest.raises(UsageError, match=r"neither a folder nor a .tar.gz"):
        verify(tmp_path / "b.rar")
