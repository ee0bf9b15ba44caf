"""The pages of a site, each from the board and the records: the board, the run, a page per row and per method."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from sftbench.board.columns import metric_order
from sftbench.board.cost_words import cost_story, equal_cost_legend, short_notes, told_at_equal_cost
from sftbench.board.judged_text import groups as judged_groups
from sftbench.board.judged_text import judged_columns, judged_legend, judged_words
from sftbench.board.making import CONTROL, estimate_of, making_flops, may_be_on_front
from sftbench.board.power_words import detectable_words, places, planned_notes
from sftbench.board.site.alike import Alike
from sftbench.board.site.cost_columns import presets, with_cost_columns
from sftbench.board.site.data import ItemLists, row_script
from sftbench.board.site.hostile import file_name, link
from sftbench.board.site.phases import phase_strip
from sftbench.board.site.pictures import Chart, Point, charts, pareto
from sftbench.board.site.plan import plan_of
from sftbench.board.site.records import Card, CellFile, Parameter, Records, RowName, page_names, row_name
from sftbench.board.site.rendering import render
from sftbench.board.site.saying import findings, headline, question
from sftbench.board.site.selections import has_selections, overlaps_of, positions_of
from sftbench.board.site.studied import slopes_found
from sftbench.board.site.tables import Column, digits_of
from sftbench.board.table import JUDGED, Board, BoardRow
from sftbench.board.texts import budget_name
from sftbench.board.words import against_chance, caveats, hit_notes, judge_warning, legend
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

_PAIR = re.compile(r"""(?:^|,)\s*([^=,\s]+)\s*=\s*("[^"]*"|[^,]*)""")
_KNOWN_OF_BOARD = frozenset(
    {
        "schema", "pool", "base", "budgets", "seeds", "sort_metric", "bigger_is_better", "num_items", "baseline",
        "judge", "num_resamples", "notes", "rows", "detectable", "study", *JUDGED,
    }
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Site:
    """What every page may ask for. `has_study` is whether there is a page about a study.

    `pages` names each row's file of data and, where it has one, its page; `hosts` has the rows that share the page of
    the row that they are matched to; `alike` tells which took the same rows as others.
    """

    board: Board
    records: Records
    pages: dict[RowName, str]
    hosts: dict[RowName, RowName]
    has_study: bool
    alike: Alike

    @classmethod
    def of(cls, board: Board, records: Records) -> Site:
        names = list(dict.fromkeys(map(row_name, board.rows)))
        return cls(
            board=board,
            records=records,
            pages=page_names(names),
            hosts=_hosts(names),
            has_study=records.study is not None,
            alike=Alike(board, records),
        )

    @property
    def title(self) -> str:
        """What the run is called."""
        return self.records.run.name or self.board.pool.name

    @property
    def has_selections(self) -> bool:
        """Whether there is a page about which rows were chosen."""
        return has_selections(self.records)

    def page_of(self, row: BoardRow) -> str:
        """The page about a row, as seen from the board's."""
        name = row_name(row)
        host = self.hosts.get(name)
        return f"rows/{self.pages[host]}.html#of-{self.pages[name]}" if host else f"rows/{self.pages[name]}.html"

    def anchor_of(self, row: BoardRow) -> str:
        """Where the page of the run tells of a row at its budget."""
        return f"of-{self.pages[row_name(row)]}-{self.board.budgets.index(row.budget) + 1}"

    def page_of_method(self, method: str) -> str:
        """The page about a method, as seen from the board's."""
        return f"methods/{file_name(method)}.html"

    def files_of(self, row: BoardRow) -> list[CellFile]:
        """The records of a row, by seed."""
        return self.records.of(row_name(row), row.budget)

    def record(self, path: str) -> str | None:
        """Where a record lies as seen from the board's page, if it lies beside."""
        return f"{self.records.home}/{path}" if self.records.home else None


def _hosts(names: list[RowName]) -> dict[RowName, RowName]:
    """For each row that is matched to one on the board: that one."""
    by_label = {label: (method, label, matched) for method, label, matched in names if not matched}
    return {name: by_label[name[2]] for name in names if name[2] in by_label}


def pages_of(site: Site) -> Iterator[tuple[str, str]]:
    """Every page and data file but the study's, by its path in the site."""
    yield "index.html", board_page(site)
    yield "run.html", run_page(site)
    if site.has_selections:
        yield "compare.html", compare_page(site)
    items = ItemLists()
    with_data = set()
    for name, page in site.pages.items():
        files = [file for budget in site.board.budgets for file in site.records.of(name, budget)]
        script = row_script(files, items)
        if script is not None:
            with_data.add(name)
            yield f"data/{page}.js", script
    yield "data/items.js", items.script()
    for name, page in site.pages.items():
        if name not in site.hosts:
            yield f"rows/{page}.html", row_page(site, name, with_data=with_data)
    for method in sorted({row.method for row in site.board.rows}):
        yield site.page_of_method(method), method_page(site, method)


def board_page(site: Site) -> str:
    """The board itself."""
    board = site.board
    columns = shown_columns(board)
    return render(
        "board.html",
        site=site,
        root="",
        board=board,
        columns=list(enumerate(columns, 1)),
        headline=headline(board),
        question=question(board),
        named={budget: budget_name(board, budget) for budget in board.budgets},
        hits={budget: list(hit_notes(board, budget)) for budget in board.budgets},
        warning=judge_warning(board),
        chance={budget: against_chance(board, budget) for budget in board.budgets},
        presets=presets(board, columns),
        paying={budget: told_at_equal_cost(board, budget) for budget in board.budgets},
        detectable={budget: detectable_words(board, budget) for budget in board.budgets},
        found=[findings(board, budget) for budget in board.budgets],
        charts={budget: cost_chart(board, budget) for budget in board.budgets},
        legend=legend(board) + equal_cost_legend(board),
        caveats=[*caveats(board), *(note for budget in board.budgets for note in site.alike.notes(budget))],
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


def run_page(site: Site) -> str:
    """How the run was done: settings, plan, cost, which rows were chosen, and every record."""
    cells = [file.cell for files in site.records.cells.values() for file in files]
    return render(
        "run.html",
        site=site,
        root="",
        run=site.records.run,
        plan=plan_of(cells),
        totals=_totals(site),
        chosen=_with_selections(site),
    )


def _with_selections(site: Site) -> list[tuple[str, list[RowName]]]:
    """The rows of whose selections the positions are known, by kind."""
    known = [name for name in site.pages if any(map(positions_of, site.records.cells.get(name, ())))]
    controls = {row_name(row) for row in site.board.rows if row.kind == "control"}
    groups = {
        "Methods": [name for name in known if name not in controls],
        "Controls": [name for name in known if name in controls and not name[2]],
        "Controls matched to a method": [name for name in known if name in controls and name[2]],
    }
    return [(title, sorted(group, key=lambda name: name[1])) for title, group in groups.items() if group]


def compare_page(site: Site) -> str:
    """How much the selections of all rows have in common, as records alone tell."""
    found = (overlaps_of(site.board, site.records, budget) for budget in site.board.budgets)
    return render("compare.html", site=site, root="", found=[each for each in found if each])


def shown_columns(board: Board) -> list[Column]:
    """All columns of the table. Name, score and tier first: a phone shows no more at once."""
    first = ["method", board.sort_metric, "tier", "rank"]
    return sorted(
        with_cost_columns(board), key=lambda each: first.index(each.name) if each.name in first else len(first)
    )


def cost_chart(board: Board, budget: str) -> tuple[tuple[Chart, Chart] | None, list[Point]]:
    """The drawings of a budget, wide and narrow, and its points by cost for the table beside them."""
    points = []
    for row in board.of(budget):
        found = estimate_of(row, board.sort_metric)
        if found is not None:
            style = "matched" if row.matched_to else row.kind
            points.append(
                Point(
                    label=row.label,
                    score=found.mean,
                    cost=making_flops(row),
                    style=style,
                    may_be_on_front=may_be_on_front(row),
                )
            )
    front = pareto(points, bigger_is_better=board.bigger_is_better.get(board.sort_metric, True))
    points = [dataclasses.replace(point, on_front=index in front) for index, point in enumerate(points)]
    listed = [point for point in points if point.style != "matched" or point.on_front]
    unknown = float("inf")
    bigger = board.bigger_is_better.get(board.sort_metric, True)
    return charts(points, bigger_is_better=bigger), sorted(
        listed, key=lambda each: (unknown if each.cost is None else each.cost, each.label)
    )


def row_page(site: Site, name: RowName, *, with_data: Collection[RowName]) -> str:
    """Everything about a row, at every budget, and about the controls that are matched to it.

    `with_data` are the rows that have a file of data.
    """
    board = site.board
    here = [name, *(each for each, host in site.hosts.items() if host == name)]
    told = [_told_of(site, each, has_data=each in with_data) for each in here]
    return render(
        "row.html",
        site=site,
        root="../",
        told=told[0],
        matched=told[1:],
        metrics=metric_order(board),
        digits={metric: digits_of(board, metric) for metric in metric_order(board)},
        estimate_of=estimate_of,
        making_flops=making_flops,
        paying={row.budget: list(cost_story(board, row)) for row in told[0]["rows"]},
        phases={row.budget: phase_strip(row) for row in told[0]["rows"]},
        places=places,
        named={budget: budget_name(board, budget) for budget in board.budgets},
        family={budget: planned_notes(board, budget) for budget in board.budgets},
    )


def _told_of(site: Site, name: RowName, *, has_data: bool) -> dict[str, Any]:
    """What the page tells of one row: its entries by budget, and what lies in its records."""
    rows = [row for row in site.board.rows if row_name(row) == name]
    return {
        "rows": rows,
        "first": rows[0],
        "page": site.pages[name],
        "card": site.records.methods.get(rows[0].method),
        "data": f"data/{site.pages[name]}.js" if has_data else None,
        "files": {row.budget: site.records.of(name, row.budget) for row in rows},
        "diversity": {row.budget: _diversity(site, name, row.budget) for row in rows},
        "generated": {row.budget: _generated(site, name, row.budget) for row in rows},
        "extras": {row.budget: _extras(row, _KNOWN) for row in rows},
    }


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
        short=short_notes(board) if method == CONTROL else [],
        parameters=set_parameters(card) if card else [],
    )


def study_page(
    site: Site, figures: list[dict[str, Any]], tables: list[dict[str, Any]], *, slopes: list[dict[str, str]]
) -> str:
    """What a study asked, what it found, its figures, and its tables."""
    study = site.records.study
    board = site.board
    return render(
        "study.html",
        site=site,
        root="",
        study=study,
        figures=figures,
        tables=tables,
        found=slopes_found(
            slopes, study.x.label if study and study.x.label else "what is varied", board.bigger_is_better
        ),
        chance=[told for budget in board.budgets if (told := against_chance(board, budget))],
    )


def set_parameters(card: Card) -> list[tuple[Parameter, str | None]]:
    """The parameters of a method, each with the value that the method sets; None where it leaves the default."""
    uses = {("", role): use for role, use in card.parts.items()}
    uses |= {(name, role): use for name, parts in card.strategies.items() for role, use in parts.items()}
    given = {place: _given(use) for place, use in uses.items()}
    return [(each, given.get((each.strategy, each.part), {}).get(each.parameter)) for each in card.parameters]


def _given(use: str) -> dict[str, str]:
    """The parameters in `NAME[param=value,...]`, as they are written."""
    inside = use.partition("[")[2].removesuffix("]")
    return {name: value.strip('"') for name, value in _PAIR.findall(inside)}


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
