"""The project's own source, as its house rules read it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, kw_only=True)
class Import:
    """One imported name: `from sftbench.store import Store` is module `sftbench.store`, name `Store`."""

    module: str
    name: str | None
    line: int
    at_module_level: bool
    for_types_only: bool


@dataclass(frozen=True, kw_only=True)
class Source:
    """One module of the project."""

    path: Path
    name: str
    tree: ast.Module

    def imports(self) -> Iterator[Import]:
        yield from _imports(self.tree, at_module_level=True, for_types_only=False)

    def __str__(self) -> str:
        return str(self.path.relative_to(ROOT))


def _imports(node: ast.AST, *, at_module_level: bool, for_types_only: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        about = {"at_module_level": at_module_level, "for_types_only": for_types_only}
        if isinstance(child, ast.Import):
            for each in child.names:
                yield Import(module=each.name, name=None, line=child.lineno, **about)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "imports are absolute here"
            for each in child.names:
                yield Import(module=child.module or "", name=each.name, line=child.lineno, **about)
        elif isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield from _imports(child, at_module_level=False, for_types_only=for_types_only)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            yield from _imports(child, at_module_level=at_module_level, for_types_only=True)
        else:
            yield from _imports(child, **about)


def sources(root: str) -> list[Source]:
    """Every module under a source root."""
    return [
        Source(
            path=path,
            name=".".join(path.relative_to(ROOT / root).with_suffix("").parts).removesuffix(".__init__"),
            tree=ast.parse(path.read_text(encoding="utf-8"), str(path)),
        )
        for path in sorted((ROOT / root).rglob("*.py"))
    ]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def harness() -> list[Source]:
    return sources("harness")


@pytest.fixture(scope="session")
def plugins() -> list[Source]:
    return sources("plugins")
