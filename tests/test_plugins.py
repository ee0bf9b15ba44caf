"""Plugins are found, broken ones stay visible, and names are looked up kindly."""

from __future__ import annotations

import types
from dataclasses import dataclass
from typing import ClassVar

import pytest

from sftbench import Method, Needs, PartUse, Scores, hookimpl, param
from sftbench.errors import ContractError, EnvironmentProblem, UsageError
from sftbench.plugins import load


def scorer_class(part_name):
    @dataclass(frozen=True, kw_only=True)
    class Toy:
        """A toy."""

        name: ClassVar[str] = part_name
        version: ClassVar[str] = "1"
        deterministic: ClassVar[bool] = True
        size: int = param(1, "how big")

        def needs(self):
            return Needs()

        def score(self, pool, desk):
            return Scores(values=None)

    return Toy


def module(name, **hooks):
    made = types.ModuleType(name)
    for hook, offered in hooks.items():
        setattr(made, hook, _hook(hook, offered))
    return made


def _hook(hook, offered):
    def implementation():
        return offered

    implementation.__name__ = hook
    return hookimpl(implementation)


def test_every_plugin_of_the_project_loads():
    plugins = load()
    assert plugins.broken == ()
    assert {"tshirt", "tokentune", "micro-response", "micro-instruction", "ifd", "ppl"} <= set(plugins.methods)
    assert {"base", "full", "random", "longest"} <= set(plugins.methods)


def test_a_part_of_an_extra_module_is_found_and_built():
    plugins = load([module("toys", sftbench_scorers=[scorer_class("toy")])])
    assert plugins.part("scorer", PartUse(name="toy", parameters={"size": "3"})).size == 3


def test_two_plugins_with_one_name_are_an_error_that_names_both():
    both = [module(name, sftbench_scorers=[scorer_class("toy")]) for name in ("toys", "games")]
    with pytest.raises(ContractError, match="games and toys"):
        load(both)


def test_an_unknown_method_is_an_error_with_the_nearest_name():
    with pytest.raises(UsageError, match="did you mean 'tshirt'"):
        load().method("thsirt")


def test_a_plugin_that_cannot_be_imported_stays_listed_and_is_named_when_asked_for(tmp_path, monkeypatch):
    (tmp_path / "crooked.py").write_text("raise RuntimeError('no luck')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("SFTBENCH_PLUGINS", "crooked")
    plugins = load()
    assert [(each.name, each.reason) for each in plugins.broken] == [("crooked", "RuntimeError: no luck")]
    assert "tshirt" in plugins.methods
    with pytest.raises(EnvironmentProblem, match="no luck"):
        plugins.method("crooked")


def test_a_misspelt_hook_makes_a_plugin_broken(tmp_path, monkeypatch):
    (tmp_path / "misspelt.py").write_text(
        "from sftbench import hookimpl\n@hookimpl\ndef sftbench_scorer():\n    return []\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("SFTBENCH_PLUGINS", "misspelt")
    broken = load().broken
    assert [each.name for each in broken] == ["misspelt"]
    assert "sftbench_scorer" in broken[0].reason


def test_a_class_without_a_version_makes_its_plugin_broken():
    toy = scorer_class("toy")
    del toy.version
    plugins = load([module("toys", sftbench_scorers=[toy])])
    assert [each.name for each in plugins.broken] == ["toys"]
    assert "version" in plugins.broken[0].reason


def test_methods_are_data():
    plugins = load([module("toys", sftbench_methods=[Method(name="toy", summary="x", selector=PartUse(name="top"))])])
    assert plugins.method("toy").selector.name == "top"
