"""Text out of data for a terminal: what would steer it, reorder it or hide in it is shown as an escape."""

from __future__ import annotations

import json
from typing import Any

from sftbench.hidden import is_hidden

_KEPT = ("\n", "\t")


def visible(text: str) -> str:
    """Control characters, bidirectional and zero-width marks, and halves of surrogate pairs as `\\u202e`; line breaks
    and tabs stay."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(letter if letter in _KEPT or not is_hidden(letter) else _escape(letter) for letter in text)


def visible_line(text: str) -> str:
    """The same on one line: line breaks and tabs are blanks."""
    return " ".join(visible(text).split())


def spaced_line(text: str) -> str:
    """As `visible_line`, with a blank kept at either end: words must not run together."""
    line = visible_line(text)
    lead, trail = " " if text[:1].isspace() else "", " " if text[-1:].isspace() else ""
    return f"{lead}{line}{trail}" if line else lead


def json_text(value: Any, *, indent: int | None = 2) -> str:
    """JSON that a terminal shows as it is: hidden characters within strings are escaped as JSON escapes them."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return "".join(letter if letter == "\n" or not is_hidden(letter) else _json_escape(letter) for letter in text)


def _escape(letter: str) -> str:
    code = ord(letter)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _json_escape(letter: str) -> str:
    return json.dumps(letter)[1:-1] if ord(letter) > 0x9F or ord(letter) < 0x20 else f"\\u{ord(letter):04x}"
