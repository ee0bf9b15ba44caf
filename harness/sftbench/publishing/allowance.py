"""How far a number that is made again may be from the published one."""

from __future__ import annotations

TOLERANCE = 0.02
"""How far the mean of a metric may be from the one told, in its own unit: rounding differs between processors, and
training makes more of it. Rows that were chosen are held to equality."""
EXACT = 1e-6
"""How far the value of one item may be, over the larger of 1 and the value."""
STANDARD_ERRORS = 4.0
"""A mean difference as many standard errors from 0 is no accident of the items or of a language model's moods."""
