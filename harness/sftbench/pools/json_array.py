"""The elements of a JSON array one at a time, so that an array of a million rows is never in memory whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import IO, Any, Final

_PIECE: Final = 1 << 20
_WHITE: Final = " \t\r\n"


class BrokenArrayError(ValueError):
    """The text is not a JSON array. `line` is where the element that cannot be read begins."""

    def __init__(self, reason: str, line: int) -> None:
        super().__init__(reason)
        self.line = line


def elements(stream: IO[str]) -> Iterator[tuple[int, Any]]:
    """Each element of the array that `stream` holds, with the line on which it begins. Raises `BrokenArrayError`."""
    window = _Window(stream)
    window.skip("[")
    first = True
    while window.peek() != "]":
        if not first and not window.skip(","):
            raise BrokenArrayError("expected ',' or ']' after a row", window.line)
        window.peek()
        first, line = False, window.line
        yield line, window.value()
    window.skip("]")
    if window.peek():
        raise BrokenArrayError("something follows the array", window.line)


def why(problem: Exception) -> str:
    """What is wrong with a JSON text, without the text."""
    if isinstance(problem, json.JSONDecodeError):
        return f"{problem.msg} at column {problem.colno}"
    return "nested too deeply" if isinstance(problem, RecursionError) else str(problem)


class _Window:
    """A moving piece of a text."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream, self._text, self._at = stream, "", 0
        self._decoder = json.JSONDecoder()
        self.line = 1

    def peek(self) -> str:
        """The next character that is not white space, or nothing at the end."""
        while True:
            rest = self._text[self._at : self._at + 1]
            if rest and rest not in _WHITE:
                return rest
            if not rest and not self._more():
                return ""
            self._advance(self._at + len(rest))

    def skip(self, wanted: str) -> bool:
        """Step over a character if it is the next one."""
        found = self.peek() == wanted
        if found:
            self._advance(self._at + 1)
        return found

    def value(self) -> Any:
        """The next JSON value. A value that seems broken may only be cut off: read on before giving up."""
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except (json.JSONDecodeError, RecursionError) as problem:
                if isinstance(problem, RecursionError) or not self._more():
                    raise BrokenArrayError(why(problem), self.line) from None
            else:
                self._advance(end)
                return value

    def _more(self) -> bool:
        piece = self._stream.read(max(_PIECE, len(self._text) - self._at))
        self._text, self._at = self._text[self._at :] + piece, 0
        return bool(piece)

    def _advance(self, to: int) -> None:
        self.line += self._text.count("\n", self._at, to)
        self._at = to
