"""Settings and messages for publishing: whatever lies in a folder of this machine by its name, not by where that is."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from sftbench.plan import Facts
from sftbench.serving.description import ServedModel
from sftbench.settings import RunSettings

SOURCES = ("pool", "heldout", "base", "lm", "embedder", "suite", "baseline")
"""Settings that are a place, or a name that is none."""
_PLACE = re.compile(r"(?:^|(?<=[=,:\[\"'\s]))(?:/(?!/)|~/|~$|\.\.(?:/|$))[^,\]\[\"'\s#|]*")
"""A place in the settings of a part that leads out of the working folder; `http://` begins none."""


@dataclass(frozen=True, kw_only=True)
class Places:
    """How settings are told: `served` are language models by how the user wrote them, `read` what else parts name."""

    served: Mapping[str, str]
    read: Iterable[str] = ()

    def told(self, value: Any, *, setting: str = "") -> Any:
        """A setting, or JSON of settings by name, without the folders that things lie in here.

        A place inside the working folder stays as it is; the last part of any other is left.
        """
        if isinstance(value, dict):
            return {name: self.told(each, setting=str(name)) for name, each in value.items()}
        if isinstance(value, list | tuple):
            return [self.told(each, setting=setting) for each in value]
        if not isinstance(value, str):
            return value
        if setting in SOURCES:
            file, sign, model = value.partition("#") if setting == "baseline" else (value, "", "")
            value = name_of(file) + sign + model
        return self.text(value)

    def text(self, text: str) -> str:
        """What a part is told, as in `deita[quality_model=FOLDER]`."""
        for written, name in self.served.items():
            # As the user wrote it, in whatever else it stands: `pairwise[model=vllm:FOLDER]`.
            text = text.replace(written, name)
        for place in sorted(self.read, key=len, reverse=True):
            if name_of(place) != place:
                text = text.replace(place, name_of(place))
        return _PLACE.sub(lambda found: name_of(found.group(0)), text)


def name_of(place: str) -> str:
    """The last part of a path that leads out of the working folder; any other text as it is."""
    leaves = os.path.normpath(place).split(os.sep)[0] == ".."
    if not (leaves or place.startswith(("/", "~"))) or "://" in place:
        return place
    return Path(os.path.abspath(Path(place).expanduser())).name or "place"


def places_of(facts: Facts) -> Places:
    """How the settings of a run are told: models, files and folders by their names."""
    named = {text: replace(ServedModel.parse(text), model=each.name) for text, each in facts.asked.items() if each.name}
    read = [text for found in (facts.tokenizers, facts.foreign_models, facts.folders, facts.files) for text in found]
    return Places(served={text: str(each) for text, each in named.items()}, read=read)


def labels_told(labels: Iterable[str], places: Places) -> dict[str, str]:
    """How rows are called in records: as the user wrote their methods, without folders of this machine.

    Two that differ in nothing else keep apart.
    """
    found: dict[str, str] = {}
    for label in dict.fromkeys(labels):
        told = places.text(label)
        is_taken = told in found.values()
        found[label] = f"{told} {sha256(label.encode()).hexdigest()[:6]}" if is_taken else told
    return found


def message_told(message: str, *, facts: Facts, settings: RunSettings, store: Path) -> str:
    """A message of a failure without this machine's folders: results are for publishing."""
    read = (facts.tokenizers, facts.foreign_models, facts.folders, facts.files)
    named = [each for found in read for each in found.values()]
    models = [facts.base, facts.scoring, facts.embedder, *named]
    sources = [
        each[name]
        for each in (facts.pool_source, facts.heldout_source or {})
        for name in ("source", "prompts")
        if name in each
    ] + ([facts.answers.source] if facts.answers and facts.answers.source else [])
    # Parts may say a place as the user wrote it, before links and `~` are followed; a name on the hub is none.
    sources += [written for found in read for written in found if written.startswith(("/", "~", "."))]
    sources += [os.path.abspath(settings.task_data)] if settings.task_data else []
    places = {str(store): "STORE", str(Path.home()): "~"}
    places |= {str(settings.vllm): "VLLM"} if settings.vllm else {}
    places |= {asked.folder: asked.name for asked in facts.asked.values() if asked.folder}
    places |= {model.path: Path(model.path).name for model in models} | {each: Path(each).name for each in sources}
    for place in sorted((each for each in places if len(each) > 1), key=len, reverse=True):
        message = message.replace(place, places[place])
    return message
