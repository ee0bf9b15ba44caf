"""What one plugin module offers: the things that conformance checks try."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sftbench.parameters import build
from sftbench.plugins import Plugins
from sftbench.roles import ROLES, Method, PromptSuite, Suite


@dataclass(frozen=True, kw_only=True)
class Offer:
    """Parts by role, methods, suites, whether finished steps are observed, and why the plugin is broken if it is."""

    plugin: str
    parts: tuple[tuple[str, type[Any]], ...]
    methods: tuple[Method, ...]
    suites: tuple[Suite, ...]
    prompt_suites: tuple[PromptSuite, ...]
    observes: bool
    broken: tuple[str, ...]

    @property
    def does_something(self) -> bool:
        """Whether there is anything that works in steps."""
        return bool(self.parts or self.methods or self.suites)


def offered(plugins: Plugins, module_name: str) -> Offer:
    """What the module of that name offers, installed or not."""
    name = next(
        (
            registered
            for registered, plugin in plugins.manager.list_name_plugin()
            if getattr(plugin, "__name__", None) == module_name
        ),
        module_name,
    )
    return Offer(
        plugin=name,
        parts=tuple(
            (role, each.part_class) for role in ROLES for each in plugins.parts[role].values() if each.plugin == name
        ),
        methods=tuple(
            method for method in plugins.methods.values() if plugins.plugin_of[f"method:{method.name}"] == name
        ),
        suites=tuple(suite for suite in plugins.suites.values() if plugins.plugin_of[f"suite:{suite.name}"] == name),
        prompt_suites=tuple(
            suite for suite in plugins.prompt_suites.values() if plugins.plugin_of[f"suite:{suite.name}"] == name
        ),
        observes=hasattr(plugins.manager.get_plugin(name), "sftbench_step_ended"),
        broken=tuple(each.reason for each in plugins.broken if each.name in (name, module_name)),
    )


def part_for_trial(part_class: type[Any]) -> Any:
    """The part with its defaults, or with what it says in `trial`: where defaults need what only a user has."""
    return build(part_class, getattr(part_class, "trial", {}), where=f"the trial of {part_class.name}")
