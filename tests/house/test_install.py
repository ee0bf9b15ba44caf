"""What is installed is what the source says, and what is built holds all that is needed and nothing else."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import tarfile
import tomllib
import zipfile

import pytest

REFRESH = "the installation is older than pyproject.toml; refresh it: pip install -e ."


@pytest.fixture(scope="module")
def project(root):
    with (root / "pyproject.toml").open("rb") as stream:
        return tomllib.load(stream)["project"]


def test_the_installed_entry_points_are_those_of_the_source(project):
    installed = importlib.metadata.distribution("sftbench").entry_points
    for group, wanted in (
        ("sftbench", project["entry-points"]["sftbench"]),
        ("console_scripts", project["scripts"]),
    ):
        assert {each.name: each.value for each in installed.select(group=group)} == wanted, REFRESH


def test_the_installed_version_is_that_of_the_source(project):
    assert importlib.metadata.version("sftbench") == project["version"], REFRESH


def test_every_plugin_folder_is_announced(project, root):
    folders = {path.parent.name for path in (root / "plugins" / "sftbench_plugins").glob("*/__init__.py")}
    announced = set(project["entry-points"]["sftbench"].values())
    assert announced == {f"sftbench_plugins.{folder}" for folder in folders}


@pytest.fixture(scope="module")
def built(root, tmp_path_factory):
    """A wheel built through a source distribution, one built from the tree, and the source distribution."""
    made = {}
    for name, flags in (("through sdist", []), ("from the tree", ["--wheel"])):
        out = tmp_path_factory.mktemp("dist")
        command = [sys.executable, "-m", "build", "--no-isolation", *flags, "--outdir", str(out), str(root)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        made[name] = set(zipfile.ZipFile(next(out.glob("*.whl"))).namelist())
        for archive in out.glob("*.tar.gz"):
            with tarfile.open(archive) as opened:
                made["sdist"] = {each.partition("/")[2] for each in opened.getnames()}
    return made


def files_of(root, package):
    return {
        str(path.relative_to(root / package))
        for path in (root / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_a_wheel_holds_both_packages_whole(built, root):
    wanted = files_of(root, "harness") | files_of(root, "plugins")
    for wheel in ("through sdist", "from the tree"):
        assert wanted - built[wheel] == set()
    assert {"sftbench/py.typed", "sftbench/templates/scorer.py.txt"} <= wanted
    assert any(name.startswith("sftbench_plugins/microcosm/model/") for name in wanted)
    assert {"sftbench_plugins/microcosm/model/config.json", "sftbench_plugins/top/README.md"} <= wanted


def test_a_wheel_puts_nothing_else_into_site_packages(built, project):
    own = {"sftbench", "sftbench_plugins", f"sftbench-{project['version']}.dist-info"}
    for wheel in ("through sdist", "from the tree"):
        assert {name.partition("/")[0] for name in built[wheel]} == own


def test_both_ways_give_the_same_wheel(built):
    assert built["through sdist"] == built["from the tree"]


def test_a_source_distribution_holds_what_building_needs(built):
    assert {"pyproject.toml", "README.md", "LICENSE", "harness/sftbench/__init__.py"} <= built["sdist"]
