"""Publish a run: to a folder, to a branch for GitHub Pages, or to a dataset repository on the Hugging Face hub."""

from __future__ import annotations

import os
import re
import tempfile
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import rmtree

from sftbench.errors import UsageError
from sftbench.publishing.gather import BundleWanted, gather
from sftbench.publishing.hub import hub_told, to_hub
from sftbench.publishing.layout import MANIFEST, files_below
from sftbench.publishing.manifest import seal_of
from sftbench.publishing.pages import pages_told, to_pages
from sftbench.store import full_disk_explained

PAGES = "github-pages"
HUB = "hf:"
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class PublishedBundle:
    """Where a bundle went, its seal, its files with their sizes in bytes, and what to know or do next."""

    target: str
    seal: str
    files: Mapping[str, int]
    notes: tuple[str, ...]
    written: bool


def publish(wanted: BundleWanted, to: str, *, dry_run: bool = False) -> PublishedBundle:
    """Make a bundle and put it where `to` says: a folder, `github-pages`, or `hf:ORG/NAME`.

    Nothing that is there is ever overwritten; the same bundle twice is no error. A dry run leaves nothing behind.
    Raises `UsageError` for what cannot be published, and `EnvironmentProblem` where the target cannot be reached.
    """
    if wanted.board is None:
        wanted = replace(wanted, board=standard_board(wanted.results))
    if to.startswith(HUB) and not _REPOSITORY.fullmatch(to.removeprefix(HUB)):
        raise UsageError(f"--to {to}: expected hf:ORG/NAME")
    folder = None if to == PAGES or to.startswith(HUB) or dry_run else Path(to)
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="sftbench-publish-") as place:
            return _sent(wanted, to, Path(place) / "bundle", dry_run=dry_run)
    return _in_folder(wanted, folder)


def standard_board(results: Path) -> Path | None:
    """Where `bench run` puts the board of a run, if there is one: `leaderboards/NAME` beside `results/NAME`."""
    place = results.absolute().parent.parent / "leaderboards" / results.absolute().name
    return place if (place / "board.json").is_file() else None


def _sent(wanted: BundleWanted, to: str, stage: Path, *, dry_run: bool) -> PublishedBundle:
    stage.mkdir()
    made = gather(wanted, stage)
    name = wanted.results.resolve().name
    if dry_run:
        return _told(to, stage, [*made.notes, *_would_be_done(to, stage, name)], written=False)
    send = to_pages(stage, name) if to == PAGES else to_hub(stage, to.removeprefix(HUB))
    return _told(to, stage, [*made.notes, *send], written=True)


def _would_be_done(to: str, stage: Path, name: str) -> list[str]:
    """What publishing would do where it is not done. Raises what publishing would, as far as this machine can tell."""
    if to == PAGES:
        return pages_told(stage, name)
    if to.startswith(HUB):
        return hub_told(to.removeprefix(HUB))
    is_there = refuse_other(Path(to), seal_of(stage))
    return [f"this bundle is in {to} already" if is_there else f"would be written as the new folder {to}"]


def _in_folder(wanted: BundleWanted, folder: Path) -> PublishedBundle:
    """Made beside its place, then renamed: a reader sees all of the bundle or none."""
    with full_disk_explained(folder, "to"):
        stage = folder.absolute().with_name(f".{folder.absolute().name}.{uuid.uuid4().hex[:8]}")
        try:
            stage.mkdir(parents=True)
        except (FileExistsError, FileNotFoundError, NotADirectoryError):
            raise UsageError(f"cannot make a folder beside '{folder}'; choose another with --to") from None
        try:
            made = gather(wanted, stage)
            told = _told(str(folder), stage, made.notes, written=True)
            if not refuse_other(folder, told.seal):
                os.rename(stage, folder)
            return told
        finally:
            rmtree(stage, ignore_errors=True)


def refuse_other(folder: Path, seal: str, *, flag: str = "to") -> bool:
    """True when this very bundle is there already. Raises `UsageError` for anything else but an empty folder."""
    if not folder.exists() and not folder.is_symlink():
        return False
    if not folder.is_dir() or folder.is_symlink():
        raise UsageError(f"'{folder}' is there already and no folder; choose another with --{flag}")
    if not any(folder.iterdir()):
        return False
    if (folder / MANIFEST).is_file():
        if seal_of(folder) == seal:
            return True
        raise UsageError(f"'{folder}' holds another bundle, which is not overwritten; choose another with --{flag}")
    raise UsageError(f"'{folder}' holds other files, which are not overwritten; choose another with --{flag}")


def _told(target: str, stage: Path, notes: list[str], *, written: bool) -> PublishedBundle:
    sizes = {name: path.stat().st_size for name, path in files_below(stage).items()}
    return PublishedBundle(target=target, seal=seal_of(stage), files=sizes, notes=tuple(notes), written=written)
