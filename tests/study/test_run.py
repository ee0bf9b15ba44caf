"""What a study cannot come to is refused while it is planned, before any step."""

from __future__ import annotations

import pytest

from sftbench import plugins
from sftbench.errors import UsageError
from sftbench.study.run import plan_study


@pytest.fixture(scope="module")
def found():
    return plugins.load()


@pytest.fixture
def planned(found, study_of, material):
    """Plans a study of two methods on the trial material."""

    def plan(flags=None, *, performance="exact-match", methods=("longest", "random"), **about):
        own = {
            "pool": str(material.pool),
            "base": str(material.model),
            "embedder": "minilm",
            "controls": "none",
            "budget": ["5"],
        }
        study = study_of(
            series=[{"name": name, "methods": name} for name in methods], analyses=["sweep"],
            performance=[{"metric": performance, "label": "performance", "unit": "points"}],
            **{"x": {"of": "budget", "label": "budget"}, **about},
        )  # fmt: skip
        return plan_study(study, {**own, **(flags or {})}, found, draw=False)

    return plan


@pytest.mark.parametrize(
    ("about", "part"),
    [
        ({"performance": "exact-mach"}, "did you mean 'exact-match'"),
        ({"performance": "nll", "flags": {"evals": "exact-match"}}, "--evals exact-match"),
        ({"performance": "win-rate", "flags": {"judge": "none"}}, "a judge"),
        ({"performance": "win-rate", "methods": ("longest",)}, "'random'"),
    ],
)
def test_a_metric_that_nothing_in_the_run_measures_is_refused(planned, about, part):
    with pytest.raises(UsageError, match=part):
        planned(**about)


@pytest.mark.parametrize("metric", ["nll", "exact-match", "win-rate"])
def test_what_evaluators_and_judge_measure_is_planned(planned, metric):
    planned_run, _, remarks = planned(performance=metric)
    assert len(planned_run.plan.cells) == 6
    assert remarks == []


@pytest.mark.parametrize("budget", ["5,10%", "1e9 flops,1e9 flops+selection"])
def test_budgets_of_several_units_are_refused_as_an_axis(planned, budget):
    with pytest.raises(UsageError, match="one unit"):
        planned({"budget": budget})
    assert planned({"budget": budget}, x={"of": "level", "label": "level"})


def test_an_evaluator_may_list_its_metrics(planned, found, monkeypatch):
    monkeypatch.setattr(found.part_class("evaluator", "nll"), "metrics", ("f_1", "recall"), raising=False)
    assert planned(performance="f-1")
    with pytest.raises(UsageError, match="'nll'"):
        planned(performance="nll")
