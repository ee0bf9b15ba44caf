"""The anatomy in a terminal: coloured, or with brackets where colours are not wanted; hostile rows steer nothing."""

from __future__ import annotations

import io
import unicodedata

import pytest

from sftbench.cli.anatomy_text import flat_rows, print_anatomy
from sftbench.cli.check_verb import _rich
from sftbench.finding import ItemHit

HOSTILE = "\x1b]0;owned\x07\u202etxt\u2066\x9b2J [red]no markup[/red]"
PIECES = [("masked part", 0), (" ", None), ("trained", 1), (f" {HOSTILE}", 2)]


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def told(made):
    made.put_all()
    found = made.compare()
    found["tokens"] = {"b": [{"id": f"r{HOSTILE}", "pieces": PIECES}]}
    found["examples"]["only_a"]["rows"][0] |= {"id": HOSTILE, "response": HOSTILE * 100, "planted": HOSTILE}
    found["a"]["name"] = HOSTILE
    return found


def hidden(text):
    return [letter for letter in text if letter != "\n" and unicodedata.category(letter) in ("Cc", "Cf", "Cs")]


def printed(told, stream):
    print_anatomy(told, stream)
    return stream.getvalue()


def test_without_a_terminal_brackets_stand_for_colours(told):
    text = printed(told, io.StringIO())
    assert hidden(text) == []
    assert "[masked part] trained{ " in text
    assert r"\u202e" in text
    assert "3 rows of 6 and 6: Jaccard 33%" in text
    assert "p is not adjusted: the board adjusts over all pairs" in text.partition("A minus B")[2]
    assert "rows that A alone took: 3, of them 3" in text


def test_a_terminal_gets_colours_and_no_brackets_unless_it_wants_none(told, monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured = printed(told, Terminal())
    assert "\x1b[" in coloured
    assert "[masked part]" not in coloured
    assert "\x1b]0;owned" not in coloured
    assert not set(hidden(coloured)) - {"\x1b"}
    monkeypatch.setenv("NO_COLOR", "1")
    assert printed(told, Terminal()) == printed(told, io.StringIO())


def test_bars_are_as_long_as_the_shares_beside_them(told):
    lines = printed(told, io.StringIO()).splitlines()
    (line,) = [each for each in lines if each.strip().startswith("alpha")]
    assert line.count("█") == 40
    assert line.count("33%") == 2


def test_all_numbers_are_in_the_flat_rows(told):
    rows = {(row["section"], row["name"]): row for row in flat_rows(told)}
    assert rows["overlap", "num_common"]["a"] == 3
    assert rows["histogram source", "beta"]["b"] == pytest.approx(1 / 3)
    assert rows["metric", "exact-match difference"]["a"] == told["metrics"][0]["difference"]
    assert hidden(str(rows)) == []


def test_texts_stand_side_by_side_with_their_common_words(capsys):
    texts = f"{HOSTILE} some common words here", f"and some common words {HOSTILE}"
    spans = [(text.index("some"), text.index("words") + 5) for text in texts]
    hit = ItemHit(
        item=HOSTILE, row="r", by=("words",), share=0.5, is_whole=False, longest_run=3, cosine=None, num_rows=1,
        item_position=0, row_position=0, item_text=texts[0], row_text=texts[1], run_in_item=spans[0],
        run_in_row=spans[1],
    )  # fmt: skip
    _rich([hit])
    shown = capsys.readouterr().out
    assert shown.count("some common words") == 2
    assert hidden(shown) == []
    assert "50% of its runs, 3 words in a row" in shown
