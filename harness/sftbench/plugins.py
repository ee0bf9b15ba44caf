"""Find plugins, keep broken ones visible, refuse duplicates, and look names up with "did you mean"."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import pluggy

from sftbench import hookspecs
from sftbench.errors import ContractError, EnvironmentProblem, unknown_name
from sftbench.parameters import PartUse, build
from sftbench.roles import ROLES, Method, PromptSuite, Suite
from sftbench.rooms import Json

GROUP = "sftbench"


@dataclass(frozen=True, kw_only=True)
class BrokenPlugin:
    """A plugin that could not be loaded, with the reason for people and the traceback for its author."""

    name: str
    distribution: str
    reason: str
    trace: str


@dataclass(frozen=True, kw_only=True)
class Offered:
    """A part class and the plugin that offers it."""

    part_class: type[Any]
    plugin: str


@dataclass(frozen=True, kw_only=True)
class Plugins:
    """Everything that the installed plugins offer, by role and name."""

    manager: pluggy.PluginManager
    parts: Mapping[str, Mapping[str, Offered]]
    methods: Mapping[str, Method]
    suites: Mapping[str, Suite]
    plugin_of: Mapping[str, str]
    broken: tuple[BrokenPlugin, ...] = ()
    distributions: Mapping[str, str] = field(default_factory=dict)
    prompt_suites: Mapping[str, PromptSuite] = field(default_factory=dict)

    def part_class(self, role: str, name: str) -> type[Any]:
        """The class of a part. Raises `UsageError` with the nearest name, or the error of a broken plugin."""
        if name not in self.parts[role]:
            self._raise_if_broken(name)
            raise unknown_name(role, name, self.parts[role])
        return self.parts[role][name].part_class

    def part(self, role: str, use: PartUse) -> Any:
        """A part made with checked parameters."""
        return build(self.part_class(role, use.name), use.parameters, where=f"{role} {use.name}")

    def method(self, name: str) -> Method:
        """A method by name; a bare selector or scorer is not one. Raises `UsageError` with the nearest name."""
        if name not in self.methods:
            self._raise_if_broken(name)
            raise unknown_name("method", name, self.methods)
        return self.methods[name]

    def suite(self, name: str) -> Suite:
        """An embedded suite by name."""
        if name not in self.suites:
            self._raise_if_broken(name)
            raise unknown_name("suite", name, {*self.suites, *self.prompt_suites})
        return self.suites[name]

    def observe(self, record: dict[str, Json], run: dict[str, Json] | None = None) -> list[str]:
        """Tell observing plugins about a finished step; returns what went wrong, a line per plugin.

        Each is called by itself, so that one that fails keeps no other from hearing.
        """
        problems = []
        known = self.manager.list_name_plugin()
        for name in self.observers:
            others = [plugin for other, plugin in known if other != name]
            try:
                self.manager.subset_hook_caller("sftbench_step_ended", others)(record=record, run=run or {})
            except Exception as problem:
                problems.append(f"{name}: {type(problem).__name__}: {problem}")
        return problems

    @property
    def observers(self) -> tuple[str, ...]:
        """Plugins that hear of finished steps."""
        hook = self.manager.hook.sftbench_step_ended
        return tuple(sorted(each.plugin_name for each in hook.get_hookimpls()))

    def _raise_if_broken(self, name: str) -> None:
        for each in self.broken:
            if name in (each.name, each.name.replace("_", "-")):
                raise EnvironmentProblem(
                    f"plugin '{each.name}' of {each.distribution} could not be loaded: {each.reason}"
                )


def load(extra: Sequence[ModuleType] = ()) -> Plugins:
    """Look up every plugin, with a fresh manager each time.

    Besides the installed ones, modules named in `SFTBENCH_PLUGINS` and `extra` are registered: plugins being written.
    """
    manager = pluggy.PluginManager("sftbench")
    manager.add_hookspecs(hookspecs)
    broken: list[BrokenPlugin] = []
    distributions: dict[str, str] = {}
    for entry in sorted(importlib.metadata.entry_points(group=GROUP), key=lambda each: each.name):
        origin = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "unknown distribution"
        distributions[entry.name] = origin
        _register(manager, entry.name, entry.value, origin, broken)
    named = [name for name in os.environ.get("SFTBENCH_PLUGINS", "").split(",") if name]
    for name in named:
        if name not in {getattr(plugin, "__name__", "") for _, plugin in manager.list_name_plugin()}:
            distributions[name] = "SFTBENCH_PLUGINS"
            _register(manager, name, name, "SFTBENCH_PLUGINS", broken)
    for module in extra:
        if not manager.is_registered(module):
            manager.register(module, name=module.__name__)
    return _collect(manager, broken, distributions)


def load_module(name: str) -> ModuleType:
    """Import a plugin module by its dotted name. Raises `EnvironmentProblem` when that fails."""
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as problem:
        raise EnvironmentProblem(f"cannot import the plugin '{name}': {type(problem).__name__}: {problem}") from problem


def _register(manager: pluggy.PluginManager, name: str, value: str, origin: str, broken: list[BrokenPlugin]) -> None:
    # A plugin may fail in any way while it is imported; the others must go on, and this one stays listed.
    try:
        plugin = importlib.import_module(value)
        manager.register(plugin, name=name)
        manager.check_pending()
    except (Exception, SystemExit) as problem:
        if manager.has_plugin(name):
            manager.unregister(name=name)
        reason = f"{type(problem).__name__}: {problem}"
        broken.append(BrokenPlugin(name=name, distribution=origin, reason=reason, trace=traceback.format_exc()))


def _collect(manager: pluggy.PluginManager, broken: list[BrokenPlugin], distributions: dict[str, str]) -> Plugins:
    parts: dict[str, dict[str, Offered]] = {role: {} for role in ROLES}
    methods: dict[str, Method] = {}
    suites: dict[str, Suite | PromptSuite] = {}
    plugin_of: dict[str, str] = {}
    for name, plugin in sorted(manager.list_name_plugin()):
        try:
            offered = _offers(manager, plugin)
        except Exception as problem:
            reason = f"{type(problem).__name__}: {problem}"
            origin = distributions.get(name, name)
            broken.append(BrokenPlugin(name=name, distribution=origin, reason=reason, trace=traceback.format_exc()))
            continue
        for role in ROLES:
            for part_class in offered[role]:
                _claim(parts[role], part_class.name, Offered(part_class=part_class, plugin=name), role, name)
        for method in offered["method"]:
            _claim(methods, method.name, method, "method", name, plugin_of)
        for suite in offered["suite"]:
            _claim(suites, suite.name, suite, "suite", name, plugin_of)
    return Plugins(
        manager=manager,
        parts=parts,
        methods=methods,
        suites={name: suite for name, suite in suites.items() if isinstance(suite, Suite)},
        prompt_suites={name: suite for name, suite in suites.items() if isinstance(suite, PromptSuite)},
        plugin_of=plugin_of,
        broken=tuple(broken),
        distributions=distributions,
    )


def _offers(manager: pluggy.PluginManager, plugin: Any) -> dict[str, list[Any]]:
    """What one plugin offers, by role."""
    hooks = {each.name for each in manager.get_hookcallers(plugin) or ()}
    found: dict[str, list[Any]] = {}
    for kind in (*ROLES, "method", "suite"):
        hook = f"sftbench_{kind}s"
        found[kind] = list(getattr(plugin, hook)()) if hook in hooks else []
    for role in ROLES:
        for part_class in found[role]:
            if not isinstance(part_class, type) or not isinstance(getattr(part_class, "name", None), str):
                raise ContractError(f"sftbench_{role}s returned {part_class!r}; it must return classes with a `name`")
            if not all(hasattr(part_class, each) for each in ("name", "version", "deterministic", "needs")):
                raise ContractError(
                    f"{role} '{part_class.__name__}' lacks one of name, version, deterministic, needs()"
                )
    return found


def _claim(
    table: dict[str, Any], name: str, value: Any, kind: str, plugin: str, plugin_of: dict[str, str] | None = None
) -> None:
    if name in table:
        before = plugin_of[f"{kind}:{name}"] if plugin_of is not None else table[name].plugin
        raise ContractError(f"two plugins offer the {kind} '{name}': {before} and {plugin}; uninstall one of them")
    table[name] = value
    if plugin_of is not None:
        plugin_of[f"{kind}:{name}"] = plugin
