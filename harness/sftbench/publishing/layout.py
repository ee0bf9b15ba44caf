"""What lies where in a bundle, and which names and texts may lie in one."""

from __future__ import annotations

import json
import math
import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from sftbench.board.cells import SCHEMA as OF_RECORDS
from sftbench.board.reading import told_once
from sftbench.errors import UsageError, VerificationError

SCHEMA = 1
KIND = "sftbench bundle"
MANIFEST = "manifest.json"
ABOUT = "bundle.json"
README = "README.md"
LOCK = "lock.json"
BOARD = "board"
RECORDS = "records"
LEVELS = "levels.json"
"""Among the records of a merged bundle: what was known of each row in the bundles before."""
STEPS = "provenance/steps.jsonl"
SELECTIONS = "selections"
ROWS = "rows/rows.jsonl"
RESPONSES = "responses"
REPRODUCTIONS = "reproductions"
"""Folder of what others found on reproducing; it grows after publication, so that the manifest leaves it out."""
LONGEST_PART = 255
LONGEST_NAME = 1024
"""In bytes of UTF-8: what the file systems in use allow."""
_SAFE = re.compile(r"[^\x00-\x1f\\:*?\"<>|\x7f]+")


@dataclass(frozen=True, kw_only=True)
class Discrepancy:
    """Something that is not as it was told: where, what, and the two values where there are two."""

    where: str
    what: str
    told: Any = None
    recomputed: Any = None

    def __str__(self) -> str:
        both = "" if self.told is None and self.recomputed is None else f": told {self.told}, is {self.recomputed}"
        return f"{self.where}: {self.what}{both}"


def is_safe(name: str) -> bool:
    """Whether a name stays inside the folder that it is in, and may be one, on every system."""
    parts = name.split("/")
    sizes = [len(part.encode("utf-8", "surrogatepass")) for part in parts]
    fits = max(sizes) <= LONGEST_PART and sum(sizes) + len(parts) <= LONGEST_NAME
    return fits and bool(_SAFE.fullmatch(name)) and not any(part in ("", ".", "..") for part in parts)


def files_below(folder: Path) -> dict[str, Path]:
    """Every file below a folder by its relative name, sorted.

    Raises `VerificationError` for links and anything else that is neither file nor folder: they could lead out of it.
    """
    found: dict[str, Path] = {}
    for place, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = Path(place) / name
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise VerificationError(f"{relative(path, folder)} is a link or a device; a bundle has files only")
            if path.is_file():
                found[relative(path, folder)] = path
    return dict(sorted(found.items()))


def relative(path: Path, folder: Path) -> str:
    """A path below a folder, with forward slashes."""
    return PurePosixPath(path.relative_to(folder)).as_posix()


def json_text(value: Any) -> str:
    """The text of a JSON file of a bundle."""
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def json_in(path: Path, what: str) -> dict[str, Any]:
    """A JSON object from a file that messages call `what`. Raises `VerificationError` for anything else, NaN and keys
    that occur twice included."""
    try:
        value = json.loads(
            path.read_text(encoding="utf-8"),
            parse_constant=_refuse, parse_float=_finite, object_pairs_hook=told_once,
        )  # fmt: skip
    except FileNotFoundError:
        raise VerificationError("is missing", where=what) from None
    except OSError as problem:
        raise VerificationError(f"cannot be read ({problem.strerror})", where=what) from None
    except (ValueError, RecursionError) as problem:
        raise VerificationError(f"is cut off or not JSON ({str(problem)[:200]})", where=what) from None
    if not isinstance(value, dict):
        raise VerificationError("holds no JSON object", where=what)
    return value


def check_schema(value: dict[str, Any], what: str, *, expected: int = SCHEMA) -> None:
    """Raises `UsageError` for a file of another version, `VerificationError` for one that tells none."""
    schema = value.get("schema")
    if type(schema) is not int:
        raise VerificationError("does not tell its schema", where=what)
    if schema != expected:
        raise UsageError(f"is of schema {schema}; this version of sftbench reads {expected}", where=what)


def run_in(records: Path, what: str = "run.json") -> dict[str, Any]:
    """`run.json` of a folder of records. Raises what `json_in` and `check_schema` do."""
    about = json_in(records / "run.json", what)
    check_schema(about, what, expected=OF_RECORDS)
    return about


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refuse(text)


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no number")
