"""Studies: a grid of methods run like any other run, and what its records say about a question.

A study is a YAML file (those that come with the package lie in `sftbench/studies`). The analysis reads records and the
papers' published tables, and nothing else.
"""

from __future__ import annotations
