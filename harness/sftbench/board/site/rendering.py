"""From templates to pages: everything is escaped, and every text is made visible and cut before it is."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sftbench.board import texts
from sftbench.board.site.hostile import link, visible
from sftbench.board.site.pictures import short_label

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

FOLDER = Path(__file__).resolve().parent
LONGEST_NAME = 120


def render(template: str, **about: Any) -> str:
    """A page. A name that a template uses and nobody gave is an error."""
    return _environment().get_template(template).render(**about)


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
        "short": short_label,
        "breakable": _breakable,
        "seconds": texts.seconds,
        "sorting": _sorting,
        "fixed": _fixed,
        "signed": lambda value, digits: f"{value:+.{digits}f}",
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


def _sorting(value: float | str | None) -> str:
    """What a row is sorted by, as the script of the page reads it; empty for nothing."""
    return "" if value is None else value if isinstance(value, str) else f"{value:.6g}"


def _fixed(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text
