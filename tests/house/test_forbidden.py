"""What no module of the project does: pickle, eval, shells, code from the hub, one name twice; and what none names."""

from __future__ import annotations

import ast
import re
import subprocess

import pytest

FORBIDDEN_MODULES = {"cPickle", "cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve"}
FORBIDDEN_CALLS = {"eval", "exec", "os.popen", "os.system", "pandas.read_pickle", "torch.load", "yaml.load"}
CONFINED = "sandbox/inside.py"
"""The one module that is there to run text as code, after it has given up its rights."""
FORBIDDEN_KEYWORDS = {"allow_pickle", "shell", "trust_remote_code"}


def test_nothing_is_pickled(harness, plugins):
    found = [
        f"{source}:{each.line} imports {each.module}"
        for source in harness + plugins
        for each in source.imports()
        if each.module.split(".")[0] in FORBIDDEN_MODULES
    ]
    assert found == []


def test_no_text_is_run_as_code(harness, plugins):
    found = []
    for source in harness + plugins:
        for node in ast.walk(source.tree):
            if not isinstance(node, ast.Call):
                continue
            allowed = {"exec"} if str(source).endswith(CONFINED) else set()
            if ast.unparse(node.func) in FORBIDDEN_CALLS - allowed:
                found.append(f"{source}:{node.lineno} calls {ast.unparse(node.func)}")
            found += [
                f"{source}:{node.lineno} passes {each.arg}={ast.unparse(each.value)}"
                for each in node.keywords
                if each.arg in FORBIDDEN_KEYWORDS and ast.unparse(each.value) != "False"
            ]
    assert found == []


def test_every_module_opens_with_what_it_is_for(harness, plugins):
    assert [str(source) for source in harness + plugins if not ast.get_docstring(source.tree)] == []


def test_no_module_has_a_name_that_says_nothing(harness, plugins):
    empty = {"base", "common", "core", "helpers", "manager", "misc", "util", "utils"}
    assert [str(source) for source in harness + plugins if source.name.rpartition(".")[2] in empty] == []


def test_no_two_classes_of_the_harness_have_one_name(harness):
    found = {}
    for source in harness:
        for node in source.tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found.setdefault(node.name, []).append(str(source))
    assert {name: places for name, places in found.items() if len(places) > 1} == {}


@pytest.fixture(scope="module")
def tracked_texts(root):
    """Every text file that the repository holds, but this one."""
    try:
        done = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("git is not installed")
    if done.returncode:
        pytest.skip("the source is not in a git repository")
    texts = {}
    for name in done.stdout.split("\0"):
        path = root / name
        if name and path.is_file() and not path.samefile(__file__):
            try:
                texts[name] = path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue
    return texts


@pytest.mark.parametrize(
    ("what", "pattern"),
    [
        ("a place on somebody's machine", r"(?<![\w.~/:-])/(home|root|Users|work|mnt|srv|workspace)/\w"),
        ("a package index", r"index-url|artifactory|pypi\.org|pythonhosted|download\.pytorch\.org"),
        ("a key or password", r"(?i)(hf_[a-z]{30}|ghp_\w{30}|-----BEGIN [A-Z ]*PRIVATE KEY)"),
    ],
)
def test_no_file_names(tracked_texts, what, pattern):
    found = [
        f"{name}: {match.group(0)}"
        for name, text in tracked_texts.items()
        if (match := re.search(pattern, text)) is not None
    ]
    assert found == []
