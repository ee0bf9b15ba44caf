"""The manifest of a bundle: the SHA-256 of every file, written last and checked first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sftbench.errors import VerificationError
from sftbench.fingerprint import hash_file
from sftbench.publishing.layout import (
    KIND,
    MANIFEST,
    REPRODUCTIONS,
    SCHEMA,
    Discrepancy,
    check_schema,
    files_below,
    is_safe,
    json_in,
    json_text,
)
from sftbench.store import write_atomically


def write_manifest(folder: Path, name: str) -> str:
    """Hash all that lies in the folder; returns the seal, which is the SHA-256 of the manifest itself."""
    files = {each: told_of(path) for each, path in files_below(folder).items() if is_listed(each)}
    write_atomically(folder / MANIFEST, json_text({"schema": SCHEMA, "kind": KIND, "name": name, "files": files}))
    return seal_of(folder)


def told_of(path: Path) -> dict[str, Any]:
    """What a manifest tells of one file."""
    return {"sha256": hash_file(path), "bytes": path.stat().st_size}


def seal_of(folder: Path) -> str:
    """SHA-256 of the manifest: whoever knows it from elsewhere can tell any later change of the bundle."""
    return hash_file(folder / MANIFEST)


def is_listed(name: str) -> bool:
    """Whether a file belongs into the manifest: not the manifest, and not what others add later."""
    return name != MANIFEST and not name.startswith(f"{REPRODUCTIONS}/")


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest, checked in form. Raises `VerificationError`, or `UsageError` for another schema."""
    manifest = json_in(folder / MANIFEST, MANIFEST)
    check_schema(manifest, MANIFEST)
    if manifest.get("kind") != KIND or not isinstance(manifest.get("files"), dict):
        raise VerificationError(f"{MANIFEST} is not that of a bundle; 'bench publish' makes one from results")
    for name, told in manifest["files"].items():
        if not is_safe(name):
            raise VerificationError(
                f"{MANIFEST} names {name[:200]!r}, which is too long, or would lie outside of the bundle"
            )
        if not isinstance(told, dict) or set(told) != {"sha256", "bytes"}:
            raise VerificationError(f"{MANIFEST}: {name} has no sha256 and bytes")
    return manifest


def check_files(folder: Path, told: dict[str, Any]) -> list[Discrepancy]:
    """Every file that is missing, extra or other than the manifest says."""
    present = {name: path for name, path in files_below(folder).items() if is_listed(name)}
    findings = [
        Discrepancy(where=name, what="is in the manifest and missing") for name in sorted(set(told) - set(present))
    ]
    findings += [Discrepancy(where=name, what="is not in the manifest") for name in sorted(set(present) - set(told))]
    for name in sorted(set(told) & set(present)):
        found = told_of(present[name])
        for what in ("bytes", "sha256"):
            if found[what] != told[name][what]:
                message = f"was changed after publication ({what})"
                findings.append(Discrepancy(where=name, what=message, told=told[name][what], recomputed=found[what]))
                break
    return findings
