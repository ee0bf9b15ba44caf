"""Texts that plugins put to a language model: data files beside them, known by a version and a hash."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sftbench import UsageError


@dataclass(frozen=True, kw_only=True)
class Wording:
    """What one data file holds: `texts` by name, its `version`, and the SHA-256 of its bytes, in hexadecimal.

    Whoever changes a file changes its version and that of the parts that use it: keys know parts by version.
    """

    texts: dict[str, Any]
    version: str
    sha256: str

    @classmethod
    def of(cls, path: Path) -> Wording:
        """Read a JSON file with a `version` and texts."""
        content = path.read_bytes()
        texts = json.loads(content)
        return cls(texts=texts, version=str(texts.pop("version")), sha256=hashlib.sha256(content).hexdigest())

    def told(self) -> dict[str, str]:
        """What a report says about it."""
        return {"version": self.version, "sha256": self.sha256}


def around(text: str, slots: Sequence[str], *, where: str) -> list[str]:
    """The pieces of a text around its slots, `{query}` and the like, which stand there once each and in this order.

    Rows are put between the pieces, so that braces in a row mean nothing. Raises `UsageError`, with
    `where` the text comes from, when the slots are others.
    """
    found = re.findall(r"\{(\w+)\}", text)
    if found != list(slots):
        wanted = ", ".join(f"{{{slot}}}" for slot in slots)
        raise UsageError(f"{where} must have the slots {wanted} once each and in this order, not {found or 'none'}")
    return re.split("|".join(rf"\{{{slot}\}}" for slot in slots), text)
