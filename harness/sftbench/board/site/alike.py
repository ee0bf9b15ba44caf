"""Which entries took the very same rows in every seed: no choice of rows tells these apart."""

from __future__ import annotations

from collections.abc import Sequence

from sftbench.board.site.records import Records, row_name
from sftbench.board.table import Board, BoardRow
from sftbench.board.texts import percent

_MOST = 6
_NONE_WRITTEN = "None of these rows was written by a generator: all are from the pool."


def groups_of(board: Board, records: Records, budget: str) -> list[tuple[BoardRow, ...]]:
    """Entries of a budget that took the same rows in all their seeds, which are the same too; controls come first.

    Those that are matched to another entry are left out.
    """
    found: dict[tuple[tuple[int, str, str | None], ...], list[BoardRow]] = {}
    for row in board.of(budget):
        files = [each.cell for each in records.of(row_name(row), budget) if each.cell.status == "done"]
        taken = [(cell.seed, cell.selection.ids_hash, cell.selection.positions) for cell in files if cell.selection]
        if taken and not row.matched_to:
            found.setdefault(tuple(taken), []).append(row)
    several = [rows for rows in found.values() if len(rows) > 1]
    return [tuple(sorted(rows, key=lambda row: (row.kind != "control", row.label))) for rows in several]


class Alike:
    """For each entry of a board, those that took the same rows."""

    def __init__(self, board: Board, records: Records) -> None:
        self._records = records
        self._groups = {budget: groups_of(board, records, budget) for budget in board.budgets}

    def others(self, row: BoardRow) -> list[BoardRow]:
        """The control that has the same rows, or else all other entries that have; none where nobody has."""
        group = next((each for each in self._groups[row.budget] if row in each), ())
        others = [each for each in group if each is not row]
        return others[:1] if others and others[0].kind == "control" else others

    def words(self, row: BoardRow) -> str:
        """Whose rows it takes, as in `takes the rows of random; chooses tokens`; empty where it has its own.

        Of a control, who takes its rows.
        """
        others = self.others(row)
        if not others:
            return ""
        names = listed([each.label for each in others])
        if row.kind == "control":
            return f"{names} {'takes' if len(others) == 1 else 'take'} its rows"
        return f"takes the rows of {names}{'; chooses tokens' if _trained_share(row) < 1 else ''}"

    def sentence(self, row: BoardRow) -> str:
        """The same for the page of the entry."""
        others = self.others(row)
        if not others:
            return ""
        told = f"It took the same rows as {listed([each.label for each in others])} in every seed."
        share = _trained_share(row)
        if share < 1:
            told += f" It chooses among their tokens: {percent(share)} of the response tokens are trained."
        return told + (f" {_NONE_WRITTEN}" if self._wrote_nothing(row) else "")

    def notes(self, budget: str) -> list[str]:
        """A sentence for each group of a budget."""
        return [self._note(group) for group in self._groups[budget]]

    def _note(self, group: Sequence[BoardRow]) -> str:
        told = f"At {group[0].budget}, {listed([row.label for row in group])} took the same rows in every seed"
        choosing = [row.label for row in group if _trained_share(row) < 1]
        if choosing:
            who = "all of them" if len(choosing) == len(group) else listed(choosing)
            return f"{told}; {who} {'chooses' if len(choosing) == 1 else 'choose'} among the tokens of these rows."
        return f"{told}: no choice of rows tells them apart." + (
            f" {_NONE_WRITTEN}" if all(map(self._wrote_nothing, group)) else ""
        )

    def _wrote_nothing(self, row: BoardRow) -> bool:
        """Whether its generator wrote no row at all."""
        cells = [each.cell for each in self._records.of(row_name(row), row.budget) if each.cell.status == "done"]
        return bool(cells) and all(cell.generated and cell.generated.get("num_new") == 0 for cell in cells)


def _trained_share(row: BoardRow) -> float:
    """Which part of its response tokens a row trains on; 1 where nothing is known."""
    known = row.training
    return known.trained_tokens / known.num_response_tokens if known and known.num_response_tokens else 1.0


def listed(names: Sequence[str]) -> str:
    """Names as in `a, b and c`; of many the first few."""
    shown = [*names[:_MOST], *([f"{len(names) - _MOST} more"] if len(names) > _MOST else [])]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
