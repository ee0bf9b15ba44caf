"""Which language model judges: one that the judge's parameters name, or the one of the run."""

from __future__ import annotations

from pathlib import Path

from sftbench import Chat, Desk, Endpoint, Needs, UsageError
from sftbench_plugins.judges.template import template_path

ROLE, TEMPLATE = "judge", "template"
_SERVED = "vllm:"


def check_model(model: str | None) -> None:
    """Raise `UsageError` for what is neither `vllm:MODEL` nor `URL#MODEL`."""
    if model is not None and not (model.startswith(_SERVED) and model != _SERVED):
        Endpoint.parse(model)


def needs_of(model: str | None, template: str, packaged: str) -> Needs:
    """The model, and the file of the template, whose content is part of what a verdict depends on."""
    files = {TEMPLATE: template_path(template, packaged)}
    return Needs(asks={ROLE: model}, files=files) if model else Needs(chat=True, files=files)


def chat_of(desk: Desk, model: str | None, name: str) -> Chat:
    """The model to ask. Raises `UsageError` where neither the parameters nor the run name one."""
    chat = desk.chat_with(ROLE) if model else desk.chat(stand_in="no verdicts")
    if chat is None:
        raise UsageError(f"{name} asks a language model: name one with {name}[model=URL#MODEL] or --chat")
    return chat


def template_file(desk: Desk) -> Path:
    """Where the template lies."""
    return desk.files()[TEMPLATE]


def check_bounds(**bounds: float | None) -> None:
    """Raise `ValueError` for a bound that is not above 0."""
    for name, value in bounds.items():
        if value is not None and not value > 0:
            raise ValueError(f"{name}={value}: expected more than 0, or none")
