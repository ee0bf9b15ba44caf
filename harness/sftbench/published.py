"""The papers' published tables, each number with its source; means are computed anew and wrong ones stay flagged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from sftbench.errors import UsageError

FOLDER = Path(__file__).resolve().parent / "studies" / "published"
TOLERANCE = 0.0055
"""Half a unit of the last digit printed, and a little for rounding."""
Flag = Literal["ok", "E!", "suspicious", "not_comparable", "unverified"]


class StrictModel(BaseModel):
    """Refuses keys that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PublishedRow(StrictModel):
    """One row: `values` in the order of the table's columns, and the mean that is printed, if one is."""

    values: list[float]
    printed: float | None = None
    flag: Flag = "ok"
    note: str = ""

    @property
    def mean(self) -> float:
        """Recomputed: the mean of the columns, or the only value."""
        return sum(self.values) / len(self.values)


class PublishedTable(StrictModel):
    """One table of a paper, or a part of one."""

    table: str
    about: str
    base_model: str
    pool: str
    budget: str
    unit: str
    columns: list[str]
    rows: dict[str, PublishedRow]


class PublishedFile(StrictModel):
    """One paper."""

    paper: str
    arxiv: str
    judge: str
    recipe: str
    provenance: str
    tables: dict[str, PublishedTable]


@dataclass(frozen=True, kw_only=True)
class Published:
    """A table with the paper that it stands in."""

    name: str
    source: PublishedFile
    table: PublishedTable

    @property
    def citation(self) -> str:
        """Paper, table, base model, pool and budget in one line."""
        about, table = self.source, self.table
        arxiv = f" (arXiv {about.arxiv})" if about.arxiv else ""
        judge = f", judge {about.judge}" if about.judge else ""
        return (
            f"{about.paper}{arxiv}, {table.table}: {table.about}; {table.base_model}, {table.pool}, "
            f"{table.budget}{judge}; {about.provenance}"
        )

    def records(self) -> Iterator[dict[str, Any]]:
        """A line per number, with all that belongs to it."""
        about, table = self.source, self.table
        for method, row in table.rows.items():
            shared = {"paper_title": about.paper, "arxiv": about.arxiv, "table": table.table}
            shared |= {"base_model": table.base_model, "pool": table.pool, "budget": table.budget}
            ending = {"flag": row.flag, "note": row.note, "judge": about.judge, "recipe": about.recipe}
            ending |= {"provenance": about.provenance}
            numbers: list[tuple[str, float, float | None]] = [
                (column, value, None) for column, value in zip(table.columns, row.values, strict=True)
            ]
            if row.printed is not None:
                numbers.append(("mean of columns", row.printed, round(row.mean, 2)))
            for metric, value, recomputed in numbers:
                # Only the mean is what the flag E! is about.
                flagged = ending if metric == "mean of columns" or row.flag != "E!" else {**ending, "flag": "ok"}
                yield {
                    "method": method, **shared, "metric": metric, "unit": table.unit, "value": value,
                    "recomputed": recomputed, **flagged,
                }  # fmt: skip


def published_tables() -> dict[str, Published]:
    """Every published table by name. Raises `UsageError` for one whose numbers contradict its flags."""
    found: dict[str, Published] = {}
    for path in sorted(FOLDER.glob("*.yaml")):
        source = _file(path)
        for name, table in source.tables.items():
            check(table, where=f"{path.name}: {name}")
            found[name] = Published(name=name, source=source, table=table)
    return found


def check(table: PublishedTable, *, where: str) -> None:
    """Hold every printed mean against its columns: one that does not follow is flagged E!, and no other is."""
    for name, row in table.rows.items():
        if len(row.values) != len(table.columns):
            raise UsageError(f"{where}: '{name}' has {len(row.values)} values for {len(table.columns)} columns")
        follows = row.printed is None or abs(row.printed - row.mean) <= TOLERANCE
        if follows == (row.flag == "E!"):
            raise UsageError(
                f"{where}: '{name}' is flagged {row.flag}, and its mean is {row.mean:.2f} (printed: {row.printed})"
            )


def _file(path: Path) -> PublishedFile:
    import yaml

    try:
        return PublishedFile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as problem:
        first = problem.errors()[0]
        raise UsageError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
