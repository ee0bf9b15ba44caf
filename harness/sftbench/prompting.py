"""Find the prompts of a suite and the answers that a baseline gave to them, in the user's files or on the hub."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sftbench.errors import EnvironmentProblem, UsageError
from sftbench.fingerprint import key_of
from sftbench.plan import AnswerFacts, PromptFacts
from sftbench.plugins import Plugins
from sftbench.pools import Prompts, read_answers, read_prompts
from sftbench.pools.files import SUFFIXES
from sftbench.roles import PromptSuite
from sftbench.settings import EMBEDDED, RunSettings

REFERENCE = "reference"
"""The baseline whose answers are the references of the suite."""


@dataclass(frozen=True, kw_only=True)
class RunPrompts:
    """The prompts of a run, where they lie, and the suite that they are of."""

    suite: PromptSuite
    source: str
    prompts: Prompts

    def facts(self) -> PromptFacts:
        """What a plan must know of them."""
        return PromptFacts(
            suite=self.suite.name,
            version=self.suite.version,
            control=self.suite.control,
            num_prompts=len(self.prompts.rows),
            num_in_all=self.suite.num_prompts or self.prompts.num_in_all,
        )


def prompt_suite_of(settings: RunSettings, plugins: Plugins) -> PromptSuite | None:
    """The suite of prompts that `--suite` names, by its name or as a file; None for an embedded suite."""
    if settings.suite in plugins.prompt_suites:
        return plugins.prompt_suites[settings.suite]
    if not settings.suite.endswith(SUFFIXES):
        if settings.suite != EMBEDDED:
            plugins.suite(settings.suite)
        return None
    path = Path(settings.suite).expanduser()
    if not path.is_file():
        raise UsageError(f"there is no file {settings.suite} of prompts")
    return PromptSuite(
        name=path.name.split(".")[0] or path.name,
        summary="prompts of one's own",
        version="1",
        num_prompts=None,
        files=(str(path.absolute()),),
        defaults={"evals": [], "max_new_tokens": 1024},
    )


def asked(settings: RunSettings, plugins: Plugins) -> RunPrompts | None:
    """The prompts of the run, read; None where it has no suite of prompts."""
    suite = prompt_suite_of(settings, plugins)
    if suite is None:
        return None
    if settings.heldout is not None:
        raise UsageError(f"--heldout and the prompts of --suite {suite.name} are both held-out rows; give one of them")
    source = _source(suite, settings.task_data)
    found = read_prompts(source, name=suite.name, temperatures=suite.temperatures, limit=settings.limit)
    return RunPrompts(suite=suite, source=source, prompts=found)


def _source(suite: PromptSuite, folder: Path | None) -> str:
    """The file that holds the prompts. Raises `EnvironmentProblem` that names the files looked for and the flag."""
    if folder is not None and not folder.is_dir():
        raise UsageError(f"--task-data {folder}: there is no such folder")
    for place in places(folder):
        for name in suite.files:
            if (place / name).is_file():
                return str((place / name).absolute())
    told = ""
    if suite.hub:
        try:
            return _from_hub(suite.hub)
        # Whatever the hub's libraries raise, where nothing is reached or nothing is there, is told and has one way out.
        except Exception as problem:
            told = f"; and {suite.hub} could not be had from the Hugging Face hub ({type(problem).__name__})"
    looked = f"in {folder}, beside it and one level below" if folder else "nowhere: no --task-data is given"
    raise EnvironmentProblem(
        f"the prompts of {suite.name} are not here: looked for {' or '.join(suite.files)} {looked}{told}; name the "
        "folder that holds one of these files with --task-data"
    )


def places(folder: Path | None) -> Iterator[Path]:
    """The folder, those in it, the one around it, and those beside it. A file named by its whole path needs none."""
    yield Path()
    if folder is not None:
        for each in (folder, folder.absolute().parent):
            yield each
            yield from sorted(inside for inside in each.iterdir() if inside.is_dir())


def _from_hub(name: str) -> str:
    """A file of a dataset in the local cache, fetched if a hub can be reached; a whole dataset as `hf:ORG/NAME`."""
    organisation, short, *path = name.split("/", 2)
    dataset = f"{organisation}/{short}"
    if path:
        from huggingface_hub import hf_hub_download

        return str(hf_hub_download(dataset, path[0], repo_type="dataset"))
    next(iter(read_prompts(f"hf:{dataset}", name="", temperatures={}, limit=1).rows))
    return f"hf:{dataset}"


def baseline_answers(baseline: str | None, asked: RunPrompts | None) -> AnswerFacts | None:
    """What identifies the answers that `--baseline` names by a file, or as the suite's; None where it is a method.

    Raises `UsageError` for a file that does not answer every prompt.
    """
    source, _, model = (baseline or "").partition("#")
    is_file = source.endswith(SUFFIXES) or Path(source).is_file()
    if not baseline or not (is_file or baseline == REFERENCE):
        return None
    if asked is None:
        raise UsageError(f"--baseline {baseline} answers the prompts of a suite; name one with --suite")
    if baseline == REFERENCE:
        without = [row["id"] for row in asked.prompts.rows if not _has_references(row)]
        if without:
            raise UsageError(
                f"--baseline reference: {len(without)} of {len(asked.prompts.rows)} prompts of {asked.suite.name} have "
                f"none, such as '{without[0]}'"
            )
        named = {str(row.get("reference_by") or "") for row in asked.prompts.rows}
        label = named.pop() if len(named) == 1 else ""
        return AnswerFacts(label=label or REFERENCE, source=None, model=None, content=REFERENCE)
    if not Path(source).is_file():
        raise UsageError(f"--baseline {baseline}: there is no file {source}")
    answers = read_answers(source, model or None, asked.prompts.rows)
    label = model or Path(source).name.split(".")[0]
    return AnswerFacts(
        label=label, source=str(Path(source).absolute()), model=model or None, content=key_of({"answers": answers})
    )


def _has_references(row: dict[str, object]) -> bool:
    turns = row["messages"]
    assert isinstance(turns, list)
    num_open = row.get("_open_turns", 1)
    assert isinstance(num_open, int)
    references = [turn["content"] for turn in turns if turn["role"] == "assistant"][-num_open:]
    return all(references)
