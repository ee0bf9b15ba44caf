"""`bench board merge`: one board from several people's runs, like with like, and every row once."""

from __future__ import annotations

import hashlib
import json

import pytest

from sftbench.errors import UsageError, VerificationError
from sftbench.publishing.gather import BundleWanted
from sftbench.publishing.merge import merge
from sftbench.publishing.publish import publish
from sftbench.publishing.verify import verify

from .conftest import make_manifest_match, rewrite


def bundled(run, tmp_path):
    target = tmp_path / f"{run.folder.name}-bundle"
    publish(BundleWanted(results=run.folder), str(target))
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
    run = json.loads((tmp_path / "both/records/run.json").read_text())
    assert run["name"] == "both"
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
    "judges": lambda cell: cell["verdicts"] and cell["verdicts"].update(baseline="gamma"),
    "judges of another model": lambda cell: (
        cell["verdicts"] and cell["verdicts"].update(judged_by={"part": "pairwise@1", "asks:judge": "vllm:other@f.1"})
    ),
    "prompt templates": lambda cell: cell["verdicts"] and cell["verdicts"].update(judged_by={"file:template": "0f"}),
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


@pytest.mark.parametrize(
    ("name", "value"),
    [("trainer", "sft[epochs=9]"), ("plant", 0.5), ("judge", "other"), ("answers", "vllm[dtype=bfloat16]")],
)
def test_other_settings_are_refused(new_run, tmp_path, name, value):
    one, two = new_run("one"), new_run("two", ("gamma",))
    two.settings[name] = value
    two.finish()
    with pytest.raises(UsageError, match=f"differ in (judge's settings|{name})"):
        merge([one.folder, two.folder], tmp_path / "both")


def served(new_run, name, label, *, by="vllm 0.32.0", form="adapter loaded", **settings):
    """A run of one row and the untrained base, whose answers a server wrote."""
    run = new_run(name, ())
    run.settings.update({"answers": "vllm", **settings})
    run.write(run.cell(label, answered_by={"served_by": by, "served_as": form}))
    whole = {"served_by": by, "served_as": "whole model"}
    run.write(run.cell("beta", selection=None, answered_by=whole))
    run.finish()
    return run.folder


@pytest.mark.parametrize(
    ("other", "part"),
    [
        ({"answers_identity": "vllm-tokens.1"}, r"answers: vllm-tokens.1\[dtype=float32\] and vllm-tokens.1;"),
        ({"by": "vllm 0.33.0"}, "servers of answers: vllm 0.32.0 and vllm 0.33.0;"),
        ({"form": "adapter merged"}, "form of served adapters: adapter loaded and adapter merged;"),
        ({"form": "whole model", "answers": "vllm[dtype=float32]"}, None),
    ],
)
def test_answers_are_told_apart_by_the_precision_that_was_settled_the_server_and_its_form(
    new_run, tmp_path, other, part
):
    settled = {"answers_identity": "vllm-tokens.1[dtype=float32]"}
    folders = [served(new_run, "one", "alpha", **settled), served(new_run, "two", "gamma", **{**settled, **other})]
    if part is None:
        assert merge(folders, tmp_path / "both")
        return
    with pytest.raises(UsageError, match=f"one and .*two differ in {part}"):
        merge(folders, tmp_path / "both")


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
    with pytest.raises(UsageError, match="holds other files, which are not overwritten; choose another with --out"):
        merge([one.folder, two.folder], tmp_path / "both")
    assert [each.name for each in (tmp_path / "both").iterdir()] == ["mine"]


def test_what_cannot_be_merged_is_told(new_run, tmp_path):
    one = new_run("one")
    with pytest.raises(UsageError, match="at least two"):
        merge([one.folder], tmp_path / "both")
    with pytest.raises(UsageError, match="neither a bundle nor a results folder"):
        merge([one.folder, tmp_path / "nothing"], tmp_path / "both")


def with_values(run, label, seed, values):
    cell = run.cell(label, seed)
    cell["evaluations"]["exact-match"]["items"]["exact-match"] = values
    run.write(cell)
    return cell


def test_numbers_within_the_tolerance_of_reproducing_are_the_same_row_run_again(new_run, tmp_path):
    """A mean over 12 items that is 0.1 / 12 = 0.00833 away."""
    one, two, three = new_run("one"), new_run("two", noise=1), new_run("three", noise=2)
    values = one.cell("alpha", 1)["evaluations"]["exact-match"]["items"]["exact-match"]
    with_values(two, "alpha", 1, [values[0] + 0.1, *values[1:]])
    merged = merge([one.folder, two.folder], tmp_path / "both")
    assert levels(merged)["alpha"] == "reproduced by 1"
    rows = json.loads((tmp_path / "both/records/levels.json").read_text())["rows"]
    told = {row["label"]: {key: row[key] for key in row if key not in ("label", "budget", "level")} for row in rows}
    assert told == {
        "alpha": {"tolerance": 0.02, "means_apart": {"1": {"exact-match.exact-match": 0.00833333}}},
        "beta": {},
    }
    candidates = [folder / "alpha/10/seed-1.json" for folder in (one.folder, two.folder)]
    lowest = min(candidates, key=lambda path: hashlib.sha256(path.read_bytes()).hexdigest())
    assert (tmp_path / "both/records/alpha/10/seed-1.json").read_bytes() == lowest.read_bytes()
    assert merge([two.folder, one.folder], tmp_path / "other" / ".." / "both").published.seal == merged.published.seal
    assert verify(tmp_path / "both").holds
    # Each is near the first, and the two are not near each other.
    with_values(three, "alpha", 1, [values[0] - 0.2, *values[1:]])
    for order in ([one, two, three], [two, three, one]):
        with pytest.raises(UsageError, match=r"two and .*three both claim alpha@10/1, with different numbers"):
            merge([each.folder for each in order], tmp_path / "three")


@pytest.mark.parametrize(
    "change",
    [
        lambda cell: cell["selection"].update(ids_hash="0" * 64),
        lambda cell: cell["selection"].update(trained_share=0.51),
        lambda cell: cell["cost"]["training"].update(flops=2e9),
        lambda cell: cell["verdicts"]["preference"].__setitem__(0, None),
        lambda cell: cell["verdicts"].update(preference=[0.3] * 12),
        lambda cell: cell.update(fidelity="exact"),
    ],
)
def test_what_is_not_rounding_is_a_conflict(new_run, tmp_path, change):
    one, two = new_run("one"), new_run("two", noise=1)
    cell = two.cell("alpha", 1)
    change(cell)
    two.write(cell)
    with pytest.raises(UsageError, match="both claim alpha@10/1, with different numbers"):
        merge([one.folder, two.folder], tmp_path / "both")


@pytest.mark.parametrize(("apart", "agrees"), [(0.01, True), (0.5, False)])
def test_numbers_without_items_are_compared_as_means_are(new_run, tmp_path, apart, agrees):
    """They stand where items would; a merged row tells how far apart they are."""
    one, two = new_run("one"), new_run("two", noise=1)
    for run, number in ((one, 1.0), (two, 1.0 + apart)):
        for path in sorted(run.folder.rglob("seed-*.json")):
            cell = json.loads(path.read_text())
            told = {"ids": [], "items": {}, "numbers": {"x": number}, "bigger_is_better": {"x": True}}
            run.write({**cell, "evaluations": {**cell["evaluations"], "toy": told}})
    if not agrees:
        with pytest.raises(UsageError, match=r"different numbers: evaluations.toy.numbers.x is 1.0 and 1.5"):
            merge([one.folder, two.folder], tmp_path / "both")
        return
    merge([one.folder, two.folder], tmp_path / "both")
    rows = json.loads((tmp_path / "both/records/levels.json").read_text())["rows"]
    found = {name: each for row in rows for name, each in row.get("means_apart", {}).get("1", {}).items()}
    assert found == {"toy.x": pytest.approx(apart)}


def card(**changes):
    preferred = {"value": 80.0, "low": 72.0, "high": 88.0, "num": 100, "on": "llmbar natural"}
    return {"schema": 1, "words": ["It agrees."], "passes": True, "gold_preference": preferred, "flip_rate": None,
            "agreement": None, "gates": [], **changes}  # fmt: skip


def test_the_judges_card_and_what_is_told_of_the_methods_go_along(new_run, tmp_path):
    one, two = new_run("one", ("alpha", "beta")), new_run("two", ("gamma",))
    (one.folder / "judge-card.json").write_text(json.dumps(card()))
    (two.folder / "judge-card.json").write_text(json.dumps(card(), indent=3))
    for each in (one, two):
        (each.folder / "judge-cards.json").write_text(json.dumps({"schema": 1, "cards": {"other": card()}}))
    (one.folder / "methods.json").write_text(json.dumps({"alpha": {"about": "a"}, "beta": {"about": "b"}}))
    (two.folder / "methods.json").write_text(json.dumps({"beta": {"about": "other"}, "gamma": {"about": "c"}}))
    merged = merge([one.folder, bundled(two, tmp_path)], tmp_path / "both")
    methods = json.loads((tmp_path / "both/records/methods.json").read_text())
    assert {name: told["about"] for name, told in methods.items()} == {"alpha": "a", "beta": "b", "gamma": "c"}
    board = json.loads((tmp_path / "both/board/board.json").read_text())
    assert {row["label"]: "win_rate_corrected" in row for row in board["rows"]} == {
        "alpha": True, "beta": False, "gamma": True,
    }  # fmt: skip
    further = json.loads((tmp_path / "both/records/judge-cards.json").read_text())
    assert further == {"schema": 1, "cards": {"other": card()}}
    assert verify(tmp_path / "both").holds
    (tmp_path / "again").mkdir()
    again = merge([tmp_path / "two-bundle", one.folder], tmp_path / "again" / "both")
    assert again.published.seal == merged.published.seal


@pytest.mark.parametrize("other", [None, card(passes=False)])
def test_another_card_of_the_judge_is_refused(new_run, tmp_path, other):
    one, two = new_run("one"), new_run("two", ("gamma",))
    (one.folder / "judge-card.json").write_text(json.dumps(card()))
    if other is not None:
        (two.folder / "judge-card.json").write_text(json.dumps(other))
    with pytest.raises(UsageError, match="differ in judge's card"):
        merge([one.folder, two.folder], tmp_path / "both")


def test_another_card_of_a_further_judge_is_refused(new_run, tmp_path):
    one, two = new_run("one"), new_run("two", ("gamma",))
    for each, passes in ((one, True), (two, False)):
        told = {"schema": 1, "cards": {"other": card(passes=passes)}}
        (each.folder / "judge-cards.json").write_text(json.dumps(told))
    with pytest.raises(UsageError, match="differ in cards of further judges"):
        merge([one.folder, two.folder], tmp_path / "both")


def test_a_merged_bundle_has_a_site_of_its_own(new_run, tmp_path):
    one, two = new_run("one", ("alpha", "beta")), new_run("two", ("gamma",))
    merge([one.folder, two.folder], tmp_path / "both")
    assert (tmp_path / "both/board/index.html").is_file()
    assert "href=../../records/gamma/10/seed-0.json" in (tmp_path / "both/board/rows/gamma.html").read_text()
