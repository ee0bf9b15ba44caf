"""A stranger's distribution, installed from a built wheel beside a broken one, works like one of the project's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
BENCH = Path(sys.executable).parent / "bench"
REASON = "No module named 'a_package_that_nobody_has'"


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """The command line of an installation that has both distributions."""
    wheels, target = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(wheels)]
    for name in ("stranger", "crooked"):
        done = subprocess.run([*build, str(HERE / name)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile", "--target"]
    subprocess.run([*install, str(target), *map(str, wheels.glob("*.whl"))], check=True, capture_output=True)
    path = os.pathsep.join(filter(None, [str(target), os.environ.get("PYTHONPATH")]))

    def run(*arguments):
        environment = {**os.environ, "PYTHONPATH": path}
        return subprocess.run([str(BENCH), *map(str, arguments)], capture_output=True, text=True, env=environment)

    return run


def test_a_strangers_parts_and_methods_are_listed_with_the_projects_own(bench):
    rows = json.loads(bench("list", "-o", "json").stdout)
    kinds = {(row["kind"], row["name"]): row for row in rows}
    assert kinds["scorer", "stranger-words"]["about"] == "How many different words a response has"
    assert kinds["method", "stranger-words"]["plugin"] == "stranger_words"
    assert ("method", "tshirt") in kinds


def test_a_broken_plugin_is_listed_with_the_reason_and_its_distribution(bench):
    done = bench("list", "-o", "json")
    assert done.returncode == 0
    (broken,) = [row for row in json.loads(done.stdout) if row["kind"] == "BROKEN plugin"]
    assert broken["name"] == "crooked_words"
    assert REASON in broken["about"]
    assert "crooked-words 0.3.0" in broken["about"]


def test_working_plugins_are_listed_with_their_distribution(bench):
    rows = json.loads(bench("list", "plugins", "-o", "json").stdout)
    about = {row["name"]: row["about"] for row in rows if row["kind"] == "plugin"}
    assert about["stranger_words"] == "stranger-words 2.1.0"
    assert "crooked_words" not in about


@pytest.mark.parametrize("name", ["crooked_words", "crooked-words"])
@pytest.mark.parametrize(
    "arguments", [("show",), ("select", "--pool", "x.jsonl", "--budget", "3")], ids=["show", "select"]
)
def test_asking_for_a_broken_plugin_tells_the_reason(bench, arguments, name):
    done = bench(arguments[0], name, *arguments[1:])
    assert done.returncode == 4
    assert REASON in done.stderr
    assert "Traceback" not in done.stderr


def test_the_doctor_points_at_the_broken_plugin(bench, tmp_path):
    done = bench("doctor", "--store", tmp_path / "store", "-o", "json")
    assert done.returncode == 4
    (row,) = [row for row in json.loads(done.stdout) if row["state"] == "missing"]
    assert row["what"] == "plugin crooked_words"
    assert "crooked-words 0.3.0" in row["advice"]


def test_a_strangers_method_shows_its_parameters(bench):
    done = bench("show", "stranger-words", "-o", "json")
    method, scorer = json.loads(done.stdout)
    assert method["kind"] == "method"
    assert scorer["parameters"] == [
        {"parameter": "shortest", "type": "int", "default": 1, "about": "shorter words do not count, in characters"}
    ]


def test_a_strangers_method_chooses_rows(bench, material, tmp_path):
    pool = [json.loads(line) for line in material.pool.read_text().splitlines()]
    done = bench(
        "select", "stranger-words[shortest=2]", "--pool", material.pool, "--budget", "5", "--base", material.model,
        "--store", tmp_path / "store", "--out", tmp_path / "chosen.jsonl",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    chosen = [json.loads(line) for line in (tmp_path / "chosen.jsonl").read_text().splitlines()]
    counts = {row["id"]: len({word for word in row["output"].split() if len(word) >= 2}) for row in pool}
    assert [row["_score"] for row in chosen] == sorted(counts.values(), reverse=True)[:5]
    assert [counts[row["id"]] for row in chosen] == [row["_score"] for row in chosen]


def test_a_broken_plugin_is_no_reason_for_others_to_fail(bench, material, tmp_path):
    done = bench("select", "random", "--pool", material.pool, "--budget", "5", "--base", material.model,
                 "--store", tmp_path / "store", "-o", "json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)) == 5
