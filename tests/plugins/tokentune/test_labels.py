"""Token labels against the authors' code and against a plain sort."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from sftbench import Ragged
from sftbench_plugins.tokentune.labels import LabelRule, shares

RNG = np.random.default_rng(3)


class Golden:
    """Response tokens only, in the layout of the plugin, and back to the layout of the files."""

    def __init__(self, reference_data: Path) -> None:
        folder = reference_data / "golden" / "token_labels"
        given = np.load(folder / "input.npz")
        self.expected = np.load(folder / "expected.npz")
        self.response = given["response_mask"].astype(bool)
        counts = np.add.reduceat(self.response, given["indptr"][:-1])
        self.gain = Ragged(
            values=(given["loss_base"] - given["loss_ref"])[self.response],
            offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        )

    def as_file(self, labels: Ragged) -> npt.NDArray[np.uint8]:
        whole = np.zeros(len(self.response), dtype=np.uint8)
        whole[self.response] = labels.values
        return whole


@pytest.mark.reference
@pytest.mark.parametrize("percent", [30, 60])
def test_labels_without_ambiguity_equal_those_of_the_authors_code(reference_data: Path, percent: int) -> None:
    golden = Golden(reference_data)
    labels = LabelRule(keep=percent / 100).label(golden.gain, None, None)
    assert np.array_equal(golden.as_file(labels), golden.expected[f"tokentune_label_{percent}"])


@pytest.mark.reference
@pytest.mark.parametrize("percent", [30, 60])
@pytest.mark.parametrize("scope", ["global", "sample"])
def test_the_tokens_that_are_learnt_equal_the_golden_ones(reference_data: Path, percent: int, scope: str) -> None:
    golden = Golden(reference_data)
    rule = LabelRule(keep=percent / 100, scope=scope)  # type: ignore[arg-type]
    learnt = golden.as_file(rule.label(golden.gain, None, None)) == 1
    assert np.array_equal(learnt, golden.expected[f"keep_{scope}_{percent}"] == 1)


def test_of_tokens_that_are_not_learnt_the_ambiguous_ones_with_evidence_are_distilled() -> None:
    gain, ambiguity, evidence = (RNG.normal(size=100).astype(np.float32) for _ in range(3))
    rule = LabelRule(keep=0.5, ambiguous_keep=0.4, evidence_floor=0.1)
    lists = [Ragged.of(np.split(each, [7, 60])) for each in (gain, ambiguity, evidence)]
    labels = rule.label(*lists)
    for at in range(100):
        if (gain > gain[at]).sum() < 50:
            assert labels.values[at] == 1
        elif (ambiguity > ambiguity[at]).sum() < 40 and evidence[at] >= np.float32(0.1):
            assert labels.values[at] == 2
        else:
            assert labels.values[at] == 0
    assert [len(each) for each in labels] == [7, 53, 40]
    assert sum(shares(labels).values()) == pytest.approx(1)
    found = rule.thresholds(lists[0], lists[1])
    assert found == {"tau_gain": np.sort(gain)[50], "tau_ambiguity": np.sort(ambiguity)[60]}


def test_keeping_all_ambiguity_is_the_complement_rule() -> None:
    gain, ambiguity = (Ragged.of([RNG.normal(size=50), RNG.normal(size=9)]) for _ in range(2))
    complement = LabelRule().label(gain, None, None)
    everything = LabelRule(ambiguous_keep=1.0).label(gain, ambiguity, ambiguity)
    assert np.array_equal(complement.values, everything.values)


@pytest.mark.parametrize("rest", [0, 1])
def test_ablations_mask_or_learn_what_would_be_distilled(rest: int) -> None:
    gain = Ragged.of([RNG.normal(size=50)])
    usual, ablated = LabelRule().label(gain, None, None), LabelRule(rest=rest).label(gain, None, None)
    assert (ablated.values[usual.values == 2] == rest).all()
    assert (ablated.values[usual.values == 1] == 1).all()


def test_a_token_without_context_is_masked_and_does_not_count() -> None:
    gain = Ragged.of([np.array([np.nan, 3, 2, 1, 0, -1], dtype=np.float32)])
    assert LabelRule(keep=0.4).label(gain, None, None).values.tolist() == [0, 1, 1, 2, 2, 2]
    assert LabelRule(keep=0.4, scope="sample").label(gain, None, None).values.tolist() == [0, 1, 1, 2, 2, 2]


def test_no_rows_have_no_labels() -> None:
    empty: list[npt.NDArray[np.float32]] = []
    for scope in ("global", "sample"):
        labels = LabelRule(scope=scope).label(Ragged.of(empty), None, None)  # type: ignore[arg-type]
        assert len(labels) == 0
        assert labels.values.dtype == np.uint8
