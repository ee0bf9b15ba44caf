"""Write a plugin distribution of one's own: a small working part, its tests, and packaging that announces it."""

from __future__ import annotations

import keyword
import re
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from string import Template

from sftbench.errors import UsageError
from sftbench.plugins import load

_NAME = re.compile(r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$")


def write_distribution(name: str, kind: str, into: Path) -> Path:
    """A folder `NAME/` with a distribution of that name, offering one `kind` called NAME.

    Raises `UsageError` for a name that is no distribution name or is taken, and for a folder that exists.
    """
    if not _NAME.match(name):
        raise UsageError(
            f"'{name}' cannot be a plugin name: use small letters, digits and single hyphens, such as my-{kind}"
        )
    folder, module = into / name, name.replace("-", "_")
    if folder.exists():
        raise UsageError(f"{folder} exists already; choose another name or folder")
    _refuse_taken(name, module, kind)
    words = {
        "name": name,
        "module": module,
        "kind": kind,
        "class_name": module.title().replace("_", ""),
        "hook": f"sftbench_{kind}s",
    }
    sources = files("sftbench") / "templates"
    targets = {
        "pyproject.toml.txt": folder / "pyproject.toml",
        "README.md.txt": folder / "README.md",
        f"{kind}.py.txt": folder / "src" / module / "__init__.py",
        f"test_{kind}.py.txt": folder / "tests" / f"test_{module}.py",
        "test_conformance.py.txt": folder / "tests" / "test_conformance.py",
    }
    texts = {
        path: Template((sources / source).read_text(encoding="utf-8")).substitute(words)
        for source, path in targets.items()
    }
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def _refuse_taken(name: str, module: str, kind: str) -> None:
    """A second module of that name could not be imported, and a second part of that name would stop `bench`."""
    if keyword.iskeyword(module) or find_spec(module) is not None:
        raise UsageError(f"'{name}' cannot be a plugin name: Python knows '{module}' already; try {name}-{kind}")
    plugins = load()
    if name in plugins.methods or (kind != "method" and name in plugins.parts[kind]):
        raise UsageError(f"an installed plugin offers '{name}' already; choose another name, such as my-{name}")
