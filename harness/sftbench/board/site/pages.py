"""The pages of a site, each from the board and the records: the board, the run, a page per row and per method."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from sftbench.board.columns import metric_order
from sftbench.board.cost_words import cost_story, equal_cost_legend, told_at_equal_cost
from sftbench.board.judged_text import groups as judged_groups
from sftbench.board.judged_text import judged_columns, judged_legend, judged_words
from sftbench.board.making import estimate_of, making_flops
from sftbench.board.power_words import detectable_words, places
from sftbench.board.site.cost_columns import presets, with_cost_columns
from sftbench.board.site.data import ItemLists, row_script
from sftbench.board.site.hostile import file_name, link
from sftbench.board.site.phases import phase_strip
from sftbench.board.site.pictures import Chart, Point, chart, pareto
from sftbench.board.site.records import CellFile, Records, RowName, page_names, row_name
from sftbench.board.site.rendering import render
from sftbench.board.site.saying import findings, question
from sftbench.board.site.tables import digits_of
from sftbench.board.table import JUDGED, Board, BoardRow
from sftbench.board.words import against_chance, caveats, judge_warning, legend
from sftbench.published import Published, published_tables

_KNOWN = frozenset(
    {
        "budget", "method", "label", "kind", "matched_to", "fidelity", "status", "seeds_done", "seeds_failed",
        "seeds_missing", "failures", "rank", "tier", "tied_with_best", "seeds_to_tell", "behind_best", "metrics",
        "win_rate", "is_baseline", "training", "cost", "stand_ins", "asked", "overlap", "undescribed",
        "against_matched", "win_rate_corrected", "without_hits", "against_baseline", "break_even", "places",
    }
)  # fmt: skip
"""What the templates tell of a row. What else a row has is told as it is."""

_KNOWN_OF_BOARD = frozenset(
    {
        "schema", "pool", "base", "budgets", "seeds", "sort_metric", "bigger_is_better", "num_items", "baseline",
        "judge", "num_resamples", "notes", "rows", "detectable", *JUDGED,
    }
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Site:
    """What every page may ask for. `has_study` is whether there is a page about a study."""

    board: Board
    records: Records
    pages: dict[RowName, str]
    has_study: bool

    @classmethod
    def of(cls, board: Board, records: Records) -> Site:
        names = list(dict.fromkeys(map(row_name, board.rows)))
        return cls(board=board, records=records, pages=page_names(names), has_study=records.study is not None)

    @property
    def title(self) -> str:
        """What the run is called."""
        return self.records.run.name or self.board.pool.name

    def page_of(self, row: BoardRow) -> str:
        """The page about a row, as seen from the board's."""
        return f"rows/{self.pages[row_name(row)]}.html"

    def page_of_method(self, method: str) -> str:
        """The page about a method, as seen from the board's."""
        return f"methods/{file_name(method)}.html"

    def files_of(self, row: BoardRow) -> list[CellFile]:
        """The records of a row, by seed."""
        return self.records.of(row_name(row), row.budget)

    def record(self, path: str) -> str | None:
        """Where a record lies as seen from the board's page, if it lies beside."""
        return f"{self.records.home}/{path}" if self.records.home else None


def pages_of(site: Site) -> Iterator[tuple[str, str]]:
    """Every page and data file but the study's, by its path in the site."""
    yield "index.html", board_page(site)
    yield "run.html", render("run.html", site=site, root="", run=site.records.run, totals=_totals(site))
    items = ItemLists()
    for name, page in site.pages.items():
        files = [file for budget in site.board.budgets for file in site.records.of(name, budget)]
        script = row_script(files, items)
        if script is not None:
            yield f"data/{page}.js", script
        yield f"rows/{page}.html", row_page(site, name, data=f"data/{page}.js" if script else None)
    yield "data/items.js", items.script()
    for method in sorted({row.method for row in site.board.rows}):
        yield site.page_of_method(method), method_page(site, method)


def board_page(site: Site) -> str:
    """The board itself."""
    board = site.board
    return render(
        "board.html",
        site=site,
        root="",
        board=board,
        columns=list(enumerate(with_cost_columns(board), 1)),
        question=question(board),
        warning=judge_warning(board),
        chance={budget: against_chance(board, budget) for budget in board.budgets},
        presets=presets(board),
        paying={budget: told_at_equal_cost(board, budget) for budget in board.budgets},
        detectable={budget: detectable_words(board, budget) for budget in board.budgets},
        found=[findings(board, budget) for budget in board.budgets],
        charts={budget: cost_chart(board, budget) for budget in board.budgets},
        legend=legend(board) + equal_cost_legend(board),
        caveats=caveats(board),
        judged=[
            {"title": title, "rows": rows, "columns": judged_columns(rows)} for title, rows in judged_groups(board)
        ],
        judged_words=judged_words(board),
        judged_legend=judged_legend(board) if board.judged else [],
        about=_summaries(site),
        counts={
            budget: {
                "methods": sum(row.kind == "method" for row in board.of(budget)),
                "controls": sum(row.kind == "control" and not row.matched_to for row in board.of(budget)),
                "matched": sum(bool(row.matched_to) for row in board.of(budget)),
            }
            for budget in board.budgets
        },
        extras=_extras(board, _KNOWN_OF_BOARD),
    )


def cost_chart(board: Board, budget: str) -> tuple[Chart | None, list[Point]]:
    """The drawing of a budget, and its points by cost for the table beside it."""
    points = []
    for row in board.of(budget):
        found = estimate_of(row, board.sort_metric)
        if found is not None:
            style = "matched" if row.matched_to else row.kind
            points.append(Point(label=row.label, score=found.mean, cost=making_flops(row), style=style))
    front = pareto(points, bigger_is_better=board.bigger_is_better.get(board.sort_metric, True))
    points = [dataclasses.replace(point, on_front=index in front) for index, point in enumerate(points)]
    ranked = [point for point in points if point.style != "matched"]
    unknown = float("inf")
    return chart(points), sorted(ranked, key=lambda each: (unknown if each.cost is None else each.cost, each.label))


def row_page(site: Site, name: RowName, *, data: str | None) -> str:
    """Everything about a row, at every budget."""
    rows = [row for row in site.board.rows if row_name(row) == name]
    board = site.board
    return render(
        "row.html",
        site=site,
        root="../",
        rows=rows,
        first=rows[0],
        card=site.records.methods.get(rows[0].method),
        data=data,
        metrics=metric_order(board),
        digits={metric: digits_of(board, metric) for metric in metric_order(board)},
        estimate_of=estimate_of,
        making_flops=making_flops,
        paying={row.budget: list(cost_story(board, row)) for row in rows},
        phases={row.budget: phase_strip(row) for row in rows},
        places=places,
        files={row.budget: site.records.of(name, row.budget) for row in rows},
        diversity={row.budget: _diversity(site, name, row.budget) for row in rows},
        generated={row.budget: _generated(site, name, row.budget) for row in rows},
        extras={row.budget: _extras(row, _KNOWN) for row in rows},
    )


def method_page(site: Site, method: str) -> str:
    """What a method is, what was measured of it here, and what its paper published."""
    board = site.board
    card = site.records.methods.get(method)
    rows = [row for row in board.rows if row.method == method]
    return render(
        "method.html",
        site=site,
        root="../",
        method=method,
        card=card,
        rows=rows[:200],
        num_rows=len(rows),
        fidelity=sorted({row.fidelity for row in rows}),
        metrics=metric_order(board),
        digits={metric: digits_of(board, metric) for metric in metric_order(board)},
        estimate_of=estimate_of,
        published=published_for(card.paper if card else ""),
    )


def study_page(site: Site, figures: list[dict[str, Any]], tables: list[dict[str, Any]]) -> str:
    """What a study asked, its figures, and its tables."""
    return render("study.html", site=site, root="", study=site.records.study, figures=figures, tables=tables)


def published_for(paper: str) -> list[Published]:
    """The published tables of a paper, by its number on arXiv or its title."""
    address = link(paper) or ""
    return [
        each
        for each in _published()
        if (each.source.arxiv and address.endswith(each.source.arxiv)) or each.source.paper in paper
    ]


@cache
def _published() -> tuple[Published, ...]:
    return tuple(published_tables().values())


def _summaries(site: Site) -> dict[str, str]:
    """What each method does, in a line."""
    return {name: card.about for name, card in site.records.methods.items()}


def _totals(site: Site) -> dict[str, dict[str, float]]:
    """What all cells of the run used together, by phase. A step that several cells share counts in each."""
    totals: dict[str, dict[str, float]] = {}
    for files in site.records.cells.values():
        for file in files:
            for phase, spent in file.cell.cost.items():
                so_far = totals.setdefault(phase, {})
                for each in dataclasses.fields(spent):
                    value = getattr(spent, each.name)
                    before = so_far.get(each.name, 0.0)
                    so_far[each.name] = max(before, value) if each.name.startswith("peak_") else before + value
    return totals


def _diversity(site: Site, name: RowName, budget: str) -> dict[str, list[dict[str, Any]]]:
    """By component: each diversity metric with its mean over the seeds that have it."""
    found: dict[str, dict[str, list[Any]]] = {}
    for file in site.records.of(name, budget):
        for component, measures in file.cell.diversity.items():
            for each in measures:
                found.setdefault(component, {}).setdefault(each.metric, []).append(each)
    return {component: [_mean(measures) for measures in metrics.values()] for component, metrics in found.items()}


def _mean(measures: list[Any]) -> dict[str, Any]:
    values = [each.value for each in measures if each.value is not None]
    first = measures[0]
    return {
        "metric": first.metric,
        "unit": first.unit,
        "direction": first.direction,
        "mean": sum(values) / len(values) if values else None,
        "num_seeds": len(values),
        "note": first.note,
    }


def _generated(site: Site, name: RowName, budget: str) -> str:
    """What the generator of the first seed told, as text."""
    told = [file.cell.generated for file in site.records.of(name, budget) if file.cell.generated]
    return _as_text(told[0]) if told else ""


def _extras(record: Any, known: frozenset[str]) -> dict[str, str]:
    """Fields that the templates do not know, as text: a row may learn to tell more."""
    found = {each.name: getattr(record, each.name) for each in dataclasses.fields(record) if each.name not in known}
    return {name.replace("_", " "): _as_text(value) for name, value in found.items() if value}


def _as_text(value: Any) -> str:
    plain = dataclasses.asdict(value) if dataclasses.is_dataclass(value) and not isinstance(value, type) else value
    return json.dumps(plain, indent=1, sort_keys=True, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> Any:
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) and not isinstance(value, type) else str(value)
