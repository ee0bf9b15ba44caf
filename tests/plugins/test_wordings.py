"""Texts put to a model: known by version and hash, and filled in without looking at what a row holds."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from sftbench import UsageError
from sftbench_plugins.deita.scorer import Deita
from sftbench_plugins.ds2.scorer import Ds2
from sftbench_plugins.judges.grade import Grade
from sftbench_plugins.judges.pairwise import Pairwise
from sftbench_plugins.selectit.scorer import SelectIt
from sftbench_plugins.wordings import Wording, around


def test_a_wording_is_known_by_version_and_hash(tmp_path):
    path = tmp_path / "texts.json"
    path.write_text(json.dumps({"version": "7", "ask": "Well?"}))
    wording = Wording.of(path)
    assert wording.texts == {"ask": "Well?"}
    assert wording.told() == {"version": "7", "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def test_a_text_is_cut_around_its_slots():
    assert around("a {x} b {y}", ("x", "y"), where="t") == ["a ", " b ", ""]
    assert around('{"k": 1} {x}', ("x",), where="t") == ['{"k": 1} ', ""]


@pytest.mark.parametrize("text", ["", "{y} {x}", "{x}", "{x} {x} {y}", "{x} {y} {z}"])
def test_a_text_with_other_slots_is_refused_by_its_place(text):
    with pytest.raises(UsageError, match=r"my\.txt must have the slots \{x\}, \{y\}"):
        around(text, ("x", "y"), where="my.txt")


@pytest.mark.parametrize(
    ("part", "folder", "file", "part_version", "version", "beginning"),
    [
        (Deita, "deita", "templates.json", "2", "1", "3e53fac4997e0d08"),
        (SelectIt, "selectit", "rating_prompts.json", "1", "1", "5458e80c7aa90082"),
        (Ds2, "ds2", "rating_prompt.json", "1", "1", "a95748c2cbf23c38"),
        (Pairwise, "judges", "templates/pairwise.json", "1", "1", "96bb2270b9e9ff8e"),
        (Grade, "judges", "templates/grade.json", "2", "1", "f024b4dbd2ee935b"),
    ],
)
def test_whoever_changes_a_text_changes_its_version_and_that_of_its_part(
    part, folder, file, part_version, version, beginning
):
    """Keys know a part by its version alone: with another text it must have another one."""
    wording = Wording.of(Path(__file__).parents[2] / "plugins" / "sftbench_plugins" / folder / file)
    assert (part.version, wording.version, wording.sha256[:16]) == (part_version, version, beginning)
