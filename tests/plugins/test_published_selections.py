"""Scores on real rows of which published selections took some: lengths as given, and IFD where IFD chose."""

from __future__ import annotations

import gzip
import json

import pytest
from sklearn.metrics import roc_auc_score

import sftbench

pytestmark = [pytest.mark.reference, pytest.mark.slow]
NUM_OTHERS = 300


@pytest.fixture(scope="module")
def published(reference_data):
    folder = reference_data / "golden" / "real_labels"
    return folder, json.loads((folder / "expected.json").read_text())


def test_the_length_of_responses_ranks_published_choices_as_given(published, reference_data, tmp_path):
    folder, expected = published
    table = sftbench.score(
        "longest[unit=characters]",
        pool=str(folder / "input.jsonl.gz"),
        base=str(reference_data / "models" / "tiny-gpt2"),
        store=tmp_path,
    )
    assert len(table) == expected["n"]
    for name, chosen in expected["labels"].items():
        auc = roc_auc_score(table["id"].isin(chosen), table["score"])
        assert auc == pytest.approx(expected["auc_of_output_length_in_characters"][name], abs=1e-12)


def test_ifd_of_a_small_model_prefers_the_rows_that_cherry_chose_by_ifd(published, reference_data, tmp_path):
    folder, expected = published
    chosen = set(expected["labels"]["cherry_5pct"])
    with gzip.open(folder / "input.jsonl.gz", "rt", encoding="utf-8") as stream:
        rows = [json.loads(line) for line in stream]
    others = [row for row in rows if row["id"] not in chosen][:NUM_OTHERS]
    pool = tmp_path / "rows.jsonl"
    taken = [row for row in rows if row["id"] in chosen] + others
    pool.write_text("".join(json.dumps(row) + "\n" for row in taken), encoding="utf-8")
    table = sftbench.score(
        "ifd[variant=cherry]", pool=str(pool), lm=str(reference_data / "models" / "tiny-gpt2"), store=tmp_path / "store"
    )
    scored = table[table["score"].notna()]
    assert len(scored) > 0.9 * len(taken)
    # Chance has a standard deviation of 0.026 here.
    assert roc_auc_score(scored["id"].isin(chosen), scored["score"]) > 0.6
