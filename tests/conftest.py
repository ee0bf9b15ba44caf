"""What every test may use: where the reference data lies, and a store of its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from sftbench.conformance.material import Material

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def reference_data() -> Path:
    """The reference data, or a skip that says what is missing; with `CI=true` its absence is a failure."""
    folder = Path(os.environ.get("SFTBENCH_REFERENCE_DATA") or ROOT / ".." / "shared").resolve()
    if not (folder / "golden").is_dir():
        reason = f"no reference data in {folder}; set SFTBENCH_REFERENCE_DATA"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    """A pool file of sixty short rows and a tiny random model, as the conformance checks use them."""
    from sftbench.conformance.material import trial_material

    return trial_material(tmp_path_factory.mktemp("material"))
