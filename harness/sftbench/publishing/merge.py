"""One board from several people's bundles or results: only what was made under the same terms, and each row once."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sftbench.errors import UsageError
from sftbench.judging.card.card import FILE as CARD
from sftbench.judging.card.card import FURTHER as FURTHER_CARDS
from sftbench.publishing.claims import each_row_once, within_tolerance
from sftbench.publishing.gather import BundleWanted, gather
from sftbench.publishing.layout import LEVELS, files_below, json_text
from sftbench.publishing.levels import RECOMPUTED, SELF_REPORTED, RowLevel
from sftbench.publishing.manifest import seal_of
from sftbench.publishing.publish import PublishedBundle, refuse_other
from sftbench.publishing.sources import METHODS, CellName, Source, source_at
from sftbench.publishing.terms import refuse_other_terms


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
        found = [source_at(path, stack) for path in sources]
        refuse_other_terms([(each.name, each.terms) for each in found])
        chosen, independent = each_row_once(found)
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
        close = within_tolerance(found)
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


def _write_records(sources: Sequence[Source], chosen: Mapping[CellName, Path], into: Path, *, name: str) -> None:
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
    sources: Sequence[Source], chosen: Mapping[CellName, Path], independent: Mapping[CellName, int]
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
