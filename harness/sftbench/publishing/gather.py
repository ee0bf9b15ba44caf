"""Putting a bundle together in a folder of its own: records, board, versions, provenance, selections, and more."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sftbench import shelf
from sftbench.board.build import build_board
from sftbench.board.cells import Cell
from sftbench.board.reading import read_cells
from sftbench.board.site.files import WITH_TEXTS, own_files, site_files, write_site
from sftbench.errors import UsageError
from sftbench.fingerprint import key_of
from sftbench.publishing.crosscheck import check_records
from sftbench.publishing.layout import (
    ABOUT,
    BOARD,
    KIND,
    LOCK,
    README,
    RECORDS,
    RESPONSES,
    ROWS,
    SCHEMA,
    SELECTIONS,
    STEPS,
    files_below,
    json_in,
    json_text,
    run_in,
)
from sftbench.publishing.leaks import addresses_in, places_in, refuse_credentials, refuse_places, shortened
from sftbench.publishing.licences import FREE, check_licence
from sftbench.publishing.lock import lock_of, own_version
from sftbench.publishing.manifest import told_of, write_manifest
from sftbench.publishing.page import readme_of
from sftbench.record import Record
from sftbench.store import Store


@dataclass(frozen=True, kw_only=True)
class BundleWanted:
    """What a bundle is made of. `licence_of_pool` is the publisher's word for it; without a free one no text goes in.

    `board` is the folder of the run's board, whose further files (figures) go along, `store` that of its steps: from it
    come ids, provenance, rows and answers.
    """

    results: Path
    board: Path | None = None
    store: Path | None = None
    licence_of_pool: str | None = None
    with_rows: bool = False
    with_responses: bool = False


@dataclass
class Gathered:
    """A bundle under construction, and what whoever publishes should know of it."""

    folder: Path
    notes: list[str] = field(default_factory=list)
    num_shortened: int = 0

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")


def gather(wanted: BundleWanted, into: Path) -> Gathered:
    """Make the bundle in the empty folder `into`, its manifest last.

    Raises `UsageError` for results that cannot be read or are not like the board beside them, for credentials and
    places of a machine, and for rows of a pool that is not free.
    """
    licence = check_licence(wanted.licence_of_pool, with_rows=wanted.with_rows)
    made = Gathered(folder=into)
    about = _copy_records(wanted.results, made)
    cells = read_cells(into / RECORDS)
    _refuse_unfinished(about, cells)
    sort_metric, num_resamples = _copy_board(wanted, made)
    store = Store(wanted.store) if wanted.store else None
    here = [cell for cell in cells if store is not None and _made_here(cell, store)]
    if store is not None and len(here) < len(cells):
        made.notes.append(f"the steps of {len(cells) - len(here)} of {len(cells)} cells are not in the store")
    records = _records(here, store)
    made.write(LOCK, json_text(lock_of(records.values())))
    _provenance(records, made)
    _selections(cells, store, made)
    if wanted.with_rows:
        _rows(cells, store, made)
    if wanted.with_responses:
        _responses(cells, here, store, made)
        if licence not in FREE:
            made.notes.append(
                "answers of models that were trained on the pool may repeat its rows, and no --licence-of-pool says "
                "that these may be passed on"
            )
    addresses = addresses_in(json.dumps(about))
    if addresses:
        made.notes.append(f"the records tell the addresses of language models: {', '.join(addresses)}")
    sealed = {name: told_of(path) for name, path in files_below(into).items() if not name.startswith(f"{BOARD}/")}
    told = {
        "schema": SCHEMA,
        "kind": KIND,
        "name": str(about.get("name") or wanted.results.name),
        "made_with": {"sftbench": own_version()},
        "num_cells": len(cells),
        "pool": dataclasses.asdict(cells[0].pool),
        "base": dataclasses.asdict(cells[0].base),
        "board": {"sort_metric": sort_metric, "num_resamples": num_resamples},
        "licence_of_pool": licence,
        "level": "self-reported",
        "sealed": sealed,
    }
    made.write(ABOUT, json_text(told))
    made.write(README, readme_of(told))
    _refuse_contradictions(into, told)
    # Records first: what is wrong in them is on the board too, and is to be mended where it is from.
    files = sorted(files_below(into).items(), key=lambda each: not each[0].startswith(f"{RECORDS}/"))
    texts = {name: _text(path) for name, path in files}
    refuse_credentials(texts)
    refuse_places(texts)
    write_manifest(into, str(told["name"]))
    return made


def _copy_records(results: Path, made: Gathered) -> dict[str, Any]:
    """Every JSON file of a results folder; places on a machine become their last names. Returns `run.json`."""
    if not (results / "run.json").is_file():
        raise UsageError(f"no run.json in '{results}': expected the folder of a run, such as results/microcosm")
    read_cells(results)
    for name, path in files_below(results).items():
        if path.suffix != ".json":
            continue
        text = path.read_text(encoding="utf-8")
        if next(places_in(text), None) is not None:
            text = json_text(shortened(json.loads(text)))
            made.num_shortened += 1
        made.write(f"{RECORDS}/{name}", text)
    if made.num_shortened:
        made.notes.append(f"{made.num_shortened} records name places on a machine; their last names are published")
    return run_in(made.folder / RECORDS)


def _refuse_unfinished(about: Mapping[str, Any], cells: Sequence[Cell]) -> None:
    """Raises `UsageError` that names rows without a record of some seed. A seed that failed has one, which says why."""
    if about.get("num_cells") == len(cells):
        return
    told = about.get("settings")
    wanted = told.get("seeds") if isinstance(told, dict) else None
    seeds = [seed for seed in wanted if isinstance(seed, int)] if isinstance(wanted, list) else []
    there = {(cell.label, cell.budget, cell.seed) for cell in cells}
    rows = sorted({(cell.label, cell.budget) for cell in cells if cell.selection is not None})
    missing = [f"{row[0]}@{row[1]}/{seed}" for row in rows for seed in seeds if (*row, seed) not in there]
    named = f" ({', '.join(missing[:5])}{', …' if len(missing) > 5 else ''} missing)" if missing else ""
    raise UsageError(
        f"run.json tells {about.get('num_cells')} cells and {len(cells)} are there{named}; finish the run, then publish"
    )


def _refuse_contradictions(bundle: Path, about: Mapping[str, Any]) -> None:
    """Raises `UsageError` for records of which whoever verifies the bundle would be told the same."""
    wrong = check_records(bundle, about)[1]
    if wrong:
        raise UsageError(f"the records contradict themselves: {wrong[0]}")


def _copy_board(wanted: BundleWanted, made: Gathered) -> tuple[str, int]:
    """The board and its site made anew from the records, ordered as the board that is there, with that board's further
    files, such as the figures of a study.

    Raises `UsageError` when the board that is there, or a page of its site, is not what its records give.
    """
    there = wanted.board
    if there is not None and not (there / "board.json").is_file():
        raise UsageError(f"there is no board.json in '{there}'")
    if there is not None and made.num_shortened:
        made.notes.append(
            f"{there} names places on a machine too: board and pages are made anew, what else lies there is left out"
        )
        there = None
    metric = json_in(there / "board.json", f"{there}/board.json").get("sort_metric") if there else None
    board = build_board(made.folder / RECORDS, sort_metric=metric)
    if there is not None:
        told = site_files(board, wanted.results, there)
        for name, path in files_below(there).items():
            if name in told and path.read_bytes() != told[name].encode():
                raise UsageError(
                    f"{path} is not what {wanted.results} gives; write it again with "
                    f"'bench board build {wanted.results} --out {there}', then publish"
                )
        own = own_files(there)
        # What no record is behind, such as the figures of a study; the site is made for where its records lie now.
        further = {name: path for name, path in files_below(there).items() if name not in {*told, *own}}
        for name, path in further.items():
            if not name.startswith(f"{WITH_TEXTS}/"):
                target = made.folder / BOARD / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
        if any(name.startswith(f"{WITH_TEXTS}/") for name in further):
            made.notes.append(f"{there / WITH_TEXTS} holds texts of the pool and was left out")
    write_site(board, made.folder / RECORDS, made.folder / BOARD)
    return board.sort_metric, board.num_resamples


def _records(cells: list[Cell], store: Store | None) -> dict[str, Record]:
    """The records of all steps that are still in the store, by room and key."""
    refs = sorted({f"{step.room}/{step.key}" for cell in cells for step in cell.steps})
    found = {ref: store.record_of(ref) for ref in refs} if store else {}
    return {ref: record for ref, record in found.items() if record is not None}


def _made_here(cell: Cell, store: Store) -> bool:
    """Whether the store holds the steps that this cell's numbers are from, and not another run's under the same keys.

    No two trainings take as long to the last digit; an untrained model is known by its values.
    """
    models = [store.find("model", step.key) for step in cell.steps if step.room == "model"]
    told = cell.cost.get("training")
    if cell.selection is not None:
        seconds = {record.ledger.wall_seconds for record in models if record is not None}
        return told is not None and told.wall_seconds in seconds
    values: list[Any] = [list(each) for metrics in cell.evaluations.values() for each in metrics.items.values()]
    values += [each for metrics in cell.evaluations.values() for each in metrics.numbers.values()]
    found = [store.find("evaluation", step.key) for step in cell.steps if step.room == "evaluation"]
    payloads: list[Any] = [record.payload for record in found if record is not None and record.payload]
    here = [value for told in payloads for value in (*told["items"].values(), *told.get("numbers", {}).values())]
    return bool(values) and all(each in here for each in values)


def _provenance(records: dict[str, Record], made: Gathered) -> None:
    """A line per step: what was hashed into its key, what it cost, and with what it was made."""
    lines, num_left_out = [], 0
    for ref, record in records.items():
        told = {
            "ref": ref,
            "identity": record.identity,
            "parents": record.payload.get("parents", {}),
            "status": record.status,
            "ledger": dataclasses.asdict(record.ledger),
            "provenance": record.provenance,
        }
        line = json.dumps(told, sort_keys=True, ensure_ascii=False, allow_nan=False)
        if next(places_in(line), None) is None:
            lines.append(line + "\n")
        else:
            num_left_out += 1
    if lines:
        made.write(STEPS, "".join(lines))
    if num_left_out:
        made.notes.append(f"the provenance of {num_left_out} steps names places on a machine and was left out")


def _selections(cells: list[Cell], store: Store | None, made: Gathered) -> None:
    """Ids of chosen rows in the order of choice, once per selection."""
    keys = {cell.selection.key: cell.selection.ids_hash for cell in cells if cell.selection is not None}
    found = 0
    for key, ids_hash in keys.items():
        file = store.folder_of(key) / "selection.json" if store and "/" in key else None
        if file is not None and file.is_file():
            ids = json.loads(file.read_text(encoding="utf-8"))["ids"]
            if key_of(ids) == ids_hash:
                made.write(f"{SELECTIONS}/{key.split('/')[-1]}.json", json_text({"ids_hash": ids_hash, "ids": ids}))
                found += 1
    if found < len(keys):
        made.notes.append(
            f"ids of {len(keys) - found} of {len(keys)} selections are not in the store; their positions and hashes are"
            " published all the same"
        )


def _rows(cells: list[Cell], store: Store | None, made: Gathered) -> None:
    """Text of the rows that somebody chose; a choice of the whole pool does not count."""
    from sftbench.positions import positions_from_text

    key = cells[0].pool.key
    if store is None or store.record_of(key) is None:
        raise UsageError("the rows of the pool are not in the store; name it with --store, or leave --with-rows away")
    pool = shelf.load_pool(store.folder_of(key), key)
    chosen: set[int] = set()
    for cell in cells:
        positions = cell.selection.positions if cell.selection is not None else None
        if cell.selection is not None and positions is not None and cell.selection.num_rows < len(pool):
            chosen.update(map(int, positions_from_text(positions, num_rows=len(pool))))
    places = sorted(chosen)
    made.write(ROWS, "".join(_row_lines(places, pool.take(places))))


def _row_lines(places: list[int], rows: Any) -> Iterator[str]:
    for position, row in zip(places, rows, strict=True):
        messages = [{"role": turn.role, "content": turn.content} for turn in row.messages]
        told = {"position": position, "id": row.id, "messages": messages}
        yield json.dumps(told, sort_keys=True, ensure_ascii=False) + "\n"


def _responses(cells: list[Cell], here: list[Cell], store: Store | None, made: Gathered) -> None:
    """The answers of every model, once per step that gave them."""
    if len(here) < sum(cell.status == "done" for cell in cells):
        raise UsageError("not all steps of this run are in the store; name it with --store, or leave the answers out")
    keys = sorted({step.key for cell in cells for step in cell.steps if step.room == "responses"})
    given = [key for key in keys if store is not None and _were_given(store, key)]
    if given:
        made.notes.append("answers that no model of the run gave are not the publisher's to pass on, and were left out")
    for key in keys:
        if key in given:
            continue
        file = store.folder("responses", key) / "responses.jsonl" if store else None
        if file is None or not file.is_file():
            raise UsageError(
                "answers of the models are not in the store; name it with --store, or leave --with-responses away"
            )
        made.write(f"{RESPONSES}/{key}.jsonl", file.read_text(encoding="utf-8"))


def _were_given(store: Store, key: str) -> bool:
    """Whether a step read the answers of a file, or of a benchmark, in place of having a model give them."""
    record = store.find("responses", key)
    return record is not None and "answers" in record.identity


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return path.read_bytes().decode("latin-1")
