"""Content keys: canonical JSON, and hashes of files and folders. A value without a stable form is refused."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sftbench.errors import EnvironmentProblem, UsageError

REMEMBERED_BYTES = 64 * 2**20
_SETTLED_NS = 2 * 10**9


def canonical(value: object) -> str:
    """The one JSON text of a value: sorted keys, no spaces, finite numbers only.

    Raises `UsageError` for anything whose text could differ between two runs (objects, sets, NaN).
    """
    return json.dumps(_plain(value, "$"), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def _plain(value: object, where: str) -> Any:
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise UsageError(f"{where} is {value}, which has no stable form")
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    if isinstance(value, (list, tuple)):
        return [_plain(each, f"{where}[{index}]") for index, each in enumerate(value)]
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise UsageError(f"{where} has the key {key!r}; only text can be a key")
        return {key: _plain(each, f"{where}.{key}") for key, each in value.items()}
    raise UsageError(
        f"{where} is a {type(value).__name__}, which has no stable form; use numbers, text, lists, mappings"
    )


def key_of(value: object) -> str:
    """SHA-256 of the canonical JSON, in hexadecimal."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def hash_file(path: Path) -> str:
    """SHA-256 of a file's bytes, read in pieces. For large files it is remembered until the file changes."""
    status = path.stat()
    if status.st_size < REMEMBERED_BYTES:
        return _hash_bytes(path)
    note = _notes() / hashlib.sha256(str(path.resolve()).encode("utf-8", "surrogateescape")).hexdigest()
    state = f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_dev} {status.st_ino}"
    with contextlib.suppress(OSError, ValueError):
        known_state, known_hash = note.read_text(encoding="utf-8").splitlines()
        if known_state == state:
            return known_hash
    content = _hash_bytes(path)
    # A file that was written just now may change again within the resolution of its time.
    if time.time_ns() - status.st_mtime_ns > _SETTLED_NS:
        with contextlib.suppress(OSError):
            note.parent.mkdir(parents=True, exist_ok=True)
            partial = note.with_suffix(f".{os.getpid()}")
            partial.write_text(f"{state}\n{content}\n", encoding="utf-8")
            partial.replace(note)
    return content


def _hash_bytes(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _notes() -> Path:
    return user_cache() / "hashes"


def user_cache() -> Path:
    """The folder for what can be made again: `sftbench` in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sftbench"


TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "tekken.json")
"""One of these makes a folder one that holds a tokenizer."""
_MORE_TOKENIZER_FILES = (
    "merges.txt",
    "added_tokens.json",
    "special_tokens_map.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "chat_template.json",
    "config.json",
)
_MODEL_FILES = (".safetensors", ".json", ".jinja", ".txt", ".model")


def fingerprint_tokenizer(path: Path) -> str:
    """What identifies the tokenizer of a folder, by content."""
    wanted = (*TOKENIZER_FILES, *_MORE_TOKENIZER_FILES)
    return key_of({name: hash_file(path / name) for name in wanted if (path / name).is_file()})


def fingerprint_folder(path: Path) -> str:
    """What identifies a folder: names and content of all files in it and below."""
    files = sorted(each for each in path.rglob("*") if each.is_file())
    if not files:
        raise EnvironmentProblem(f"the folder {path} is empty")
    return key_of({each.relative_to(path).as_posix(): hash_file(each) for each in files})


def fingerprint_model(path: Path) -> str:
    """What identifies a model folder: names and content of weights, configuration and tokenizer files."""
    files = sorted(each for each in path.iterdir() if each.is_file() and each.suffix in _MODEL_FILES)
    if not any(each.name == "config.json" for each in files):
        raise EnvironmentProblem(f"{path} has no config.json: it is not a model folder that transformers can load")
    if not any(each.suffix == ".safetensors" for each in files):
        raise EnvironmentProblem(f"{path} holds no .safetensors weights; save the model again with save_pretrained")
    return key_of({each.name: hash_file(each) for each in files})
