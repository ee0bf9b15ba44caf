"""What a board says in sentences: header, notes and legend."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sftbench.board.cells import PoolFacts
from sftbench.board.equal_cost import short_of_compute, short_words
from sftbench.board.making import CONTROL
from sftbench.board.power_words import FAMILIES, detectable_words, held_out, lone_notes, places_legend
from sftbench.board.statistics import Estimate
from sftbench.board.table import WIN_RATE, Board, BoardRow
from sftbench.board.texts import budget_name, interval, label, one_line, percent, plain_budget

_EXAMPLE = Estimate(mean=0.52, low=0.47, high=0.57, num_seeds=3, num_items=240, num_failed_items=0)


def header(board: Board) -> list[str]:
    """What was asked and compared, on what, and how it is ordered; one paragraph, a sentence per entry."""
    pool = board.pool
    tokens = ""
    if pool.num_planted and pool.num_planted_tokens and pool.num_response_tokens:
        tokens = f" ({percent(pool.num_planted_tokens / pool.num_response_tokens)} of the response tokens)"
    items = held_out(board)
    direction = "bigger" if board.bigger_is_better.get(board.sort_metric, True) else "smaller"
    return [
        *([one_line(board.study, 2000)] if board.study else []),
        f"Pool {one_line(pool.name)}: {pool.num_rows} rows, {planted(pool)}{tokens}.",
        f"Base model {one_line(board.base.name)}.",
        f"Budget{_s(board.budgets)} {', '.join(budget_name(board, each) for each in board.budgets)}; "
        f"seed{_s(board.seeds)} {_listed(board.seeds)}.",
        f"Held out: {items}." if items else "Nothing was evaluated.",
        *([f"Win rates are against {_baseline(board, board.baseline)}, "
           f"judged by {one_line(board.judge or '?')}; 50 is equal."] if board.baseline else []),
        f"Sorted by {one_line(board.sort_metric)}, {direction} is better.",
        *(best(board, budget) for budget in board.budgets),
    ]  # fmt: skip


def planted(pool: PoolFacts) -> str:
    """How much of a pool was spoilt on purpose."""
    share = percent(pool.num_planted / pool.num_rows) if pool.num_planted else "none"
    return f"{share} of them planted with defects"


def matched_note(board: Board) -> list[str]:
    """Where the controls are that tables for reading leave out."""
    count = len({(row.label, row.matched_to) for row in board.rows if row.matched_to})
    if not count:
        return []
    are = "control that is matched to a method is" if count == 1 else f"{count} controls matched to methods are"
    return [
        f"The {are} not in these tables but in board.csv, board.json and on the site; a method's difference to its own "
        "stands in the column against matched chance."
    ]


def _baseline(board: Board, name: str) -> str:
    """A method of the board, or whoever gave the answers of a file."""
    is_method = any(name in (row.label, row.method) for row in board.rows)
    return one_line(name) + (" at the same budget and seed" if is_method else "")


def best(board: Board, budget: str) -> str:
    """Which entries lead at a budget: one, several that are tied, or none."""
    rows = board.of(budget)
    names = [label(row) for row in rows if row.tied_with_best]
    place = f"At {plain_budget(budget)}" if len(board.budgets) > 1 else "Here"
    if not names:
        return f"{place} no entry could be ranked."
    if len(names) == 1:
        alone = sum(row.rank is not None for row in rows) == 1
        return f"{place} {names[0]} is {'the only ranked entry' if alone else 'best, told apart from every other'}."
    return f"{place} {_shortened(names)} cannot be told apart as best."


def notes(board: Board) -> list[str]:
    """What a reader must know before trusting a number: of the whole board, then of each budget."""
    told = (
        _judge_notes, _chance_notes, _seed_notes, lone_notes, _item_notes, _budget_notes, _diversity_notes,
        _stand_in_notes, _asked_notes,
    )  # fmt: skip
    of_board = [note for each in told for note in each(board)]
    return of_board + [note for budget in board.budgets for note in notes_of(board, budget)]


def notes_of(board: Board, budget: str) -> list[str]:
    """Those of `notes` that are of one budget alone."""
    return [
        *_matched_notes(board, budget),
        *filter(None, [detectable_words(board, budget)]),
        *_nearest_notes(board, budget),
        *hit_notes(board, budget),
    ]


def board_notes(board: Board) -> list[str]:
    """The board's notes but those that are of one budget alone."""
    of_budgets = {note for budget in board.budgets for note in notes_of(board, budget)}
    return [note for note in board.notes if note not in of_budgets]


def caveats(board: Board) -> list[str]:
    """The board's notes but those that the findings of a budget have: of the judge, of chance, and of that budget."""
    found = {*_judge_notes(board), *_chance_notes(board)}
    return [note for note in board_notes(board) if note not in found]


def _judge_notes(board: Board) -> Iterator[str]:
    """Comes before who is best: what a judge says that does not qualify is no ground for an order."""
    if board.judge_card is not None and board.judge_card.passes is False:
        yield f"The judge {one_line(board.judge or '?')} does not qualify by its card: win rates by it say little."


def judge_warning(board: Board) -> str:
    """That the judge does not qualify, and what rests on it; empty where it does, or nothing is known."""
    order = " The order of the entries rests on them." if board.sort_metric == WIN_RATE else ""
    return "".join(note + order for note in _judge_notes(board))


def against_chance(board: Board, budget: str) -> str:
    """Who is better or worse than random rows (or than the board's baseline); empty where nobody was held to them."""
    rows = [(row, row.against_baseline) for row in board.of(budget) if row.against_baseline is not None]
    if not rows:
        return ""
    found = {
        outcome: [label(row) for row, each in rows if each.outcome == outcome]
        for outcome in ("better", "worse", "equal")
    }
    told = [f"{word}: {_shortened(found[word], most=40)}" for word in ("better", "worse") if found[word]]
    if found["equal"]:
        others = "the others" if told else "nobody"
        told.append(f"{others} can{'not' if told else ''} be told apart from it")
    control = rows[0][1].control
    return f"Against {one_line(control)} at {plain_budget(budget)}: {'; '.join(told)}."


def _chance_notes(board: Board) -> Iterator[str]:
    yield from filter(None, (against_chance(board, budget) for budget in board.budgets))


def _matched_notes(board: Board, budget: str) -> Iterator[str]:
    """Who is better or worse than chance that is matched to it: what a method does beyond taking long or short rows."""
    rows = board.of(budget)
    for control in sorted({each.control for row in rows for each in row.against_matched}):
        found: dict[str, list[str]] = {"better": [], "worse": [], "equal": []}
        for row in rows:
            for each in row.against_matched:
                if each.control == control:
                    found[each.outcome].append(label(row))
        told = [f"{word}: {_shortened(found[word], most=40)}" for word in ("better", "worse") if found[word]]
        short = {label(row) for row, _ in short_of_compute(board, budget)} if control == CONTROL else set()
        equal = [name for name in found["equal"] if name not in short]
        told += [f"{len(equal)} cannot be told apart from it"] if equal else []
        still_open = len(found["equal"]) - len(equal)
        told += [f"{still_open} not told apart from less compute, so open"] if still_open else []
        matched = "matched to each method" + (f"; {short_words(board, budget)}" if short else "")
        yield f"At {plain_budget(budget)}, against {one_line(control)} ({matched}): {'; '.join(told)}."


def _seed_notes(board: Board) -> Iterator[str]:
    trained = [row for row in board.rows if row.training is not None and row.seeds_done]
    single = [row for row in trained if len(row.seeds_done) == 1]
    if trained and len(single) == len(trained):
        yield "One seed: intervals and ties do not include training noise."
    elif single:
        yield f"One seed only, its training noise taken from the other entries, if at all: {_places(single, board)}."
    failed = sum(len(row.failures) for row in board.rows)
    if failed:
        yield f"{failed} cell{'s' if failed > 1 else ''} failed; no mean includes what failed."
    missing = [row for row in board.rows if row.seeds_missing]
    if missing:
        yield f"Seeds without a result yet: {_places(missing, board)}."


def _nearest_notes(board: Board, budget: str) -> Iterator[str]:
    wanting = [row for row in board.of(budget) if row.seeds_to_tell is not None]
    if wanting:
        row = min(wanting, key=lambda each: each.seeds_to_tell or 0)
        yield (
            f"At {plain_budget(budget)}, if its distance to the best stays what it is, {label(row)} would be told "
            f"apart with {row.seeds_to_tell} seeds (about even odds, if that is the true distance)."
        )


def _item_notes(board: Board) -> Iterator[str]:
    for name in board.bigger_is_better:
        missing = []
        for row in board.rows:
            estimate = row.win_rate if name == WIN_RATE else row.metrics.get(name)
            if estimate is not None and estimate.num_failed_items:
                missing.append(row)
        if missing:
            what = "items" if board.num_items.get(name, 1) else "seeds"
            yield f"Some {what} of {one_line(name)} have no value and are left out: {_places(missing, board)}."


def hit_notes(board: Board, budget: str) -> Iterator[str]:
    """Whose score may rest on having seen held-out items."""
    told = [(row, row.without_hits) for row in board.of(budget) if row.without_hits is not None]
    hitting = [row for row, without in told if without.num_own]
    matched = sum(row.matched_to is not None for row in hitting)
    names = [label(row) for row in hitting if row.matched_to is None]
    if hitting:
        controls = [f"{matched} control{'s' if matched > 1 else ''} matched to methods"] if matched else []
        yield (
            f"At {plain_budget(budget)}, {told[0][1].num_any} held-out items stand, in whole or in part, in rows that "
            f"were trained on by {_shortened(names, ending=controls)}."
        )


def _budget_notes(board: Board) -> Iterator[str]:
    short = [row for row in board.rows if row.training is not None and row.training.short_of_budget]
    if short:
        yield f"Fewer eligible rows than the budget allows: {_places(short, board)}."


def _diversity_notes(board: Board) -> Iterator[str]:
    rows = [row for row in board.rows if row.undescribed]
    if rows:
        yield f"The diversity of what was chosen could not be measured (see failures): {_places(rows, board)}."


def _stand_in_notes(board: Board) -> Iterator[str]:
    for stand_in in sorted({each for row in board.rows for each in row.stand_ins}):
        rows = {label(row): row for row in board.rows if stand_in in row.stand_ins}
        yield f"No model was named, so a stand-in did its work ({one_line(stand_in)}): {_shortened([*rows])}."


def _asked_notes(board: Board) -> Iterator[str]:
    asking = [row for row in board.rows if row.asked]
    if asking:
        models = sorted({each for row in asking for each in row.asked})
        rows = list(dict.fromkeys(map(label, asking)))
        yield (
            f"A language model behind an endpoint was asked ({_shortened([*map(one_line, models)])}): its tokens are "
            "counted, its FLOPs are not known, and a control matched in compute is matched to the rest: "
            f"{_shortened(rows)}."
        )


def legend(board: Board) -> list[str]:
    """What the columns mean; one entry per line."""
    entries = [
        f"An interval such as {interval(_EXAMPLE, 2)} holds the mean over new seeds and items with 95 % confidence: "
        f"items resampled {board.num_resamples} times, seeds by Student's distribution, "
        "with the variance between seeds moderated by the other entries. Where all items have the same value, 0 or 1, "
        "it reaches to the one-sided bound for so many items (Clopper and Pearson): 0 of 242 may be up to 1.2 %.",
        "Tier: no two entries of a tier can be told apart (paired differences on the same items and seeds, "
        "Holm-corrected over all pairs of ranked entries at all budgets, 5 %); each tier holds only those that are "
        "told apart from one in the tier before. ≈ marks entries that cannot be told apart from the best; "
        "in a later tier: behind some entry of the tier before, not shown to be behind the first.",
        *places_legend(board),
        "Seeds to tell: how many seeds (in all) would separate a tied entry from the best, if the difference stays "
        "(then the odds are about even, if what was found is the true one); none where more seeds alone would not do "
        "it (more items might).",
        "Controls, marked ◦, are there for orientation and are ranked like the rest. Those matched to a method stand "
        "where their mean puts them, and only that method is compared with them, on the metric that sorts (paired, "
        "Holm-corrected over these comparisons at all budgets, 5 %): better, worse, or ≈.",
        *_chance_legend(board),
        FAMILIES,
        "Trained tokens: response tokens of the selection that are not masked, counted once, not per epoch.",
    ]
    if board.pool.num_planted:
        entries.append(
            "Planted rows and tokens: two shares each: how much of what was selected (of what is trained, for tokens) "
            "is planted, then how much of all that was planted got in. Less is better."
        )
    if any(row.win_rate_corrected for row in board.rows):
        entries.append(
            "Win rate, corrected for the judge: as by a judge that always prefers the better answer. A judge that "
            "errs draws every win rate towards 50; the raw one shows what it said. The interval (Fieller's) has the "
            "uncertainty of how often it errs. It holds where the judge errs as often here as on the pairs that it was "
            "checked with, and as often in favour of either model. Order and tiers are those of the raw win rate."
        )
    if any(row.overlap for row in board.rows):
        entries.append(
            "Overlap across seeds: rows that the selections of two seeds share, as a part of all rows in either "
            "(Jaccard), mean over all pairs of seeds; then the mean for as many rows drawn at random from the pool. "
            "None where the seed plays no part in choosing, and for generated rows, which are in no pool."
        )
    if any(row.without_hits for row in board.rows):
        entries.append(
            "Items hit: held-out items of which the rows trained on (under any seed) have something: a run of words or "
            "a text that lies close. Without items hit: the same metric on the items that no entry of the budget has "
            "hit, so that all are measured on the same items. board.json also has each entry without its own."
        )
    entries += [
        "Cost: mean over the finished seeds; FLOPs and tokens (passed through a model, or generated) are counted, "
        "so they do not depend on the machine. "
        "A step that several entries share counts in each. Total: selecting, generating and training; what a selector "
        "computes beside models (sorting, clustering) has time and no FLOPs.",
        "Fidelity: exact (same selection as the authors' code on shared rows), rank-equal, reconstruction, "
        "or own definition.",
    ]
    return entries


def _chance_legend(board: Board) -> Iterator[str]:
    for control in sorted({row.against_baseline.control for row in board.rows if row.against_baseline}):
        yield (
            f"Against {one_line(control)}: the difference of each ranked entry to that one on the metric that sorts "
            "(paired, Holm-corrected over these comparisons at all budgets, 5 %): better, worse, or ≈. These are fewer "
            "than all pairs, which tiers are from, so that they may tell apart what tiers do not."
        )


def _places(rows: list[BoardRow], board: Board) -> str:
    several = len(board.budgets) > 1
    return _shortened([label(row) + (f" at {plain_budget(row.budget)}" if several else "") for row in rows])


def _shortened(names: list[str], most: int = 6, ending: Sequence[str] = ()) -> str:
    shown = [*names[:most], *([f"{len(names) - most} more"] if len(names) > most else []), *ending]
    return shown[0] if len(shown) == 1 else ", ".join(shown[:-1]) + " and " + shown[-1]


def _listed(seeds: tuple[int, ...]) -> str:
    if len(seeds) > 3 and seeds == tuple(range(seeds[0], seeds[0] + len(seeds))):
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(str(seed) for seed in seeds)


def _s(many: tuple[object, ...]) -> str:
    return "s" if len(many) > 1 else ""
