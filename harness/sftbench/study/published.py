"""How a study points at the papers' published tables: by table and row, and as differences to a reference."""

from __future__ import annotations

from collections.abc import Mapping

from sftbench.errors import unknown_name
from sftbench.published import Published, PublishedRow, PublishedTable, check, published_tables
from sftbench.study.definition import Study

__all__ = [
    "Published",
    "PublishedRow",
    "PublishedTable",
    "check",
    "published_differences",
    "published_tables",
    "row_named",
    "table_named",
]


def table_named(name: str, tables: Mapping[str, Published]) -> Published:
    """A table by name, or the error with the nearest that exists."""
    if name not in tables:
        raise unknown_name("published table", name, tables)
    return tables[name]


def row_named(reference: str, tables: Mapping[str, Published]) -> tuple[Published, str, PublishedRow]:
    """A row by `TABLE: ROW`."""
    name, colon, row = reference.partition(":")
    table = table_named(name.strip(), tables)
    if not colon or row.strip() not in table.table.rows:
        raise unknown_name(f"row of the published table {name.strip()}", row.strip(), table.table.rows)
    return table, row.strip(), table.table.rows[row.strip()]


def published_differences(study: Study) -> dict[str, float]:
    """By series: the paper's mean minus that of the series that others are held against, in one table.

    Rows with a flag are left out: a number that is marked wrong or suspicious enters no difference.
    """
    known = published_tables()
    own = {each.name: [row_named(reference, known) for reference in each.published] for each in study.series}
    of_reference = {table.name: row for table, _, row in own.get(study.compare_with or "", [])}
    found: dict[str, float] = {}
    for series, rows in own.items():
        for table, _, row in rows:
            reference = of_reference.get(table.name)
            if reference is not None and series != study.compare_with and row.flag == reference.flag == "ok":
                found.setdefault(series, row.mean - reference.mean)
    return found
