"""Every plugin folder tells where it comes from and what it costs, and every parameter says what it is."""

from __future__ import annotations

import dataclasses
import re

import pytest

from sftbench.methods import parts_by_strategy
from sftbench.parameters import fields_of, full
from sftbench.plugins import load
from sftbench.roles import ROLES

PLUGINS = load()
PARTS = [(role, name, offered.part_class) for role in ROLES for name, offered in PLUGINS.parts[role].items()]


def test_every_plugin_folder_has_a_card(root):
    lacking = []
    for folder in sorted(path.parent for path in (root / "plugins" / "sftbench_plugins").glob("*/__init__.py")):
        card = folder / "README.md"
        text = card.read_text(encoding="utf-8") if card.exists() else ""
        lacking += [
            f"{folder.name}: {word}"
            for word in ("paper", "mode", "deviation", "cost")
            if not re.search(rf"\b{word}s?\b", text, re.IGNORECASE)
        ]
    assert lacking == []


@pytest.mark.parametrize(("role", "name", "part_class"), PARTS, ids=[f"{role}-{name}" for role, name, _ in PARTS])
def test_a_part_says_what_it_and_each_parameter_is(role, name, part_class):
    # A dataclass without a docstring gets its signature as one.
    assert part_class.__doc__
    assert not part_class.__doc__.startswith(f"{part_class.__name__}(")
    undocumented = [each for each, field in fields_of(part_class).items() if not field.metadata.get("doc")]
    assert undocumented == []
    assert dataclasses.is_dataclass(part_class)
    assert set(full(part_class())) == set(fields_of(part_class))


@pytest.mark.parametrize("name", sorted(PLUGINS.methods))
def test_a_method_says_what_it_does_and_how_faithful_it_is(name):
    method = PLUGINS.methods[name]
    assert method.summary
    assert method.fidelity
    if method.paper:
        assert method.deviations or "exact" in method.fidelity.values(), "a paper's method says where it deviates"


@pytest.mark.parametrize("name", sorted(PLUGINS.methods))
def test_a_methods_parts_are_offered_by_somebody(name):
    method = PLUGINS.methods[name]
    for strategy in method.strategies or (None,):
        for role, use in parts_by_strategy(method, strategy).items():
            assert use.name in PLUGINS.parts[role]
