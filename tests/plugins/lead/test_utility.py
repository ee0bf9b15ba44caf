"""Utilities by hand: the mixture of two steps, what it predicts, and the smoothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sftbench_plugins.lead.utility import Utilities, best_mixture, predicted_drop

DROP = st.floats(0.001, 5)


def one(value: float) -> np.ndarray:
    return np.array([value])


@given(DROP, DROP, st.floats(-1, 0.95))
def test_the_best_mixture_minimises_the_prediction(earlier: float, latest: float, cosine: float) -> None:
    beta = float(best_mixture(one(earlier), one(latest), cosine=one(cosine))[0])

    def predicted(at: float) -> float:
        shared = (earlier * latest) ** 0.5 * cosine
        return at**2 * earlier + (1 - at) ** 2 * latest + 2 * at * (1 - at) * shared

    assert predicted(beta) == pytest.approx(
        float(predicted_drop(one(earlier), one(latest), cosine=one(cosine), beta=one(beta))[0])
    )
    for step in (-0.5, -0.01, 0.01, 0.5):
        assert predicted(beta) <= predicted(beta + step) + 1e-9


def test_where_any_mixture_is_alike_it_is_half() -> None:
    assert best_mixture(np.array([0.0, 2.0]), np.array([0.0, 2.0]), cosine=np.array([0.3, 1.0])).tolist() == [0.5, 0.5]


def test_the_first_visit_expects_the_drop_it_saw_again() -> None:
    made = Utilities(values=np.array([2.0, 3.0]))
    fell = made.update(np.array([0]), np.array([1.5]))
    assert made.values.tolist() == pytest.approx([0.9 * (1.5 - 0.5) + 0.1 * 2.0, 3.0])
    assert fell == pytest.approx(2.0 - made.values[0])


def test_later_visits_mix_the_last_two_drops() -> None:
    made = Utilities(values=np.array([2.0]), smoothing=0.2)
    rows = np.array([0])
    made.update(rows, np.array([1.4]))
    first = 0.8 * (1.4 - 0.6) + 0.2 * 2.0
    assert made.values[0] == pytest.approx(first)
    made.update(rows, np.array([1.2]))
    # Drops 0.6 and 0.2 at a right angle: beta = 0.2 / 0.8, and the prediction is 0.6 * 0.2 / 0.8.
    assert made.values[0] == pytest.approx(0.8 * (1.2 - 0.15) + 0.2 * first)


def test_the_weights_change_places_when_asked() -> None:
    made = Utilities(values=np.array([2.0]), weigh="present")
    made.update(np.array([0]), np.array([1.5]))
    assert made.values[0] == pytest.approx(0.1 * (1.5 - 0.5) + 0.9 * 2.0)


def test_a_loss_that_rose_predicts_no_drop() -> None:
    made = Utilities(values=np.array([1.0]))
    made.update(np.array([0]), np.array([1.5]))
    assert made.values[0] == pytest.approx(0.9 * 1.5 + 0.1 * 1.0)
    made.update(np.array([0]), np.array([1.7]))
    assert np.isfinite(made.values[0])


def test_with_aligned_steps_nothing_is_predicted_once_two_drops_are_known() -> None:
    made = Utilities(values=np.array([2.0]), cosine=1.0)
    made.update(np.array([0]), np.array([1.5]))
    before = made.values[0]
    made.update(np.array([0]), np.array([1.4]))
    assert made.values[0] == pytest.approx(0.9 * 1.4 + 0.1 * before)


def test_a_loss_that_is_no_number_sets_a_row_aside_and_leaves_the_others() -> None:
    made = Utilities(values=np.array([2.0, 2.0]))
    fell = made.update(np.array([0, 1]), np.array([np.nan, 1.0]))
    assert np.isnan(made.values[0])
    assert np.isfinite(made.values[1])
    assert fell == pytest.approx(2.0 - made.values[1])
    assert made.update(np.array([1]), np.array([np.inf])) == 0.0
