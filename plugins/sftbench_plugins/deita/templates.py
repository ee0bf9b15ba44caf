"""The texts by which a model is asked for a rating: ours, or those that lie in the folder of a fine-tuned scorer."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from sftbench import Json
from sftbench_plugins.digits import Prompt
from sftbench_plugins.exchanges import Exchange
from sftbench_plugins.wordings import Wording, around

Kind = Literal["complexity", "quality"]
SLOTS: dict[Kind, tuple[str, ...]] = {"complexity": ("query",), "quality": ("query", "response")}
HIGHEST = 6


@dataclass(frozen=True, kw_only=True)
class Template:
    """A text with places for the request and, for quality, the answer; `told` is what a report says of it."""

    pieces: tuple[str, ...]
    told: Mapping[str, Json]

    def prompt(self, exchange: Exchange) -> Prompt:
        """The text for one exchange; only an answer may lose its end."""
        first, *rest = self.pieces
        if len(rest) == 1:
            return Prompt(head=first + exchange.query, tail=rest[0])
        return Prompt(head=first + exchange.query + rest[0], body=exchange.response, tail=rest[1])


def template_of(kind: Kind, folder: Path | None) -> Template:
    """The text `complexity_template.txt` or `quality_template.txt` in a scorer's folder, or ours.

    A fine-tuned scorer answers to the very text that it was trained with. Raises `UsageError` when the
    file lacks `{query}` or, for quality, `{response}`.
    """
    own = None if folder is None else folder / f"{kind}_template.txt"
    if own is None or not own.is_file():
        wording = wordings()
        pieces = around(wording.texts[kind], SLOTS[kind], where=f"the template for {kind}")
        return Template(pieces=tuple(pieces), told=wording.told())
    text = own.read_bytes().decode("utf-8")
    pieces = around(text, SLOTS[kind], where=str(own))
    return Template(pieces=tuple(pieces), told={"file": own.name, "sha256": hashlib.sha256(text.encode()).hexdigest()})


@lru_cache(maxsize=1)
def wordings() -> Wording:
    """Our own texts."""
    return Wording.of(Path(__file__).with_name("templates.json"))
