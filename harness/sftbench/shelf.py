"""Rooms as files in a step's folder, and back: JSON, Parquet and safetensors."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sftbench.arrays import GrowingArray, load_arrays, save_arrays
from sftbench.rooms import Evaluation, Pool, Ragged, Responses, Scores, Selection, TrainedModel, Verdicts

if TYPE_CHECKING:
    import pyarrow

    from sftbench.roles import PassResult


POOL_ROWS = "rows.arrow"
UNPARSED = "unparsed.jsonl"
"""Answers of a language model that could not be read, a line each: for people, also where the step failed over them."""


def save_pool_form(pool: Pool, folder: Path) -> None:
    """The form of a pool, beside its rows."""
    _write_json(folder / "pool.json", {"form": pool.form})


def load_pool(folder: Path, key: str) -> Pool:
    """A pool, memory-mapped."""
    import datasets

    form = _read_json(folder / "pool.json")["form"]
    return Pool(dataset=datasets.Dataset.from_file(str(folder / POOL_ROWS)), key=key, form=form)


def save_scores(scores: Scores, ids: list[str], folder: Path) -> None:
    """`scores.parquet`: id, score, reason, note and the further columns; the report beside it."""
    import pyarrow
    import pyarrow.parquet

    count = range(len(ids))
    table = {
        "id": pyarrow.array(ids, pyarrow.string()),
        "score": pyarrow.array(scores.values, pyarrow.float64()),
        **{name: _arrow_column(values) for name, values in scores.columns.items()},
        "reason": pyarrow.array([scores.reasons.get(index) for index in count], pyarrow.string()),
        "note": pyarrow.array([scores.notes.get(index) for index in count], pyarrow.string()),
    }
    pyarrow.parquet.write_table(pyarrow.table(table), folder / "scores.parquet")
    _write_json(folder / "report.json", dict(scores.report))


def load_scores(folder: Path) -> Scores:
    """What `save_scores` wrote."""
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(folder / "scores.parquet")
    fixed = ("id", "score", "reason", "note")
    columns = {name: _numpy_column(table.column(name)) for name in table.column_names if name not in fixed}
    return Scores(
        values=table.column("score").to_numpy().astype(np.float64),
        reasons=_sparse(table.column("reason").to_pylist()),
        notes=_sparse(table.column("note").to_pylist()),
        columns=columns,
        report=_read_json(folder / "report.json"),
    )


def _arrow_column(values: npt.NDArray[Any] | Ragged) -> pyarrow.Array:
    import pyarrow

    if not isinstance(values, Ragged):
        return pyarrow.array(values)
    return pyarrow.LargeListArray.from_arrays(pyarrow.array(values.offsets), pyarrow.array(values.values))


def _numpy_column(column: pyarrow.ChunkedArray) -> npt.NDArray[Any] | Ragged:
    import pyarrow

    if not pyarrow.types.is_large_list(column.type):
        values: npt.NDArray[Any] = column.to_numpy()
        return values
    lists = pyarrow.concat_arrays(column.chunks) if column.num_chunks else pyarrow.array([], column.type)
    offsets = np.concatenate([[0], np.cumsum(lists.value_lengths().to_numpy(zero_copy_only=False))])
    return Ragged(values=lists.flatten().to_numpy(zero_copy_only=False), offsets=offsets.astype(np.int64))


def save_selection(selection: Selection, folder: Path) -> None:
    """`selection.json`, with `scores` and `token_labels` in safetensors when there are any."""
    _write_json(
        folder / "selection.json",
        {"ids": list(selection.ids), "status": selection.status, "report": dict(selection.report)},
    )
    arrays: dict[str, npt.NDArray[Any]] = {}
    if selection.scores is not None:
        arrays["scores"] = np.asarray(selection.scores, dtype=np.float64)
    if selection.token_labels is not None:
        arrays["token_labels"] = selection.token_labels.values.astype(np.uint8)
        arrays["token_offsets"] = selection.token_labels.offsets
    save_arrays(arrays, folder / "selection.safetensors")


def load_selection(folder: Path) -> Selection:
    """What `save_selection` wrote."""
    about = _read_json(folder / "selection.json")
    arrays = load_arrays(folder / "selection.safetensors")
    labels = None
    if "token_labels" in arrays:
        labels = Ragged(values=arrays["token_labels"], offsets=arrays["token_offsets"])
    return Selection(
        ids=tuple(about["ids"]),
        scores=arrays.get("scores"),
        token_labels=labels,
        status=about["status"],
        report=about["report"],
    )


def save_pass(
    stream: Iterable[Mapping[str, npt.NDArray[np.float32]]],
    reasons: Mapping[int, str],
    notes: Mapping[int, str],
    folder: Path,
    *,
    num_rows: int,
    statistics: Sequence[str],
) -> None:
    """One file per statistic, float32 and ragged, with the rows that have none and why.

    Rows come by and are written, none is held. `reasons` and `notes` are read once the last has come.
    """
    offsets = np.zeros(num_rows + 1, dtype=np.int64)
    with ExitStack() as stack:
        files = {
            name: stack.enter_context(
                GrowingArray(folder / f"{name}.safetensors", name="values", beside={"offsets": offsets})
            )
            for name in statistics
        }
        for file in files.values():
            file.append(np.empty(0, dtype=np.float32))
        for row, found in enumerate(stream, start=1):
            for name, file in files.items():
                file.append(np.asarray(found[name], dtype=np.float32))
            offsets[row] = file.num_rows
    _write_json(
        folder / "rows.json",
        {"reasons": {str(k): v for k, v in reasons.items()}, "notes": {str(k): v for k, v in notes.items()}},
    )


def load_pass(folder: Path, statistic: str) -> PassResult:
    """One statistic of a pass."""
    from sftbench.roles import PassResult

    about = _read_json(folder / "rows.json")
    arrays = load_arrays(folder / f"{statistic}.safetensors")
    return PassResult(
        values=Ragged(values=arrays["values"], offsets=arrays["offsets"]),
        reasons={int(index): reason for index, reason in about["reasons"].items()},
        notes={int(index): note for index, note in about["notes"].items()},
    )


def save_model(model: TrainedModel, folder: Path) -> None:
    """The report of a training; the weights are in the folder already. Where the base lies is not kept."""
    is_adapter = model.base_path is not None
    _write_json(folder / "trained.json", {"path": model.path.name, "adapter": is_adapter, "report": dict(model.report)})


def load_model(folder: Path, base: Path) -> TrainedModel:
    """Where a trained model lies; `base` is where its base model lies now."""
    about = _read_json(folder / "trained.json")
    return TrainedModel(
        path=folder / about["path"], base_path=base if about["adapter"] else None, report=about["report"]
    )


def save_responses(responses: Responses, folder: Path) -> None:
    """One JSON line per held-out row."""
    earlier = ({"earlier": responses.earlier[each]} if each in responses.earlier else {} for each in responses.ids)
    lines = (
        json.dumps({"id": row_id, "response": text, **more}, ensure_ascii=False)
        for row_id, text, more in zip(responses.ids, responses.texts, earlier, strict=True)
    )
    (folder / "responses.jsonl").write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def load_responses(folder: Path) -> Responses:
    """What `save_responses` wrote."""
    text = (folder / "responses.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.split("\n") if line]
    return Responses(
        ids=tuple(row["id"] for row in rows),
        texts=tuple(row["response"] for row in rows),
        earlier={row["id"]: tuple(row["earlier"]) for row in rows if row.get("earlier")},
    )


def evaluation_json(evaluation: Evaluation) -> dict[str, Any]:
    """An evaluation as the records hold it; a failed item, or number, is null."""
    told = zip(evaluation.numbers, numbers_or_null(np.array([*evaluation.numbers.values()])), strict=True)
    items = {metric: numbers_or_null(values) for metric, values in evaluation.items.items()}
    return {
        "ids": list(evaluation.ids),
        "items": items,
        "bigger_is_better": dict(evaluation.bigger_is_better),
        "report": dict(evaluation.report),
        **({"ids_of": {metric: list(ids) for metric, ids in evaluation.ids_of.items()}} if evaluation.ids_of else {}),
        **({"numbers": dict(told)} if evaluation.numbers else {}),
    }


def verdicts_json(verdicts: Verdicts) -> dict[str, Any]:
    """Verdicts as the records hold them; a failed item is null."""
    return {
        "ids": list(verdicts.ids),
        "preference": numbers_or_null(verdicts.preference),
        "columns": {name: list(values) for name, values in verdicts.columns.items()},
        "report": dict(verdicts.report),
    }


def verdicts_of(payload: Mapping[str, Any]) -> Verdicts:
    """What `verdicts_json` wrote; a failed item is NaN."""
    preference = np.array([np.nan if each is None else each for each in payload["preference"]], dtype=np.float64)
    return Verdicts(
        ids=tuple(payload["ids"]), preference=preference, columns=payload["columns"], report=payload["report"]
    )


def numbers_or_null(values: npt.NDArray[np.float64]) -> list[float | None]:
    """JSON has no NaN: a number that is not finite becomes null."""
    return [float(value) if np.isfinite(value) else None for value in np.asarray(values, dtype=np.float64)]


def _sparse(values: list[str | None]) -> dict[int, str]:
    return {index: value for index, value in enumerate(values) if value is not None}


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True), encoding="utf-8")


def _read_json(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded
