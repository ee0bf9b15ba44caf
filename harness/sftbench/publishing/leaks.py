"""What must not be published: credentials, and places on somebody's machine."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sftbench.errors import UsageError

_KEYS = {
    "a private key": r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY",
    "a Hugging Face token": r"\bhf_[A-Za-z0-9]{30,}",
    "an API key": r"\bsk-(?=[A-Za-z_-]{0,200}[0-9])(?=[a-z0-9_-]{0,200}[A-Z])[A-Za-z0-9_-]{20,}",
    "a GitHub token": r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,}|glpat-[A-Za-z0-9_-]{20,})",
    "an AWS key": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "a Google key": r"\bAIza[A-Za-z0-9_-]{35}",
    "a Slack token": r"\bxox[abeprs]-[A-Za-z0-9-]{10,}",
    "a signed token": r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
    "an authorization header": r"\bBearer [A-Za-z0-9._~+/-]{20,}",
    "an address with a password": r"\b[A-Za-z][A-Za-z0-9+.-]{1,15}://[^\s/@\"'<>\\]{1,200}@[\w\[]",
    "an address with a key": r"[?&](?:api[_-]?key|access[_-]?token|token|secret|password|sig)=[^&\s\"'<>]{6,}",
}
_CREDENTIAL = re.compile("|".join(f"(?P<k{number}>{each})" for number, each in enumerate(_KEYS.values())))
_HINTS = ("-----BEGIN", "hf_", "sk-", "gh", "glpat", "AKIA", "ASIA", "AIza", "xox", "eyJ", "Bearer", "://", "?", "&")
"""A line without any of these holds no credential; looking for them first is some ten times as fast."""
_SECRET_NAMES = re.compile(r"KEY|TOKEN|SECRET|PASSW|CREDENTIAL|AUTH")
_ROOTS = (
    "home|root|Users|work|workspace|mnt|srv|tmp|var|opt|data|scratch|media|private|Volumes|content|gpfs|lustre|nfs"
    "|storage|projects|usr|etc"
)
_PLACE = re.compile(
    rf"(?<![\w.~/@-])/(?:{_ROOTS})(?:/[^\s\"'<>|,;:=\\\[\](){{}}]+)+"
    r"|(?<![\w/])[A-Za-z]:\\{1,2}[\w .$-]+(?:\\{1,2}[\w .$-]+)+"
    r"|file://[^\s\"'<>]+"
)


def secrets_of_environment(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Values of variables that are named like secrets, and are long enough to be one, by the variable's name."""
    given = os.environ if environment is None else environment
    return {
        value: name
        for name, value in given.items()
        if _SECRET_NAMES.search(name.upper()) and len(value) >= 8 and not value.startswith("/")
    }


def refuse_credentials(texts: Mapping[str, str], environment: Mapping[str, str] | None = None) -> None:
    """Raises `UsageError` that names the file and line of what looks like a credential, and never tells it."""
    secrets = secrets_of_environment(environment)
    for name, text in texts.items():
        for value, variable in secrets.items():
            if value in text:
                line = text.count("\n", 0, text.index(value)) + 1
                raise UsageError(f"{name}, line {line}, holds the value of ${variable}; take it out, then publish")
        for number, line_text in enumerate(text.splitlines(), start=1):
            match = _CREDENTIAL.search(line_text) if any(hint in line_text for hint in _HINTS) else None
            if match is not None:
                kind = list(_KEYS)[int(str(match.lastgroup)[1:])]
                raise UsageError(f"{name}, line {number}, holds what looks like {kind}; take it out, then publish")


def addresses_in(text: str) -> list[str]:
    """The hosts of addresses in a text, each once: no secret, yet of an inner network they may be nobody's business."""
    return sorted(set(re.findall(r"\bhttps?://([^\s/#\"'<>\\]+)", text)))


def places_in(text: str) -> Iterator[re.Match[str]]:
    """Where a text names a place on somebody's machine."""
    yield from _PLACE.finditer(text)
    for own in _own_places():
        yield from re.finditer(rf"(?<![\w.~-]){re.escape(own)}(?=[/\\\s\"'<>]|$)[^\s\"'<>]*", text)


def refuse_places(texts: Mapping[str, str]) -> None:
    """Raises `UsageError` that names the file and line of a place on this machine."""
    for name, text in texts.items():
        match = next(places_in(text), None)
        if match is not None:
            line = text.count("\n", 0, match.start()) + 1
            raise UsageError(f"{name}, line {line}, names the place {match.group(0)[:80]} on a machine; take it out")


def shortened(value: Any) -> Any:
    """JSON in which places on a machine are their last name alone, keys included."""
    if isinstance(value, str):
        return _short(value)
    if isinstance(value, dict):
        return {_short(key): shortened(each) for key, each in value.items()}
    if isinstance(value, list):
        return [shortened(each) for each in value]
    return value


def _short(text: str) -> str:
    for match in sorted(places_in(text), key=lambda each: -len(each.group(0))):
        last = re.split(r"[/\\]", match.group(0).rstrip("/\\"))[-1]
        text = text.replace(match.group(0), last or "place")
    return text


def _own_places() -> list[str]:
    known = {str(Path.home()), str(Path.cwd()), tempfile.gettempdir()}
    return sorted((each for each in known if len(Path(each).parts) > 1), key=len, reverse=True)
