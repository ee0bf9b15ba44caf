"""Parameters are read, typed and checked by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pytest

from sftbench.errors import UsageError
from sftbench.parameters import PartUse, build, full, param, parse_use, split_list


@dataclass(frozen=True, kw_only=True)
class Mixed:
    mode: Literal["paper", "official"] = param("paper", "which reading")
    alpha: float = param(5.0, "noise scale")
    cap: int | None = param(None, "most rows")
    on: bool = param(False, "switch")


def test_a_name_alone_has_no_parameters():
    assert parse_use("tshirt").name == "tshirt"
    assert parse_use("tshirt").parameters == {}


def test_parameters_inside_brackets_are_read_as_text():
    use = parse_use("tshirt[mode=official, alpha=2]")
    assert use.parameters == {"mode": "official", "alpha": "2"}
    assert str(use) == "tshirt[alpha=2,mode=official]"


def test_commas_inside_brackets_do_not_split_a_list():
    assert split_list("a[x=1,y=2],b, c") == ["a[x=1,y=2]", "b", "c"]


@pytest.mark.parametrize(
    "value",
    ["vllm:/models/a,b", "http://h/v1#m[v2]", "m=x", "a]b[", "it's", "a, b", "", "q[x=1,y=2]", "m,[", 'say "a"'],
)
def test_a_value_in_quotes_is_taken_as_it_is(value):
    quoted = value if '"' in value else f'"{value}"'
    (use,) = split_list(f"a[model={quoted},n=2]")
    assert parse_use(use) == PartUse(name="a", parameters={"model": value, "n": "2"})
    assert parse_use(str(parse_use(use))) == parse_use(use)
    assert split_list(f"a[model={quoted}],b") == [f"a[model={quoted}]", "b"]


def test_a_use_is_written_with_quotes_only_where_they_are_needed():
    assert str(PartUse(name="a", parameters={"x": "b[c=1,d=2]", "y": "1 2"})) == "a[x=b[c=1,d=2],y=1 2]"
    assert str(PartUse(name="a", parameters={"x": "1,2"})) == 'a[x="1,2"]'


@pytest.mark.parametrize("text", ['a[x="1', 'a[x="1,2]', "a[x=1", "a]b", "a[x]", "a[x=1,x=2]", "[x=1]", ""])
def test_what_cannot_be_read_is_refused(text):
    with pytest.raises(UsageError):
        parse_use(text) if text not in ("a[x=1", "a]b", 'a[x="1', 'a[x="1,2]') else split_list(text)


def test_values_become_the_types_of_the_fields():
    part = build(Mixed, {"mode": "official", "alpha": "2.5", "cap": "7", "on": "true"}, where="scorer mixed")
    assert full(part) == {"mode": "official", "alpha": 2.5, "cap": 7, "on": True}


def test_none_is_a_value():
    assert build(Mixed, {"cap": "none"}, where="x").cap is None


def test_an_unknown_parameter_is_an_error_with_the_nearest_name():
    with pytest.raises(UsageError, match="did you mean 'alpha'"):
        build(Mixed, {"alhpa": "1"}, where="scorer mixed")


@pytest.mark.parametrize(("name", "value"), [("alpha", "much"), ("mode", "both"), ("cap", "1.5")])
def test_a_value_of_the_wrong_type_is_an_error_that_names_it(name, value):
    with pytest.raises(UsageError, match=f"parameter {name}="):
        build(Mixed, {name: value}, where="scorer mixed")
