"""Study files: those that come with the package, and those that are refused."""

from __future__ import annotations

import pytest

from sftbench.board.cells import Diversity
from sftbench.errors import UsageError
from sftbench.settings import RunSettings
from sftbench.study.definition import load_study, shipped
from sftbench.study.grid import written_out
from sftbench.study.published import published_tables, row_named, table_named

NAMES = ("budget-sweep", "generated-diversity", "m2m-levels", "mixing", "tokentune-ablation", "tshirt-ablation")


def test_the_six_studies_come_with_the_package():
    assert set(NAMES) <= set(shipped())


@pytest.mark.parametrize("name", sorted(shipped()))
def test_a_shipped_study_fits_together(name):
    study, tables = load_study(name), published_tables()
    assert study.name == name
    assert all(each.name in ("random",) or written_out(text) for each in study.series for text in each.methods)
    assert set(study.run) <= set(RunSettings.model_fields)
    for table in study.published:
        assert table_named(table, tables)
    for series in study.series:
        for reference in series.published:
            table, _, _ = row_named(reference, tables)
            assert table.name in study.published, "a number that stands beside a measured one is shown with its table"


def test_a_study_is_found_by_name_and_by_file(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(shipped()["mixing"].read_text(encoding="utf-8"), encoding="utf-8")
    assert load_study(str(path)).name == "mine"
    assert load_study("mixing").series == load_study(str(path)).series


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'm2m-levels'"):
        load_study("m2m-level")


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"analyses": ["regresion"]}, "analyses"),
        ({"x": None}, "need an axis"),
        ({"x": {"of": "level"}}, "needs a label"),
        ({"analyses": ["ablation"]}, "compare_with"),
        ({"analyses": ["correlation"]}, "correlated"),
        ({"run": {"methods": "ifd"}}, "series, not in run"),
        ({"series": []}, "series"),
        ({"series": [{"name": "a", "methods": "x"}, {"name": "a", "methods": "y"}]}, "one name"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(study_of, change, part):
    with pytest.raises(UsageError, match=part):
        study_of(**change)


@pytest.mark.parametrize("text", ["- a list", "about: [", ""])
def test_a_file_that_holds_no_study_is_refused(tmp_path, text):
    path = tmp_path / "bad.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match="bad"):
        load_study(str(path))


def test_correlated_metrics_are_metrics_that_are_measured():
    """Names in the shipped files against those that the measuring gives."""
    import numpy as np

    from sftbench.diversity.corpus import Words, corpus_of
    from sftbench.diversity.describe import Side, describe
    from sftbench.diversity.entropy import TypeCounts

    texts = [f"a{number} b c{number % 3} d e" for number in range(9)]
    corpus = corpus_of(texts, tokenize=Words())
    side = Side(corpus=corpus, vectors=np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32))
    known = {each.metric for each in describe(side, pool=TypeCounts.of(corpus.tokens), real=side)}
    for name in shipped():
        study = load_study(name)
        assert set(study.correlated) <= known
        if study.x is not None and ":" in study.x.of:
            assert study.x.of.partition(":")[2] in known
    assert {"metric", "value", "note"} <= set(Diversity.__dataclass_fields__)
