"""Prompt files: every one is whole, and a changed one gets a new version."""

from __future__ import annotations

import re
from hashlib import sha256
from importlib.resources import files

import pytest
import yaml

from sftbench_plugins.generators import asking

FOLDER = files("sftbench_plugins.generators") / "prompts"
NAMES = sorted(path.name.removesuffix(".yaml") for path in FOLDER.iterdir() if path.name.endswith(".yaml"))
LISTS = ("personas", "pre-query")
DIGESTS = {
    "evolve-breadth@1": "49b59f9192941f8f",
    "evolve-gain@1": "10aacc9b77b05aac",
    "evolve@1": "57b1d0ab62b88858",
    "instance-input-first@1": "740bd439b7d89277",
    "instance-output-first@1": "c58e4215f52639cd",
    "new-row-in-context@1": "3943a0459fd63193",
    "new-row@1": "74c04d42b14b6946",
    "paraphrase@1": "acc03088eaaa4cc1",
    "persona-from-text@1": "3f6a1608d6c6a2fc",
    "persona-related@1": "45c86764c03c5c37",
    "persona-task@1": "f2901ef8a8816017",
    "personas@1": "19ef1458929eec9c",
    "pre-query@1": "b0787005f611d2b9",
    "quality@1": "8a093ea4048f27ca",
    "task-kind@1": "f08cd44f69b61be6",
    "task-list@1": "fb7731e38aa7cda9",
    "topic-list@1": "bdc8d5d063bda717",
    "topic-row@1": "0515d84bd7772358",
}
"""By name and version. Who changes a prompt bumps its version and that of the generators that use it."""


def test_every_prompt_is_known_by_version_and_text():
    found = {}
    for name in NAMES:
        text = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
        found[f"{name}@{yaml.safe_load(text)['version']}"] = sha256(text.encode()).hexdigest()[:16]
    assert found == DIGESTS


@pytest.mark.parametrize("name", [name for name in NAMES if name not in LISTS])
def test_a_prompt_is_filled_wholly_and_says_how_to_answer(name):
    template = asking.prompt(name)
    slots = set(re.findall(r"\$(\w+)", template.user + template.system))
    messages = template.filled(**dict.fromkeys(slots, "FILLED"))
    assert "$" not in "".join(each.content for each in messages)
    assert messages[-1].role == "user"
    assert messages[-1].content.count("FILLED") >= len(slots)
    assert "{" in messages[-1].content or name == "task-list"
    with pytest.raises(KeyError):
        template.filled()


def test_text_with_dollars_and_braces_fills_a_slot_as_it_is():
    (_, user) = asking.prompt("task-kind").filled(question="pay $5 for ${x} {y}")
    assert "pay $5 for ${x} {y}" in user.content


@pytest.mark.parametrize(
    "text",
    ['{"a": 1}', '```json\n{"a": 1}\n```', 'Sure! Here it is:\n{"a": 1}\nHope it helps', ' \n{"a": 1, "b": "}"}'],
)
def test_an_object_is_found_among_words_and_fences(text):
    assert asking.json_object(text)["a"] == 1


@pytest.mark.parametrize("text", ["{", "[]", "null", "{'a': 1}", "{" * 100_000, "no"])
def test_anything_else_is_unusable(text):
    with pytest.raises(asking.Unusable):
        asking.json_object(text)
