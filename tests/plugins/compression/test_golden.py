"""The official mode against rows that the authors' own code chose."""

from __future__ import annotations

import json
import zlib

import numpy as np
import pytest

from sftbench import UsageError
from sftbench_plugins.compression.packing import LITERAL, GrowingText
from sftbench_plugins.compression.selector import Zip

pytestmark = pytest.mark.reference
SIZES = {"k1": 50, "k2": 20, "k3": 10}


@pytest.fixture(scope="module")
def folder(reference_data):
    return reference_data / "golden" / "zip"


@pytest.fixture(scope="module")
def expected(folder):
    made = json.loads((folder / "expected.json").read_text())
    if made["zlib_runtime_version"] != zlib.ZLIB_RUNTIME_VERSION:
        pytest.skip(f"made with zlib {made['zlib_runtime_version']}; another zlib gives other sizes")
    return made


@pytest.fixture
def rows(folder):
    return [json.loads(line) for line in (folder / "input.jsonl").read_text().splitlines()]


def test_the_ratio_of_every_row_alone(expected, rows, make_pool):
    alone = GrowingText(LITERAL)
    found = [alone.ratio_with(LITERAL.text(row)) for row in make_pool(rows)]
    np.testing.assert_allclose(found, expected["initial_ratio"], rtol=1e-9)


def test_the_rows_and_their_order(expected, rows, make_pool, desk, rows_allowed):
    pool = make_pool(rows)
    found = Zip(mode="official", **SIZES).select(pool, None, rows_allowed(pool, 60), desk)
    assert list(found.ids) == expected["selected_ids_in_order"]
    assert found.report["ratio"] == pytest.approx(expected["ratio_of_final_set"], rel=1e-9)
    assert found.report["num_bytes"] == expected["bytes_of_final_set"]
    assert found.report["num_compressed_bytes"] == expected["compressed_bytes_of_final_set"]
    assert found.report["num_rows_beyond_budget"] == 0


def test_what_goes_beyond_the_budget_is_cut_off(expected, rows, make_pool, desk, rows_allowed):
    pool = make_pool(rows)
    found = Zip(mode="official", **SIZES).select(pool, None, rows_allowed(pool, 35), desk)
    made = expected["budget_35"]
    assert list(found.ids) == made["selected_ids_in_order"][:35]
    assert found.report["num_rows_beyond_budget"] == made["n_returned"] - 35


@pytest.mark.parametrize("budget", [10, 20, 30, 40, 60])
def test_a_pool_too_small_gives_the_authors_rows_or_an_error(expected, rows, make_pool, desk, rows_allowed, budget):
    pool = make_pool(rows[:80])
    official = Zip(mode="official", **SIZES)
    made = expected["small_pool_80_budget_60"]["selected_ids_in_order"][:budget]
    if budget > 40 or len(set(made)) < budget:
        with pytest.raises(UsageError, match="mode=paper"):
            official.select(pool, None, rows_allowed(pool, budget), desk)
    else:
        assert list(official.select(pool, None, rows_allowed(pool, budget), desk).ids) == made
