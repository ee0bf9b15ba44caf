"""The anatomy of two selections: what `bench compare` tells, from records and, where texts are needed, the store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sftbench.anatomy import histograms
from sftbench.anatomy.closeness import near_duplicates, nearest_heldout
from sftbench.anatomy.differences import metric_differences
from sftbench.anatomy.shared import across_seeds, overlap
from sftbench.anatomy.sides import (
    NamedSelection,
    cells_of,
    entry_of,
    is_file,
    is_folder,
    side_of_file,
    side_of_run,
)
from sftbench.anatomy.tokens import labelled_rows
from sftbench.board.cells import Cell
from sftbench.contamination import COSINES
from sftbench.diversity.corpus import Segmenter, student_tokens
from sftbench.errors import SftbenchError, UsageError
from sftbench.fingerprint import fingerprint_model
from sftbench.plugins import Plugins
from sftbench.pools import read_pool
from sftbench.rooms import Row
from sftbench.runner import default_store
from sftbench.store import Store
from sftbench.survey import model_facts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

MOST_EMBEDDED = 2000
"""Rows of each side that are embedded, drawn with the seed where there are more."""
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class ComparisonWanted:
    """What to compare: the fields are the flags of `bench compare`.

    `a` and `b` are methods of the run in the folder `results`, folders of records, or files of rows. `pick` is the seed
    of examples and clusters, `num_examples` how many rows of each kind are shown. `embeddings` False leaves out what
    needs them.
    """

    a: str
    b: str
    results: Path | None = None
    budget: str | None = None
    seed: int | None = None
    lm: str | None = None
    num_clusters: int = 8
    num_examples: int = 3
    pick: int = 0
    embeddings: bool = True
    store: Path | None = None


def compare_selections(wanted: ComparisonWanted, *, plugins: Plugins, scratch: Path) -> dict[str, Any]:
    """Everything that can be told of two selections; docs/anatomy.md tells the keys. `missing` says what cannot be.

    Raises `UsageError` for names that are unknown or unclear.
    """
    first, second, cells = _sides(wanted, scratch)
    missing = [*first.missing, *second.missing]
    found: dict[str, Any] = {
        "a": _about(first),
        "b": _about(second),
        "overlap": overlap(first, second),
        "across_seeds": {"a": across_seeds(first), "b": across_seeds(second)},
        "metrics": metric_differences(first, second, cells),
        "planted": {"a": _planted(first), "b": _planted(second)},
    }
    tokenizer = _tokenizer(first, second, wanted, plugins, missing)
    if first.texts is not None and second.texts is not None:
        found |= _of_texts(first, second, wanted, tokenizer, missing)
    found["tokens"] = _tokens(first, second, wanted, tokenizer, missing)
    return {**found, "missing": list(dict.fromkeys(missing))}


def _sides(wanted: ComparisonWanted, scratch: Path) -> tuple[NamedSelection, NamedSelection, list[Cell]]:
    names = (wanted.a, wanted.b)
    if any(is_file(name) for name in names):
        if not all(is_file(name) for name in names):
            raise UsageError("two files, or two methods of runs, can be compared; one of each cannot")
        if wanted.results is not None or wanted.budget is not None or wanted.seed is not None:
            raise UsageError("--results, --budget and --seed are for methods of a run, and these are files")
        pools = [read_pool(name, into=scratch / f"{place}.arrow") for place, name in enumerate(names)]
        first, second = (side_of_file(name, pool=pool) for name, pool in zip(names, pools, strict=True))
        return first, second, []
    every = [cells_of(name, wanted.results) for name in names]
    entries = [
        entry_of(cells, name, budget=wanted.budget, is_named=not is_folder(name))
        for name, cells in zip(names, every, strict=True)
    ]
    if entries[0].first.pool.key != entries[1].first.pool.key:
        raise UsageError(f"{names[0]} and {names[1]} chose from different pools, so their rows cannot be compared")
    store = Store(wanted.store or default_store())
    common = {cell.seed for cell in entries[0].cells} & {cell.seed for cell in entries[1].cells}
    seeds = [wanted.seed if wanted.seed is not None else min(common or {each.first.seed}) for each in entries]
    first, second = (side_of_run(each, seed=seed, store=store) for each, seed in zip(entries, seeds, strict=True))
    cells = every[0] if not any(map(is_folder, names)) else [cell for each in entries for cell in each.cells]
    return first, second, cells


def _about(side: NamedSelection) -> dict[str, Any]:
    """Name and size of a side; budget, seed and cost of choosing where it is from a run."""
    cell, texts = side.cell, side.texts
    told: dict[str, Any] = {"name": side.name}
    if cell is not None:
        chosen = cell.selection
        told |= {"budget": cell.budget, "seed": cell.seed, "fidelity": cell.fidelity, "status": cell.status}
        told |= {
            "num_rows": chosen.num_rows if chosen else None,
            "num_response_tokens": chosen.num_response_tokens if chosen else None,
            "trained_share": chosen.trained_share if chosen else None,
            "flops_of_selecting": cell.cost["selecting"].flops if "selecting" in cell.cost else None,
        }
    elif texts is not None:
        told["num_rows"] = len(texts.rows)
    return told


def _planted(side: NamedSelection) -> dict[str, Any] | None:
    """How much of a selection is planted, how much of all that was planted got in, and by defect where texts tell."""
    cell = side.cell
    chosen = cell.selection if cell else None
    planted = cell.pool.num_planted if cell else None
    if cell is None or chosen is None or not planted or chosen.num_planted_rows is None:
        return None
    told: dict[str, Any] = {
        "num_rows": chosen.num_planted_rows,
        "share": chosen.num_planted_rows / chosen.num_rows if chosen.num_rows else None,
        "let_in": chosen.num_planted_rows / planted,
    }
    if side.texts is not None:
        told["by_defect"] = dict(sorted(Counter(row.planted for row in side.texts.rows if row.planted).items()))
    return told


def _of_texts(
    first: NamedSelection,
    second: NamedSelection,
    wanted: ComparisonWanted,
    tokenizer: PreTrainedTokenizerFast | None,
    missing: list[str],
) -> dict[str, Any]:
    assert first.texts is not None
    assert second.texts is not None
    rows = first.texts.rows, second.texts.rows
    shown: dict[str, Any] = {
        "response_words": histograms.lengths(*rows, text=lambda row: row.text("response")),
        "instruction_words": histograms.lengths(*rows, text=lambda row: row.text("instruction")),
        "source": histograms.sources(*rows),
    }
    if shown["source"] is None:
        missing.append(f"no row tells where it is from ({', '.join(histograms.SOURCES)}), so there are no sources")
    pool = first.texts.pool
    if pool is None:
        missing.append("files do not have the pool they are from, so chance and bands of tokens are not known")
    else:
        words: Segmenter = student_tokens(tokenizer) if tokenizer else histograms.LowerWords()
        unit = "tokens" if tokenizer else "words"
        shown["bands"] = histograms.bands(*rows, pool=pool, tokenize=words, unit=unit)
    found = {"histograms": shown, "examples": _examples(first, second, wanted)}
    return found | (_embedded(first, second, wanted, shown, missing) if wanted.embeddings else {})


def _embedded(
    first: NamedSelection, second: NamedSelection, wanted: ComparisonWanted, shown: dict[str, Any], missing: list[str]
) -> dict[str, Any]:
    """What needs embeddings of the instructions: clusters (into `shown`), near-duplicates, nearest held-out prompts."""
    from sftbench.engines.embed import embed_texts

    sides = first, second
    rows = [_drawn(side, wanted, missing) for side in sides]
    vectors = [embed_texts([row.text("instruction") for row in each]) for each in rows]
    shown["cluster"] = histograms.clusters(
        rows[0], rows[1], (vectors[0], vectors[1]), num_clusters=wanted.num_clusters, seed=wanted.pick
    )
    cosine = COSINES["minilm"]
    each = [near_duplicates(of, at, cosine=cosine) for of, at in zip(rows, vectors, strict=True)]
    found: dict[str, Any] = {"near_duplicates": {"cosine": cosine, "a": each[0], "b": each[1]}}
    heldout = first.texts.heldout if first.texts else None
    if heldout is None:
        missing.append("held-out rows are not known, so neither are the prompts among them that lie nearest")
        return found
    items = embed_texts([row.text("instruction") for row in heldout])
    near = [nearest_heldout(of, at, heldout, items) for of, at in zip(rows, vectors, strict=True)]
    return {**found, "nearest_heldout": {"a": near[0], "b": near[1]}}


def _drawn(side: NamedSelection, wanted: ComparisonWanted, missing: list[str]) -> Sequence[Row]:
    rows = side.texts.rows if side.texts else ()
    if len(rows) <= MOST_EMBEDDED:
        return rows
    missing.append(f"{side.name}: {MOST_EMBEDDED} of {len(rows)} rows, drawn at random, are embedded")
    drawn = np.random.default_rng(wanted.pick).choice(len(rows), MOST_EMBEDDED, replace=False)
    return [rows[int(place)] for place in np.sort(drawn)]


def _examples(first: NamedSelection, second: NamedSelection, wanted: ComparisonWanted) -> dict[str, Any]:
    """Rows that one side took and the other did not, drawn at random, in the order of their ranks."""
    found = {}
    for name, side, other in (("only_a", first, second), ("only_b", second, first)):
        theirs = set(other.ids or ())
        mine = [place for place, row_id in enumerate(side.ids or ()) if row_id not in theirs]
        places = _some(mine, wanted.num_examples, wanted.pick)
        rows = side.texts.rows if side.texts else ()
        found[name] = {"num_rows": len(mine), "rows": [_row(rows[place], place) for place in places]}
    return found


def _row(row: Row, place: int) -> dict[str, Any]:
    told = {"id": row.id, "rank": place + 1, "instruction": row.text("instruction"), "response": row.text("response")}
    return {**told, "planted": row.planted}


def _some(places: Sequence[int], count: int, seed: int) -> list[int]:
    drawn = np.random.default_rng(seed).permutation(len(places))[:count]
    return sorted(places[int(at)] for at in drawn)


def _tokens(
    first: NamedSelection,
    second: NamedSelection,
    wanted: ComparisonWanted,
    tokenizer: PreTrainedTokenizerFast | None,
    missing: list[str],
) -> dict[str, Any]:
    """For each side that labels tokens: some of its rows with what each token is for. Rows that both label come
    first, so that labels can be compared."""
    found: dict[str, Any] = {}
    labelling = [side for side in (first, second) if side.texts and side.texts.token_labels is not None]
    if labelling and tokenizer is None:
        missing.append("the tokenizer of the run is not known, so labels of tokens are not shown; name it with --lm")
        return found
    both = set(first.ids or ()) & set(second.ids or ()) if len(labelling) == 2 else set()
    for name, side in (("a", first), ("b", second)):
        if side not in labelling or tokenizer is None:
            continue
        ids = side.ids or ()
        common = sorted(row_id for row_id in both)
        chosen = [common[at] for at in _some(range(len(common)), wanted.num_examples, wanted.pick)]
        places = [ids.index(row_id) for row_id in chosen] or _some(range(len(ids)), wanted.num_examples, wanted.pick)
        found[name], problems = labelled_rows(side, places, tokenizer)
        missing += problems
    return found


def _tokenizer(
    first: NamedSelection, second: NamedSelection, wanted: ComparisonWanted, plugins: Plugins, missing: list[str]
) -> PreTrainedTokenizerFast | None:
    """The tokenizer of the run's base: of `lm` if that is the base, or of a suite that has it."""
    from sftbench.engines.loading import load_tokenizer

    fingerprint = first.cell.base.fingerprint if first.cell else None
    if wanted.lm is not None:
        facts = model_facts(wanted.lm)
        if fingerprint is not None and facts.fingerprint != fingerprint:
            missing.append(f"{wanted.lm} is not the base model of this run; its tokenizer may cut other tokens")
        return load_tokenizer(Path(facts.path))
    for name in plugins.suites if fingerprint is not None else ():
        try:
            base = Path(str(plugins.suite(name).base))
            if fingerprint_model(base) == fingerprint:
                return load_tokenizer(base)
        except (SftbenchError, OSError):
            continue
    return None
