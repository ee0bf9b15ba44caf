"""`bench plugins new` and `bench plugins check`, through the entry point."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

TOYS = Path(__file__).resolve().parent.parent / "toys"


@pytest.fixture
def toys(bench):
    bench.environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(TOYS), os.environ.get("PYTHONPATH")]))
    return bench


def test_a_new_plugin_is_written_where_the_author_stands_with_the_next_steps(bench):
    done = bench("plugins", "new", "my-scorer", "--kind", "scorer")
    assert done.returncode == 0
    assert (bench.folder / "my-scorer" / "src" / "my_scorer" / "__init__.py").is_file()
    assert "pip install -e my-scorer" in done.stdout
    assert "exists already" in bench.refused(2, "plugins", "new", "my-scorer", "--kind", "scorer")


def test_a_plugin_in_the_current_folder_can_be_checked(bench):
    (bench.folder / "lonely.py").write_text((TOYS / "listening_parts.py").read_text())
    done = bench("plugins", "check", "lonely", "-o", "json")
    assert done.returncode == 0, done.stderr
    rules = {check["rule"]: check["outcome"] for check in json.loads(done.stdout)}
    assert rules == {"imports lightly": "passed", "works": "passed"}
    assert "lonely: 2 passed" in done.stderr


def test_a_plugin_that_breaks_a_rule_has_the_exit_code_of_a_broken_contract(toys):
    done = toys("plugins", "check", "listening_parts", "observing_parts", "-o", "json")
    assert done.returncode == 5
    failed = [check["plugin"] for check in json.loads(done.stdout) if check["outcome"] == "failed"]
    assert failed == ["observing_parts"]


def test_a_plugin_that_offers_nothing_does_not_pass(bench):
    (bench.folder / "hollow.py").write_text('"""Offers nothing."""\n')
    done = bench("plugins", "check", "hollow")
    assert done.returncode == 5
    assert "no part was seen to work" in done.stderr


def test_a_plugin_that_cannot_be_imported_is_named(bench):
    assert "no_such_plugin" in bench.refused(4, "plugins", "check", "no_such_plugin")
