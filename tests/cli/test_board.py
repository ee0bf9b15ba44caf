"""`bench board`: the short form, building and checking a site, and serving one."""

from __future__ import annotations

import json
import re
import signal
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RECORDS = ROOT / "results" / "microcosm"


@pytest.fixture
def results(tmp_path):
    """Two rows of a committed run, with one seed each."""
    for name in ("random", "longest"):
        record = tmp_path / "results" / "few" / name / "60" / "seed-0.json"
        record.parent.mkdir(parents=True)
        record.write_bytes((RECORDS / name / "60" / "seed-0.json").read_bytes())
    return tmp_path / "results" / "few"


def test_a_board_is_shown_with_and_without_the_word(bench, results):
    short, spelled_out = bench("board", results, "-o", "json"), bench("board", "show", results, "-o", "json")
    assert short.returncode == 0, short.stderr
    assert short.stdout == spelled_out.stdout
    assert {row["label"] for row in json.loads(short.stdout)} == {"random", "longest"}


def test_a_board_is_shown_in_order_of_cost(bench, results):
    shown = bench("board", results, "--order", "cost")
    assert shown.returncode == 0, shown.stderr
    assert "choosing, in random rows" in shown.stdout
    assert "told by a run with --controls all" in shown.stdout
    assert "choosing, in random rows" not in bench("board", results).stdout
    assert "--order" in bench.refused(2, "board", results, "--order", "price")


def test_controls_that_are_matched_to_a_method_are_shown_when_asked_for(bench, results):
    for name in ("micro-response", "random-tokens-micro-response"):
        (found,) = [each for each in RECORDS.iterdir() if re.fullmatch(rf"{name}(-[0-9a-f]{{6}})?", each.name)]
        record = results / name / "60" / "seed-0.json"
        record.parent.mkdir(parents=True)
        record.write_bytes((found / "60" / "seed-0.json").read_bytes())
    few, whole = bench("board", results), bench("board", results, "--all")
    assert few.returncode == whole.returncode == 0, few.stderr + whole.stderr
    tables = [[line for line in shown.stdout.splitlines() if line.count("  ") > 3] for shown in (few, whole)]
    assert [any("random-tokens(micro-response)" in line for line in table) for table in tables] == [False, True]
    assert "'--all' shows them here" in few.stdout


def test_a_site_is_built_and_checked(bench, results):
    out = bench.folder / "leaderboards" / "few"
    built = bench("board", "build", results, "--out", out)
    assert built.returncode == 0, built.stderr
    assert (out / "index.html").is_file()
    assert bench("board", "build", results, "--out", out, "--check").returncode == 0
    before = (out / "board.json").read_text(encoding="utf-8")
    (out / "board.json").write_text(before.replace('"mean": 0', '"mean": 1', 1), encoding="utf-8")
    (out / "rows" / "random.html").unlink()
    message = bench.refused(6, "board", "build", results, "--out", out, "--check")
    assert "board.json, rows/random.html" in message
    assert not (out / "rows" / "random.html").exists(), "a check writes nothing"
    assert bench("board", "build", results, "--out", out).returncode == 0
    assert (out / "board.json").read_text(encoding="utf-8") == before


def test_somebody_elses_pages_are_not_written_over(bench, results):
    readme = bench.folder / "README.md"
    readme.write_text("of a project")
    assert "board.json" in bench.refused(2, "board", "build", results, "--out", ".")
    assert readme.read_text() == "of a project"


def test_a_folder_that_cannot_be_written_is_a_message(bench, results):
    (bench.folder / "file").write_text("")
    assert "file" in bench.refused(2, "board", "build", results, "--out", bench.folder / "file" / "board")


def test_a_site_is_served_on_this_machine_until_it_is_interrupted(bench, results):
    out = bench.folder / "leaderboards" / "few"
    assert bench("board", "build", results, "--out", out).returncode == 0
    serving = bench.start("board", "serve", out, "--port", "0")
    address = re.search(r"http://127\.0\.0\.1:\d+/\S+", serving.stderr.readline()).group()
    with urllib.request.urlopen(address) as answer:
        assert answer.read() == (out / "index.html").read_bytes()
    serving.send_signal(signal.SIGINT)
    serving.communicate(timeout=60)
    assert serving.returncode == 130


def test_an_overview_is_written_and_checked(bench, results):
    boards = bench.folder / "leaderboards"
    assert "no boards" in bench.refused(2, "board", "overview", bench.folder)
    assert bench("board", "build", results, "--out", boards / "few").returncode == 0
    assert "is a board" in bench.refused(2, "board", "overview", boards / "few")
    assert "bench board overview" in bench.refused(6, "board", "overview", boards, "--check")
    assert bench("board", "overview", boards).returncode == 0
    assert bench("board", "overview", boards, "--check").returncode == 0
    assert "few/index.html" in (boards / "index.html").read_text(encoding="utf-8")
    assert bench("board", "build", results, "--out", boards / "more").returncode == 0
    bench.refused(6, "board", "overview", boards, "--check")


def test_a_comparison_goes_into_the_site_of_its_run(bench, results):
    out = bench.folder / "leaderboards" / "few"
    about = ("compare", "random", "longest", "--site", out, "--no-embeddings")
    assert "--results is missing" in bench.refused(2, *about)
    assert "bench board build" in bench.refused(2, *about, "--results", results)
    assert bench("board", "build", results, "--out", out).returncode == 0
    done = bench(*about, "--results", results)
    assert done.returncode == 0, done.stderr
    page = out / "compare" / "random--longest--60--seed-0.html"
    assert str(page) in done.stderr
    assert "not in the store" in page.read_text(encoding="utf-8"), "what is not known is told"
    assert bench("board", "build", results, "--out", out, "--check").returncode == 0


def test_a_folder_without_a_site_is_not_served(bench):
    assert "bench board build" in bench.refused(2, "board", "serve", bench.folder)
