"""From records to tables, figures and text: the numbers are those of the records, and the same bytes come out again."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from sftbench.errors import EnvironmentProblem
from sftbench.study import figures
from sftbench.study.published import published_differences
from sftbench.study.report import analyse, write_report

METRICS = ["length", "entropy", "self-bleu"]


def read(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_slope_is_that_of_its_trials(levels, study_of, tmp_path):
    study = study_of(series=[
        {"name": "micro", "methods": "micro-response[level=0|50|100]", "published": ["m2m-slopes: micro-response"]},
        {"name": "random", "methods": "random"},
    ])  # fmt: skip
    findings = analyse(study, levels.folder)
    trials = [each for each in findings.trials if each.series == "micro"]
    slope = np.polyfit([each.x for each in trials], [each.performance["exact-match"] for each in trials], 1)[0]
    (row,) = findings.tables["slopes"]
    assert row["least_squares_slope"] == pytest.approx(100 * slope, rel=1e-4)
    assert row["slope"] == pytest.approx(100 * slope, rel=0.05)
    assert row["num_trials"] == 9
    assert row["published"] == "5.35 (10K); 6.68 (20K); 10.06 (30K)"
    assert "Llama-2-7B" in row["published_source"]
    assert row["unit"] == "points per 100 of level, %"


def test_every_trial_is_told_with_all_that_was_measured_on_its_rows(levels, study_of):
    rows = analyse(study_of(), levels.folder).tables["trials"]
    assert len(rows) == 12
    first = next(row for row in rows if row["method"] == "micro-response[level=50]" and row["seed"] == 1)
    assert first["x"] == 50
    assert first["exact-match"] == pytest.approx(100 * round(first["exact-match"] * 0.6) / 60, abs=1e-3)
    assert set(first) >= {"response:length", "response:entropy", "response:self-bleu"}
    assert [row["x"] for row in rows if row["series"] == "random"] == [None] * 3


def test_correlations_are_over_the_sets_of_each_component(levels, study_of):
    findings = analyse(study_of(analyses=["correlation"], correlated=METRICS), levels.folder)
    rows = {(row["first"], row["second"]): row for row in findings.tables["correlations"]}
    pair = rows["response:entropy", "exact-match"]
    assert pair["num_sets"] == 12
    assert pair["r"] > 0.8
    assert pair["low"] > 0
    assert rows["response:self-bleu", "exact-match"]["r"] < -0.8
    assert rows["response:self-bleu", "exact-match"]["num_sets"] == 9


def test_a_difference_is_paired_with_the_method_that_others_are_held_against(records, study_of):
    for seed, right in enumerate((20, 30, 40)):
        records.add("tshirt", seed=seed, right=right)
        records.add("tshirt[sifd_off=true]", seed=seed, right=right - 6)
    study = study_of(
        x=None, analyses=["ablation"], compare_with="both", published=["tshirt-components"],
        series=[
            {"name": "both", "methods": "tshirt", "published": ["tshirt-components: both"]},
            {"name": "hierarchical only", "methods": "tshirt[sifd_off=true]",
             "published": ["tshirt-components: hierarchical only"]},
        ],
    )  # fmt: skip
    rows = {row["series"]: row for row in analyse(study, records.folder).tables["estimates"]}
    assert rows["both"]["mean"] == pytest.approx(50)
    assert rows["both"]["difference_mean"] is None
    other = rows["hierarchical only"]
    assert other["difference_mean"] == pytest.approx(-10)
    # The same 6 of 60 items are lost under every seed: seeds differ much, the difference hardly.
    assert other["difference_high"] < 0
    assert other["difference_high"] - other["difference_low"] < 0.6 * (other["high"] - other["low"])
    assert other["published"] == "60.84 (Llama-3.1-8B); 70.78 (Qwen-2.5-7B)"
    assert published_differences(study)["hierarchical only"] == pytest.approx((60.84 + 70.78 - 60.91 - 70.91) / 2)


def test_what_is_flagged_is_struck_through_and_enters_no_difference(records, study_of, tmp_path):
    for seed in range(3):
        records.add("tokentune", seed=seed, right=30)
        records.add("tokentune[no_sd=true]", seed=seed, right=28)
    study = study_of(
        x=None, analyses=["ablation"], compare_with="TokenTune", published=["tokentune-components"],
        series=[
            {"name": "TokenTune", "methods": "tokentune", "published": ["tokentune-components: TokenTune"]},
            {"name": "w/o SD", "methods": "tokentune[no_sd=true]", "published": ["tokentune-components: w/o SD"]},
        ],
    )  # fmt: skip
    assert published_differences(study) == {}
    write_report(study, analyse(study, records.folder), tmp_path / "out", draw=False)
    text = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "~~59.06~~ 59.15" in text
    assert "59.15 (printed 59.06) (E!)" in text
    assert "E!" in {row["flag"] for row in read(tmp_path / "out" / "published.csv")}


@pytest.mark.parametrize(
    ("budgets", "places", "label"),
    [
        (["30", "60"], [30, 60], "budget, rows"),
        (["2.5%", "5%"], [2.5, 5], "budget, % of the pool"),
        (["1k tokens"], [1000], "budget, response tokens"),
        (["2e15 flops+selection"], [2e15], "budget, FLOPs, choosing included"),
        (["600s"], [600], "budget, device-seconds"),
    ],
)
def test_the_axis_may_be_the_budget_and_is_labelled_by_its_unit(records, study_of, budgets, places, label):
    for budget in budgets:
        records.add("random", right=20, budget=budget)
    series = [{"name": "r", "methods": "random"}]
    study = study_of(x={"of": "budget", "label": "budget, rows"}, analyses=["sweep", "regression"], series=series)
    findings = analyse(study, records.folder)
    assert sorted(each.x for each in findings.trials) == pytest.approx(places)
    assert findings.axis.label == label
    assert {row["unit"] for row in findings.tables["slopes"]} == {f"points per 1 of {label}"}


def test_the_figure_of_a_sweep_has_the_unit_of_its_budgets(records, study_of, tmp_path):
    pytest.importorskip("matplotlib")
    for budget in ("2.5%", "5%"):
        records.add("random", right=20, budget=budget)
    study = study_of(x={"of": "budget"}, analyses=["sweep"], series=[{"name": "r", "methods": "random"}])
    write_report(study, analyse(study, records.folder), tmp_path)
    assert b"<!-- budget, % of the pool -->" in (tmp_path / "sweep-exact-match.svg").read_bytes()
    assert "along budget, % of the pool" in (tmp_path / "README.md").read_text(encoding="utf-8")


def test_the_axis_may_be_a_measured_diversity(levels, study_of):
    study = study_of(x={"of": "response:entropy", "label": "entropy, nats", "step": 0.1})
    findings = analyse(study, levels.folder)
    assert all(each.x == each.diversity["response:entropy"] for each in findings.trials)
    # Seven points or more lie on the axis now, those of the random choice among them.
    assert {row["series"]: row["num_trials"] for row in findings.tables["slopes"]} == {"micro": 9, "random": 3}


def test_a_report_has_tables_figures_and_text_and_is_the_same_again(levels, study_of, tmp_path):
    pytest.importorskip("matplotlib")
    study = study_of(
        analyses=["regression", "correlation", "sweep", "ablation"], correlated=METRICS, compare_with="random",
        published=["m2m-slopes"], notes=["A remark.", "Left out: nothing."],
    )  # fmt: skip
    for name in ("once", "again"):
        write_report(study, analyse(study, levels.folder), tmp_path / name)
    once = {path.name: path.read_bytes() for path in sorted((tmp_path / "once").iterdir())}
    assert once == {path.name: path.read_bytes() for path in sorted((tmp_path / "again").iterdir())}
    tables = {"slopes.csv", "estimates.csv", "correlations.csv", "trials.csv", "published.csv"}
    drawn = {f"{name}.{form}" for name in ("regression-exact-match", "sweep-exact-match", "ablation-exact-match",
                                          "correlation-response") for form in ("svg", "png")}  # fmt: skip
    assert set(once) == {"README.md", *tables, *drawn}
    assert once["regression-exact-match.png"][:4] == b"\x89PNG"
    assert b"level, %" in once["regression-exact-match.svg"]
    text = once["README.md"].decode()
    for part in ("A remark.", "Left out: nothing.", "regression-exact-match.svg", "## Slopes", "10.06", "P(slope > 0)"):
        assert part in text


def test_budgets_come_by_their_size(records, study_of, tmp_path):
    for budget in ("10%", "2.5%", "5%"):
        records.add("random", right=20, budget=budget)
    study = study_of(x={"of": "budget"}, analyses=["sweep"], series=[{"name": "r", "methods": "random"}])
    findings = analyse(study, records.folder)
    assert [row["budget"] for row in findings.tables["estimates"]] == ["2.5%", "5%", "10%"]
    write_report(study, findings, tmp_path, draw=False)
    assert "budget 2.5%, 5%, 10%;" in (tmp_path / "README.md").read_text(encoding="utf-8")


def test_failed_cells_are_told_and_are_in_no_table(levels, study_of, tmp_path):
    levels.add("micro-response[level=50]", seed=7, right=0, status="failed")
    findings = analyse(study_of(), levels.folder)
    assert len(findings.trials) == 12
    write_report(study_of(), findings, tmp_path / "out", draw=False)
    assert "1 cell failed" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")


def test_a_diversity_that_could_not_be_measured_is_told(levels, study_of, tmp_path):
    levels.add("micro-response[level=50]", seed=7, right=30, undescribed="no token")
    findings = analyse(study_of(), levels.folder)
    assert len(findings.trials) == 13
    write_report(study_of(), findings, tmp_path / "out", draw=False)
    text = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "could not be measured for micro-response[level=50] (ValueError: no token)" in text


def test_cells_that_are_not_of_the_study_are_left_alone(levels, study_of):
    levels.add("longest", right=50)
    assert len(analyse(study_of(), levels.folder).trials) == 12


def test_a_metric_that_no_cell_has_is_told_and_left_out(levels, study_of, tmp_path):
    pytest.importorskip("matplotlib")
    performance = [
        {"metric": "win-rate", "label": "win rate", "unit": "points"},
        {"metric": "exact-match", "label": "exact match", "unit": "points", "times": 100},
    ]
    analyses = {"analyses": ["regression", "correlation", "sweep"], "correlated": METRICS}
    findings = analyse(study_of(performance=performance, **analyses), levels.folder)
    assert findings.tables == analyse(study_of(**analyses), levels.folder).tables
    write_report(study_of(performance=performance, **analyses), findings, tmp_path)
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "No finished cell has this metric, so nothing is told of it: win-rate." in text
    assert not list(tmp_path.glob("*win-rate*"))


def test_figures_without_the_library_are_refused_before_any_work(monkeypatch):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EnvironmentProblem, match="--no-figures"):
        figures.require_drawing()
