"""One list of what hides in text, wherever text out of data is shown."""

from __future__ import annotations

import sys

from sftbench.board.site.hostile import visible as on_a_page
from sftbench.board.texts import one_line
from sftbench.cli.visible import visible as in_a_terminal
from sftbench.hidden import is_hidden

EVERY = "".join(map(chr, range(sys.maxunicode + 1)))


def test_pages_terminals_and_tables_hide_the_same():
    """What is escaped on a page is escaped in a terminal, and nothing of it stands in a table."""
    pages, terminals = set(on_a_page(EVERY, len(EVERY))), set(in_a_terminal(EVERY))
    assert pages - {"⟨", "⟩"} == terminals - {"⟨", "⟩"}
    assert {letter for letter in pages if is_hidden(letter)} == {"\n", "\t"}
    assert not any(map(is_hidden, one_line(EVERY, len(EVERY))))


def test_what_people_write_is_not_hidden():
    assert not any(map(is_hidden, "zwölf, 水, العربية, नमस्ते 👍 – “x”"))
