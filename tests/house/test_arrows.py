"""Who may import whom: `cli -> runner -> store, plugins, executors -> roles -> rooms`, and plugins the public list."""

from __future__ import annotations

import graphlib

import pytest

import sftbench

LAYERS = (
    {"rooms", "errors", "arrays", "positions", "hidden"},
    {
        "parameters", "fingerprint", "roles", "hookspecs", "ledger", "reporting", "defects", "devices", "chat",
        "published",
    },
    {
        "record", "store", "shelf", "budget", "plugins", "pools", "engines", "serving", "plant", "planted", "board",
        "scaffold", "judging", "sandbox",
    },
    {"composition", "methods", "settings", "plan", "planner", "jury", "placing", "prompting"},
    {"cards", "desk", "bench", "prepare", "responding", "answering", "diversity", "contamination", "perform"},
    {"executors"},
    {"survey", "runner"},
    {
        "results", "predict", "choosing", "describing", "conformance", "judgement", "checking", "finding", "anatomy",
        "run_card",
    },
    {"compare"},
    {"study", "publishing"},
    {"commands", "cli"},
)  # fmt: skip
"""Each part of the core and what stands above it; a module imports from its own layer and from those before."""
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
HEAVY = {
    "accelerate", "datasets", "matplotlib", "numba", "openai", "pandas", "peft", "scipy", "sentence_transformers",
    "sklearn", "tokenizers", "torch", "transformers", "umap",
}  # fmt: skip
"""What takes long to import, and is imported by the engines and inside functions only."""


def place(module):
    """The part of the core that a module belongs to: `sftbench.pools.read` to `pools`."""
    return module.split(".")[1] if "." in module else ""


def core_imports(source):
    """What a module imports of the core, as dotted names; `from sftbench import plugins` is `sftbench.plugins`."""
    for each in source.imports():
        if each.for_types_only or each.module.split(".")[0] != "sftbench":
            continue
        is_module = each.module == "sftbench" and each.name in LEVEL
        yield f"sftbench.{each.name}" if is_module else each.module, each.line


def module_of(imported, names):
    """The module of the core that is imported, or from which something is; None for any other."""
    below = f"{imported.module}.{imported.name}"
    return below if below in names else imported.module if imported.module in names else None


def test_every_part_of_the_core_has_its_layer(harness):
    parts = {place(source.name) for source in harness} - {""}
    assert parts == set(LEVEL), "say in LAYERS where a new part of the core stands"


def test_the_core_imports_downwards_only(harness):
    upwards = [
        f"{source}:{line} imports {module}"
        for source in harness
        for module, line in core_imports(source)
        if place(source.name) and place(module) and LEVEL[place(module)] > LEVEL[place(source.name)]
    ]
    assert upwards == []


def test_no_modules_of_the_core_import_each_other_in_a_circle_not_even_for_types(harness):
    names = {source.name for source in harness}
    imported = {
        source.name: {name for each in source.imports() if (name := module_of(each, names)) and name != source.name}
        for source in harness
    }
    graphlib.TopologicalSorter(imported).prepare()


def test_the_core_knows_no_plugin(harness):
    known = [
        f"{source}:{each.line}"
        for source in harness
        for each in source.imports()
        if each.module.split(".")[0] == "sftbench_plugins"
    ]
    assert known == []


def test_the_board_is_made_from_records_and_nothing_else(harness):
    allowed = {"board", "budget", "errors", "hidden", "judging", "positions", "published", "rooms", "store"}
    foreign = [
        f"{source}:{line} imports {module}"
        for source in harness
        if place(source.name) == "board"
        for module, line in core_imports(source)
        if place(module) not in allowed
    ]
    assert foreign == []


def test_only_performing_calls_parts(harness):
    """The way to a part is `perform`, and only a working process takes it."""
    users = {source.name for source in harness for module, _ in core_imports(source) if module == "sftbench.perform"}
    assert users <= {"sftbench.executors.worker"}


def test_the_core_imports_heavy_libraries_in_its_engines_only(harness):
    heavy = [
        f"{source}:{each.line} imports {each.module}"
        for source in harness
        if place(source.name) != "engines"
        for each in source.imports()
        if each.at_module_level and not each.for_types_only and each.module.split(".")[0] in HEAVY
    ]
    assert heavy == []


def test_plugins_import_the_public_list_and_nothing_deeper(plugins):
    deeper = [
        f"{source}:{each.line} imports {each.module}.{each.name}"
        for source in plugins
        for each in source.imports()
        if each.module.split(".")[0] == "sftbench" and (each.module != "sftbench" or each.name not in sftbench.__all__)
    ]
    assert deeper == []


def test_plugins_never_import_each_other(plugins, root):
    home = root / "plugins" / "sftbench_plugins"
    packages = {path.parent.name for path in home.glob("*/__init__.py")}
    shared = {path.stem for path in home.glob("*.py")} - {"__init__"}
    foreign = []
    for source in plugins:
        own = source.path.relative_to(home).parts[0].removesuffix(".py")
        for each in source.imports():
            if each.module.split(".")[0] != "sftbench_plugins":
                continue
            other = each.module.split(".")[1] if "." in each.module else each.name
            allowed = shared if own in shared else {own, *shared}
            if other in packages | shared and other not in allowed:
                foreign.append(f"{source}:{each.line} imports {each.module}")
    assert foreign == []


@pytest.mark.parametrize("name", sftbench.__all__)
def test_every_name_of_the_public_list_is_there(name):
    assert getattr(sftbench, name) is not None
