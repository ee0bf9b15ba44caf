"""`bench plugins new` writes a distribution of each kind that passes its own tests and the conformance kit at once."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib

import pytest

from sftbench.errors import UsageError
from sftbench.roles import ROLES
from sftbench.scaffold import write_distribution

KINDS = (*ROLES, "method")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A distribution of each kind, by kind."""
    into = tmp_path_factory.mktemp("written")
    return {kind: write_distribution(f"toy-{kind}", kind, into) for kind in KINDS}


def with_sources(written):
    paths = [str(folder / "src") for folder in written.values()]
    return {**os.environ, "PYTHONPATH": os.pathsep.join([*paths, *filter(None, [os.environ.get("PYTHONPATH")])])}


def test_a_distribution_is_announced_and_documented(written):
    for kind, folder in written.items():
        project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        assert project["entry-points"]["sftbench"] == {f"toy_{kind}": f"toy_{kind}"}
        card = (folder / "README.md").read_text()
        assert all(word in card for word in (f"toy-{kind}", "paper", "modes", "deviations", "cost"))
        assert "$" not in "".join(path.read_text() for path in folder.rglob("*.*") if path.is_file())


def test_what_is_written_is_in_good_style(written):
    ruff = [sys.executable, "-m", "ruff"]
    for folder in written.values():
        for action in (["check", "--select", "E,F,W,I,B,UP"], ["format", "--check"]):
            command = [*ruff, *action, "--no-cache", "--config", "line-length=120"]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout


def test_its_own_tests_pass(written):
    tests = [str(folder / "tests") for folder in written.values()]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib", "-c", os.devnull,
         "-k", "not rules", *tests],
        capture_output=True, text=True, env=with_sources(written),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert " failed" not in done.stdout


def test_its_author_can_run_its_tests_where_it_lies(written):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "not rules"],
        cwd=written["selector"], capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "2 passed, 1 deselected" in done.stdout


@pytest.mark.parametrize("name", ["", "My-Scorer", "my_scorer", "-my", "my-", "my--scorer", "1st", "../up", "a/b", "ä"])
def test_a_name_that_is_no_distribution_name_is_refused(tmp_path, name):
    with pytest.raises(UsageError, match="cannot be a plugin name"):
        write_distribution(name, "scorer", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["json", "torch", "sftbench", "class", "lambda"])
def test_a_name_that_python_knows_is_refused(tmp_path, name):
    with pytest.raises(UsageError, match="Python knows"):
        write_distribution(name, "scorer", tmp_path)


@pytest.mark.parametrize(("name", "kind"), [("tshirt", "scorer"), ("longest", "scorer"), ("sft", "trainer")])
def test_a_name_that_an_installed_plugin_has_is_refused(tmp_path, name, kind):
    with pytest.raises(UsageError, match="already"):
        write_distribution(name, kind, tmp_path)


def test_a_folder_that_exists_is_left_alone(tmp_path):
    (tmp_path / "toy-scorer").mkdir()
    with pytest.raises(UsageError, match="exists already"):
        write_distribution("toy-scorer", "scorer", tmp_path)
    assert list((tmp_path / "toy-scorer").iterdir()) == []
