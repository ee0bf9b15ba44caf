"""Figures of records that have little to show, several budgets, or points on one place of the axis."""

from __future__ import annotations

import pytest

from sftbench.study import drawing
from sftbench.study.report import analyse, write_report

pytest.importorskip("matplotlib")
PARTS = [{"name": "both", "methods": "tshirt"}, {"name": "one", "methods": ["tshirt[k=50]", "tshirt[k=75]"]}]


@pytest.fixture
def reported(records, study_of, tmp_path):
    """The report of a study of the records, as its files."""

    def report(**about):
        study = study_of(**about)
        write_report(study, analyse(study, records.folder), tmp_path / "out")
        return {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}

    return report


def test_where_nothing_has_a_place_on_the_axis_there_is_a_report_without_figures(records, reported):
    for seed in range(3):
        records.add("random", right=20 + seed, seed=seed)
    found = reported(analyses=["regression", "sweep"])
    assert b"3 trials" in found["README.md"]
    assert not [name for name in found if name.endswith((".svg", ".png"))]


def test_two_methods_on_one_place_of_the_axis_are_drawn(records, reported):
    for right, label in enumerate(("topics[share=0]", "topics[share=1,mixing=additive]", "topics[share=1]")):
        records.add(label, right=right)
    series = [{"name": "topics", "methods": ["topics[share=0|1]", "topics[share=0|1,mixing=additive]"]}]
    found = reported(series=series, analyses=["sweep"], x={"of": "share", "label": "share"})
    assert {"sweep-exact-match.svg", "sweep-exact-match.png"} <= set(found)


@pytest.mark.parametrize("analysis", ["regression", "sweep", "ablation"])
def test_each_of_several_budgets_has_a_figure_that_names_it(levels, reported, analysis):
    for seed in range(3):
        for place, level in enumerate((0, 50, 100)):
            levels.add(f"micro-response[level={level}]", right=40 + place + seed, seed=seed, budget="5%")
        levels.add("random", right=30, seed=seed, budget="5%")
    found = reported(analyses=[analysis], compare_with="random")
    first, second = (found[f"{analysis}-exact-match-{budget}.svg"] for budget in ("60", "5pct"))
    assert first != second
    text = found["README.md"].decode()
    assert all(f", {budget}\n\n![" in text for budget in ("60", "5%"))


def test_budgets_on_the_axis_share_a_figure(records, reported):
    for budget in ("30", "60", "120"):
        records.add("random", right=20, budget=budget)
    found = reported(series=[{"name": "random", "methods": "random"}], analyses=["sweep"],
                     x={"of": "budget", "label": "budget"})  # fmt: skip
    assert {name for name in found if name.endswith(".svg")} == {"sweep-exact-match.svg"}


def test_an_ablation_has_a_row_for_every_method_of_a_series(records, reported):
    for seed in range(3):
        for label, right in (("tshirt", 30), ("tshirt[k=50]", 25), ("tshirt[k=75]", 20)):
            records.add(label, right=right, seed=seed)
    found = reported(series=PARTS, analyses=["ablation"], x=None, compare_with="both")
    drawn = found["ablation-exact-match.svg"].decode()
    assert "<!-- tshirt[k=50] -->" in drawn
    assert "<!-- tshirt[k=75] -->" in drawn


def test_an_ablation_without_its_reference_has_no_figure(records, reported):
    records.add("tshirt[k=50]", right=20)
    found = reported(series=PARTS, analyses=["ablation"], x=None, compare_with="both")
    assert "README.md" in found
    assert not [name for name in found if name.endswith(".svg")]


def test_a_place_that_each_seed_has_of_its_own_is_their_mean(levels, study_of):
    study = study_of(x={"of": "response:entropy", "label": "entropy"}, analyses=["sweep"])
    trials = analyse(study, levels.folder).trials
    mine = [each.x for each in trials if each.label == "random"]
    found = drawing.places(trials)
    assert found["random", "60"] == pytest.approx(sum(mine) / 3)
    assert len(found) == 4


def test_the_text_is_there_when_drawing_fails(levels, study_of, tmp_path, monkeypatch):
    def broken(*shown):
        raise OSError("no font")

    monkeypatch.setattr("sftbench.study.figures.draw_sweep", broken)
    study = study_of(analyses=["sweep"])
    with pytest.raises(OSError, match="no font"):
        write_report(study, analyse(study, levels.folder), tmp_path)
    assert "Means and differences" in (tmp_path / "README.md").read_text(encoding="utf-8")
