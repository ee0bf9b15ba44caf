"""Published tables: every mean is computed anew, and what is wrong stays marked."""

from __future__ import annotations

import pytest

from sftbench.errors import UsageError
from sftbench.study.published import PublishedTable, check, published_tables, row_named

TABLES = published_tables()


def table(rows):
    about = {"table": "T", "about": "a", "base_model": "b", "pool": "p", "budget": "1", "unit": "points"}
    return PublishedTable.model_validate({**about, "columns": ["x", "y"], "rows": rows})


def test_the_tables_of_the_four_papers_are_there():
    papers = {each.source.arxiv or each.source.paper.partition(":")[0] for each in TABLES.values()}
    assert papers == {"2505.24768", "2506.19262", "2506.01317", "TokenTune"}


@pytest.mark.parametrize(
    ("reference", "mean", "flag"),
    [
        ("tokentune-components: w/o SD", 59.15, "E!"),
        ("tokentune-components: TokenTune", 60.28, "ok"),
        ("tokentune-budgets: 1% TokenTune", 58.34, "ok"),
        ("tokentune-budgets: 5% IFD", 55.14, "suspicious"),
        ("tokentune-yardsticks: Random", 56.41, "ok"),
        ("m2m-correlations: response length", 0.73, "ok"),
    ],
)
def test_a_mean_is_that_of_its_columns(reference, mean, flag):
    _, _, row = row_named(reference, TABLES)
    assert row.mean == pytest.approx(mean, abs=0.0055)
    assert row.flag == flag


def test_a_wrong_mean_that_is_not_flagged_is_refused():
    with pytest.raises(UsageError, match=r"its mean is 1\.50"):
        check(table({"r": {"values": [1, 2], "printed": 1.6}}), where="file")


def test_a_right_mean_that_is_flagged_is_refused():
    with pytest.raises(UsageError, match="flagged E!"):
        check(table({"r": {"values": [1, 2], "printed": 1.5, "flag": "E!"}}), where="file")


def test_a_row_of_another_width_is_refused():
    with pytest.raises(UsageError, match="3 values for 2 columns"):
        check(table({"r": {"values": [1, 2, 3]}}), where="file")


def test_every_number_comes_with_its_source():
    lines = [line for each in TABLES.values() for line in each.records()]
    assert len(lines) > 400
    for line in lines:
        assert line["paper_title"]
        assert line["table"]
        assert line["base_model"]
        assert line["pool"]
        assert line["budget"]
        assert line["provenance"] in ("paper", "secondary source")


def test_the_flag_of_a_wrong_mean_is_on_the_mean_and_not_on_its_columns():
    lines = [line for line in TABLES["tokentune-components"].records() if line["method"] == "w/o SD"]
    assert [line["metric"] for line in lines if line["flag"] == "E!"] == ["mean of columns"]
    (mean,) = [line for line in lines if line["metric"] == "mean of columns"]
    assert (mean["value"], mean["recomputed"]) == (59.06, 59.15)


def test_a_table_or_row_that_is_not_there_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'm2m-slopes'"):
        row_named("m2m-slope: x", TABLES)
    with pytest.raises(UsageError, match="micro-response"):
        row_named("m2m-slopes: micro-respons", TABLES)
