"""One run from start to end: look at the inputs, do what is missing, write records, board and site."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sftbench.board.build import build_board
from sftbench.board.site.files import write_site
from sftbench.board.table import Board
from sftbench.executors.local import Outcome
from sftbench.plan import Ref
from sftbench.results import write_results
from sftbench.run_card import cards_for, write_cards
from sftbench.runner import (
    Run,
    Watcher,
    announce,
    carry_out,
    check_budgets,
    first_failure,
    is_preparing,
    known_outcomes,
    require_places,
)
from sftbench.serving.household import KeptServers, keeping, logs_in
from sftbench.store import full_disk_explained


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What a run came to. `cells` are the records as written; without any there is no board."""

    results: Path
    cells: list[dict[str, Any]]
    outcomes: Mapping[Ref, Outcome]
    board: Board | None
    told: tuple[str, ...] = ()
    """What the cards of the judges have cost besides."""


def compare(run: Run, watcher: Watcher) -> Comparison:
    """Carry a run out and write its results, its board and the site of it.

    Raises the error of an input that cannot be read, and `UsageError` for a budget above the pool,
    before anything is spent or written. A run that is interrupted writes what is finished first.
    """
    require_places(run)
    announce(run, watcher)
    prepared = carry_out(run, watcher, only=is_preparing, ended_before={})
    unread = first_failure(run, prepared, "prepare")
    if unread is not None:
        raise unread
    check_budgets(run)
    before = {ref: outcome for ref, outcome in prepared.items() if is_preparing(run.plan.steps[ref])}
    try:
        # The judges of the run are asked for their cards too.
        with keeping(logs_in(run.store.root, run.name)) as kept:
            return _written(run, carry_out(run, watcher, ended_before=before, kept=kept), watcher, kept)
    except KeyboardInterrupt:
        _written(run, known_outcomes(run.plan, run.store, "missing")[0], None)
        raise


def _written(
    run: Run, outcomes: Mapping[Ref, Outcome], watcher: Watcher | None, kept: KeptServers | None = None
) -> Comparison:
    """Without a watcher nothing more is asked of a judge for its card."""
    with full_disk_explained(run.settings.results, "results"):
        folder, cells = write_results(run, outcomes)
        cards = cards_for(run, cells, watcher, kept=kept)
        write_cards(folder, cards.cards, first=next(iter(run.terms.judges), None))
    board = build_board(folder) if cells else None
    if board is not None:
        with full_disk_explained(run.board_folder, "board"):
            write_site(board, folder, run.board_folder)
    return Comparison(results=folder, cells=cells, outcomes=outcomes, board=board, told=cards.told)
