"""Token labels against those of the authors' own code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sftbench import Ragged
from sftbench_plugins.excess_loss import TokenLosses, best_tokens

pytestmark = pytest.mark.reference


@pytest.mark.parametrize("percent", [30, 60])
@pytest.mark.parametrize("scope", ["global", "sample"])
def test_the_tokens_kept_equal_those_of_the_authors_code(reference_data: Path, percent: int, scope: str) -> None:
    folder = reference_data / "golden" / "token_labels"
    given, expected = np.load(folder / "input.npz"), np.load(folder / "expected.npz")
    response = given["response_mask"].astype(bool)
    counts = np.add.reduceat(response, given["indptr"][:-1])
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    of = {name: Ragged(values=given[f"loss_{name}"][response], offsets=offsets) for name in ("base", "ref")}
    gain = TokenLosses(of=of, reasons={}, notes={}).excess("ref")
    labels = best_tokens(gain, keep=percent / 100, scope=scope)  # type: ignore[arg-type]
    whole = np.zeros(len(response), dtype=np.uint8)
    whole[response] = labels.values
    assert np.array_equal(whole, expected[f"keep_{scope}_{percent}"])
