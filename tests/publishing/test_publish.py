"""`bench publish`: what a bundle holds, what must never be in one, and that nothing is overwritten."""

from __future__ import annotations

import errno
import hashlib
import json
import re
from pathlib import Path

import pytest

import sftbench
from sftbench.errors import EnvironmentProblem, UsageError
from sftbench.fingerprint import key_of
from sftbench.ledger import Ledger
from sftbench.publishing.gather import BundleWanted
from sftbench.publishing.leaks import refuse_credentials, refuse_places, shortened
from sftbench.publishing.licences import check_licence
from sftbench.publishing.lock import installed
from sftbench.publishing.publish import publish
from sftbench.record import Record
from sftbench.store import Store

HOME = "/" + "home"


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_bundle_holds_all_that_is_needed_to_check_it(new_run, tmp_path):
    run = new_run()
    made = publish(BundleWanted(results=run.folder), str(tmp_path / "out"))
    files = tree(tmp_path / "out")
    assert {"README.md", "bundle.json", "lock.json", "manifest.json"} <= set(files)
    assert {"board/board.json", "board/board.csv", "board/README.md", "records/run.json"} <= set(files)
    assert files["records/alpha/10/seed-1.json"] == (run.folder / "alpha/10/seed-1.json").read_bytes()
    manifest = json.loads(files["manifest.json"])["files"]
    assert set(manifest) == set(files) - {"manifest.json"}
    for name, told in manifest.items():
        assert told == {"sha256": hashlib.sha256(files[name]).hexdigest(), "bytes": len(files[name])}
    assert made.seal == hashlib.sha256(files["manifest.json"]).hexdigest()
    lock = json.loads(files["lock.json"])["published_with"]["packages"]
    assert lock["sftbench"] == sftbench.__version__
    assert {"torch", "pydantic", "numpy"} <= set(lock)
    assert "pytest" not in installed(), "what tests need is not what a run needs"


def test_the_same_results_give_the_same_bundle(new_run, tmp_path):
    run = new_run()
    seals = {publish(BundleWanted(results=run.folder), str(tmp_path / name)).seal for name in ("one", "two")}
    assert len(seals) == 1
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


def test_publishing_the_same_again_is_no_error_and_another_bundle_is_not_overwritten(new_run, tmp_path):
    run, out = new_run(), tmp_path / "out"
    publish(BundleWanted(results=run.folder), str(out))
    publish(BundleWanted(results=run.folder), str(out))
    before = tree(out)
    other = new_run("others", ("alpha", "beta", "gamma"))
    with pytest.raises(UsageError, match="holds another bundle, which is not overwritten"):
        publish(BundleWanted(results=other.folder), str(out))
    assert tree(out) == before
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds other files"):
        publish(BundleWanted(results=run.folder), str(tmp_path / "notes"))
    with pytest.raises(UsageError, match="no folder"):
        publish(BundleWanted(results=run.folder), str(tmp_path / "notes" / "mine.txt"))
    assert not [each for each in tmp_path.iterdir() if each.name.startswith(".")], "nothing half-made is left"


def test_a_dry_run_lists_files_and_writes_nothing(new_run, tmp_path):
    run = new_run()
    before = tree(tmp_path)
    told = publish(BundleWanted(results=run.folder), str(tmp_path / "out"), dry_run=True)
    assert tree(tmp_path) == before
    assert not told.written
    made = publish(BundleWanted(results=run.folder), str(tmp_path / "out"))
    assert told.files == made.files == {name: len(content) for name, content in tree(tmp_path / "out").items()}


def test_a_bundle_is_there_whole_or_not_at_all(new_run, tmp_path, monkeypatch):
    run = new_run()

    def fails(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sftbench.publishing.gather.write_manifest", fails)
    with pytest.raises(EnvironmentProblem, match="is full"):
        publish(BundleWanted(results=run.folder), str(tmp_path / "out"))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["toys"]


def test_a_target_that_cannot_be_written_is_told(new_run, tmp_path, monkeypatch):
    run = new_run()

    def fails(*arguments, **more):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", fails)
    with pytest.raises(EnvironmentProblem, match="cannot write"):
        publish(BundleWanted(results=run.folder), str(tmp_path / "out"))


def test_a_target_below_a_file_is_told(new_run, tmp_path):
    run = new_run()
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot make a folder"):
        publish(BundleWanted(results=run.folder), str(tmp_path / "file" / "out"))


def test_a_target_whose_folder_cannot_be_is_told(new_run, tmp_path, monkeypatch):
    run = new_run()

    def fails(*arguments, **more):
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    monkeypatch.setattr(Path, "mkdir", fails)
    with pytest.raises(UsageError, match="cannot make a folder"):
        publish(BundleWanted(results=run.folder), str(tmp_path / "out"))


def test_a_dry_run_says_what_would_be_done_with_a_folder(new_run, tmp_path):
    run, out = new_run(), tmp_path / "out"
    wanted = BundleWanted(results=run.folder)
    assert f"would be written as the new folder {out}" in publish(wanted, str(out), dry_run=True).notes
    publish(wanted, str(out))
    assert f"this bundle is in {out} already" in publish(wanted, str(out), dry_run=True).notes
    with pytest.raises(UsageError, match="holds another bundle"):
        publish(BundleWanted(results=new_run("others", ("beta",)).folder), str(out), dry_run=True)


def test_a_run_without_some_seed_is_not_published_and_the_seed_is_named(new_run, tmp_path):
    run = new_run()
    (run.folder / "alpha/10/seed-1.json").unlink()
    with pytest.raises(
        UsageError, match=r"run.json tells 4 cells and 3 are there \(alpha@10/1 missing\); finish the run"
    ):
        publish(BundleWanted(results=run.folder), str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_records_that_contradict_themselves_are_not_published(new_run, tmp_path):
    run = new_run()
    cell = run.cell("alpha", 1)
    cell["selection"]["num_planted_rows"] = 11
    run.write(cell)
    with pytest.raises(UsageError, match="contradict themselves: alpha@10/1: 11 of 10 chosen rows are planted"):
        publish(BundleWanted(results=run.folder), str(tmp_path / "out"))


@pytest.mark.parametrize("name", ["run.json", "alpha/10/seed-1.json"])
def test_results_of_another_schema_are_not_published(new_run, tmp_path, name):
    run = new_run()
    told = json.loads((run.folder / name).read_text())
    (run.folder / name).write_text(json.dumps({**told, "schema": 2}))
    with pytest.raises(UsageError, match=f"{Path(name).name}.* of schema 2; this version"):
        publish(BundleWanted(results=run.folder), str(tmp_path / "out"))


def test_addresses_of_language_models_are_no_secret_and_told_to_the_publisher(new_run, tmp_path):
    run = new_run()
    run.settings["judge"] = ["http://gpu7.example:8000/v1#judge"]
    run.finish()
    made = publish(BundleWanted(results=run.folder), str(tmp_path / "out"))
    assert "the records tell the addresses of language models: gpu7.example:8000" in made.notes


def kept(store, room, identity, name, **more):
    """A step in the store with a file of answers; returns its key."""
    key = key_of({"room": room, "identity": identity, "parents": {}})
    with store.making(room, key) as work:
        (work / "responses.jsonl").write_text(json.dumps({"id": "item-0", "response": name}) + "\n")
        store.commit(work, Record(key=key, room=room, identity=identity, payload={}, **more))
    return key


def test_answers_that_no_model_of_the_run_gave_are_not_passed_on(new_run, tmp_path):
    """Answers of a benchmark's baseline are somebody else's text; those of the run's own models go out."""
    store, run = Store(tmp_path / "store"), new_run("toys", ())
    cell = run.cell("alpha")
    spent = {name: value for name, value in cell["cost"]["training"].items() if name != "peak_memory_bytes"}
    of_model = kept(store, "responses", {"engine": "1"}, "ours")
    given = kept(store, "responses", {"make": "read", "answers": "c"}, "theirs")
    model = kept(store, "model", {}, "weights", ledger=Ledger(**spent))
    further = [("responses", of_model), ("responses", given), ("model", model)]
    steps = [*cell["steps"], *({"room": room, "part": "", "key": key} for room, key in further)]
    run.write({**cell, "steps": steps})
    run.finish()
    made = publish(BundleWanted(results=run.folder, store=store.root, with_responses=True), str(tmp_path / "out"))
    assert [each.name for each in (tmp_path / "out/responses").iterdir()] == [f"{of_model}.jsonl"]
    assert any("not the publisher's to pass on" in note for note in made.notes)
    assert any("may repeat its rows" in note for note in made.notes)
    free = BundleWanted(results=run.folder, store=store.root, with_responses=True, licence_of_pool="mit")
    assert not any("may repeat its rows" in note for note in publish(free, str(tmp_path / "free")).notes)


def test_a_board_that_is_not_what_the_records_give_is_not_published(new_run, tmp_path):
    from sftbench.board.build import build_board
    from sftbench.board.render import write_board

    run = new_run()
    board = tmp_path / "board"
    write_board(build_board(run.folder), board)
    (board / "study").mkdir()
    (board / "study/slopes.csv").write_text("series,slope\n")
    published = publish(BundleWanted(results=run.folder, board=board), str(tmp_path / "out"))
    assert (tmp_path / "out/board/study/slopes.csv").read_text() == "series,slope\n"
    assert not any("compare" in note for note in published.notes)
    (board / "compare").mkdir()
    (board / "compare/alpha--beta.js").write_text("sftbenchTexts({})")
    published = publish(BundleWanted(results=run.folder, board=board), str(tmp_path / "without"))
    assert not (tmp_path / "without/board/compare").exists()
    assert (tmp_path / "without/board/study/slopes.csv").exists()
    assert any("holds texts of the pool and was left out" in note for note in published.notes)
    text = (board / "board.csv").read_text()
    (board / "board.csv").write_text(text.replace("alpha", "alfa"))
    with pytest.raises(UsageError, match=r"board.csv is not what .* gives; write it again"):
        publish(BundleWanted(results=run.folder, board=board), str(tmp_path / "other"))


def test_the_pages_of_a_bundle_lead_to_its_own_records(new_run, tmp_path):
    """Whether the run's board has a site, has none, or has pages of rows that are gone."""
    from sftbench.board.build import build_board
    from sftbench.board.site.files import write_site
    from sftbench.board.site.serving import server

    run = new_run("results/toys")
    board = tmp_path / "leaderboards" / "toys"
    write_site(build_board(run.folder), run.folder, board)
    (board / "rows/gone.html").write_text("<p>left over</p>")
    publish(BundleWanted(results=run.folder, board=board), str(tmp_path / "out"))
    publish(BundleWanted(results=run.folder), str(tmp_path / "without"))
    assert tree(tmp_path / "out/board") == tree(tmp_path / "without/board")
    page = (tmp_path / "out/board/rows/alpha.html").read_text()
    links = re.findall(r"href=([^# >]*seed-[^ >]*)", page)
    assert len(links) == 2
    assert all((tmp_path / "out/board/rows" / link).resolve().is_file() for link in links)
    with server(tmp_path / "out/board", 0) as serving:
        assert serving.file_of("/out/records/alpha/10/seed-0.json") is not None
        assert serving.file_of("/out/bundle.json") is None
        assert serving.file_of("/without/records/run.json") is None
    (board / "index.html").write_text((board / "index.html").read_text().replace("alpha", "alfa"))
    with pytest.raises(UsageError, match=r"index.html is not what .* gives; write it again"):
        publish(BundleWanted(results=run.folder, board=board), str(tmp_path / "other"))


SECRETS = {
    "a Hugging Face token": "hf_" + "aB3" * 12,
    "an API key": "sk-proj-" + "aB3x" * 8,
    "a GitHub token": "ghp_" + "a1" * 18,
    "an AWS key": "AKIA" + "ABCD1234" * 2,
    "a private key": "-----BEGIN RSA " + "PRIVATE KEY-----",
    "an authorization header": "Authorization: Bearer " + "a1b2" * 8,
    "an address with a password": "http://ann:secret@server.example/v1",
    "an address with a key": "https://server.example/v1?api_key=" + "123456789",
    "a signed token": "eyJhbGciOiJIUzI1" + ".eyJzdWIiOiIxMjM0." + "SflKxwRJSMeKKF2QT4",
}


@pytest.mark.parametrize("kind", SECRETS)
def test_credentials_are_refused_with_their_place_and_without_their_text(kind, new_run, tmp_path):
    run = new_run()
    run.settings["chat"] = SECRETS[kind]
    run.finish()
    with pytest.raises(UsageError, match=f"records/run.json, line [0-9]+, holds what looks like {kind}") as refused:
        publish(BundleWanted(results=run.folder), str(tmp_path / "out"))
    assert SECRETS[kind] not in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_values_of_secret_variables_are_refused(new_run, tmp_path, monkeypatch):
    monkeypatch.setenv("MY_API_KEY", "correct horse battery")
    run = new_run()
    failure = {"step": "scores", "error": "ValueError", "message": "401 for correct horse battery"}
    run.write(run.cell("alpha", 1, status="failed", failure=failure, selection=None, evaluations={}, verdicts=None))
    with pytest.raises(UsageError, match=r"seed-1.json, line [0-9]+, holds the value of \$MY_API_KEY"):
        publish(BundleWanted(results=run.folder), str(tmp_path / "out"))


@pytest.mark.parametrize(
    "text",
    ["http://127.0.0.1:8000/v1#model", "risk-taking-methods-of-this-sort-2024", "a?b=c&token=x", "hf_hub", "a@b.c",
     "https://example.org/a@b", "sk-learn-is-a-package-for-python"],
)  # fmt: skip
def test_ordinary_text_is_no_credential(text):
    refuse_credentials({"file": text}, {})


@pytest.mark.parametrize(
    "place",
    [f"{HOME}/ann/rows.jsonl", "/" + "tmp/rows.jsonl", "C:\\Users\\ann\\rows.jsonl", str(Path.cwd() / "rows.jsonl")],
)
def test_places_on_a_machine_become_their_last_name(place):
    told = shortened({"pool": place, "message": f"cannot read {place}: gone", place: [place, 3, None]})
    short = "rows.jsonl"
    assert told == {"pool": short, "message": f"cannot read {short}: gone", short: [short, 3, None]}
    with pytest.raises(UsageError, match="file, line 2, names the place"):
        refuse_places({"file": f"one\ntwo {place}"})


@pytest.mark.parametrize(
    "text", ["and/or", "https://example.org/home/page", "org/name", "./home/x", "a/tmp/b", "5/10/2024"]
)
def test_ordinary_text_is_no_place(text):
    assert shortened(text) == text
    refuse_places({"file": text})


def test_a_bundle_names_no_place_and_the_publisher_hears_of_it(new_run, tmp_path):
    run = new_run()
    run.settings["pool"] = f"{HOME}/ann/pools/rows.jsonl"
    run.finish()
    made = publish(BundleWanted(results=run.folder), str(tmp_path / "out"))
    assert json.loads((tmp_path / "out/records/run.json").read_text())["settings"]["pool"] == "rows.jsonl"
    assert any("1 records name places" in note for note in made.notes)
    assert not [name for name, content in tree(tmp_path / "out").items() if f"{HOME}/".encode() in content]
    assert sftbench.verify(tmp_path / "out").holds


def test_a_page_that_names_a_place_is_refused(new_run, tmp_path):
    from sftbench.board.build import build_board
    from sftbench.board.render import write_board

    run = new_run()
    write_board(build_board(run.folder), tmp_path / "board")
    (tmp_path / "board" / "study").mkdir()
    (tmp_path / "board" / "study" / "notes.md").write_text(f"{HOME}/ann/x")
    with pytest.raises(UsageError, match=r"board/study/notes.md, line 1, names the place"):
        publish(BundleWanted(results=run.folder, board=tmp_path / "board"), str(tmp_path / "out"))


def test_rows_go_out_only_under_a_licence_that_lets_them():
    assert check_licence(None, with_rows=False) is None
    assert check_licence("CC-BY-4.0", with_rows=True) == "cc-by-4.0"
    assert check_licence("cc-by-nc-4.0", with_rows=False) == "cc-by-nc-4.0"
    with pytest.raises(UsageError, match="needs --licence-of-pool"):
        check_licence(None, with_rows=True)
    with pytest.raises(UsageError, match="not known to let rows be passed on"):
        check_licence("cc-by-nc-4.0", with_rows=True)


def test_links_in_results_are_refused(new_run, tmp_path):
    run = new_run()
    (run.folder / "alpha" / "more.json").symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(sftbench.SftbenchError, match=r"alpha/more.json is a link"):
        publish(BundleWanted(results=run.folder), str(tmp_path / "out"))


def test_a_folder_that_is_no_run_is_told(tmp_path):
    with pytest.raises(UsageError, match=r"no run.json"):
        publish(BundleWanted(results=tmp_path), str(tmp_path / "out"))


def test_from_python_the_same(new_run, tmp_path):
    run = new_run()
    made = sftbench.publish(run.folder, str(tmp_path / "out"))
    assert made.written
    assert sftbench.verify(tmp_path / "out", seal=made.seal).holds
