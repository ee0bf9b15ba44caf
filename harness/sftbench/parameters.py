"""Parameters of parts: documented dataclass fields, read from `name[key=value,...]` and checked by pydantic."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from sftbench.errors import UsageError, unknown_name
from sftbench.rooms import Json

T = TypeVar("T")
_USE = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9_.-]*)\s*(?:\[(.*)\])?\s*$", re.DOTALL)


def param(default: T, doc: str) -> T:
    """A dataclass field with its documentation: `alpha: float = param(5.0, "noise scale")`."""
    made: Any = field(default=default, metadata={"doc": doc})
    return made  # type: ignore[no-any-return]


@dataclass(frozen=True, kw_only=True)
class PartUse:
    """A part or method by name, with the parameters that were given for it."""

    name: str
    parameters: Mapping[str, Json] = field(default_factory=dict)

    def __str__(self) -> str:
        inside = ",".join(f"{key}={_quoted(value)}" for key, value in sorted(self.parameters.items()))
        return f"{self.name}[{inside}]" if inside else self.name


def parse_use(text: str) -> PartUse:
    """`ifd[variant=super]` as a name and its parameters; values are typed later, by the part's fields.

    A value with commas or brackets stands in quotes: `pairwise[model="vllm:/models/a,b[c]"]`.
    """
    match = _USE.match(text)
    if match is None:
        raise UsageError(f"cannot read '{text}': expected NAME or NAME[param=value,...]")
    parameters: dict[str, Json] = {}
    for pair in split_list(match[2] or ""):
        key, sign, value = pair.partition("=")
        if not sign:
            raise UsageError(f"cannot read '{pair}' in '{text}': expected param=value")
        if key.strip() in parameters:
            raise UsageError(f"'{key.strip()}' is given twice in '{text}'")
        parameters[key.strip()] = _bare(value.strip())
    return PartUse(name=match[1], parameters=parameters)


def split_list(text: str) -> list[str]:
    """Split at commas that stand outside brackets and quotes: `a,b[x=1,y="2,3"]` has two entries."""
    entries, start = [], 0
    for position, letter, depth in plain_letters(text + ","):
        if depth < 0:
            raise UsageError(f"unbalanced ']' in '{text}'")
        if letter == "," and depth == 0:
            entries.append(text[start:position].strip())
            start = position + 1
    # The comma behind the text was not seen at depth 0.
    if start != len(text) + 1:
        raise UsageError(f"unbalanced '[' or '\"' in '{text}'")
    return [entry for entry in entries if entry]


def plain_letters(text: str) -> Iterator[tuple[int, str, int]]:
    """Place and letter of all that stands outside quotes, and how many brackets are open there.

    A quote begins a quoted value only behind `=`; elsewhere, as in a word with an apostrophe, it is a letter.
    """
    depth, quoted, before = 0, False, ""
    for position, letter in enumerate(text):
        if letter == '"' and (quoted or before == "="):
            quoted = not quoted
        elif not quoted:
            depth += (letter == "[") - (letter == "]")
            yield position, letter, depth
        before = before if letter.isspace() else letter


def _quoted(value: Json) -> str:
    """As it is written in a use: in quotes where it would be read as something else without."""
    text = str(value)
    try:
        is_plain = split_list(text) in ([text.strip()], [])
    except UsageError:
        is_plain = False
    return text if is_plain else f'"{text}"'


def _bare(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value


def fields_of(part_class: type[Any]) -> dict[str, dataclasses.Field[Any]]:
    """The parameters that a part class declares, by name."""
    if not dataclasses.is_dataclass(part_class):
        return {}
    return {each.name: each for each in dataclasses.fields(part_class)}


def build(part_class: type[T], parameters: Mapping[str, Json], *, where: str) -> T:
    """Make the part with checked parameters. Text is converted to each field's type."""
    from pydantic import ValidationError

    known = fields_of(part_class)
    hints = get_type_hints(part_class)
    values: dict[str, Any] = {}
    for name, value in parameters.items():
        if name not in known:
            raise unknown_name(f"parameter of {where}", name, known)
        try:
            values[name] = _typed(hints[name], value)
        except ValidationError as problem:
            reason = problem.errors()[0]["msg"]
            raise UsageError(f"{where}: parameter {name}={value!r}: {reason}") from None
    try:
        return part_class(**values)
    except (TypeError, ValueError) as problem:
        raise UsageError(f"{where}: {problem}") from None


def _typed(hint: Any, value: Json) -> Any:
    """The value in the type of its field; the text `none` is None where the field takes that and has no such word."""
    from pydantic import TypeAdapter, ValidationError

    if value not in ("none", "None"):
        return TypeAdapter(hint).validate_python(value)
    words = [word for each in (hint, *get_args(hint)) if get_origin(each) is Literal for word in get_args(each)]
    if "none" in words:
        return "none"
    try:
        return TypeAdapter(hint).validate_python(None)
    except ValidationError:
        return TypeAdapter(hint).validate_python(value)


def full(part: object) -> dict[str, Json]:
    """Every parameter of a part, given or default, as plain values."""
    return {name: getattr(part, name) for name in fields_of(type(part))}
