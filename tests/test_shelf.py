"""Rooms that were written down come back as they were."""

from __future__ import annotations

import numpy as np

from sftbench import Ragged, Scores
from sftbench.commands import score_table
from sftbench.shelf import load_scores, save_scores

LISTS = {
    "tags": Ragged.of([np.array(each, dtype=object) for each in (["a", "b"], [], ["c"])], dtype=object),
    "features": Ragged.of([np.array(each) for each in ([], [7, 8], [2**31 - 1])], dtype=np.int32),
    "none": Ragged(values=np.empty(0, dtype=object), offsets=np.zeros(4, dtype=np.int64)),
}


def scores():
    values = np.array([1.0, np.nan, 0.5])
    columns = {"plain": np.array([3, 4, 5]), **LISTS}
    return Scores(values=values, reasons={1: "empty_response"}, notes={2: "no_tags"}, columns=columns, report={"k": 1})


def test_scores_come_back_with_their_columns_of_numbers_and_of_lists(tmp_path):
    save_scores(scores(), ["x", "y", "z"], tmp_path)
    loaded = load_scores(tmp_path)
    np.testing.assert_array_equal(loaded.values, scores().values)
    assert (dict(loaded.reasons), dict(loaded.notes), dict(loaded.report)) == (
        {1: "empty_response"},
        {2: "no_tags"},
        {"k": 1},
    )
    assert loaded.columns["plain"].tolist() == [3, 4, 5]
    for name, lists in LISTS.items():
        assert isinstance(loaded.columns[name], Ragged)
        assert [each.tolist() for each in loaded.columns[name]] == [each.tolist() for each in lists]
    assert loaded.columns["features"].values.dtype == np.int32


def test_a_table_of_scores_shows_lists_as_lists(tmp_path):
    table = score_table(["x", "y", "z"], scores())
    assert table["tags"].tolist() == [["a", "b"], [], ["c"]]
    assert table["features"].tolist() == [[], [7, 8], [2**31 - 1]]
    table.to_parquet(tmp_path / "scores.parquet")
