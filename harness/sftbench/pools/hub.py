"""Rows of a dataset on the Hugging Face hub, by its id: `org/name`, `org/name:split` or `hf:name`."""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from sftbench.errors import EnvironmentProblem, UsageError
from sftbench.fingerprint import hash_file, key_of
from sftbench.pools.files import SUFFIXES, Placed

if TYPE_CHECKING:
    import datasets

_REACHED_SECONDS = 3.0
_ID = re.compile(r"(?P<marked>hf:)?(?P<name>\w[\w.-]*(?:/[\w.-]+)?)(?::(?P<split>[\w.+\[\]:%-]+))?")


@dataclass(frozen=True, kw_only=True)
class HubDataset:
    """A dataset of the hub and which split of it."""

    name: str
    split: str = "train"

    def load(self) -> datasets.Dataset:
        """From the cache of `datasets`, or else from the network. No code of the dataset is run.

        Raises `EnvironmentProblem` with the way out, within seconds where there is no way to the hub.
        """
        import datasets
        import huggingface_hub

        reached = _is_in_reach()
        try:
            with contextlib.nullcontext() if reached else _offline():
                return datasets.load_dataset(self.name, split=self.split)
        except (OSError, ValueError, RuntimeError, datasets.exceptions.DatasetsError) as problem:
            reason = (str(problem) or type(problem).__name__).splitlines()[0]
            reason = reason if reached else f"nothing answers at {huggingface_hub.constants.ENDPOINT}; {reason}"
            raise EnvironmentProblem(
                f"there is no file '{self.name}', and the dataset of this name cannot be loaded from the hub or the "
                f"local cache (split '{self.split}'): {reason}. Where there is a network, run 'hf download --repo-type "
                f"dataset {self.name} --local-dir FOLDER' and name the .jsonl or .parquet file that it brings, "
                "or set HF_HOME to a cache that holds the dataset"
            ) from None


def _is_in_reach() -> bool:
    """Whether something answers where the hub is: `datasets` tries for half a minute where nothing does."""
    import huggingface_hub

    at = urlsplit(huggingface_hub.constants.ENDPOINT)
    is_asked_for = not huggingface_hub.constants.HF_HUB_OFFLINE and at.hostname is not None
    if not is_asked_for or {at.scheme, "all"} & {*getproxies()}:
        return True
    try:
        with socket.create_connection((at.hostname, at.port or (80 if at.scheme == "http" else 443)), _REACHED_SECONDS):
            return True
    except OSError:
        return False


@contextlib.contextmanager
def _offline() -> Iterator[None]:
    """Both libraries as with HF_HUB_OFFLINE=1, which they read when they are imported."""
    import datasets
    import huggingface_hub

    places: tuple[Any, ...] = (datasets.config, huggingface_hub.constants)
    before = [place.HF_HUB_OFFLINE for place in places]
    for place in places:
        place.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        for place, value in zip(places, before, strict=True):
            place.HF_HUB_OFFLINE = value


def hub_dataset(source: str | Path) -> HubDataset | None:
    """What a source names on the hub; None when it is the path of a file.

    `org/name` is taken for a file when one exists there or when it ends as pool files end; `hf:` in
    front settles it.
    """
    if isinstance(source, Path):
        return None
    match = _ID.fullmatch(source)
    if match is None:
        if source.startswith("hf:"):
            raise UsageError(f"cannot read '{source}': expected hf:ORG/NAME or hf:ORG/NAME:SPLIT")
        return None
    if not match["marked"] and ("/" not in match["name"] or Path(source).exists() or source.endswith(SUFFIXES)):
        return None
    return HubDataset(name=match["name"], split=match["split"] or "train")


def rows_on_hub(source: HubDataset) -> Iterator[Placed]:
    """The rows of the split in order."""
    number = 0
    for table in source.load().with_format("arrow").iter(batch_size=1024):
        for row in table.to_pylist():
            number += 1
            yield f"row {number}", row


def hub_key(source: HubDataset) -> str:
    """What identifies the content of the split: its name and the bytes of the cached Arrow files behind it."""
    files = [hash_file(Path(each["filename"])) for each in source.load().cache_files]
    return key_of({"name": source.name, "split": source.split, "files": files})
