"""Figures of records that have little to show, several budgets, or points on one place of the axis."""

from __future__ import annotations

import pytest

from sftbench.study import drawing, figures
from sftbench.study.correlation import Correlation
from sftbench.study.definition import Axis
from sftbench.study.regression import Line
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
    assert [b"<!-- budget 60 -->" in first, b"<!-- budget 5% -->" in second] == [True, True]
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


@pytest.mark.parametrize(
    ("slope", "sd", "p", "told"),
    [
        (15.04, 0.79, 0.99999, "+15.04 ± 0.79 per 1, P(slope > 0) > 0.99"),
        (-2.18, 12.3, 0.43, "-2 ± 12 per 1, P(slope > 0) = 0.43"),
        (-0.00128, 0.00181, 0.001, "-0.0013 ± 0.0018 per 1, P(slope > 0) < 0.01"),
        (2e-12, 1e-12, 0.98, "+2e-12 ± 1e-12 per 1, P(slope > 0) = 0.98"),
    ],
)
def test_a_slope_is_told_to_two_digits_of_its_error(slope, sd, p, told):
    line = Line(num=9, x_mean=0.0, y_mean=0.0, slope=slope, sd=sd, p_positive=p, noise=1.0)
    assert figures._slope(line, Axis(of="level", label="level")) == told


def test_no_two_lines_of_a_sweep_look_the_same():
    looks = [figures._look(number) for number in range(49)]
    assert len({(each["color"], each["marker"]) for each in looks}) == 49


def test_a_correlation_that_rounds_to_nothing_has_no_sign(tmp_path):
    about = {"num_sets": 9, "low": -0.1, "high": 0.1, "partial": 0.0, "partial_low": 0.0, "partial_high": 0.0}
    found = [Correlation(first="length", second="nll", r=-0.004, **about)]
    figures.draw_correlations("response", found, ["length", "nll"], tmp_path, "drawn")
    drawn = (tmp_path / "drawn.svg").read_text(encoding="utf-8")
    assert "<!-- 0.00 -->" in drawn
    assert "<!-- -0.00 -->" not in drawn


def test_the_places_of_a_sweep_are_its_ticks(records, reported):
    for right, share in enumerate(("0", "0.1", "0.4", "1")):
        records.add(f"topics[share={share}]", right=right)
    series = [{"name": "topics", "methods": "topics[share=0|0.1|0.4|1]"}]
    drawn = reported(series=series, analyses=["sweep"], x={"of": "share", "label": "share"})["sweep-exact-match.svg"]
    assert all(f"<!-- {share} -->".encode() in drawn for share in ("0", "0.1", "0.4", "1"))
    assert b"<!-- 0.2 -->" not in drawn
