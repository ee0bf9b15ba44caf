"""The plugin API is a page, and this keeps the page true: every hook is documented, and what it offers is collected."""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from sftbench import ContractError, Desk, Method, Needs, PartUse, PromptSuite, Suite, hookimpl, hookspecs
from sftbench.plugins import load
from sftbench.roles import ROLES

HOOKS = {
    name: hook
    for name, hook in vars(hookspecs).items()
    if inspect.isfunction(hook) and getattr(hook, "sftbench_spec", None) is not None
}


def module(**hooks):
    made = types.ModuleType("toys_of_this_test")
    for name, implementation in hooks.items():
        implementation.__name__ = name
        setattr(made, name, hookimpl(implementation))
    return made


@dataclass(frozen=True, kw_only=True)
class Toy:
    """A part of no role in particular."""

    name: ClassVar[str] = "toy-of-this-test"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True

    def needs(self):
        return Needs()


def test_there_are_hooks():
    assert len(HOOKS) >= 9


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_says_what_it_is_for_and_when_it_is_called(name):
    assert name.startswith("sftbench_")
    assert "Called" in (HOOKS[name].__doc__ or "")


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_is_in_the_guide_with_its_arguments(name, root):
    arguments = ", ".join(inspect.signature(HOOKS[name]).parameters)
    assert f"`{name}({arguments})`" in (root / "docs" / "plugins.md").read_text(encoding="utf-8")


def test_all_that_a_part_may_ask_for_is_in_the_guide(root):
    guide = (root / "docs" / "plugins.md").read_text(encoding="utf-8")
    wishes = {each.name for each in dataclasses.fields(Needs)}
    gifts = {name for name in vars(Desk) if not name.startswith("_")}
    assert {"chat", "without_chat", "embedder"} <= wishes
    assert {"chat", "embed", "allowance", "trained_on"} <= gifts
    outside_blocks = re.sub(r"```.*?```", "", guide, flags=re.DOTALL)
    words = {word for code in re.findall(r"`([^`]+)`", outside_blocks) for word in re.findall(r"\w+", code)}
    assert (wishes | gifts) - words == set()
    assert {"Generated", "num_wanted", "chooses", "TrainedModel", "ChatRequest", "ChatAnswer", "ended"} - words == set()


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_is_annotated(name):
    signature = inspect.signature(HOOKS[name])
    assert signature.return_annotation is not inspect.Signature.empty
    assert all(each.annotation is not inspect.Parameter.empty for each in signature.parameters.values())


@pytest.mark.parametrize("role", ROLES)
def test_what_a_hook_offers_for_a_role_is_collected(role):
    plugins = load([module(**{f"sftbench_{role}s": lambda: [Toy]})])
    assert plugins.part_class(role, Toy.name) is Toy
    assert plugins.parts[role][Toy.name].plugin == "toys_of_this_test"


def test_methods_are_collected():
    method = Method(name="toy-of-this-test", summary="a toy", selector=PartUse(name="top"))
    assert load([module(sftbench_methods=lambda: [method])]).method("toy-of-this-test") is method


def test_suites_are_collected():
    suite = Suite(
        name="toy-of-this-test", summary="a toy", rows=list, heldout=list, base=Path(), defaults={}, version="1"
    )
    assert load([module(sftbench_suites=lambda: [suite])]).suite("toy-of-this-test") is suite


def test_suites_of_prompts_are_collected_beside_them_and_share_their_names():
    prompts = PromptSuite(name="toy-of-this-test", summary="a toy", version="1", num_prompts=1, files=("toy.jsonl",))
    found = load([module(sftbench_suites=lambda: [prompts])])
    assert found.prompt_suites["toy-of-this-test"] is prompts
    assert "toy-of-this-test" not in found.suites
    twice = PromptSuite(name="microcosm", summary="", version="1", num_prompts=1, files=())
    assert "two plugins offer the suite 'microcosm'" in claimed(lambda: load([module(sftbench_suites=lambda: [twice])]))


def claimed(look_up):
    with pytest.raises(ContractError) as refused:
        look_up()
    return str(refused.value)


def test_finished_steps_are_observed():
    heard = []

    def listen(record):
        heard.append(record)

    load([module(sftbench_step_ended=listen)]).observe({"key": "abc"})
    assert heard == [{"key": "abc"}]


def test_every_hook_has_its_test_here():
    offering = {f"sftbench_{kind}s" for kind in (*ROLES, "method", "suite")}
    assert set(HOOKS) == {*offering, "sftbench_step_ended"}, "test a new hook here, too"
