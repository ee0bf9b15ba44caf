"""Data goes to stdout, everything else to stderr; every form can be read by a program."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import subprocess

import pytest

COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-9]")


def on_a_terminal(bench, *arguments, **environment):
    """What a command shows on a terminal."""
    master, slave = pty.openpty()
    variables = {**bench.environment, "TERM": "xterm-256color", **environment}
    from_path = [arguments[0], *map(str, arguments[1:])]
    process = subprocess.Popen(
        [str(bench.path), *from_path], cwd=bench.folder, stdout=slave, stderr=slave, env=variables
    )  # fmt: skip
    os.close(slave)
    shown = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    process.wait()
    os.close(master)
    return shown.decode()


@pytest.mark.parametrize("arguments", [("list",), ("list", "methods"), ("doctor",), ("cache",), ("show", "tshirt")])
def test_json_is_json(bench, arguments):
    done = bench(*arguments, "-o", "json")
    assert done.returncode == 0, done.stderr
    assert isinstance(json.loads(done.stdout), list)


def test_csv_and_markdown_have_a_row_for_each_entry_of_the_json(bench):
    entries = json.loads(bench("list", "-o", "json").stdout)
    rows = list(csv.DictReader(io.StringIO(bench("list", "-o", "csv").stdout)))
    assert [row["name"] for row in rows] == [entry["name"] for entry in entries]
    lines = bench("list", "-o", "md").stdout.splitlines()
    assert len(lines) == len(entries) + 2
    columns = lines[0].count("|")
    assert all(len(re.findall(r"(?<!\\)\|", line)) == columns for line in lines)


def test_the_table_is_plain_text_when_nobody_watches(bench):
    assert "\x1b" not in bench("list").stdout


def test_no_color_is_honoured_on_a_terminal(bench):
    shown = on_a_terminal(bench, "list", NO_COLOR="1")
    assert "tshirt" in shown
    assert not COLOUR.search(shown)


def test_show_names_parameters_with_their_defaults_and_what_they_are(bench):
    method, *_ = json.loads(bench("show", "tshirt", "-o", "json").stdout)
    assert method["fidelity"]["official"] in ("exact", "rank-equal")
    modes = [each for each in method["parameters"] if each["parameter"] == "mode"]
    assert modes[0]["about"]
    assert "official" in modes[0]["type"]


def test_show_and_list_tell_the_strategies_of_a_method_and_what_their_parts_take(bench):
    method, *_ = json.loads(bench("show", "tshirt", "-o", "json").stdout)
    assert method["strategies"]["race"] == {"scorer": "none", "selector": "tshirt-race"}
    takers = {each.get("strategy"): each["part"] for each in method["parameters"] if each["parameter"] == "tolerance"}
    assert takers == {"race": "selector"}
    assert "[selector, strategy=race]" in bench("show", "tshirt").stdout
    about = {each["name"]: each["about"] for each in json.loads(bench("list", "methods", "-o", "json").stdout)}
    assert "strategy=exact|race" in about["tshirt"]
    assert "strategy" not in about["ifd"]


def test_show_tells_a_part_from_a_method_of_the_same_name(bench):
    assert [each["kind"] for each in json.loads(bench("show", "ifd", "-o", "json").stdout)] == ["method", "scorer"]
    assert [each["kind"] for each in json.loads(bench("show", "scorer:ifd", "-o", "json").stdout)] == ["scorer"]


@pytest.mark.parametrize("arguments", [("list", "-o", "json"), ("list",), ("--help",), ("show", "tshirt")])
@pytest.mark.parametrize("reader", ["head -n 1", "true"])
def test_a_reader_that_goes_away_is_no_error(bench, arguments, reader):
    done = subprocess.run(
        ["bash", "-c", f'"$0" "$@" | {reader}; exit "${{PIPESTATUS[0]}}"', str(bench.path), *arguments],
        cwd=bench.folder, capture_output=True, text=True, env=bench.environment,
    )  # fmt: skip
    assert done.returncode == 0
    assert done.stderr == ""


def test_the_cache_of_a_new_store_is_empty_and_says_so(bench):
    done = bench("cache", "-o", "json")
    assert json.loads(done.stdout) == []
    assert "is empty" in done.stderr


def test_the_doctor_makes_no_secret_of_where_the_store_is(bench):
    rows = {row["what"]: row for row in json.loads(bench("doctor", "-o", "json").stdout)}
    assert str(bench.folder / "store") in rows["store"]["found"]
    assert rows["python"]["state"] == rows["torch"]["state"] == rows["plugins"]["state"] == "fine"


def test_a_store_that_cannot_be_written_is_seen_by_the_doctor(bench):
    (bench.folder / "file").write_text("")
    done = bench("doctor", "-o", "json", "--store", "file/store")
    assert done.returncode == 4
    rows = {row["what"]: row for row in json.loads(done.stdout)}
    assert rows["store"]["state"] == "missing"
    assert "SFTBENCH_STORE" in rows["store"]["advice"]
