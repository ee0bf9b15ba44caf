"""`bench board merge`: one board from several people's runs, like with like, and every row once."""

from __future__ import annotations

import json

import pytest

from sftbench.errors import UsageError, VerificationError
from sftbench.publishing.gather import Wanted
from sftbench.publishing.merge import merge
from sftbench.publishing.publish import publish
from sftbench.publishing.verify import verify

from .conftest import make_manifest_match, rewrite


def bundled(run, tmp_path):
    target = tmp_path / f"{run.folder.name}-bundle"
    publish(Wanted(results=run.folder), str(target))
    return target


def levels(merged):
    return {each.label: each.level for each in merged.levels}


def test_rows_of_two_people_stand_on_one_board_that_verifies(new_run, tmp_path):
    one = bundled(new_run("one", ("alpha", "beta")), tmp_path)
    two = bundled(new_run("two", ("beta", "gamma"), noise=1), tmp_path)
    merged = merge([one, two], tmp_path / "both")
    board = json.loads((tmp_path / "both/board/board.json").read_text())
    assert {row["label"] for row in board["rows"]} == {"alpha", "beta", "gamma"}
    assert levels(merged) == {"alpha": "recomputed", "beta": "reproduced by 1", "gamma": "recomputed"}
    assert verify(tmp_path / "both").holds
    told = json.loads((tmp_path / "both/records/levels.json").read_text())["rows"]
    assert {"label": "beta", "budget": "10", "level": "reproduced by 1"} in told


def test_the_order_of_the_sources_does_not_show(new_run, tmp_path):
    one = bundled(new_run("one", ("alpha", "beta")), tmp_path)
    two = bundled(new_run("two", ("beta", "gamma"), noise=1), tmp_path)
    (tmp_path / "x").mkdir()
    (tmp_path / "y").mkdir()
    first = merge([one, two], tmp_path / "x" / "m")
    assert merge([two, one], tmp_path / "y" / "m").published.seal == first.published.seal


def test_a_copy_of_a_run_reproduces_nothing(new_run, tmp_path):
    one = bundled(new_run("one"), tmp_path)
    two = bundled(new_run("two"), tmp_path)
    assert set(levels(merge([one, two], tmp_path / "both")).values()) == {"recomputed"}


def test_results_that_nobody_published_are_self_reported(new_run, tmp_path):
    one = bundled(new_run("one", ("alpha", "beta")), tmp_path)
    two = new_run("two", ("gamma",))
    assert levels(merge([one, two.folder], tmp_path / "both"))["gamma"] == "self-reported"


TERMS = {
    "pool": lambda cell: cell["pool"].update(key="pool/" + "b" * 64),
    "base model": lambda cell: cell["base"].update(fingerprint="0" * 64),
    "budgets": lambda cell: cell.update(budget="20"),
    "judge": lambda cell: cell["verdicts"] and cell["verdicts"].update(baseline="gamma"),
    "prompt templates": lambda cell: cell["verdicts"] and cell["verdicts"].update(report={"template": "other"}),
    "held-out items": lambda cell: cell["evaluations"]["exact-match"]["ids"].__setitem__(0, "another"),
    "held-out items of one metric": lambda cell: cell["evaluations"]["exact-match"].update(
        ids_of={"exact-match": [f"own-{item}" for item in range(12)]}
    ),
    "evaluators": lambda cell: cell["steps"][0].update(part="exact-match@2"),
}


@pytest.mark.parametrize("what", TERMS)
def test_other_terms_are_refused_saying_which_and_where(new_run, tmp_path, what):
    one, two = new_run("one"), new_run("two", ())
    for label in ("alpha", "beta"):
        cell = two.cell(label)
        TERMS[what](cell)
        two.write(cell)
    two.finish()
    with pytest.raises(UsageError, match=f"one and .*two differ in {what.split(' of ')[0]}: .*like with like"):
        merge([one.folder, two.folder], tmp_path / "both")
    assert not (tmp_path / "both").exists()


@pytest.mark.parametrize(("name", "value"), [("trainer", "sft[epochs=9]"), ("plant", 0.5), ("judge", "other")])
def test_other_settings_are_refused(new_run, tmp_path, name, value):
    one, two = new_run("one"), new_run("two", ("gamma",))
    two.settings[name] = value
    two.finish()
    with pytest.raises(UsageError, match=f"differ in (judge's settings|{name})"):
        merge([one.folder, two.folder], tmp_path / "both")


def test_the_same_row_with_different_numbers_is_refused_naming_both(new_run, tmp_path):
    one, two = new_run("one"), new_run("two", noise=1)
    cell = two.cell("alpha", 1)
    cell["evaluations"]["exact-match"]["items"]["exact-match"][3] = 0.5
    two.write(cell)
    with pytest.raises(UsageError, match=r"one and .*two both claim alpha@10/1, with different numbers: .*\[3\] is"):
        merge([one.folder, two.folder], tmp_path / "both")


def test_a_bundle_that_does_not_verify_is_not_merged(new_run, tmp_path):
    one, two = bundled(new_run("one"), tmp_path), new_run("two")
    rewrite(one / "board/board.json", lambda board: board["rows"][0].update(rank=7))
    make_manifest_match(one)
    with pytest.raises(VerificationError, match=r"one-bundle does not verify: board/board.json"):
        merge([one, two.folder], tmp_path / "both")


def test_nothing_is_overwritten_by_merging(new_run, tmp_path):
    one, two = new_run("one"), new_run("two", ("gamma",))
    (tmp_path / "both").mkdir()
    (tmp_path / "both" / "mine").write_text("mine")
    with pytest.raises(UsageError, match="holds other files"):
        merge([one.folder, two.folder], tmp_path / "both")
    assert [each.name for each in (tmp_path / "both").iterdir()] == ["mine"]


def test_what_cannot_be_merged_is_told(new_run, tmp_path):
    one = new_run("one")
    with pytest.raises(UsageError, match="at least two"):
        merge([one.folder], tmp_path / "both")
    with pytest.raises(UsageError, match="neither a bundle nor a results folder"):
        merge([one.folder, tmp_path / "nothing"], tmp_path / "both")
