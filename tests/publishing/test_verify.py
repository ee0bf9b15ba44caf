"""`bench verify`: an untouched bundle verifies, and edits are found, also where the manifest was made to match."""

from __future__ import annotations

import json
import random
import re
import shutil
from pathlib import Path

import pytest

from sftbench.errors import UsageError, VerificationError
from sftbench.fingerprint import key_of
from sftbench.publishing.checking import Checked
from sftbench.publishing.layout import files_below
from sftbench.publishing.levels import Attestation, write_attestation
from sftbench.publishing.manifest import seal_of, told_of
from sftbench.publishing.page import readme_of
from sftbench.publishing.verify import about_of, verify

from .conftest import make_manifest_match, rewrite

NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[+-]?\d+)?(?![\w.])")


def told(bundle):
    return [str(each) for each in verify(bundle).findings]


def test_an_untouched_bundle_verifies(bundle):
    found = verify(bundle)
    assert found.findings == ()
    assert [(each.label, each.level) for each in found.levels] == [("alpha", "recomputed"), ("beta", "recomputed")]
    assert any("cannot show" in note for note in found.notes)


def test_a_bundle_may_be_looked_at_from_anywhere_and_is_not_written_to(bundle):
    before = {name: path.stat().st_mtime_ns for name, path in files_below(bundle).items()}
    assert verify(bundle).holds
    assert {name: path.stat().st_mtime_ns for name, path in files_below(bundle).items()} == before


def test_an_edited_a_missing_and_an_extra_file_are_named(bundle):
    (bundle / "records/alpha/10/seed-0.json").unlink()
    (bundle / "records/beta/10/seed-2.json").write_text("{}")
    with (bundle / "lock.json").open("a") as stream:
        stream.write(" ")
    found = "\n".join(told(bundle))
    assert "records/alpha/10/seed-0.json: is in the manifest and missing" in found
    assert "records/beta/10/seed-2.json: is not in the manifest" in found
    assert "lock.json: was changed after publication" in found


def test_an_edited_number_on_the_board_is_told_by_row_and_column_with_both_values(bundle):
    def change(board):
        board["rows"][0]["metrics"]["exact-match"]["mean"] = 0.99

    label = json.loads((bundle / "board/board.json").read_text())["rows"][0]["label"]
    rewrite(bundle / "board/board.json", change)
    make_manifest_match(bundle)
    (finding,) = verify(bundle).findings
    assert finding.where == "board/board.json"
    assert finding.what == f"row '{label}' at 10, column metrics exact-match mean"
    assert finding.told == 0.99
    assert isinstance(finding.recomputed, float)


def test_an_edited_field_of_the_csv_is_told_by_row_and_column(bundle):
    path = bundle / "board/board.csv"
    lines = path.read_text().splitlines()
    place = lines[0].split(",").index("exact_match")
    fields = lines[1].split(",")
    fields[place] = "0.875"
    path.write_text("\n".join([lines[0], ",".join(fields), *lines[2:]]) + "\n")
    make_manifest_match(bundle)
    (finding,) = verify(bundle).findings
    assert re.fullmatch(r"row '(alpha|beta)' at 10, column exact_match", finding.what)
    assert finding.told == "'0.875'"


@pytest.mark.parametrize("name", ["index.html", "rows/alpha.html", "data/alpha.js", "assets/board.css", "README.md"])
def test_a_forged_page_is_named_although_the_manifest_was_made_to_match(bundle, name):
    path = bundle / "board" / name
    path.write_text(path.read_text() + "<!-- and more -->")
    make_manifest_match(bundle)
    assert {each.where for each in verify(bundle).findings} == {f"board/{name}"}


def test_a_value_forged_in_a_script_of_data_is_told_by_seed_and_field(bundle):
    path = bundle / "board/data/alpha.js"
    text = path.read_text()
    letters = re.search(r'"of":"([01]+)"', text)[1]
    path.write_text(text.replace(letters, "1" * len(letters), 1))
    make_manifest_match(bundle)
    (finding,) = verify(bundle).findings
    assert finding.where == "board/data/alpha.js"
    assert finding.what == "seed 0 at 10, values exact-match, of"
    assert (finding.told, finding.recomputed) == (f"'{'1' * len(letters)}'", f"'{letters}'")


def publish_as_it_is(bundle):
    """What a forger does: the hashes in `bundle.json` and the manifest are made to match."""
    rewrite(bundle / "bundle.json", lambda about: about["sealed"].update(
        {name: told_of(bundle / name) for name in about["sealed"]}
    ))  # fmt: skip
    make_manifest_match(bundle)


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["figure.png"], "1 file beside the board follows from no record, checked by hash alone: board/figure.png"),
        (["a.png", "own.HTML"], "2 files beside the board follow from no record, checked by hash alone: board/a.png, "
         "board/own.HTML; among them a page or script that sftbench did not make and a browser runs: board/own.HTML"),
        ([f"{each}.png" for each in "abcdefg"],
         "7 files beside the board follow from no record, checked by hash alone: board/a.png, board/b.png, "
         "board/c.png, board/d.png, board/e.png and 2 more"),
    ],
)  # fmt: skip
def test_files_that_no_record_is_behind_are_named(bundle, names, says):
    for name in names:
        (bundle / "board" / name).write_text("x")
    publish_as_it_is(bundle)
    found = verify(bundle)
    assert found.holds
    assert says in found.notes


def test_the_last_line_of_a_mismatch_tells_the_way_out(bundle):
    (bundle / "lock.json").write_text("{}")
    make_manifest_match(bundle)
    assert last_line(bundle) == (
        "the bundle does not verify: 1 finding; get it anew from whoever published it, and compare the seal"
    )


def test_a_page_that_is_missing_or_of_no_row_is_named(bundle):
    (bundle / "board/rows/alpha.html").rename(bundle / "board/rows/omega.html")
    make_manifest_match(bundle)
    assert told(bundle) == ["board/rows/alpha.html: is missing", "board/rows/omega.html: is no page of this board"]


def test_what_one_side_alone_tells_is_named(bundle):
    def change(board):
        board["rows"][0]["stars"] = 5
        del board["rows"][1]["tier"]

    rows = json.loads((bundle / "board/board.json").read_text())["rows"]
    rewrite(bundle / "board/board.json", change)
    make_manifest_match(bundle)
    extra, missing = verify(bundle).findings
    assert extra.what == f"row '{rows[0]['label']}' at 10, column stars, which follows from no record,"
    assert missing.what == f"row '{rows[1]['label']}' at 10, column tier, which is not told,"
    assert (extra.told, missing.recomputed) == (5, rows[1]["tier"])


def of_another_version(bundle):
    rewrite(bundle / "bundle.json", lambda about: about["made_with"].update(sftbench="0.0.1"))
    (bundle / "README.md").write_text(readme_of(about_of(bundle)))


def last_line(bundle):
    return list(Checked(verification=verify(bundle)).lines())[-1]


def test_naming_another_version_switches_no_check_off_in_silence(bundle):
    assert last_line(bundle) == "the bundle verifies: every number of the board follows from its records"
    page = bundle / "board/index.html"
    page.write_text(page.read_text() + " ")
    rewrite(bundle / "board/board.json", lambda board: board["rows"][0].pop("tier"))
    of_another_version(bundle)
    make_manifest_match(bundle)
    found = verify(bundle)
    assert found.holds
    assert "board/index.html: its text was not compared" in found.notes
    assert "board/board.json: of rows, tier, which is not told, was not compared" in found.notes
    assert any("made with sftbench 0.0.1" in note for note in found.notes)
    assert "every number" not in last_line(bundle)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("board.json", lambda text: re.sub('"rank": 1', '"rank": 2', text, count=1)),
        ("board.json", lambda text: text[:100]),
        ("board.csv", lambda text: text.replace("alpha", "alfa")),
        ("board.csv", lambda text: text.replace("budget,rank", "rank,rank", 1)),
        ("board.csv", lambda text: text[: text.index("\n")]),
    ],
)
def test_values_of_another_version_are_held_to_the_records(bundle, name, change):
    path = bundle / "board" / name
    path.write_text(change(path.read_text()))
    of_another_version(bundle)
    make_manifest_match(bundle)
    assert {each.where for each in verify(bundle).findings} == {f"board/{name}"}


def numbers_of(bundle):
    """Every number in every file of a bundle, as the file and where in it."""
    for name, path in files_below(bundle).items():
        text = path.read_text(encoding="utf-8")
        yield from ((name, match.span()) for match in NUMBER.finditer(text))


def other_number(text, rng):
    """Another number in the same notation, mostly one digit of it changed."""
    digits = [index for index, letter in enumerate(text) if letter.isdigit()]
    index = rng.choice(digits)
    digit = rng.choice([each for each in "123456789" if each != text[index]])
    return text[:index] + digit + text[index + 1 :]


def test_every_file_holds_numbers_to_edit(bundle):
    kinds = {name.split("/")[0] for name, _ in numbers_of(bundle)}
    assert kinds == {"README.md", "board", "bundle.json", "lock.json", "manifest.json", "records"}


@pytest.mark.parametrize("matching", [False, True], ids=["manifest as it was", "manifest made to match"])
def test_any_number_edited_in_any_file_is_found(bundle, tmp_path, matching):
    """Forty random edits per way, spread over all files. The manifest cannot be edited and made to match as well."""
    rng = random.Random(matching)
    by_file = {}
    for name, span in numbers_of(bundle):
        by_file.setdefault(name, []).append(span)
    names = sorted(name for name in by_file if not (matching and name == "manifest.json"))
    for turn in range(40):
        name = names[turn % len(names)]
        start, end = rng.choice(by_file[name])
        copy = tmp_path / f"copy-{turn}"
        shutil.copytree(bundle, copy)
        path = copy / name
        text = path.read_text(encoding="utf-8")
        changed = other_number(text[start:end], rng)
        path.write_text(text[:start] + changed + text[end:], encoding="utf-8")
        if matching:
            make_manifest_match(copy)
        try:
            findings = verify(copy).findings
        except (UsageError, VerificationError):
            findings = ("refused",)
        assert findings, f"{name}: {text[start - 40 : end]} -> {changed}"
        shutil.rmtree(copy)


def test_what_is_made_up_as_a_whole_recomputes_and_only_the_seal_tells(new_run, tmp_path):
    """The limit of the check, which its output states: whoever forges records and publishes them anew is not found."""
    from sftbench.publishing.gather import BundleWanted
    from sftbench.publishing.publish import publish

    run = new_run()
    honest = publish(BundleWanted(results=run.folder), str(tmp_path / "honest"))
    forged = run.cell("alpha", 0)
    forged["evaluations"]["exact-match"]["items"]["exact-match"] = [1.0] * 12
    run.write(forged)
    publish(BundleWanted(results=run.folder), str(tmp_path / "forged"))
    assert verify(tmp_path / "forged").holds
    (finding,) = verify(tmp_path / "forged", seal=honest.seal).findings
    assert finding.what == "is not the one with the given seal"
    assert verify(tmp_path / "honest", seal=honest.seal[:16]).holds
    assert not verify(tmp_path / "honest", seal=honest.seal[:15]).holds


def test_a_record_cut_short_is_named(bundle):
    path = bundle / "records/alpha/10/seed-0.json"
    path.write_text(path.read_text()[:200])
    make_manifest_match(bundle)
    assert any("records/alpha/10/seed-0.json: cut off or not a result" in each for each in told(bundle))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda cell: cell["evaluations"]["exact-match"]["items"].update({"exact-match": [float("nan")]}), "finite"),
        (lambda cell: cell["verdicts"]["preference"].__setitem__(0, 1.5), "a preference outside 0..1"),
        (lambda cell: cell["verdicts"]["ids"].__setitem__(0, "item-1"), "an item id occurs twice"),
        (lambda cell: cell["selection"].update(positions="1,3,999"), "row 999 of a pool of 100 rows"),
        (lambda cell: cell["selection"].update(num_planted_rows=11), "11 of 10 chosen rows are planted"),
        (lambda cell: cell["selection"].update(trained_share=1.5), "1.5 of the tokens were trained"),
        (lambda cell: cell["cost"]["training"].update(flops=-1.0), "training cost -1.0 flops"),
        (lambda cell: cell["selection"].update(num_planted_rows=-1), "selection: num_planted_rows is -1"),
        (lambda cell: cell["selection"].update(num_response_tokens=501), "501 tokens were chosen from 500"),
        (lambda cell: cell["selection"].update(num_planted_tokens=-2), "selection: num_planted_tokens is -2"),
        (lambda cell: cell["selection"].update(key="selection/" + "0" * 64), "is none of its steps"),
        (lambda cell: cell.update(seed=-1), "seed: -1 is outside 0..2**63"),
        (lambda cell: cell.update(seed=10**25), "is outside 0..2**63"),
        (lambda cell: cell["cost"]["training"].update(flops=1e308), "cost.training.flops: 1e+308 is beyond 1e+30"),
        (lambda cell: cell["evaluations"]["exact-match"]["items"]["exact-match"].__setitem__(3, -1e308),
         "evaluations.exact-match.items.exact-match.3: -1e+308 is beyond 1e+30"),
        (lambda cell: cell["evaluations"]["exact-match"]["report"].update(a=[{"b": 10**400}]), "report.a.0.b: 1000"),
        (lambda cell: cell.update(hits=hits(ids=["elsewhere"])), "'elsewhere', of which rows have something, is no"),
        (lambda cell: cell.update(hits=hits(num_rows=11)), "11 of 10 chosen rows have something"),
        (lambda cell: cell.update(hits=hits(num_rows=-1)), "hits: num_rows is -1"),
        (lambda cell: cell.update(hits=hits(ids=["item-1", "item-1"])), "is named twice"),
        (lambda cell: cell.update(hits=hits(key="pool/" + "0" * 64)), "is no step that looks for them"),
        (lambda cell: cell.update(schema=True), "schema"),
        (lambda cell: cell.update(schema=2), "schema 2"),
        (lambda cell: cell.update(status="failed"), "status is 'failed' but failure is missing"),
    ],
)  # fmt: skip
def test_records_that_cannot_be_are_told(bundle, change, says):
    path = bundle / "records/alpha/10/seed-0.json"
    cell = json.loads(path.read_text())
    cell["evaluations"]["exact-match"]["report"] = {}
    change(cell)
    path.write_text(json.dumps(cell))
    make_manifest_match(bundle)
    places = {"records/alpha/10/seed-0.json", "alpha@10/0", "alpha@10/-1"}
    assert any(says in each.what and each.where in places for each in verify(bundle).findings), told(bundle)


def hits(**changes):
    about = {"key": "contamination/" + "a" * 64, "num_words": 8, "cosine": None, "num_rows": 2, "ids": ["item-1"]}
    return {**about, **changes}


def test_seeds_far_apart_are_no_reason_to_count_all_between(bundle):
    path = bundle / "records/alpha/10/seed-0.json"
    for number in (2**62, 2**62 + 5, 2**63 - 1):
        cell = json.loads(path.read_text())
        cell["seed"] = number
        path.with_name(f"seed-{number}.json").write_text(json.dumps(cell))
    make_manifest_match(bundle)
    assert any(each.what == "number of cells" for each in verify(bundle).findings)


def test_arithmetic_that_no_bound_foresaw_is_a_finding(bundle, monkeypatch):
    from sftbench.publishing import verify as module

    def overflow(*_):
        raise OverflowError("Result too large")

    monkeypatch.setattr(module, "recompute", overflow)
    assert told(bundle) == ["records: no board can be made of them (OverflowError: Result too large)"]


@pytest.mark.parametrize("name", ["records/alpha/10/seed-0.json", "records/run.json", "bundle.json"])
def test_a_key_that_occurs_twice_is_told_with_its_file(bundle, name):
    text = (bundle / name).read_text()
    (bundle / name).write_text(text.replace('"schema": 1', '"schema": 1, "schema": 1', 1))
    make_manifest_match(bundle)
    try:
        found = told(bundle)
    except VerificationError as problem:
        found = [str(problem)]
    (says,) = [each for each in found if "occurs twice" in each]
    assert says.startswith(f"{name}: ")
    assert "delete it" not in says


def test_a_folder_in_the_place_of_a_file_is_told_without_its_place_on_the_machine(bundle):
    (bundle / "bundle.json").unlink()
    (bundle / "bundle.json").mkdir()
    make_manifest_match(bundle)
    with pytest.raises(VerificationError, match=r"^bundle.json: cannot be read \(Is a directory\)$"):
        verify(bundle)


def test_a_schema_is_a_number_and_no_truth(bundle):
    rewrite(bundle / "manifest.json", lambda value: value.update(schema=True))
    with pytest.raises(VerificationError, match=r"manifest.json: does not tell its schema"):
        verify(bundle)


def test_ids_of_no_selection_are_told(bundle):
    (bundle / "selections").mkdir()
    (bundle / "selections/other.json").write_text("{}")
    make_manifest_match(bundle)
    assert "selections/other.json: is of no selection of a record" in told(bundle)


def test_a_judge_is_held_to_the_identity_of_its_step(bundle):
    path = bundle / "records/alpha/10/seed-0.json"
    identity = {"part": "pairwise@1", "asks:judge": "vllm:large@0f", "template": "x"}
    key = key_of({"room": "verdicts", "identity": identity, "parents": {}})
    step = {"ref": f"verdicts/{key}", "identity": identity, "parents": {}}

    def change(cell):
        cell["steps"][1]["key"] = key
        cell["verdicts"]["judged_by"] = {"part": "pairwise@1", "asks:judge": "vllm:large@0f"}

    rewrite(path, change)
    (bundle / "provenance").mkdir()
    (bundle / "provenance/steps.jsonl").write_text(json.dumps(step) + "\n")
    make_manifest_match(bundle)
    says = "alpha@10/0: checker was judged by what made none of its steps"
    assert says not in told(bundle)
    rewrite(path, lambda cell: cell["verdicts"]["judged_by"].update({"asks:judge": "vllm:larger@0f"}))
    make_manifest_match(bundle)
    assert says in told(bundle)


def test_provenance_that_is_no_text_is_a_finding(bundle):
    (bundle / "provenance").mkdir()
    (bundle / "provenance/steps.jsonl").write_bytes(b"\xff\xfe\n")
    make_manifest_match(bundle)
    assert "provenance/steps.jsonl, line 1: is no step" in told(bundle)


def test_a_missing_seed_is_told(bundle):
    shutil.rmtree(bundle / "records/alpha/10")
    make_manifest_match(bundle)
    found = told(bundle)
    assert any("records/run.json: number of cells: told 4, is 2" in each for each in found)


def test_a_failed_seed_stays_failed_and_its_bundle_verifies(new_run, tmp_path):
    from sftbench.publishing.gather import BundleWanted
    from sftbench.publishing.publish import publish

    run = new_run()
    failure = {"step": "scores", "error": "ValueError", "message": "no finite score"}
    run.write(run.cell("alpha", 1, status="failed", failure=failure, selection=None, evaluations={}, verdicts=None))
    publish(BundleWanted(results=run.folder), str(tmp_path / "out"))
    assert verify(tmp_path / "out").holds
    board = json.loads((tmp_path / "out/board/board.json").read_text())
    (row,) = [row for row in board["rows"] if row["label"] == "alpha"]
    assert (row["status"], row["seeds_failed"]) == ("partial", [1])


def test_ids_are_held_to_their_hash_and_to_the_positions(new_run, tmp_path):
    from sftbench.publishing.crosscheck import check_records

    bundle = tmp_path / "bundle"
    shutil.copytree(_with_ids(new_run, tmp_path), bundle)
    assert check_records(bundle, about_of(bundle))[1] == []
    selections = sorted((bundle / "selections").iterdir())
    first = json.loads(selections[0].read_text())
    rewrite(selections[0], lambda value: value["ids"].__setitem__(0, "another"))
    found = [str(each) for each in check_records(bundle, about_of(bundle))[1]]
    assert any("hash of the ids" in each for each in found)
    # A forger who hashes anew has still to agree with every other selection that has rows in common.
    ids = ["another", *first["ids"][1:]]
    selections[0].write_text(json.dumps({"ids": ids, "ids_hash": key_of(ids)}))
    for path in (bundle / "records").rglob("seed-*.json"):
        rewrite(path, lambda cell: _rehash(cell, selections[0].stem, key_of(ids)))
    found = [str(each) for each in check_records(bundle, about_of(bundle))[1]]
    assert found == ["selections: ids and positions do not name the same rows"]


def _rehash(cell, stem, ids_hash):
    if cell["selection"]["key"].endswith(stem):
        cell["selection"]["ids_hash"] = ids_hash


def _with_ids(new_run, tmp_path):
    """A published run of many selections with their ids, as a store would have given them."""
    from sftbench.positions import positions_from_text
    from sftbench.publishing.gather import BundleWanted
    from sftbench.publishing.publish import publish

    run = new_run("many", tuple(f"method-{letter}" for letter in "abcdefgh"))
    publish(BundleWanted(results=run.folder), str(tmp_path / "with-ids"))
    for path in run.folder.rglob("seed-*.json"):
        chosen = json.loads(path.read_text())["selection"]
        ids = [f"row-{each}" for each in positions_from_text(chosen["positions"], num_rows=100)]
        target = tmp_path / "with-ids" / "selections" / f"{chosen['key'].split('/')[1]}.json"
        target.parent.mkdir(exist_ok=True)
        target.write_text(json.dumps({"ids": ids, "ids_hash": chosen["ids_hash"]}))
    return tmp_path / "with-ids"


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a/../../b", "a\\b", "", "a//b", "C:x"])
def test_a_manifest_that_names_a_path_outside_is_refused(bundle, name):
    rewrite(bundle / "manifest.json", lambda value: value["files"].update({name: {"sha256": "0", "bytes": 1}}))
    with pytest.raises(VerificationError, match="outside of the bundle"):
        verify(bundle)


def test_a_link_in_a_bundle_is_refused(bundle, tmp_path):
    (tmp_path / "secret").write_text("mine")
    (bundle / "records" / "link.json").symlink_to(tmp_path / "secret")
    with pytest.raises(VerificationError, match=r"records/link.json is a link"):
        verify(bundle)


def test_a_record_is_named_by_its_place_in_the_bundle_whatever_that_is_called(bundle, monkeypatch):
    """The folder `a` must not be cut out of `records/alpha`."""
    bundle.rename(bundle.with_name("a"))
    monkeypatch.chdir(bundle.parent)
    path = bundle.with_name("a") / "records/alpha/10/seed-0.json"
    path.write_text("{}")
    (found,) = [each for each in verify(Path("a")).findings if "schema" in each.what]
    assert found.where == "records/alpha/10/seed-0.json"


def test_a_run_of_another_schema_is_told(bundle):
    rewrite(bundle / "records/run.json", lambda value: value.update(schema=2))
    rewrite(bundle / "bundle.json", lambda value: value["sealed"].update(
        {"records/run.json": told_of(bundle / "records/run.json")}
    ))  # fmt: skip
    make_manifest_match(bundle)
    assert told(bundle) == ["records/run.json: is of schema 2; this version of sftbench reads 1"]


def test_numbers_by_row_and_column_come_before_the_pages_that_repeat_them(bundle):
    rewrite(bundle / "records/alpha/10/seed-0.json", lambda cell: cell["verdicts"]["preference"].__setitem__(0, 0.0))
    make_manifest_match(bundle)
    places = list(dict.fromkeys(each.where for each in verify(bundle).findings))
    assert places[:3] == ["records/alpha/10/seed-0.json", "board/board.json", "board/board.csv"]
    assert "board/rows/alpha.html" in places


@pytest.mark.parametrize("name", ["manifest.json", "bundle.json"])
def test_another_schema_is_told_as_such(bundle, name):
    rewrite(bundle / name, lambda value: value.update(schema=7))
    if name != "manifest.json":
        make_manifest_match(bundle)
    with pytest.raises(UsageError, match=f"{name}: is of schema 7"):
        verify(bundle)


@pytest.mark.parametrize("name", ["made_with", "pool", "base", "board", "sealed"])
@pytest.mark.parametrize("value", [None, "text", [1]])
def test_a_bundle_that_does_not_tell_what_it_is_made_of_is_refused(bundle, name, value):
    rewrite(bundle / "bundle.json", lambda about: about.update({name: value}))
    make_manifest_match(bundle)
    with pytest.raises(VerificationError, match=f"does not tell its {name}"):
        verify(bundle)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 1}', "[" * 100_000, '{"schema": NaN}'])
def test_a_manifest_that_is_none_is_told(bundle, text):
    (bundle / "manifest.json").write_text(text)
    with pytest.raises(VerificationError, match=r"manifest.json"):
        verify(bundle)


def test_what_is_no_bundle_is_told(tmp_path):
    with pytest.raises(UsageError, match="there is no bundle"):
        verify(tmp_path / "nothing")
    with pytest.raises(VerificationError, match=r"manifest.json: is missing"):
        verify(tmp_path)


def attested(bundle, **changes):
    about = {"label": "alpha", "budget": "10", "seed": 0, "outcome": "exact", "tolerance": 0.02, **changes}
    about = {"row": f"{about['label']}@{about['budget']}/{about['seed']}", **about}
    return write_attestation(bundle, Attestation(**about))


def level(bundle, label="alpha"):
    return next(each.level for each in verify(bundle).levels if each.label == label)


def test_a_row_is_reproduced_by_as_many_as_gave_a_name_and_those_without_count_as_one(bundle):
    attested(bundle)
    attested(bundle, seed=1)
    assert level(bundle) == "reproduced by 1"
    attested(bundle, name="Ann")
    attested(bundle, name="Ann", seed=1)
    attested(bundle, name="Bo")
    assert level(bundle) == "reproduced by 3"
    assert level(bundle, "beta") == "recomputed"
    assert verify(bundle).levels[0].seeds_reproduced == (0, 1)


def test_what_an_attestation_leaves_out_is_told(bundle):
    attested(bundle, name="Ann", left_out=["grade", "judge-a"], other_judges={"judge-b": "mine"})
    found = verify(bundle)
    assert found.holds
    says = (
        "alpha@10/0 was reproduced by Ann without the numbers of grade and judge-a, with mine in the place of judge-b"
    )
    assert says in found.notes
    path = attested(bundle, left_out="grade")
    assert told(bundle) == [
        f"reproductions/{path.name}: is no attestation of this version (left_out: Input should be a valid array)"
    ]


def test_an_attestation_of_before_there_were_reservations_counts(bundle):
    path = attested(bundle)
    value = json.loads(path.read_text())
    for name in ("left_out", "other_judges", "digest"):
        del value[name]
    path.write_text(json.dumps({**value, "digest": key_of(value)}))
    assert level(bundle) == "reproduced by 1"


def test_an_attestation_that_was_edited_or_is_of_another_bundle_does_not_count(bundle):
    path = attested(bundle, name="Ann")
    rewrite(path, lambda value: value.update(name="Bo"))
    found = verify(bundle)
    assert [each.what for each in found.findings] == ["was changed after it was written"]
    assert {each.level for each in found.levels} == {"self-reported"}
    path.unlink()
    attested(bundle)
    rewrite(bundle / "manifest.json", lambda value: value.update(name="other"))
    assert seal_of(bundle)
    assert any("is of another bundle" in each for each in told(bundle))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"left_out": [1, {}]}, "left_out.0: Input should be a valid string"),
        ({"other_judges": {"a": 1}}, "other_judges.a: Input should be a valid string"),
        ({"tolerance": "0.02"}, "tolerance: Input should be a valid number"),
        ({"tolerance": -1.0}, "tells a tolerance of -1"),
        ({"differences": {"nll": {"largest": "none"}}}, "differences.nll.largest: Input should be a valid number"),
        ({"differences": {"nll": {"largest": 0.5}}}, "is exact with a difference of 0.5"),
        ({"outcome": "roughly"}, "outcome: Input should be 'exact' or 'close'"),
        ({"seed": True}, "seed: Input should be a valid integer"),
        ({"stars": 5}, "stars: Unexpected keyword argument"),
        ({"row": "beta@10/0"}, "is of beta@10/0 and names alpha@10/0"),
        ({"row": "alpha@10/7", "seed": 7}, "names alpha@10/7, which is no finished row of the bundle"),
    ],
)  # fmt: skip
def test_an_attestation_that_cannot_be_is_told_and_counts_for_nothing(bundle, changes, says):
    path = attested(bundle)
    value = {**json.loads(path.read_text()), **changes}
    del value["digest"]
    path.write_text(json.dumps({**value, "digest": key_of(value)}))
    (finding,) = verify(bundle).findings
    assert finding.where == f"reproductions/{path.name}"
    assert says in finding.what
    assert level(bundle) == "self-reported"


@pytest.mark.parametrize("text", ["{", '{"schema": 1, "a": 1e999}', '{"schema": 3}', "[" * 100_000])
def test_an_attestation_that_cannot_be_read_names_its_place_once(bundle, text):
    (bundle / "reproductions").mkdir()
    (bundle / "reproductions/x.json").write_text(text)
    (found,) = told(bundle)
    assert found.startswith("reproductions/x.json: ")
    assert found.count("x.json") == 1


def test_a_larger_tolerance_is_a_reservation(bundle):
    attested(bundle, name="Ann", tolerance=5.0)
    assert "alpha@10/0 was reproduced by Ann with a tolerance of 5 in the place of 0.02" in verify(bundle).notes


@pytest.mark.parametrize("tolerance", [-1.0, -1e-9, float("nan"), float("inf")])
def test_a_tolerance_that_is_none_is_refused_at_the_door(tolerance):
    from sftbench.publishing.checking import ChecksWanted

    with pytest.raises(UsageError, match="--tolerance is"):
        ChecksWanted(tolerance=tolerance)
    assert ChecksWanted(tolerance=0.0).tolerance == 0
