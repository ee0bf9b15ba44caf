"""A study as its YAML file tells it: settings of the run, series of methods, what is asked of the records."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from sftbench.errors import UsageError, unknown_name

SHIPPED = Path(__file__).resolve().parent.parent / "studies"
Analysis = Literal["regression", "correlation", "sweep", "ablation"]


class StudyPart(BaseModel):
    """Refuses keys that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _lines(value: object) -> object:
    return [value] if isinstance(value, str) else value


class Series(StudyPart):
    """Methods that belong together: one line of a figure, or one row of an ablation.

    `methods` are methods as on the command line; `name[level=0|50|100]` stands for three of them. `published`
    names rows of published tables as `TABLE: ROW`. With `if_installed` a series of methods that nobody
    offers is left out, and named as left out.
    """

    name: str
    methods: Annotated[list[str], BeforeValidator(_lines), Field(min_length=1)]
    published: Annotated[list[str], BeforeValidator(_lines)] = []
    if_installed: bool = False


class Performance(StudyPart):
    """A metric of the board: its values times `times` are in `unit`."""

    metric: str
    label: str
    unit: str
    times: float = 1.0


class Axis(StudyPart):
    """What stands on the x-axis.

    `of` is a parameter of the methods, `budget`, or a diversity metric as `COMPONENT:METRIC`. Slopes are told
    per `step` of it. Budgets are labelled by their unit, whatever `label` says.
    """

    of: str
    label: str = ""
    step: float = 1.0


class Study(StudyPart):
    """One study. `run` holds settings of `bench run`; `compare_with` names the series that others are held against."""

    name: str = ""
    about: str
    paper: str = ""
    notes: list[str] = []
    run: dict[str, Any] = {}
    series: list[Series] = Field(min_length=1)
    x: Axis | None = None
    performance: list[Performance] = Field(min_length=1)
    analyses: list[Analysis] = Field(min_length=1)
    correlated: list[str] = []
    compare_with: str | None = None
    published: list[str] = []

    def check(self) -> Study:
        """The study itself. Raises `ValueError` for parts that do not fit together."""
        names = [each.name for each in self.series]
        if len(set(names)) != len(names):
            raise ValueError("two series have one name")
        if self.x is None and {"regression", "sweep"} & set(self.analyses):
            raise ValueError("regression and sweep need an axis: x")
        if self.x is not None and self.x.of != "budget" and not self.x.label:
            raise ValueError("an axis that is not the budget needs a label")
        if "ablation" in self.analyses and self.compare_with not in names:
            raise ValueError("an ablation needs compare_with, the name of a series")
        if "methods" in self.run:
            raise ValueError("methods stand in series, not in run")
        if "correlation" in self.analyses and not self.correlated:
            raise ValueError("a correlation needs the metrics: correlated")
        return self


def shipped() -> dict[str, Path]:
    """The studies that come with the package, by name."""
    return {path.stem: path for path in sorted(SHIPPED.glob("*.yaml"))}


RECORD = "study.json"
"""Beside the records of its run: the study as it was carried out."""


def load_study(given: str) -> Study:
    """A study by the name of a shipped one, from a file ending in `.yaml` or `.yml`, or from a results folder.

    Raises `UsageError` that names the file and what is wrong with it.
    """
    known = shipped()
    path = Path(given)
    if given in known:
        path = known[given]
    elif (path / RECORD).is_file():
        path = path / RECORD
    elif path.suffix not in (".yaml", ".yml"):
        raise unknown_name("study", given, known)
    study = parse_study(_read(path), where=str(given))
    return study.model_copy(update={"name": study.name or path.stem})


def parse_study(content: object, *, where: str) -> Study:
    """A study from what stood in its file."""
    try:
        return Study.model_validate(content).check()
    except ValidationError as problem:
        first = problem.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"{where}: {place}: {first['msg']}") from None
    except ValueError as problem:
        raise UsageError(f"{where}: {problem}") from None


def _read(path: Path) -> Mapping[str, Any]:
    import yaml

    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"there is no study {path}") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as problem:
        raise UsageError(f"cannot read {path}: {problem}") from None
    if not isinstance(loaded, dict):
        raise UsageError(f"{path} must hold a study as 'name: value' lines")
    return loaded
