"""Text that came from data or models, made fit for a page: hidden characters shown, long strings cut, links checked."""

from __future__ import annotations

import hashlib
import re
from urllib.parse import urlsplit

from sftbench.hidden import is_hidden

LONGEST = 4000
_ARXIV = re.compile(r"arXiv[: ](\d{4}\.\d{4,5})")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def visible(text: str, longest: int = LONGEST) -> str:
    """Text in which no character is hidden or turns others around: such are written out, as in `⟨U+202E⟩`.

    Line breaks and tabs stay. More than `longest` characters are cut, and the length is told.
    """
    cut = text if len(text) <= longest else text[:longest]
    shown = "".join(map(_shown, cut)) if not cut.isascii() or not cut.isprintable() else cut
    return shown if cut is text else f"{shown}… ({len(text):,} characters)"


def _shown(letter: str) -> str:
    if letter in "\n\t" or not is_hidden(letter):
        return letter
    return f"⟨U+{ord(letter):04X}⟩"


def link(text: str) -> str | None:
    """An address on the web if `text` is one or names a paper on arXiv; `javascript:` and all else is none."""
    paper = _ARXIV.search(text)
    if paper:
        return f"https://arxiv.org/abs/{paper.group(1)}"
    if not text.isascii() or not text.isprintable() or " " in text or len(text) > 2000:
        return None
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    return text if parts.scheme in ("http", "https") and parts.netloc else None


def file_name(text: str) -> str:
    """A short name of plain letters for a page about `text`: itself where that will do, else with a hash of it."""
    plain = _UNSAFE.sub("-", text[:60]).strip("-.") or "x"
    return plain if plain == text else f"{plain}-{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:6]}"
