"""What the records of a study say, as the report tells it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sftbench.board.cells import Cell
from sftbench.study.correlation import Correlation
from sftbench.study.definition import Axis, Performance
from sftbench.study.estimated import Estimated
from sftbench.study.regression import Line
from sftbench.study.tables import Rows
from sftbench.study.trials import Trial


@dataclass(frozen=True, kw_only=True)
class StudyFindings:
    """What the records of a study say. `lines` are by series, budget and metric, `correlations` by component.

    `performance` is what of the study's performance some finished cell has; of the rest nothing is told.
    """

    cells: Sequence[Cell]
    trials: Sequence[Trial]
    axis: Axis | None
    performance: Sequence[Performance]
    estimates: Sequence[Estimated]
    lines: Mapping[tuple[str, str, str], Line]
    correlations: Mapping[str, Sequence[Correlation]]
    tables: Mapping[str, Rows]
