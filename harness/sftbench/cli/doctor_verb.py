"""Look at this machine and installation, and say what is missing and how to mend it. Exit code 4 when something is."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import sys
from pathlib import Path
from typing import Any

from sftbench.cli.options import FORMATS, add_format, print_rows

NEEDED = (
    "torch",
    "transformers",
    "peft",
    "datasets",
    "accelerate",
    "tokenizers",
    "pandas",
    "rich",
    "pluggy",
    "sentence-transformers",
)
LOW_DISK_BYTES = 5e9


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--store", type=Path, help="folder of step outputs")
    add_format(parser, FORMATS)


def run(options: argparse.Namespace) -> int:
    rows = [*_python(), *_packages(), *_devices(), *_store(options.store), *_vllm(), *_plugins()]
    print_rows(rows, options.output)
    return 4 if any(row["state"] == "missing" for row in rows) else 0


def _row(what: str, state: str, found: str, advice: str = "") -> dict[str, Any]:
    return {"what": what, "state": state, "found": found, "advice": advice}


def _python() -> list[dict[str, Any]]:
    version = ".".join(map(str, sys.version_info[:3]))
    good = sys.version_info >= (3, 11)
    return [_row("python", "fine" if good else "missing", version, "" if good else "Python 3.11 or newer is needed")]


def _packages() -> list[dict[str, Any]]:
    rows = []
    for name in NEEDED:
        try:
            rows.append(_row(name, "fine", importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            rows.append(_row(name, "missing", "not installed", f"pip install {name}"))
    return rows


def _devices() -> list[dict[str, Any]]:
    from sftbench.runner import local_slots

    slots = local_slots(None)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    cpu = f"{slots.num_workers} process(es) of {slots.num_threads} thread(s), {memory:.0f} GB of memory"
    gpus = f"{len(slots.devices)} visible" if slots.devices else "none: everything runs on the CPU"
    return [_row("processes", "fine", cpu), _row("GPUs", "fine" if slots.devices else "note", gpus)]


def _store(given: Path | None) -> list[dict[str, Any]]:
    from sftbench.runner import default_store

    root = given or default_store()
    try:
        root.mkdir(parents=True, exist_ok=True)
        probe = root / f".probe-{os.getpid()}"
        probe.write_text("")
        probe.unlink()
    except OSError as problem:
        return [_row("store", "missing", f"{root}: {problem.strerror}", "choose another folder with SFTBENCH_STORE")]
    disk = os.statvfs(root)
    free = disk.f_bavail * disk.f_frsize
    low = free < LOW_DISK_BYTES
    advice = "models of a run may not fit; free space or choose another folder with SFTBENCH_STORE" if low else ""
    return [_row("store", "note" if low else "fine", f"{root}, {free / 1e9:.0f} GB free", advice)]


def _vllm() -> list[dict[str, Any]]:
    """Only who has a model served needs it."""
    from sftbench.errors import EnvironmentProblem
    from sftbench.serving.environment import WAY_OUT, find_environment

    try:
        found = find_environment()
    except EnvironmentProblem as problem:
        return [_row("vLLM", "note", str(problem).partition(";")[0], f"to have models served as vllm:MODEL, {WAY_OUT}")]
    return [_row("vLLM", "fine", f"{found}, by {found.python}")]


def _plugins() -> list[dict[str, Any]]:
    from sftbench.plugins import load

    plugins = load()
    rows = [
        _row(
            "plugins",
            "fine" if plugins.methods else "missing",
            f"{len(plugins.distributions) - len(plugins.broken)} loaded, {len(plugins.methods)} methods",
            "" if plugins.methods else "refresh the installation: pip install -e .",
        )
    ]
    rows += [
        _row(f"plugin {each.name}", "missing", each.reason, f"mend or uninstall {each.distribution}")
        for each in plugins.broken
    ]
    return rows
