"""From templates to pages: everything is escaped, and every text is made visible and cut before it is."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sftbench.board import texts
from sftbench.board.site.hostile import link, visible
from sftbench.board.site.pictures import short_label
from sftbench.board.site.selections import shade

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

FOLDER = Path(__file__).resolve().parent
LONGEST_NAME = 120
_OPTIONAL = re.compile(r"</(?:td|th)>\n?|</(?:tr|thead|tbody|dt|dd)>|\n(?=<t[dh]\b)")
"""Ends of elements that end by themselves where the next one begins, and line breaks before cells: a row is a line."""
_QUOTED = re.compile(r"=\"([A-Za-z0-9._:/#-]+)\"(?=[ >])")
"""Values of attributes that need no quotes."""
_READ = re.compile(r"[+-]?[0-9.]+(?:e[+-]?[0-9]+)? ?(?:[EPTGMk%sh]|min|MB)?")
"""Numbers with a unit, as `board.js` reads them."""


def render(template: str, **about: Any) -> str:
    """A page. A name that a template uses and nobody gave is an error."""
    return _lean(_environment().get_template(template).render(**about))


def _lean(page: str) -> str:
    """A page without what a browser fills in itself: half of a large table would be ends of cells.

    Texts are escaped, quotes among them, so that only markup of templates can match.
    """
    return _QUOTED.sub(r"=\1", _OPTIONAL.sub("", page))


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        finalize=_finished,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "amount": texts.amount,
        "count": texts.count,
        "link": link,
        "megabytes": texts.megabytes,
        "name": lambda text: visible(str(text), LONGEST_NAME),
        "json": lambda value: json.dumps(value, sort_keys=True, ensure_ascii=False),
        "percent": texts.percent,
        "shade": shade,
        "short": short_label,
        "visible": visible,
        "whole": lambda share: f"{100 * share:.0f}",
        "breakable": _breakable,
        "seconds": texts.seconds,
        "sorted_by": _sorted_by,
        "fixed": texts.fixed,
        "signed": texts.signed,
        "interval": texts.interval,
        "key": lambda key: str(key).rpartition("/")[2][:12],
    }
    return environment


def _finished(value: Any) -> Any:
    """Whatever a template writes: markup of our own as it is, nothing for None, text made visible."""
    if value is None:
        return ""
    return visible(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _breakable(text: str) -> Markup:
    """A label that may go on in a new line before its parameters, and after each."""
    from markupsafe import Markup, escape

    told = escape(visible(text, LONGEST_NAME))
    return told.replace("[", Markup("<wbr>[")).replace(",", Markup(",<wbr>"))


def _sorted_by(value: float | str | None, shown: str = "") -> Markup:
    """The attribute that says what a row is sorted by, as the script of the page reads it; none where that can read
    what the cell shows, such as `54.6G`: then rows are sorted by what is seen."""
    from markupsafe import Markup

    told = "" if value is None else value if isinstance(value, str) else f"{value:.6g}"
    is_read = shown == texts.NOTHING if value is None else _READ.fullmatch(shown)
    return Markup("") if is_read else Markup(' data-v="{}"').format(told)
