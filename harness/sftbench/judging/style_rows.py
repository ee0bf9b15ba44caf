"""Rows of the metric `arena-style`: Arena-Hard's score of every model, raw and with control of style."""

from __future__ import annotations

from sftbench.errors import UsageError
from sftbench.judging.battles import STYLE, Battles, battles_of, official_raw_scores, raw_scores
from sftbench.judging.counting import Counted, Tally, count
from sftbench.judging.resampling import Interval, draw_prompts
from sftbench.judging.rows import EVEN, Row, bounds, ending, index_of, percent
from sftbench.judging.scoring import Scoring
from sftbench.judging.style_control import StyleControlled, official_style_controlled, style_controlled
from sftbench.judging.verdicts import VerdictFile


def style_rows(wanted: Scoring, file: VerdictFile) -> list[Row]:
    """One row per model, in the order of the file. All models are fitted at once: they share the effect of style."""
    tally = count(file, mode=wanted.mode, num_expected=wanted.expected)
    models = [each for each in tally.models if each.model != file.baseline]
    battles = battles_of(
        models, index_of(tally.prompts), weight=wanted.battle_weight, controls=wanted.controls, where=str(file.path)
    )
    if not len(battles.models):
        raise UsageError(f"{file.path} holds no verdict that could be scored")
    raw, styled = _scores(wanted, battles, tally)
    shared = _coefficients(styled)
    rows = {each.model: _row(each, battles, index, raw[index], styled, shared) for index, each in enumerate(models)}
    return [rows.get(each.model) or _baseline_row(each, shared) for each in tally.models]


def fit_style(wanted: Scoring, file: VerdictFile) -> tuple[list[str], StyleControlled]:
    """The models of a file and their style-controlled scores, in `paper` mode, with the scores of every draw."""
    tally = count(file, mode=wanted.mode, num_expected=wanted.expected)
    battles = battles_of(
        tally.models, index_of(tally.prompts), weight=wanted.battle_weight, controls=wanted.controls,
        where=str(file.path),
    )  # fmt: skip
    draws = draw_prompts(len(tally.prompts), wanted.num_resamples, wanted.seed)
    return [each.model for each in tally.models], style_controlled(battles, wanted.controls, draws)


def _scores(wanted: Scoring, battles: Battles, tally: Tally) -> tuple[list[Interval], StyleControlled]:
    if wanted.mode == "official":
        about = {"seed": wanted.seed, "rounds": wanted.num_resamples}
        return official_raw_scores(battles, **about), official_style_controlled(battles, **about)
    draws = draw_prompts(len(tally.prompts), wanted.num_resamples, wanted.seed)
    return raw_scores(battles, draws), style_controlled(battles, wanted.controls, draws)


def _coefficients(styled: StyleControlled) -> Row:
    found = dict(zip(styled.columns, styled.coefficients.tolist(), strict=True))
    return {f"w_{name}": found.get(column) for column, name in enumerate(STYLE)}


def _row(counted: Counted, battles: Battles, index: int, raw: Interval, styled: StyleControlled, shared: Row) -> Row:
    mine = battles.models == index
    return {
        "model": counted.model,
        **bounds(styled.scores[index]),
        "equal_style": percent(float(styled.equal_style[index])),
        "raw": percent(raw.value),
        "raw_lo": percent(raw.low),
        "raw_hi": percent(raw.high),
        "plain": percent(float(battles.plain[mine].mean())) if mine.any() else None,
        "battles": int(battles.counts[mine].sum()),
        **shared,
        **ending(counted),
    }


def _baseline_row(counted: Counted, shared: Row) -> Row:
    even = dict.fromkeys(("equal_style", "raw", "raw_lo", "raw_hi", "plain"), 50.0)
    return {"model": counted.model, **bounds(EVEN), **even, "battles": 0, **shared, **ending(counted)}
