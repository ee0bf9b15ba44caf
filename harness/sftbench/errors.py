"""Every error a user can meet, with the exit code that the command line gives it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SftbenchError(Exception):
    """Something a user can mend. The command line prints the message alone, without a traceback.

    Where it is about one file, `where` is that file, and `what` is wrong with it; `advice` is for who made the file.
    """

    exit_code = 1

    def __init__(self, what: str = "", *, where: str = "", advice: str = "") -> None:
        super().__init__((f"{where}: " if where else "") + what + (f"; {advice}" if advice else ""))
        self.what, self.where, self.advice = what, where, advice


class UsageError(SftbenchError):
    """The command, the configuration or the input cannot be used as it is."""

    exit_code = 2


class BudgetError(SftbenchError):
    """A selection is larger than what the method was given."""

    exit_code = 3


class EnvironmentProblem(SftbenchError):
    """The machine lacks something: a package, disk space, a model file."""

    exit_code = 4


class ContractError(SftbenchError):
    """A plugin broke the rules of its role."""

    exit_code = 5


class VerificationError(SftbenchError):
    """Something recomputed does not equal what was recorded."""

    exit_code = 6


def unknown_name(kind: str, given: str, known: Iterable[str]) -> UsageError:
    """The error for a name nobody offers, with the nearest one that exists."""
    names = sorted(known)
    near = difflib.get_close_matches(given, names, n=1, cutoff=0.5)
    hint = f"; did you mean '{near[0]}'?" if near else f"; known: {', '.join(names) or 'none'}"
    return UsageError(f"unknown {kind} '{given}'{hint}")
