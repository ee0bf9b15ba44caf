"""Patterns such as `name[level=0|50|100]` written out, each method with the values that make it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass

from sftbench.composition import parse_method
from sftbench.errors import UsageError

_CHOICE = re.compile(r"(?<=[\[,])\s*(?P<name>[\w.-]+)\s*=(?P<values>[^\[\],]*\|[^\[\],]*)")


@dataclass(frozen=True, kw_only=True)
class GridPoint:
    """One method of a grid: how the board labels it, and the value of each parameter that varies."""

    label: str
    values: Mapping[str, str]


def written_out(pattern: str) -> list[GridPoint]:
    """Every method of a pattern, the last parameter varying first; a pattern without choices is one method.

    Raises `UsageError` for an empty choice and for what is no method.
    """
    found = list(_CHOICE.finditer(pattern))
    choices = [[value.strip() for value in match["values"].split("|")] for match in found]
    if not all(all(values) for values in choices):
        raise UsageError(f"in '{pattern}' a choice is empty: write name[parameter=a|b]")
    points = []
    for combination in itertools.product(*choices):
        text, shift = pattern, 0
        for match, value in zip(found, combination, strict=True):
            start, end = (edge + shift for edge in match.span("values"))
            text = text[:start] + value + text[end:]
            shift += len(value) - (end - start)
        values = dict(zip((match["name"] for match in found), combination, strict=True))
        points.append(GridPoint(label=str(parse_method(text)), values=values))
    return points
