"""The scorer of topics: rows without text, without a finite vector, and beyond the sample."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from sftbench import Pool, Scores
from sftbench_plugins.m2m.topics import Topics

MakePool = Callable[[Sequence[tuple[str, str]]], Pool]


class Desk:
    def __init__(self, vectors: npt.NDArray[np.float32]) -> None:
        self.vectors = vectors

    def embedded(self, component: str) -> npt.NDArray[np.float32]:
        assert component == "response"
        return self.vectors

    def progress(self, total: int, unit: str) -> Any:
        return nullcontext(self)

    def advance(self, amount: int = 1) -> None: ...


@pytest.fixture
def vectors() -> npt.NDArray[np.float32]:
    """Rows 0, 2, ... point one way, the others another."""
    draw = np.random.default_rng(2)
    made = np.eye(2, 8)[np.arange(80) % 2] + 0.05 * draw.normal(size=(80, 8))
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def score(make_pool: MakePool, vectors: npt.NDArray[np.float32]) -> Callable[..., Scores]:
    def scored(texts: Sequence[str] | None = None, **parameters: Any) -> Scores:
        texts = texts or [f"text {row}" for row in range(len(vectors))]
        given = {"component": "response", "reduction": "pca", "min_topic_size": 8, **parameters}
        return Topics(**given).score(make_pool([("say", text) for text in texts]), Desk(vectors))  # type: ignore[arg-type]

    return scored


def test_rows_have_the_topic_of_their_group_and_the_cosine_to_its_centre(score: Callable[..., Scores]) -> None:
    scores = score()
    topics = scores.columns["topic"]
    assert isinstance(topics, np.ndarray)
    assert len(set(topics[::2])) == len(set(topics[1::2])) == 1
    assert set(topics) == {0, 1}
    assert ((scores.values > 0.9) & (scores.values <= 1 + 1e-6)).all()
    assert scores.report["num_topics"] == 2


def test_a_row_without_text_has_no_topic_and_one_without_a_finite_vector_is_an_outlier(
    score: Callable[..., Scores], vectors: npt.NDArray[np.float32]
) -> None:
    plain = score().columns["topic"]
    vectors[5, 1] = np.nan
    vectors[9] = np.inf
    scores = score([" \n" if row == 3 else f"text {row}" for row in range(80)])
    topic, nearest = scores.columns["topic"], scores.columns["nearest_topic"]
    assert isinstance(topic, np.ndarray)
    assert isinstance(nearest, np.ndarray)
    assert scores.reasons == {3: "empty_component"}
    assert np.isnan(scores.values).nonzero()[0].tolist() == [3]
    assert scores.notes == {5: "non_finite", 9: "non_finite"}
    assert (topic[[3, 5, 9]] == -1).all()
    assert nearest[3] == -1
    assert (nearest[[5, 9]] >= 0).all()
    others = [row for row in range(80) if row not in (3, 5, 9)]
    np.testing.assert_array_equal(topic[others], plain[others])  # type: ignore[index]
    assert scores.report["num_outliers"] == 2


def test_rows_beyond_the_sample_go_to_the_nearest_topic(score: Callable[..., Scores]) -> None:
    whole, sampled = score(), score(sample=40, min_topic_size=4)
    assert sampled.report["num_rows_beyond_sample"] == 40
    topics, expected = sampled.columns["topic"], whole.columns["topic"]
    # The numbers may be swapped, the groups not.
    assert len(set(zip(topics, expected, strict=True))) == 2  # type: ignore[arg-type]


def test_the_least_size_of_a_topic_follows_the_pool(score: Callable[..., Scores]) -> None:
    assert score(min_topic_size=None).report["min_topic_size"] == 8


def test_texts_that_stand_twice_are_counted(score: Callable[..., Scores]) -> None:
    assert score([f"text {row % 30}" for row in range(80)]).report["num_duplicate_texts"] == 50


@pytest.mark.parametrize("parameters", [{"neighbours": 1}, {"dimensions": 0}, {"min_topic_size": 1}, {"sample": 0}])
def test_parameters_that_mean_nothing_are_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(parameters))):
        Topics(**parameters)
