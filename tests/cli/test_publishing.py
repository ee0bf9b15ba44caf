"""`bench publish`, `bench verify` and `bench board merge` as a user has them, on one small run."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

TOYS = Path(__file__).resolve().parent.parent / "toys"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def made(shared_bench, material):
    """A run over toys with a judge, and its bundle with answers."""
    path = os.pathsep.join(filter(None, [str(TOYS), os.environ.get("PYTHONPATH")]))
    shared_bench.environment |= {"PYTHONPATH": path, "SFTBENCH_PLUGINS": "toy_parts,judging_parts"}
    done = shared_bench(
        "run", "--methods", "random,longest", "--pool", material.pool, "--base", material.model, "--limit", "30",
        "--budget", "5", "--seeds", "1", "--controls", "none", "--evals", "nll", "--max-length", "64",
        "--max-new-tokens", "4", "--trainer", "sft[epochs=1]", "--name", "toys",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    done = shared_bench("publish", "results/toys", "--to", "bundle", "--with-responses")
    assert done.returncode == 0, done.stderr
    return shared_bench


@pytest.fixture
def copy(made, tmp_path):
    """The bundle, to be written to."""
    return Path(shutil.copytree(made.folder / "bundle", tmp_path / "bundle"))


def own(material):
    return ("--pool", material.pool, "--base", material.model)


def test_an_untouched_bundle_verifies_and_an_edited_one_does_not(made, copy):
    done = made("verify", copy)
    assert (done.returncode, "the bundle verifies" in done.stdout) == (0, True), done.stderr
    path = copy / "board" / "board.csv"
    text = path.read_text()
    assert json.loads(made("verify", copy, "-o", "json").stdout)["holds"]
    path.write_text(text.replace(",1,", ",2,", 1))
    done = made("verify", copy)
    assert done.returncode == 6
    assert "mismatch: board/board.csv: was changed after publication" in done.stdout
    assert "column" in done.stdout


def test_what_a_store_has_is_published_and_held_to_its_hashes(made):
    bundle = made.folder / "bundle"
    for line in (bundle / "provenance" / "steps.jsonl").read_text().splitlines():
        assert set(json.loads(line)) == {"ref", "identity", "parents", "status", "ledger", "provenance"}
    assert len(list((bundle / "selections").iterdir())) == 2
    (told,) = json.loads((bundle / "lock.json").read_text())["made_with"]
    assert told["packages"]["sftbench"] == json.loads((bundle / "bundle.json").read_text())["made_with"]["sftbench"]
    texts = [path.read_text() for path in bundle.rglob("*") if path.is_file()]
    assert not [text for text in texts if str(made.folder) in text]
    assert json.loads((bundle / "records" / "run.json").read_text())["settings"]["pool"].count("/") == 0


def test_a_step_of_the_provenance_that_was_edited_is_found(made, copy):
    path = copy / "provenance" / "steps.jsonl"
    path.write_text(path.read_text().replace('"engine": "', '"engine": "1', 1))
    done = made("verify", copy)
    assert done.returncode == 6
    assert "provenance/steps.jsonl, line" in done.stdout


def test_a_row_is_reproduced_and_judged_again_and_attested(made, copy, material):
    done = made("verify", copy, "--reproduce", "longest@5/0", "--rejudge", "50%", "--name", "Ann", *own(material),
                "--store", copy.parent / "again", "-o", "json")  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
    told = json.loads(done.stdout)
    assert told["reproduced"]["attestation"]["outcome"] == "exact"
    assert told["rejudged"]["agreement"]["value"] == 1.0
    assert 0 < told["rejudged"]["num_pairs"] <= told["rejudged"]["num_of"]
    assert {row["label"]: row["level"] for row in told["levels"]} == {
        "longest": "reproduced by 1", "random": "recomputed",
    }  # fmt: skip
    assert (copy.parent / "again" / "model").is_dir(), "it was trained again, and not found in the publisher's store"
    done = made("verify", copy)
    assert done.returncode == 0
    assert "reproduced by 1" in done.stdout


def test_invented_numbers_recompute_and_are_found_on_reproducing_and_judging_again(made, material, tmp_path):
    """A forger who makes everything match is found by nothing but doing it again."""
    results = Path(shutil.copytree(made.folder / "results" / "toys", tmp_path / "results" / "toys"))
    (path,) = (results / "longest").rglob("seed-0.json")
    cell = json.loads(path.read_text())
    values = cell["evaluations"]["nll"]["items"]["nll"]
    cell["evaluations"]["nll"]["items"]["nll"] = [value / 2 for value in values]
    cell["verdicts"]["preference"] = [1.0 for _ in cell["verdicts"]["preference"]]
    path.write_text(json.dumps(cell))
    made("publish", results, "--to", tmp_path / "forged", "--with-responses")
    assert made("verify", tmp_path / "forged").returncode == 0
    done = made("verify", tmp_path / "forged", "--reproduce", "longest@5/0", "--rejudge", "100%", *own(material),
                "--store", tmp_path / "again")  # fmt: skip
    assert done.returncode == 6, done.stderr
    assert "mismatch: longest@5/0: mean of nll.nll, further away than 0.02" in done.stdout
    assert "preference: told 1.0, is" in done.stdout
    assert not (tmp_path / "forged" / "reproductions").exists()


def test_reproducing_needs_the_same_pool_and_says_so(made, copy, material):
    lines = Path(material.pool).read_text().splitlines()
    other = copy.parent / "rows.jsonl"
    other.write_text("\n".join(lines[1:]))
    assert "say where yours lies, with --pool" in made.refused(2, "verify", copy, "--reproduce", "longest@5/0")
    message = made.refused(2, "verify", copy, "--reproduce", "longest@5/0", "--pool", other, "--base", material.model)
    assert "the pool here is not the one of the bundle" in message
    message = made.refused(2, "verify", copy, "--reproduce", "longst@5/0", *own(material))
    assert "did you mean 'longest@5/0'" in message


def verdict_of(body):
    """Of a language model that prefers what it is shown first, but for one prompt."""
    return "B>A" if "tell 3" in body["messages"][-1]["content"] else "A>B"


def test_prompts_with_several_judges_are_reproduced_and_judged_again(made, material, tmp_path, serve):
    """One run over prompts, one of two turns, before a judge that computes and a language model behind an address."""
    theirs, mine = serve(verdict_of), serve(verdict_of)
    data, other = tmp_path / "data", tmp_path / "other"
    prompts = [{"id": f"p{at}", "prompt": f"tell {at}"} for at in range(5)]
    prompts[0] = {"id": "p0", "turns": ["tell", "more"]}
    for folder, rows in ((data, prompts), (other, [*prompts[:4], {"id": "p4", "prompt": "tell five"}])):
        folder.mkdir()
        (folder / "own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        answers = [{"id": row["id"], "model": "wordy", "turns": ["word"] * len(row.get("turns", "1"))} for row in rows]
        (folder / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in answers))
    done = made(
        "run", "--methods", "random,longest", "--pool", material.pool, "--base", material.model, "--limit-pool", "30",
        "--suite", data / "own.jsonl", "--judge", f"toy-judge,{theirs.url}#judge", "--evals", "none", "--budget", "5",
        "--seeds", "1", "--controls", "none", "--max-length", "64", "--max-new-tokens", "4", "--trainer",
        "sft[epochs=1]", "--name", "prompts", "--baseline", f"{data / 'answers.jsonl'}#wordy",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    bundle = tmp_path / "bundle"
    done = made("publish", "results/prompts", "--to", bundle, "--with-responses")
    assert done.returncode == 0, done.stderr
    assert len(list((bundle / "responses").iterdir())) == 2, "the baseline's answers are not the publisher's"
    num_asked = len(theirs.bodies)
    again = ("verify", bundle, *own(material), "--store", tmp_path / "again")
    row = (*again, "--reproduce", "longest@5/0", "--task-data")
    assert "a language model, and none is asked that you have not named" in made.refused(2, *row, data)
    message = made.refused(2, *row, other, "--judge", "toy-judge")
    assert f"the prompts of own in {other}/own.jsonl are not those of the bundle" in message
    assert "there is no own.jsonl in" in made.refused(2, *row, bundle / "board", "--judge", "toy-judge")
    assert "without a judge nothing of the run is left" in made.refused(2, *row, data, "--judge", "none")
    done = made(*row, data, "--judge", f"toy-judge,{mine.url}#judge", "-o", "json")
    assert done.returncode == 0, done.stderr + done.stdout
    attested = json.loads(done.stdout)["reproduced"]["attestation"]
    assert attested["outcome"] == "exact"
    assert set(attested["differences"]) == {"preference.toy-judge", "preference.pairwise[model=judge]"}
    assert list(attested["other_judges"]) == ["pairwise[model=judge]"]
    half = ("verify", bundle, "--rejudge", "100%", "--task-data", data, "--store", tmp_path / "again", "-o", "json")
    told = json.loads(made(*half, "--of", "toy-judge").stdout)["rejudged"]
    assert (told["num_pairs"], told["num_of"], told["agreement"]["value"], told["findings"]) == (10, 10, 1.0, [])
    assert [each["order"] for each in told["orders"]] == ["model first", "baseline first"]
    wanted = ("--of", "pairwise[model=judge]", "--judge", f"{mine.url}#judge")
    told = json.loads(made(*half, *wanted).stdout)["rejudged"]
    assert (told["judge"], told["agreement"]["value"]) == (f"{mine.url}#judge", 1.0)
    assert mine.bodies
    assert len(theirs.bodies) == num_asked, "nobody but the publisher asks the publisher's server"


def test_a_dry_run_writes_nothing(made):
    before = sorted(made.folder.iterdir())
    done = made("publish", "results/toys", "--to", "elsewhere", "--dry-run", "-o", "json")
    assert done.returncode == 0
    size = (made.folder / "bundle/board/board.json").stat().st_size
    assert {"file": "board/board.json", "bytes": size} in json.loads(done.stdout)
    assert sorted(made.folder.iterdir()) == before


def test_merging_from_the_command_line(made, tmp_path):
    assert "differ in pool" in made.refused(
        2, "board", "merge", "bundle", ROOT / "results" / "microcosm", "--out", tmp_path / "both"
    )
    done = made("board", "merge", "bundle", "results/toys", "--out", tmp_path / "both", "-o", "json")
    assert done.returncode == 0, done.stderr
    assert {row["level"] for row in json.loads(done.stdout)} == {"recomputed"}
    assert made("verify", tmp_path / "both").returncode == 0


@pytest.mark.parametrize("name", ["microcosm", "selection-methods"])
def test_the_runs_of_the_repository_can_be_published_and_verified(made, tmp_path, name):
    done = made("publish", ROOT / "results" / name, "--to", tmp_path / name)
    assert done.returncode == 0, done.stderr
    done = made("verify", tmp_path / name)
    assert done.returncode == 0, done.stdout
    assert "the bundle verifies" in done.stdout
