"""One board from several people's bundles or results: only what was made under the same terms, and each row once."""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

from sftbench.board.cells import Cell
from sftbench.board.judge_card import FILE as CARD
from sftbench.board.judge_card import FURTHER as FURTHER_CARDS
from sftbench.board.making import NOT_MAKING
from sftbench.board.reading import read_cell
from sftbench.board.table import six_digits, strip_measured
from sftbench.errors import UsageError
from sftbench.publishing.allowance import TOLERANCE
from sftbench.publishing.archive import opened
from sftbench.publishing.gather import BundleWanted, gather
from sftbench.publishing.layout import LEVELS, MANIFEST, RECORDS, files_below, json_in, json_text, run_in
from sftbench.publishing.levels import RECOMPUTED, SELF_REPORTED, RowLevel, attestations
from sftbench.publishing.manifest import seal_of
from sftbench.publishing.publish import PublishedBundle, refuse_other
from sftbench.publishing.reproduce import difference_of
from sftbench.publishing.terms import ComparisonTerms, refuse_other_terms, terms_of
from sftbench.publishing.verify import verified_folder

METHODS = "methods.json"
Name = tuple[str, str, str, str, int]


@dataclass(frozen=True, kw_only=True)
class Source:
    """A bundle, or a results folder, that goes into a merged board."""

    name: str
    cells: Mapping[Name, tuple[Cell, str, Path]]
    terms: ComparisonTerms
    level: str
    seal: str | None
    run: Mapping[str, Any]
    cards: tuple[str, ...] = ()
    """The texts of the judge's card beside the records."""
    further_cards: tuple[str, ...] = ()
    """And of those of further judges."""
    methods: Mapping[str, Any] = field(default_factory=dict)
    """What `methods.json` tells."""
    attested: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Merged:
    """The merged bundle and what is known of each of its rows."""

    published: PublishedBundle
    levels: tuple[RowLevel, ...]


def merge(sources: Sequence[Path], out: Path) -> Merged:
    """Make the bundle `out`, with one board, from bundles (verified first) and results folders.

    Raises `UsageError` when terms differ (pool, base, budgets, judge, its card, prompt templates, held-out items,
    trainer), or when two sources claim the same row with numbers further apart than reproducing allows, and
    `VerificationError` for a bundle that does not hold.
    """
    if len(sources) < 2:
        raise UsageError("merging needs at least two bundles or results folders")
    stage = out.absolute().with_name(f".{out.absolute().name}.{uuid.uuid4().hex[:8]}")
    with ExitStack() as stack:
        found = [_source(path, stack) for path in sources]
        refuse_other_terms([(each.name, each.terms) for each in found])
        chosen, independent = _each_row_once(found)
        stack.callback(shutil.rmtree, stage, ignore_errors=True)
        records = stage / "given"
        try:
            records.mkdir(parents=True)
        except OSError as problem:
            raise UsageError(f"cannot write beside '{out}': {problem.strerror}; choose another with --out") from None
        _write_records(found, chosen, records, name=out.name)
        bundle = stage / "bundle"
        bundle.mkdir()
        levels = tuple(_levels(found, chosen, independent))
        # Part of the records, so that what is known of a row is sealed with its numbers.
        close = _within_tolerance(found)
        told = [
            {
                "label": each.label,
                "budget": each.budget,
                "level": each.level,
                **close.get((each.label, each.budget), {}),
            }
            for each in levels
        ]
        (records / LEVELS).write_text(json_text({"rows": told}), encoding="utf-8")
        made = gather(BundleWanted(results=records), bundle)
        seal = seal_of(bundle)
        sizes = {name: path.stat().st_size for name, path in files_below(bundle).items()}
        if not refuse_other(out, seal, flag="out"):
            bundle.rename(out)
        published = PublishedBundle(target=str(out), seal=seal, files=sizes, notes=tuple(made.notes), written=True)
        return Merged(published=published, levels=levels)


def _source(path: Path, stack: ExitStack) -> Source:
    is_bundle = path.is_file() or (path / MANIFEST).is_file()
    if not is_bundle and not (path / "run.json").is_file():
        raise UsageError(f"'{path}' is neither a bundle nor a results folder: no {MANIFEST} and no run.json")
    folder = stack.enter_context(opened(path)) if is_bundle else path
    attested: dict[tuple[str, str], frozenset[str]] = {}
    if is_bundle:
        verified_folder(folder, name=str(path))
        for each in attestations(folder)[0]:
            row = (each.label, each.budget)
            attested[row] = attested.get(row, frozenset()) | {each.name}
    records = folder / RECORDS if is_bundle else folder
    cells = {}
    for file in sorted(records.rglob("seed-*.json")):
        cell = read_cell(file)
        cells[_name(cell)] = (cell, _same_numbers(file), file)
    if not cells:
        raise UsageError(f"no records in '{path}'")
    run = run_in(records, f"{path}/run.json")
    if not isinstance(run.get("settings"), dict):
        raise UsageError(f"{path}/run.json does not tell the settings of the run")
    cards, further = (
        tuple(sorted({file.read_text(encoding="utf-8") for file in records.rglob(name)}))
        for name in (CARD, FURTHER_CARDS)
    )
    methods = records / METHODS
    return Source(
        name=str(path),
        cells=cells,
        terms=terms_of([cell for cell, _, _ in cells.values()], run, cards=cards, further_cards=further),
        level=RECOMPUTED if is_bundle else SELF_REPORTED,
        seal=seal_of(folder) if is_bundle else None,
        run=run,
        cards=cards,
        further_cards=further,
        methods=json_in(methods, f"{path}/{METHODS}") if methods.is_file() else {},
        attested=attested,
    )


def _name(cell: Cell) -> Name:
    return (cell.method, cell.label, cell.matched_to or "", cell.budget, cell.seed)


def _same_numbers(file: Path) -> str:
    """Text that two runs of the same thing share: a record without seconds, bytes and keys of this version's steps."""
    told = strip_measured(json.loads(file.read_text(encoding="utf-8")))
    for each in ("steps", "undescribed"):
        told.pop(each, None)
    for each in ("selection", "generated"):
        if isinstance(told.get(each), dict):
            told[each].pop("key", None)
    return json.dumps(told, sort_keys=True)


def _each_row_once(sources: Sequence[Source]) -> tuple[dict[Name, Path], dict[Name, int]]:
    """The record of every cell, and how many runs gave it: copies of one run, equal to the last second, are one.

    Raises `UsageError` naming both sources where two tell different numbers, further apart than reproducing allows.
    """
    chosen, independent = {}, {}
    for name, told in sorted(_claims(sources).items()):
        for one, other in combinations(told, 2):
            if _apart(one, other) is None:
                row = f"{name[1]}@{name[3]}/{name[4]}"
                different = _first_difference(one.numbers, other.numbers)
                raise UsageError(f"{one.source} and {other.source} both claim {row}, {different}")
        by_content = {_hash(each.file): each.file for each in told}
        # Not the first one given: the order on the command line must not show.
        chosen[name] = by_content[min(by_content)]
        independent[name] = len(by_content)
    return chosen, independent


@dataclass(frozen=True, kw_only=True)
class _Claim:
    """What a source says of a cell."""

    source: str
    cell: Cell
    numbers: str
    file: Path


def _claims(sources: Sequence[Source]) -> dict[Name, list[_Claim]]:
    claims: dict[Name, list[_Claim]] = {}
    for source in sources:
        for name, (cell, numbers, file) in source.cells.items():
            claims.setdefault(name, []).append(_Claim(source=source.name, cell=cell, numbers=numbers, file=file))
    return claims


def _apart(one: _Claim, other: _Claim) -> dict[str, float] | None:
    """How far apart the means of each metric are, those alone that differ; None where two claims are in conflict.

    What holds for a row that is run again holds here: the same rows chosen, and every mean within the tolerance.
    """
    if one.numbers == other.numbers:
        return {}
    if _without_values(one.numbers) != _without_values(other.numbers):
        return None
    mine, theirs = _values(one.cell), _values(other.cell)
    found = {metric: difference_of(mine[metric], theirs[metric]) for metric in mine}
    apart = {metric: abs(each["mean_here"] - each["mean_told"]) for metric, each in found.items()}
    if any(each["num_missing"] or apart[metric] > TOLERANCE for metric, each in found.items()):
        return None
    return {metric: apart[metric] for metric, each in found.items() if each["largest"]}


def _values(cell: Cell) -> dict[str, dict[str, float | None]]:
    """Every metric of a cell and every judge's preferences, by item; a number without items stands under no name."""
    found = {
        f"{name}.{metric}": dict(zip(evaluation.items_of(metric), values, strict=True))
        for name, evaluation in cell.evaluations.items()
        for metric, values in evaluation.items.items()
    }
    for name, evaluation in cell.evaluations.items():
        found |= {f"{name}.{metric}": {"": value} for metric, value in evaluation.numbers.items()}
    for number, told in enumerate(cell.judgements):
        found[f"preference.{number}"] = dict(zip(told.ids, told.preference, strict=True))
    return found


def _without_values(numbers: str) -> str:
    """A record without what another processor may round otherwise: values per item, and what is told beside them."""
    told = json.loads(numbers)
    for evaluation in (told.get("evaluations") or {}).values():
        evaluation |= {name: sorted(evaluation[name]) for name in ("items", "numbers") if name in evaluation}
        evaluation.pop("report", None)
    for verdicts in (told.get("verdicts"), *(told.get("further_verdicts") or ())):
        for each in ("preference", "columns", "report"):
            (verdicts or {}).pop(each, None)
    told["cost"] = {phase: spent for phase, spent in told["cost"].items() if phase not in NOT_MAKING}
    told.pop("diversity", None)
    return json.dumps(told, sort_keys=True)


def _within_tolerance(sources: Sequence[Source]) -> dict[tuple[str, str], dict[str, Any]]:
    """Of rows that sources tell with different numbers, none too far apart: by seed, how far apart the means are."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for name, told in sorted(_claims(sources).items()):
        largest: dict[str, float] = {}
        for one, other in combinations(told, 2):
            for metric, apart in (_apart(one, other) or {}).items():
                largest[metric] = max(apart, largest.get(metric, 0.0))
        if largest:
            row = found.setdefault((name[1], name[3]), {"tolerance": TOLERANCE, "means_apart": {}})
            row["means_apart"][str(name[4])] = {metric: six_digits(apart) for metric, apart in largest.items()}
    return found


def _hash(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _first_difference(one: str, other: str) -> str:
    """Where two records differ first, and how."""
    for path, mine, theirs in _differing(json.loads(one), json.loads(other), ""):
        return f"with different numbers: {path.lstrip('.')} is {str(mine)[:60]} and {str(theirs)[:60]}"
    return "with different content"


def _differing(one: Any, other: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted({*one, *other}):
            yield from _differing(one.get(name), other.get(name), f"{path}.{name}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for index, (mine, theirs) in enumerate(zip(one, other, strict=True)):
            yield from _differing(mine, theirs, f"{path}[{index}]")
    elif one != other:
        yield path, one, other


def _write_records(sources: Sequence[Source], chosen: Mapping[Name, Path], into: Path, *, name: str) -> None:
    """Every record at the place that it had, the judges' cards, what is told of the methods, and one `run.json` that
    tells the sources by their seals."""
    for place in chosen.values():
        target = into / place.relative_to(place.parents[2])
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(place, target)
    for file, texts in (
        (CARD, {text for source in sources for text in source.cards}),
        (FURTHER_CARDS, {text for source in sources for text in source.further_cards}),
    ):
        if texts:
            (into / file).write_text(min(texts), encoding="utf-8", newline="")
    methods: dict[str, Any] = {}
    # Where two tell otherwise of a method, the order of the sources must not show.
    for source in sorted(sources, key=lambda each: json.dumps(each.methods, sort_keys=True)):
        methods = {**source.methods, **methods}
    if methods:
        (into / METHODS).write_text(json_text(methods), encoding="utf-8")
    runs = sorted((source.run for source in sources), key=lambda run: json.dumps(run, sort_keys=True))
    settings = dict(runs[0].get("settings", {}))
    settings["methods"] = sorted({method for run in runs for method in run.get("settings", {}).get("methods", [])})
    settings["seeds"] = sorted({seed for run in runs for seed in run.get("settings", {}).get("seeds", [])})
    told = {
        "schema": 1,
        "name": name,
        "given": {},
        "settings": settings,
        "num_cells": len(chosen),
        "merged": sorted(source.seal for source in sources if source.seal is not None),
    }
    (into / "run.json").write_text(json_text(told), encoding="utf-8")


def _levels(
    sources: Sequence[Source], chosen: Mapping[Name, Path], independent: Mapping[Name, int]
) -> Iterator[RowLevel]:
    """A row is reproduced by every further run with its numbers, as near as reproducing asks, and by attestations."""
    for label, budget in sorted({(name[1], name[3]) for name in chosen}):
        mine = [name for name in chosen if (name[1], name[3]) == (label, budget)]
        levels = {source.level for source in sources if any(name in source.cells for name in mine)}
        again = max(independent[name] for name in mine) - 1
        names = frozenset().union(*(source.attested.get((label, budget), frozenset()) for source in sources))
        count = again + len(names)
        level = f"reproduced by {count}" if count else max(levels, key=[SELF_REPORTED, RECOMPUTED].index)
        seeds = tuple(sorted({name[4] for name in mine if independent[name] > 1}))
        yield RowLevel(label=label, budget=budget, level=level, seeds_reproduced=seeds)
