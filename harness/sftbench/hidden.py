"""What hides in text: characters that are not seen, or that turn others around, wherever text out of data is shown."""

from __future__ import annotations

import unicodedata

_CATEGORIES = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def is_hidden(letter: str) -> bool:
    """Controls, marks of direction and of no width, halves of surrogate pairs, characters of private use or of no
    meaning, and the separators of lines and paragraphs. Line breaks and tabs are among them."""
    return unicodedata.category(letter) in _CATEGORIES
