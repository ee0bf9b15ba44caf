"""The selector: a training set with as many tags as the level asks for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import numpy as np

from sftbench import Allowance, Desk, Needs, Pool, Scores, Selection, param
from sftbench_plugins.m2m.axis import Axis, Types
from sftbench_plugins.tag_columns import tagged_rows


@dataclass(frozen=True, kw_only=True)
class Meso(Axis):
    """Meso-level diversity (arXiv 2505.24768): types are the tags that the scorer `tags` gave one side of the rows.

    `paper` is a reconstruction; no code of the authors exists. See the README beside this file.
    """

    name: ClassVar[str] = "meso"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = False

    prune_key: Literal["exclusive", "distinct"] = param("exclusive", "rows that go first: sole holders or most tags")
    batch: int = param(256, "keys are made anew after every removal of 1/batch of the rows left")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch < 1:
            raise ValueError(f"batch is at least 1, not {self.batch}")

    def needs(self) -> Needs:
        return Needs(lengths=True)

    def select(self, pool: Pool, scores: Scores | None, allowance: Allowance, desk: Desk) -> Selection:
        """Cover the tags of the level's pool, then fill so that tags occur equally often.

        Raises `UsageError` without tags, and with the largest feasible budget when too few rows have one.
        """
        from sftbench_plugins.m2m.prune import prune

        tagged = tagged_rows(scores, self.name)
        assert scores is not None
        empty = np.zeros(len(pool), dtype=np.bool_)
        empty[[row for row, note in scores.notes.items() if note.startswith("empty_")]] = True
        component = scores.report.get("component")
        return self.selection(
            Types(
                matrix=tagged.matrix,
                left_out={
                    "outside_length_range": ~self.admits(desk.response_lengths()),
                    "nothing_to_train": desk.training_tokens() == 0,
                },
                empty=empty,
                noun=f"tags for their {component}",
                typeless="no_tags",
                advice="More rows have tags with a lower frequency_floor",
            ),
            partial(prune, key=self.prune_key, batch=self.batch),
            pool=pool,
            allowance=allowance,
            desk=desk,
            about={"component": component, "tagger": scores.report.get("tagger"), "num_tags": len(tagged.names)},
            counted={"duplicate_text": scores.report.get("num_duplicate_texts")},
        )
