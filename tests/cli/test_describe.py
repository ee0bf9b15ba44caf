"""`bench describe` as a user has it: every form of output, real rows to compare with, and input that is refused."""

from __future__ import annotations

import csv
import io
import json

import pytest

import sftbench

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

COLUMNS = ["metric", "value", "ci_lo", "ci_hi", "unit", "direction", "tokens", "n", "note"]


@pytest.fixture(scope="module")
def rows(shared_bench):
    """Two files of rows: forty made-up ones, of which three have no response, and twenty others."""
    words = [f"w{number}" for number in range(90)]

    def row(number, step):
        chosen = [words[(number * step + at * at) % 90] for at in range(5 + number % 9)]
        return {"id": str(number), "instruction": f"list {number} words", "output": " ".join(chosen)}

    made = [row(number, 7) for number in range(40)]
    for each in made[:3]:
        each["output"] = ""
    return shared_bench.write("rows.jsonl", made), shared_bench.write("real.jsonl", [row(n, 11) for n in range(20)])


def described(bench, *arguments):
    done = bench("describe", *arguments, "-o", "json")
    assert done.returncode == 0, done.stderr
    return {row["metric"]: row for row in json.loads(done.stdout)}


def test_every_value_comes_with_all_that_belongs_to_it(shared_bench, rows):
    found = described(shared_bench, rows[0], "--against", rows[1], "--token-budget", "60")
    assert all(list(row) == COLUMNS for row in found.values())
    assert found["empty-share"]["note"] == "empty_component: 3"
    assert found["distinct-2-at-budget"]["tokens"] == 60
    assert found["self-bleu"]["n"] == found["embedding-distance"]["n"] == 37
    for row in found.values():
        assert row["value"] is not None or row["note"], row
        assert row["value"] is None or row["ci_lo"] is None or row["ci_lo"] <= row["value"] <= row["ci_hi"], row
    assert {"kl-unigram", "kl-bigram", "kl-neighbours"} <= set(found)


def test_the_second_time_nothing_is_done(shared_bench, rows):
    found = described(shared_bench, rows[0], "--against", rows[1])
    done = shared_bench("describe", rows[0], "--against", rows[1], "-o", "csv")
    steps = done.stderr.split(" steps, ")
    assert steps[1].startswith(steps[0].split()[-1])
    values = {row["metric"]: row["value"] for row in csv.DictReader(io.StringIO(done.stdout))}
    assert float(values["kl-bigram"]) == pytest.approx(found["kl-bigram"]["value"], rel=1e-5)


def test_the_side_is_chosen(shared_bench, rows):
    found = described(shared_bench, rows[1], "--component", "instruction")
    # "list 7 words": three words, of which two are always the same.
    assert found["distinct-1-words"]["value"] == pytest.approx(22 / 60)
    assert found["duplicate-share"]["value"] == 0


def test_people_get_a_table(shared_bench, rows):
    done = shared_bench("describe", rows[0], "--against", rows[1])
    assert done.returncode == 0
    assert "self-bleu" in done.stdout


def test_from_python_it_is_a_data_frame(shared_bench, rows):
    found = sftbench.describe(str(rows[0]), against=str(rows[1]), store=shared_bench.folder / "store")
    assert list(found.columns) == COLUMNS
    assert found.set_index("metric").loc["empty-share", "value"] == pytest.approx(3 / 40)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--token-budget", "0"], "at least 1"),
        (["--kl-lm"], "--against"),
        (["--lm", "nowhere/at/all"], "no model folder"),
    ],
)
def test_what_cannot_be_is_refused(shared_bench, rows, arguments, part):
    code = 4 if "--lm" in arguments else 2
    assert part in shared_bench.refused(code, "describe", rows[1], *arguments)


def test_a_file_that_is_not_there_is_named(shared_bench):
    assert "missing.jsonl" in shared_bench.refused(2, "describe", "missing.jsonl")
