"""The selector: a training set with as many topics as the level asks for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from sftbench import Allowance, Desk, Needs, Pool, Scores, Selection, UsageError, param
from sftbench_plugins.m2m.axis import Axis, Types

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_COLUMNS = {"nearest": "nearest_topic", "drop": "topic"}


@dataclass(frozen=True, kw_only=True)
class Macro(Axis):
    """Macro-level diversity (arXiv 2505.24768): types are the topics that the scorer `topics` found.

    `paper` is a reconstruction; no code of the authors exists. See the README beside this file.
    """

    name: ClassVar[str] = "macro"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = False

    outliers: Literal["nearest", "drop"] = param("nearest", "rows of no topic: to the nearest one, or left out")

    def needs(self) -> Needs:
        return Needs(lengths=True)

    def select(self, pool: Pool, scores: Scores | None, allowance: Allowance, desk: Desk) -> Selection:
        """As many topics as the level asks for, each with the same number of rows as far as it has them.

        Raises `UsageError` without topics, and with the largest feasible budget when too few rows have one.
        """
        from sftbench_plugins.m2m.nested import descend_by_topic

        column = None if scores is None else scores.columns.get(_COLUMNS[self.outliers])
        if scores is None or not isinstance(column, np.ndarray):
            raise UsageError("selector 'macro' chooses by topics; a method that uses it has the scorer 'topics'")
        empty = np.zeros(len(pool), dtype=np.bool_)
        empty[list(scores.reasons)] = True
        component = scores.report.get("component")
        return self.selection(
            Types(
                matrix=one_hot(column.astype(np.int64)),
                left_out={
                    "outside_length_range": ~self.admits(desk.response_lengths()),
                    "nothing_to_train": desk.training_tokens() == 0,
                },
                empty=empty,
                noun=f"a topic of their {component}",
                typeless="outlier",
                advice="More rows have a topic with outliers=nearest",
            ),
            partial(descend_by_topic, seed=desk.seed),
            pool=pool,
            allowance=allowance,
            desk=desk,
            about={**scores.report, "outliers": self.outliers},
            counted={"duplicate_text": scores.report.get("num_duplicate_texts")},
        )


def one_hot(topics: npt.NDArray[np.int64]) -> csr_array:
    """The incidence [n, K] of one topic per row; -1 is none."""
    from scipy.sparse import csr_array

    has = topics >= 0
    ends = np.concatenate([[0], np.cumsum(has)])
    ones = np.ones(int(has.sum()), dtype=np.int8)
    return csr_array((ones, topics[has].astype(np.int32), ends), shape=(len(topics), int(topics.max(initial=-1)) + 1))
