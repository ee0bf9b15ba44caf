"""The settings of a run: from the command line, the environment, a file and defaults, checked by pydantic."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from sftbench.chat import MOST_AT_ONCE, NUM_AT_ONCE_FAR, NUM_AT_ONCE_NEAR
from sftbench.errors import UsageError, unknown_name
from sftbench.parameters import split_list
from sftbench.rooms import Component
from sftbench.serving.description import IN_PROCESS

Redo = Literal["never", "missing", "failed", "always"]
Controls = Literal["standard", "all", "none"]
Contamination = Literal["none", "words", "all"]


def _names(value: object) -> object:
    return split_list(value) if isinstance(value, str) else value


def _seeds(value: object) -> object:
    """`3` is the seeds 0, 1, 2; `7,8` and `[7]` are those seeds."""
    if isinstance(value, str):
        entries = split_list(value.strip("[] "))
        if not all(entry.lstrip("-").isdigit() for entry in entries):
            raise ValueError("give a number of seeds (3) or a list of them (7,8,9)")
        value = (
            int(entries[0])
            if len(entries) == 1 and "," not in value and "[" not in value
            else [int(e) for e in entries]
        )
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 1:
            raise ValueError("at least one seed is needed")
        return list(range(value))
    return value


def _share(value: object) -> object:
    """`10%` and `0.1` are the same."""
    if isinstance(value, str) and value.strip().endswith("%"):
        try:
            return float(value.strip()[:-1]) / 100
        except ValueError:
            raise ValueError("expected a share such as 10% or 0.1") from None
    return value


def share_of(text: str, flag: str) -> float:
    """A share above 0 and at most 1, from `5%` or `0.05`. Raises `UsageError` for anything else."""
    try:
        share = float(_share(text))  # type: ignore[arg-type]
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise UsageError(f"{flag} {text}: expected a share such as 5% or 0.05")
    return share


def _texts(value: object) -> object:
    return [str(each) for each in value] if isinstance(value, (list, tuple)) else value


def _names_or_none(value: object) -> object:
    """`none` is no name."""
    entries = _names(_texts(value))
    return [] if entries == ["none"] else entries


def _judges(value: object) -> object:
    """`none`, or no name, is no judge."""
    return _names_or_none(value) or None


OTHER_VARIABLES = ("SFTBENCH_PLUGINS", "SFTBENCH_REFERENCE_DATA", "SFTBENCH_CONCIERGE")
"""Read from the environment elsewhere."""

Names = Annotated[list[str], BeforeValidator(_texts), BeforeValidator(_names), Field(min_length=1)]
Seeds = Annotated[list[Annotated[int, Field(ge=0)]], BeforeValidator(_seeds), Field(min_length=1)]
Components = Annotated[list[Component], BeforeValidator(_names_or_none)]
SomeNames = Annotated[list[str], BeforeValidator(_names_or_none)]
Judges = Annotated[list[str] | None, BeforeValidator(_judges)]
Share = Annotated[float, BeforeValidator(_share), Field(ge=0, lt=1)]


EMBEDDED = "microcosm"
"""The suite whose pool and base are taken when none is given."""


class RunSettings(BaseModel):
    """Everything that `bench run` can be told. Field names are the flags, the keys of `bench.yaml` and, in capitals
    after `SFTBENCH_`, the environment variables."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    methods: Names = Field(description="methods to compare, such as tshirt[mode=official],ifd")
    name: str = Field(
        default="", description="name of the run, its results and its board", pattern=r"^[A-Za-z0-9._-]*$"
    )
    suite: str = Field(
        default=EMBEDDED,
        description="embedded suite, used when neither pool nor base is given; or prompts that models answer and "
        "judges compare: alpaca-eval, arena-hard-v2.0, mt-bench, or a .jsonl file of one's own",
    )
    pool: str | None = Field(default=None, description="file or Hugging Face dataset id of the rows to choose from")
    limit: int | None = Field(
        default=None,
        ge=1,
        description="use only so many prompts of the suite and items of each benchmark; where neither is named, so "
        "many rows of the pool",
    )
    limit_pool: int | None = Field(default=None, ge=1, description="read only the first rows of the pool")
    heldout: str | None = Field(default=None, description="file of held-out rows; default: split off from the pool")
    heldout_share: Annotated[Share, Field(gt=0)] = Field(
        default=0.1, description="share of the rows split off for evaluation"
    )
    heldout_at_most: int = Field(default=200, ge=1, description="at most so many rows are split off for evaluation")
    base: str | None = Field(default=None, description="model to fine-tune: a folder or a Hugging Face id")
    lm: str | None = Field(default=None, description="model that scores rows; default: the base")
    budget: Names = Field(default=["10%"], description="one or more budgets: 200, 10%%, 50k tokens, 2e15 flops, 600s")
    seeds: Seeds = Field(default=[0, 1, 2], description="a number of seeds, or a list of them")
    controls: Controls = Field(default="standard", description="standard, all (adds matched total compute) or none")
    plant: Share = Field(default=0.0, description="share of the pool in which defects are planted")
    evals: SomeNames = Field(default=["nll", "exact-match"], description="evaluators, or none")
    task_data: Path | None = Field(
        default=None,
        description="folder of benchmark files: prompts of suites and tasks of evaluators, so that no hub is needed",
    )
    allow_code_execution: bool = Field(
        default=False, description="let evaluators run code that models wrote, in a sandbox (true or false)"
    )
    judge: Judges = Field(
        default=["checker"],
        description="one or more judges of win rates: vllm:MODEL, URL#MODEL or a judge's name; the first decides the "
        "board's win rate; none for no judge",
    )
    baseline: str | None = Field(
        default=None,
        description="what answers are judged against: a method of the run (default: random), FILE or FILE#MODEL of "
        "answers, or reference for those of the suite",
    )
    embedder: str = Field(
        default="auto",
        description="encoder of texts: minilm (packaged), a folder or a Hugging Face id; "
        "auto: BAAI/bge-base-en-v1.5 where it is in the local cache, else minilm",
    )
    chat: str | None = Field(
        default=None,
        description="language model for tags, ratings and generated rows: vllm:MODEL to have it served by vLLM, or "
        "URL#MODEL of an OpenAI-compatible endpoint; default: each part's embedded stand-in",
    )
    describe: Components = Field(
        default=[],
        description="sides of the chosen rows to measure the diversity of: instruction, response, both, none",
    )
    describe_tokens: int | None = Field(
        default=None,
        ge=1,
        description="tokens at which diversity is measured; default: half of each choice, at most 1M",
    )
    contamination: Contamination = Field(
        default="words",
        description="how held-out items are looked for in the pool: none, words, or all (by embeddings too)",
    )
    trainer: str = Field(default="sft", description="trainer and its settings, for every method that brings none")
    max_length: int | None = Field(
        default=None, ge=8, description="longest training row in tokens; default: the base's window, at most 2048"
    )
    max_new_tokens: int = Field(default=64, ge=1, description="longest answer to a held-out row in tokens")
    answers: str = Field(
        default=IN_PROCESS,
        description="who writes the answers of the models: in-process, or vllm or vllm[dtype=bfloat16] to have them "
        "served by vLLM",
    )
    vllm: Path | None = Field(
        default=None,
        description="environment of vLLM: its folder, or a Python in it; default: the one of 'bench judge install'",
    )
    results: Path = Field(default=Path("results"), description="folder of result records")
    board: Path | None = Field(default=None, description="folder of the board; default: leaderboards/NAME")
    store: Path | None = Field(default=None, description="folder of step outputs; default: the user's cache folder")
    observers: SomeNames = Field(
        default=[], description="plugins that are told of finished steps: tensorboard, wandb; default: none"
    )
    observer_folder: Path = Field(default=Path("observed"), description="folder of what observers write")
    redo: Redo = Field(default="missing", description="which steps to do: never, missing, failed (and missing), always")
    workers: int | None = Field(
        default=None, ge=1, description="processes at a time; default: one per GPU, or up to 4 on a CPU"
    )
    concurrency: int | None = Field(
        default=None,
        ge=1,
        le=MOST_AT_ONCE,
        description="requests to a language model at a time; default: "
        f"{NUM_AT_ONCE_NEAR} to a served one or one on this machine or network, {NUM_AT_ONCE_FAR} to other hosts",
    )


def load_settings(
    flags: Mapping[str, Any], file: Path | None, *, below: Mapping[str, Any] | None = None
) -> tuple[RunSettings, dict[str, Any]]:
    """Settings by precedence (flag, environment, file, `below`, defaults of the suite), and what was given.

    Raises `UsageError` that names the setting, the place it came from and the nearest known name.
    """
    from_file = {**(below or {}), **_read_file(file)}
    from_environment = {
        name: os.environ[f"SFTBENCH_{name.upper()}"]
        for name in RunSettings.model_fields
        if f"SFTBENCH_{name.upper()}" in os.environ
    }
    given = {**from_file, **from_environment, **{name: value for name, value in flags.items() if value is not None}}
    for variable in os.environ:
        if variable.startswith("SFTBENCH_") and variable not in OTHER_VARIABLES:
            name = variable.removeprefix("SFTBENCH_").lower()
            if name not in RunSettings.model_fields:
                raise unknown_name("setting in the environment", name, RunSettings.model_fields)
    for name in given:
        if name not in RunSettings.model_fields:
            raise unknown_name(f"setting in {file or 'the study'}", name, RunSettings.model_fields)
    return check_settings(given), {name: _told(value) for name, value in given.items()}


def check_settings(values: Mapping[str, Any]) -> RunSettings:
    """Checked settings. Raises `UsageError` for the first value that does not fit."""
    try:
        return RunSettings.model_validate(values)
    except ValidationError as problem:
        first = problem.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "settings"
        flag = "--" + name.replace("_", "-")
        if first["type"] == "missing":
            raise UsageError(f"{flag} is missing: {RunSettings.model_fields[name].description}") from None
        raise UsageError(f"{flag} {values.get(name)!r}: {first['msg'].removeprefix('Value error, ')}") from None


def _read_file(file: Path | None) -> dict[str, Any]:
    import yaml

    if file is None:
        return {}
    try:
        loaded = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"there is no configuration file {file}") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as problem:
        raise UsageError(f"cannot read {file}: {problem}") from None
    if not isinstance(loaded, dict) or not all(isinstance(key, str) for key in loaded):
        raise UsageError(f"{file} must hold settings as 'name: value' lines")
    return {key.replace("-", "_"): value for key, value in loaded.items()}


def _told(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value
