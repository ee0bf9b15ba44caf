"""Having a random part of the published judgements made again by one's own judge, and comparing the two."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sftbench import shelf
from sftbench.board.cells import Cell
from sftbench.errors import UsageError, unknown_name
from sftbench.judgement import judge_answers
from sftbench.judging.card.readings import Readings, readings_of
from sftbench.jury import judge_names
from sftbench.plugins import Plugins
from sftbench.publishing.again import answers_step, carried_out, questions_again, told_settings
from sftbench.publishing.agreement import Agreement, OfOrders, agreement_of, orders_of
from sftbench.publishing.allowance import STANDARD_ERRORS
from sftbench.publishing.asking import is_a_model, judges_told, refuse_unnamed
from sftbench.publishing.layout import RESPONSES, Discrepancy
from sftbench.publishing.own import Own
from sftbench.publishing.pairs import PublishedPair, PublishedPairs, pairs_of
from sftbench.rooms import Responses, Row
from sftbench.runner import Run, Watcher


@dataclass(frozen=True, kw_only=True)
class RejudgedPart:
    """Which judgements: a random `share` of those of the judge `of`, the first of the bundle where none is named."""

    share: float
    seed: int = 0
    of: str | None = None


@dataclass(frozen=True, kw_only=True)
class Rejudged:
    """`agreement` is the share of pairs in which both judges take the same side, a tie being a side of its own.

    `mean_difference` is one's own preference minus the published one, with its standard error. `num_of` pairs have
    their answers in the bundle, `num_without_text` have not, `num_unjudged` got no verdict here. `orders` compares the
    single games, where both judges tell them.
    """

    judge: str
    published_judge: str
    num_pairs: int
    num_of: int
    num_without_text: int
    num_unjudged: int
    agreement: Agreement
    mean_difference: float
    standard_error: float
    orders: tuple[OfOrders, ...]
    findings: tuple[Discrepancy, ...]


def rejudge(
    bundle: Path, cells: Sequence[Cell], part: RejudgedPart, *, own: Own, plugins: Plugins, watcher: Watcher
) -> Rejudged:
    """Judge a random part of a judge's pairs again; the models' answers must be in the bundle, the held-out rows (and
    answers that no model of the run gave) come from here.

    With the published judge, where it computes, every difference is a finding; with another, or a language model, a
    mean difference of more than four standard errors is. Raises `UsageError` where there is nothing to judge.
    """
    published = _published(cells, part.of)
    if not (bundle / RESPONSES).is_dir():
        _refuse_nothing(pairs_of(bundle, cells, judge=published, given={}), published)
    used, is_same = _used(bundle, published, own, plugins)
    run = questions_again(bundle, used, own, plugins, cells)
    rows, given = _questions(run, watcher)
    pairs = pairs_of(bundle, cells, judge=published, given=given)
    _refuse_nothing(pairs, published)
    count = max(1, math.ceil(part.share * len(pairs.pairs) - 1e-9))
    order = np.random.default_rng(part.seed).permutation(len(pairs.pairs))
    picked = [pairs.pairs[index] for index in sorted(order[:count])]
    mine = _judged(picked, rows, used, own=own, plugins=plugins, watcher=watcher)
    return compared(picked, mine, used=used, published=published, is_same=is_same, among=pairs)


def _published(cells: Sequence[Cell], of: str | None) -> str:
    """The judge whose verdicts are made again."""
    names = list(dict.fromkeys(each.judge for cell in cells for each in cell.judgements))
    if not names:
        raise UsageError("the bundle has no verdicts of a judge, so there is nothing to judge again")
    if of is not None and of not in names:
        raise unknown_name("judge of the bundle", of, names)
    return of or names[0]


def _used(bundle: Path, published: str, own: Own, plugins: Plugins) -> tuple[str, bool]:
    """Who judges here, and whether that is the published judge and one that always says the same."""
    told = judges_told(told_settings(bundle))
    known = dict(zip(judge_names(told), told, strict=True)).get(published)
    if own.judges is None:
        if known is None:
            raise UsageError(f"run.json does not tell the settings of the judge {published}; give one with --judge")
        refuse_unnamed([known], own, plugins)
        return known, not is_a_model(known, plugins)
    if len(own.judges) != 1:
        raise UsageError(f"--rejudge is done by one judge, and --judge names {len(own.judges)}")
    (used,) = own.judges
    return used, used == known and not is_a_model(used, plugins)


def _questions(run: Run, watcher: Watcher) -> tuple[dict[str, Row], dict[str, dict[str, tuple[str, ...]]]]:
    """The held-out rows by id, and answers that no model of the run gave, by their step and the row's id."""
    answers = answers_step(run)
    carried_out(run, watcher, [run.plan.heldout, *([answers] if answers else [])])
    rows = {row.id: row for row in shelf.load_pool(run.store.folder_of(run.plan.heldout), run.plan.heldout)}
    if answers is None:
        return rows, {}
    found = shelf.load_responses(run.store.folder_of(answers))
    texts = {each: (*found.earlier.get(each, ()), text) for each, text in zip(found.ids, found.texts, strict=True)}
    return rows, {answers.split("/")[-1]: texts}


def _refuse_nothing(pairs: PublishedPairs, published: str) -> None:
    if pairs.pairs:
        return
    if not pairs.num_told:
        raise UsageError(f"the judge {published} gave no verdict on anything, so there is nothing to judge again")
    raise UsageError(
        f"the bundle holds no answers to judge again: of {pairs.num_told} pairs that {published} judged, none has both "
        "texts; they are published with 'bench publish --with-responses'"
    )


def _judged(
    picked: Sequence[PublishedPair], rows: dict[str, Row], used: str, *, own: Own, plugins: Plugins, watcher: Watcher
) -> Readings:
    """One's own verdicts in the order of the pairs. Each has an id of its own, since an item is judged for many
    models."""
    missing = next((pair.item for pair in picked if pair.item not in rows), None)
    if missing is not None:
        raise UsageError(f"the bundle has a verdict on '{missing}', which is none of its held-out rows")
    asked = [replace(rows[pair.item], id=f"{number}") for number, pair in enumerate(picked)]
    judged = judge_answers(
        used, asked, _responses([pair.answer for pair in picked]), _responses([pair.other for pair in picked]),
        plugins=plugins, watcher=watcher, store=own.given.get("store"), chat=own.given.get("chat"),
        vllm=own.given.get("vllm"), concurrency=own.given.get("concurrency"),
    )  # fmt: skip
    found = readings_of(judged.verdicts)
    place = {row_id: at for at, row_id in enumerate(found.ids)}
    return found.taken([place[row.id] for row in asked])


def _responses(texts: Sequence[tuple[str, ...]]) -> Responses:
    """Answers under their numbers, the turns before the last apart."""
    return Responses(
        ids=tuple(f"{number}" for number in range(len(texts))),
        texts=tuple(turns[-1] for turns in texts),
        earlier={f"{number}": turns[:-1] for number, turns in enumerate(texts) if len(turns) > 1},
    )


def compared(
    picked: Sequence[PublishedPair], mine: Readings, *, used: str, published: str, is_same: bool, among: PublishedPairs
) -> Rejudged:
    """What came of it. Raises `UsageError` where one's own judge gave no verdict on any pair."""
    judged = np.flatnonzero(np.isfinite(mine.preference)).tolist()
    if not judged:
        raise UsageError(f"{used} gave no verdict on any of the {len(picked)} pairs, so that nothing was compared")
    pairs, here = [picked[index] for index in judged], mine.taken(judged)
    told = np.array([pair.told for pair in pairs], dtype=np.float64)
    items = [pair.item for pair in pairs]
    apart = here.preference - told
    mean, error = float(apart.mean()), _standard_error(apart, items)
    findings: list[Discrepancy] = []
    if is_same:
        findings = [
            Discrepancy(
                where=f"{pair.where}, item {pair.item}", what="preference", told=pair.told, recomputed=float(value)
            )
            for pair, value in zip(pairs, here.preference, strict=True)
            if abs(value - pair.told) > 1e-9
        ]
    elif abs(mean) > STANDARD_ERRORS * error:
        what = f"mean preference over {len(pairs)} pairs, by {used}; more than {STANDARD_ERRORS:g} standard errors away"
        findings = [
            Discrepancy(where="verdicts", what=what, told=float(told.mean()), recomputed=float(told.mean()) + mean)
        ]
    return Rejudged(
        judge=used,
        published_judge=published,
        num_pairs=len(pairs),
        num_of=len(among.pairs),
        num_without_text=among.num_told - len(among.pairs),
        num_unjudged=len(picked) - len(pairs),
        agreement=agreement_of(np.sign(told - 0.5), here.winners, items),
        mean_difference=mean,
        standard_error=error,
        orders=orders_of([pair.orders for pair in pairs], here, items),
        findings=tuple(findings),
    )


def _standard_error(apart: Any, items: Sequence[str]) -> float:
    """Of the mean over pairs, by sums over items, since the answers of several models to one item go together; NaN for
    a single item (Liang and Zeger 1986, with n / (n - 1))."""
    names, place = np.unique(items, return_inverse=True)
    if len(names) < 2:
        return math.nan
    sums = np.bincount(place, weights=apart - apart.mean())
    return float(np.sqrt((sums**2).sum() * len(names) / (len(names) - 1)) / len(apart))
