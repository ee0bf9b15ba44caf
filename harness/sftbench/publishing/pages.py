"""A bundle as a commit on the branch `gh-pages` of the repository one is in; nothing is pushed or checked out."""

from __future__ import annotations

import html
import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from sftbench.errors import EnvironmentProblem, UsageError
from sftbench.publishing.layout import files_below

BRANCH = "refs/heads/gh-pages"
_OURS = "<!-- boards listed by sftbench -->"
_FRONT = "index.html"


def to_pages(bundle: Path, name: str) -> list[str]:
    """Commit a bundle as the folder `name` of `gh-pages`, with a page that lists all boards; returns what to do next.

    Raises `UsageError` when that folder holds another bundle, and `EnvironmentProblem` outside of a repository.
    """
    before, held = _branch()
    files = {f"{name}/{each}": _blob(path.read_bytes()) for each, path in files_below(bundle).items()}
    if _is_there(files, held, name):
        return [f"this bundle is on gh-pages already, as {name}/"]
    pages = {**held, **files, ".nojekyll": _blob(b"")}
    if _FRONT not in held or _OURS in _git("cat-file", "blob", held[_FRONT]):
        pages[_FRONT] = _blob(_front(pages).encode())
    commit = _commit(pages, before, f"Publish the board {name}")
    _git("update-ref", BRANCH, commit, before or "0" * 40)
    return [f"committed to gh-pages as {name}/ ({commit[:12]}); nothing was pushed: git push origin gh-pages"]


def pages_told(bundle: Path, name: str) -> list[str]:
    """What `to_pages` would do, and nothing of it done. Raises what it would."""
    before, held = _branch()
    files = {f"{name}/{each}": _blob(path.read_bytes(), keep=False) for each, path in files_below(bundle).items()}
    if _is_there(files, held, name):
        return [f"this bundle is on gh-pages already, as {name}/"]
    branch = "the branch gh-pages" if before else "a new branch gh-pages"
    return [f"would be committed to {branch} of {_git('rev-parse', '--show-toplevel')} as {name}/, and not pushed"]


def _branch() -> tuple[str | None, dict[str, str]]:
    """The last commit of `gh-pages`, if there is one, and its files."""
    before = _git_or_none("rev-parse", "--verify", "--quiet", BRANCH)
    return before, _entries(before) if before else {}


def _is_there(files: Mapping[str, str], held: Mapping[str, str], name: str) -> bool:
    """Whether the branch has these very files. Raises `UsageError` where it has others in their folder."""
    there = {each: blob for each, blob in held.items() if each.startswith(f"{name}/")}
    if there and there != files:
        raise UsageError(f"gh-pages holds another bundle as {name}/, which is not overwritten; rename the results")
    return bool(there)


def _front(pages: dict[str, str]) -> str:
    names = sorted({each.partition("/")[0] for each in pages if each.endswith("/board/board.json")})
    links = []
    for name in names:
        page = "index.html" if f"{name}/board/index.html" in pages else "README.md"
        told = html.escape(name)
        links.append(f'<li><a href="{told}/board/{page}">{told}</a></li>')
    head = '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Leaderboards</title></head>'
    return f"{head}\n{_OURS}\n<body><h1>Leaderboards</h1>\n<ul>\n" + "\n".join(links) + "\n</ul></body></html>\n"


def _entries(commit: str) -> dict[str, str]:
    """Name and blob of every file of a commit."""
    lines = _git("ls-tree", "-r", "-z", commit).split("\0")
    return {name: about.split()[2] for about, _, name in (line.partition("\t") for line in lines if line)}


def _blob(content: bytes, *, keep: bool = True) -> str:
    """Content as it is: no filter may change a byte that the manifest has hashed."""
    return _git("hash-object", *(["-w"] if keep else []), "--stdin", "--no-filters", given=content)


def _commit(pages: dict[str, str], before: str | None, message: str) -> str:
    listed = "".join(f"100644 {blob}\t{name}\0" for name, blob in sorted(pages.items()))
    with tempfile.TemporaryDirectory(prefix="sftbench-index-") as place:
        index = {"GIT_INDEX_FILE": str(Path(place) / "index")}
        _git("update-index", "-z", "--index-info", given=listed.encode(), environment=index)
        tree = _git("write-tree", environment=index)
    return _git("commit-tree", tree, *(["-p", before] if before else []), "-m", message)


def _git_or_none(*arguments: str) -> str | None:
    try:
        return _git(*arguments)
    except EnvironmentProblem:
        _git("rev-parse", "--git-dir")
        return None


def _git(*arguments: str, given: bytes = b"", environment: dict[str, str] | None = None) -> str:
    try:
        done = subprocess.run(  # noqa: S603
            ["git", *arguments],  # noqa: S607
            input=given,
            capture_output=True,
            env={**os.environ, **(environment or {})},
        )
    except FileNotFoundError:
        raise EnvironmentProblem("git is not installed; publish to a folder instead, with --to DIR") from None
    if done.returncode:
        why = done.stderr.decode(errors="replace").strip().splitlines()
        raise EnvironmentProblem(f"git {arguments[0]} failed: {why[0] if why else done.returncode}")
    return done.stdout.decode(errors="replace").strip("\n")
