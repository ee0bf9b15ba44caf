"""`bench check contamination` and `bench compare` as a user has them: every form of output, hostile rows, bad input."""

from __future__ import annotations

import csv
import io
import json
import unicodedata

import pytest

import sftbench

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

LONG = "the quick brown fox jumps over the lazy dog while seven grey owls watch from a hollow oak tree"
HOSTILE = "\x1b]0;owned\x07\u202etxt\u2066\x9b2J<script>alert(1)</script> [bold]not markup[/bold]"
EVAL = [
    {"question": f"Tell me whether {LONG}", "answer": "yes"},
    {"id": f"bad{HOSTILE}", "question": f"{HOSTILE} Name the capital of France", "answer": "Paris"},
    {"question": "Which gas do plants take in from the air?", "choices": ["oxygen", "carbon dioxide"], "answer": 1},
    {"question": "Nothing of the sort", "answer": "none"},
]
POOL = [
    {"id": "copy", "instruction": f"Please: {LONG.upper()}!", "output": "fine"},
    {"id": f"hostile{HOSTILE}", "instruction": f"{HOSTILE} Name the capital of France", "output": "It is Paris"},
    {"id": "alike", "instruction": "What gas do plants absorb from the air?", "output": "Carbon dioxide."},
    *({"id": f"other{n}", "instruction": f"Add {n} and {n + 1}", "output": str(2 * n + 1)} for n in range(20)),
]


def hidden(text):
    return [letter for letter in text if letter != "\n" and unicodedata.category(letter) in ("Cc", "Cf", "Cs")]


@pytest.fixture(scope="module")
def files(shared_bench):
    return shared_bench.write("pool.jsonl", POOL), shared_bench.write("eval.jsonl", EVAL)


def checked(bench, files, *more):
    done = bench("check", "contamination", files[0], "--against", files[1], *more)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_words_and_embeddings_find_what_was_planted_and_show_it_side_by_side(shared_bench, files):
    out = shared_bench.folder / "hits.jsonl"
    told = json.loads(checked(shared_bench, files, "-o", "json", "--out", out))
    found = {each["row"]: each for each in told["hits"]}
    assert (told["num_rows"], told["num_items"], told["num_items_hit"]) == (23, 4, 3)
    assert set(found) == {"copy", POOL[1]["id"], "alike"}
    assert found["copy"]["by"] == ["words", "embedding"]
    assert found["copy"]["longest_run"] == 19
    assert found["alike"]["by"] == ["embedding"]
    assert found["alike"]["cosine"] >= told["cosine"] == 0.85
    assert found[POOL[1]["id"]]["is_whole"]
    start, end = found["copy"]["run_in_row"]
    assert found["copy"]["row_text"][start:end] == LONG.upper()
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [each["item"] for each in lines] == [each["item"] for each in told["hits"]]
    assert [len(each["rows"]) for each in lines] == [each["num_rows"] for each in lines] == [1, 1, 1]
    shown = checked(shared_bench, files)
    assert f"[[{LONG.upper()}]]!" in shown
    counts = [sum(way in each["by"] for each in told["hits"]) for way in ("words", "embedding")]
    assert counts[0] == told["num_items_hit_by_words"] == 2
    ways = f"2 by words, {counts[1]} by embeddings (cosine 0.85 and more)"
    assert f"3 of 4 items of eval.jsonl stand in 3 of 23 rows of pool.jsonl: {ways}" in shown
    assert hidden(shown) == []
    assert r"\u202e" in shown


@pytest.mark.parametrize("form", ["csv", "md"])
def test_no_form_lets_hostile_text_through(shared_bench, files, form):
    told = checked(shared_bench, files, "--by", "words", "-o", form)
    assert hidden(told.replace("\r", "")) == []
    if form == "csv":
        assert [row["longest_run"] for row in csv.DictReader(io.StringIO(told))][-1] == "19"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"words": 1}, "at least 2 words"),
        ({"cosine": 2.0}, "a cosine above 0"),
        ({"cosine": float("nan")}, "a cosine above 0"),
        ({"by": "words", "cosine": 0.9}, "--cosine is for embeddings"),
        ({"by": "letters"}, "expected words or all"),
        ({"component": "system"}, "expected one of instruction"),
        ({"embedder": "some/thing"}, "no threshold was measured"),
        ({"limit": 0}, "limit"),
        ({"against": "none.jsonl"}, "there is no file none.jsonl"),
    ],
)
def test_what_cannot_be_done_is_refused_at_once(files, given, message):
    with pytest.raises(sftbench.UsageError, match=message):
        sftbench.check_contamination(**{"pool": str(files[0]), "against": str(files[1]), **given})


def test_a_refusal_is_one_line(shared_bench, files):
    told = shared_bench.refused(2, "check", "contamination", files[0], "--against", files[1], "--out", "x.txt")
    assert ".jsonl" in told


def test_files_are_compared_in_every_form(shared_bench, files):
    other = shared_bench.write("other.jsonl", [*POOL[:8], {"id": "new", "instruction": "Say hi", "output": HOSTILE}])
    told = json.loads(shared_bench("compare", files[0], other, "-o", "json").stdout)
    assert told["overlap"]["num_common"] == 8
    assert told["overlap"]["ranks"]["spearman"] == 1
    assert sum(told["histograms"]["cluster"]["a"]) == 23
    assert told["near_duplicates"]["b"]["num_rows"] == 9
    assert [row["id"] for row in told["examples"]["only_b"]["rows"]] == ["new"]
    for form in ("table", "csv"):
        done = shared_bench("compare", files[0], other, "--no-embeddings", "-o", form)
        assert done.returncode == 0, done.stderr
        assert hidden(done.stdout.replace("\r", "")) == []
    assert "histogram response_words" in done.stdout
    assert "--results is missing" in shared_bench.refused(2, "compare", "ifd", "random")


def test_python_says_the_same(shared_bench, files, monkeypatch):
    monkeypatch.setenv("SFTBENCH_STORE", str(shared_bench.folder / "store"))
    found = sftbench.check_contamination(str(files[0]), against=str(files[1]), by="words")
    assert set(found["row"]) == {"copy", POOL[1]["id"]}
    assert found.attrs["num_items_hit_by_words"] == 2
    told = sftbench.compare_selections(str(files[0]), str(files[0]), embeddings=False)
    assert told["overlap"]["jaccard"] == 1
