"""LoRA adapters in a served base model: which can be loaded, loaded when they are asked for, and unloaded."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sftbench.chat import Endpoint, Service
from sftbench.errors import EnvironmentProblem
from sftbench.serving.command import LORA_RANKS
from sftbench.serving.environment import VllmEnvironment, has_lora

LOAD_SECONDS = 600.0
ATTEMPTS = 2
"""A server that ends twice over an adapter will not take it."""


class AdapterRefusedError(EnvironmentProblem):
    """A server that works does not take an adapter."""


def rank_of(adapter: Path) -> int:
    """The largest rank in an adapter's folder."""
    told: dict[str, Any] = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
    return max(int(told["r"]), *map(int, (told.get("rank_pattern") or {}).values()), 0)


def room_for(rank: int, *, base: Path, dtype: str | None, environment: VllmEnvironment) -> int | None:
    """The rank with which a base is to be served for adapters up to `rank`; None where it cannot take any."""
    # vLLM's products with adapters on a GPU are of 16-bit numbers.
    if rank < 1 or (dtype == "float32" and not environment.on_cpu):
        return None
    room = next((each for each in LORA_RANKS if each >= rank), None)
    told: dict[str, Any] = json.loads((base / "config.json").read_text(encoding="utf-8"))
    architectures = tuple(map(str, told.get("architectures") or ()))
    return room if room is not None and has_lora(environment, architectures) else None


@dataclass
class AdaptedService:
    """A served base with an adapter, which is loaded wherever the base is reached; see `sftbench.chat.Service`."""

    base: Service
    model: str
    folder: Path
    _last: Endpoint | None = None

    @property
    def identity(self) -> str:
        return self.base.identity

    @property
    def server(self) -> str | None:
        return self.base.server

    @property
    def num_at_once(self) -> int:
        return self.base.num_at_once

    def reach(self) -> Endpoint:
        """Where it answers. Raises `AdapterRefusedError` for an adapter that the server does not take."""
        return self._adapted(self.base.reach())

    def reach_again(self, lost: Endpoint, *, silent: bool, forgiven: bool = False) -> Endpoint | None:
        where = Endpoint(url=lost.url, model=self.base.model)
        found = self.base.reach_again(where, silent=silent, forgiven=forgiven)
        return self._adapted(found) if found is not None else None

    def unload(self) -> None:
        """Take it out of the server where it was last, if that is still there."""
        if self._last is not None:
            with suppress(OSError, http.client.HTTPException):
                _sent(self._last.url, "/v1/unload_lora_adapter", {"lora_name": self.model}, seconds=30.0)
        self._last = None

    def _adapted(self, endpoint: Endpoint) -> Endpoint:
        for attempt in range(ATTEMPTS):
            try:
                why = self._refusal(endpoint)
            except (OSError, http.client.HTTPException) as problem:
                why = f"{type(problem).__name__}: {problem}"
            else:
                if why is None:
                    self._last = Endpoint(url=endpoint.url, model=self.model)
                    return self._last
                if _is_well(endpoint.url):
                    break
            again = self.base.reach_again(endpoint, silent=False) if attempt < ATTEMPTS - 1 else None
            if again is None:
                break
            endpoint = again
        raise AdapterRefusedError(f"{self.base.server or endpoint.url} does not take the adapter {self.model}: {why}")

    def _refusal(self, endpoint: Endpoint) -> str | None:
        """Why the server does not take the adapter; None where it has it."""
        status, told = _sent(endpoint.url, "/v1/models", None, seconds=30.0)
        if status == 200 and self.model in _names(told):
            return None
        wish = {"lora_name": self.model, "lora_path": str(self.folder)}
        status, told = _sent(endpoint.url, "/v1/load_lora_adapter", wish, seconds=LOAD_SECONDS)
        return None if status == 200 else f"{status} {told.decode('utf-8', 'replace')[:300]}"


def _names(body: bytes) -> list[str]:
    with suppress(ValueError, KeyError, TypeError, AttributeError):
        return [str(each["id"]) for each in json.loads(body)["data"]]
    return []


def _is_well(url: str) -> bool:
    with suppress(OSError, http.client.HTTPException):
        return _sent(url, "/health", None, seconds=30.0)[0] == 200
    return False


def _sent(url: str, path: str, body: Mapping[str, str] | None, *, seconds: float) -> tuple[int, bytes]:
    """Status and body of what a server of this machine answers. No proxy is asked."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=seconds)
    try:
        headers = {"Content-Type": "application/json"}
        connection.request("GET" if body is None else "POST", path, json.dumps(body) if body else None, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
