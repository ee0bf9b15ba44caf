"""A confined place for code that a model wrote."""

from __future__ import annotations

from sftbench.sandbox.confine import CodeLimits, CodeOutcome, run_code
from sftbench.sandbox.together import run_codes

__all__ = ["CodeLimits", "CodeOutcome", "run_code", "run_codes"]
