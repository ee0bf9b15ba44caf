"""The judged part of a board: win rates raw and controlled, what judges are like, and boards without any as before."""

from __future__ import annotations

import csv
import io
import json
import math

import numpy as np
import pytest

from sftbench.board.build import build_board
from sftbench.board.judged import orders, rank_correlations, reversals
from sftbench.board.judged_text import judged_words
from sftbench.board.reading import read_cells
from sftbench.board.render import board_csv, board_lines, board_markdown
from sftbench.board.site.files import site_files
from sftbench.board.statistics import pooled_estimates
from sftbench.board.table import Board
from sftbench.errors import UsageError
from sftbench.judging.card.readings import UNREADABLE
from sftbench.judging.score import score_file
from sftbench.judging.scoring import Scoring

NUM_ITEMS = 120
PROMPTS = {"suite": "alpaca-eval", "version": "1", "control": "length", "num_prompts": NUM_ITEMS, "num_in_all": 805}


def verdicts(judge, strength, *, seed=0, wordy=0.0, length_effect=0.0, baseline="random"):
    """A judge that prefers better answers, and longer ones by `length_effect` logits a standard deviation."""
    rng = np.random.default_rng([seed, int(1000 * strength) % 9973])
    baseline_lengths = rng.integers(200, 400, NUM_ITEMS)
    lengths = np.maximum(1, baseline_lengths + rng.normal(100 * wordy, 100, NUM_ITEMS)).astype(int)
    differences = (lengths - baseline_lengths).astype(float)
    logits = strength + length_effect * np.tanh(differences / differences.std(ddof=1))
    preference = 1 / (1 + np.exp(-logits))
    return {
        "baseline": baseline, "judge": judge, "ids": [f"item-{at}" for at in range(NUM_ITEMS)],
        "preference": preference.tolist(),
        "columns": {"length_model": lengths.tolist(), "length_baseline": baseline_lengths.tolist()},
    }  # fmt: skip


@pytest.fixture
def judged(results):
    """Two methods and a control, three seeds each, before two judges."""
    for label, strength, wordy in (("plain", 0.3, 0.0), ("wordy", 0.3, 1.5), ("longest", -0.4, 0.5)):
        for seed in range(3):
            of = {"seed": seed, "wordy": wordy}
            first = verdicts("pairwise", strength, length_effect=1.0, **of)
            second = verdicts("checker", -strength, **of)
            results.write(
                results.cell(label, seed=seed, verdicts=first, further_verdicts=[second], prompts=PROMPTS,
                             kind="control" if label == "longest" else "method")
            )  # fmt: skip
    results.add("random", kind="control", verdicts=None, prompts=PROMPTS)
    return results


def by_label(board, judge="pairwise"):
    return {row.label: row for row in board.judged if row.judge == judge}


def test_a_wordy_model_wins_more_and_length_control_takes_that_away(judged):
    rows = by_label(build_board(judged.folder, num_resamples=200))
    truth = 100 / (1 + math.exp(-0.3))
    assert rows["wordy"].win_rate.mean > truth + 5
    for label in ("plain", "wordy"):
        controlled = rows[label].controlled
        assert controlled.mean == pytest.approx(truth, abs=1.5)
        assert controlled.low < truth < controlled.high
        assert controlled.num_seeds == 3
    assert rows["wordy"].length_ratio > rows["plain"].length_ratio
    assert {row.form for row in rows.values()} == {"minimal"}


def test_the_first_judge_decides_the_win_rate_of_the_board(judged):
    board = build_board(judged.folder, num_resamples=200)
    assert board.judge == "pairwise"
    for label, row in by_label(board).items():
        (found,) = [each for each in board.rows if each.label == label]
        assert row.win_rate.mean == pytest.approx(found.win_rate.mean)


def test_judges_that_order_rows_the_other_way_round_say_so(judged):
    board = build_board(judged.folder, num_resamples=100)
    (agreement,) = board.agreements
    assert (agreement.first, agreement.second, agreement.num_rows) == ("pairwise", "checker", 3)
    # By construction longest is last before one judge and first before the other.
    assert agreement.kendall < 0
    rows = by_label(board, "checker")
    assert rows["longest"].win_rate.mean > 50 > rows["plain"].win_rate.mean
    assert by_label(board)["plain"].reversals is None
    first, second = (
        np.concatenate([cell.judgements[at].preference for cell in read_cells(judged.folder) if cell.label == "plain"])
        for at in (0, 1)
    )
    assert rows["plain"].reversals == pytest.approx(np.mean((first > 0.5) != (second > 0.5)))


def test_a_baseline_that_is_no_method_has_no_budget_and_no_seed(judged):
    assert "against random at the same budget and seed, judged by pairwise" in board_markdown(
        build_board(judged.folder, num_resamples=50)
    )
    for path in judged.folder.rglob("seed-*.json"):
        path.write_text(path.read_text().replace('"baseline": "random"', '"baseline": "gpt4"'))
    board = build_board(judged.folder, num_resamples=50)
    assert "against gpt4, judged by pairwise" in board_markdown(board)
    assert not any(row.is_baseline for row in board.rows)


def test_fewer_prompts_than_the_benchmark_has_are_a_partial_result(judged):
    board = build_board(judged.folder, num_resamples=100)
    assert {row.status for row in board.judged} == {"partial"}
    assert "the first 120 of 805 prompts of alpaca-eval" in board_markdown(board)


def test_a_missing_verdict_is_counted_and_is_no_tie(results):
    told = verdicts("pairwise", 1.0)
    told["preference"][:6] = [None] * 6
    told["columns"]["flags"] = [["unparsable"]] * 3 + [[]] * (NUM_ITEMS - 3)
    results.write(results.cell("gap", verdicts=told))
    results.add("random", verdicts=None, kind="control")
    (row,) = build_board(results.folder, num_resamples=100).judged
    assert (row.status, row.num_verdicts, row.ties) == ("partial", NUM_ITEMS - 6, 0)
    assert row.failed == pytest.approx(6 / NUM_ITEMS)
    assert row.unparsable == pytest.approx(3 / NUM_ITEMS)
    assert row.win_rate.mean == pytest.approx(100 * np.mean([x for x in told["preference"] if x is not None]))


def test_every_form_of_the_board_tells_of_the_judged_part(judged):
    board = build_board(judged.folder, num_resamples=100)
    page, lines = board_markdown(board), "\n".join(board_lines(board))
    for text in (page, lines):
        assert "length-controlled" in text
        assert "Kendall" in text
    assert page.index("## Judged") > page.index("## Budget")
    (row,) = [row for row in csv.DictReader(io.StringIO(board_csv(board))) if row["label"] == "wordy"]
    assert float(row["pairwise.controlled"]) == pytest.approx(by_label(board)["wordy"].controlled.mean, rel=1e-5)
    assert float(row["checker.win_rate"]) == pytest.approx(by_label(board, "checker")["wordy"].win_rate.mean, rel=1e-5)
    again = Board.from_json(board.to_json(), where="here")
    assert again.to_json() == board.to_json()
    assert len(again.judged) == 6


def test_a_board_of_one_win_rate_per_row_has_no_judged_part(results):
    results.add("plain")
    results.add("random", verdicts=None, kind="control")
    board = build_board(results.folder, num_resamples=100)
    told = json.loads(board.to_json())
    assert not {"judged", "agreements", "prompts", "judge_card"} & set(told)
    assert "Judged" not in board_markdown(board)
    assert not any("checker." in column for column in board_csv(board).splitlines()[0].split(","))


@pytest.mark.parametrize("passes", [True, False])
def test_what_the_reliability_card_says_stands_above_the_tables(judged, passes):
    words = ["It contradicts itself on 41 % of the pairs."]
    rate = {"value": 41.0, "low": 30.0, "high": 52.0, "num": 80, "on": "its own pairs"}
    card = {
        "schema": 1, "passes": passes, "words": words, "flip_rate": rate, "agreement": None, "gold_preference": None,
        "gates": [], "more": {"of": "it"},
    }  # fmt: skip
    (judged.folder / "judge-card.json").write_text(json.dumps(card))
    board = build_board(judged.folder, num_resamples=100)
    assert (board.judge_card.passes, board.judge_card.flip_rate, board.judge_card.agreement) == (passes, 41.0, None)
    page = board_markdown(board)
    assert page.index("contradicts itself") < page.index("Judged by pairwise")
    assert "contradicts itself" in "\n".join(board_lines(board))


def test_further_judges_have_their_cards_and_words_stand_by_name(judged, tmp_path):
    told = {"schema": 1, "flip_rate": None, "agreement": None, "gold_preference": None, "gates": []}
    (judged.folder / "judge-card.json").write_text(json.dumps({**told, "passes": True, "words": ["It qualifies."]}))
    alone = build_board(judged.folder, num_resamples=50)
    assert "further_cards" not in json.loads(alone.to_json())
    assert "It qualifies." in judged_words(alone)
    cards = {
        "checker": {**told, "passes": False, "words": ["It contradicts itself."]},
        "nobody": {**told, "passes": None, "words": ["It is not in this run."]},
    }
    (judged.folder / "judge-cards.json").write_text(json.dumps({"schema": 1, "cards": cards}))
    board = build_board(judged.folder, num_resamples=50)
    assert list(board.further_cards) == ["checker"]
    assert judged_words(board)[:2] == ["pairwise: It qualifies.", "checker: It contradicts itself."]
    assert Board.from_json(board.to_json(), where="here").to_json() == board.to_json()
    assert "checker: It contradicts itself." in site_files(board, judged.folder, tmp_path / "out")["index.html"]
    (judged.folder / "judge-cards.json").write_text('{"schema": 1, "cards": [1]}')
    with pytest.raises(UsageError, match=r"judge-cards\.json: not a judge's card"):
        build_board(judged.folder, num_resamples=50)


def test_a_card_that_cannot_be_read_is_named(judged):
    (judged.folder / "judge-card.json").write_text("[1")
    with pytest.raises(UsageError, match=r"judge-card\.json: not a judge's card"):
        build_board(judged.folder, num_resamples=100)


def games(label, model_wins, *, control="style", num_prompts=NUM_ITEMS, first_bonus=0.0):
    """A judge with five-way labels in both orders; `first_bonus` of the pairs it names whatever stands first."""
    rng = np.random.default_rng(len(label))
    model_first, baseline_first, preference = [], [], []
    for wins in rng.random(num_prompts) < model_wins:
        both = ("A>>B", "B>A") if wins else ("B>A", "A>>B")
        both = ("A>B", "A>B") if rng.random() < first_bonus else both
        model_first.append(both[0])
        baseline_first.append(both[1])
        preference.append(0.5 if both[0] == both[1] else float(both[0].startswith("A")))
    lengths = rng.integers(100, 300, (2, num_prompts))
    styles = [{"headers": int(x % 3), "lists": int(x % 5), "bolds": int(x % 2)} for x in lengths[0]]
    columns = {
        "model_first": model_first, "baseline_first": baseline_first, "length_model": lengths[0].tolist(),
        "length_baseline": lengths[1].tolist(), "style_model": styles, "style_baseline": styles[::-1],
    }  # fmt: skip
    ids = [f"item-{at}" for at in range(num_prompts)]
    return {"baseline": "random", "judge": "pairwise", "ids": ids, "preference": preference, "columns": columns}


def test_arena_hard_is_controlled_for_style_over_all_rows_together(results):
    prompts = {**PROMPTS, "suite": "arena-hard-v2.0", "control": "style", "num_in_all": NUM_ITEMS}
    for label, wins in (("good", 0.8), ("poor", 0.2)):
        results.write(results.cell(label, verdicts=games(label, wins), prompts=prompts))
    results.write(results.cell("random", verdicts=None, kind="control", prompts=prompts))
    rows = by_label(build_board(results.folder, num_resamples=100))
    assert {row.status for row in rows.values()} == {"complete"}
    # Clear wins count three times on one side: the published score is no win rate. Style plays no part here.
    scored = {
        row["model"]: row for row in score_file(Scoring(verdicts=results.folder, metric="arena-style", resamples=100))
    }
    for label, row in rows.items():
        told = scored[f"{label}@10%/seed-0"]
        assert row.styled.mean == pytest.approx(told["score"])
        assert (row.styled.low, row.styled.high) == pytest.approx((told["ci_lo"], told["ci_hi"]))
    assert rows["good"].styled.low > 60 > 40 > rows["poor"].styled.high


def test_position_bias_and_consistency_are_those_of_the_games(results):
    told = games("biased", 0.5, first_bonus=0.4)
    results.write(results.cell("biased", verdicts=told))
    results.write(results.cell("random", verdicts=None, kind="control"))
    (row,) = build_board(results.folder, num_resamples=100).judged
    same = np.mean(
        [
            one == other
            for one, other in zip(*(told["columns"][f"{x}_first"] for x in ("model", "baseline")), strict=True)
        ]
    )
    assert row.consistency == pytest.approx(1 - same)
    assert row.ties == pytest.approx(same)
    # Where the order decides, the first wins in both games; elsewhere it wins in one of them.
    assert row.position_bias == pytest.approx(0.5 * same)


@pytest.mark.parametrize("form", ["labels", "chances", "both"])
def test_consistency_and_bias_are_told_of_labels_and_of_probabilities(results, form):
    labels = {"model_first": ["A>>B", "B>A", "A=B", "x", None], "baseline_first": ["B>A", "B>A", "A=B", "A>B", None]}
    chances = {
        "model_first_chance": [0.9, 0.4, 0.5, 2.0, None], "baseline_first_chance": [0.3, 0.2, 0.5, 0.9, None]
    }  # fmt: skip
    told = {"baseline": "random", "judge": "j", "ids": list("abcde"), "preference": [1.0, 0.5, 0.5, None, None]}
    columns = {"labels": labels, "chances": chances, "both": {**labels, **chances}}[form]
    results.write(results.cell("m", verdicts={**told, "columns": columns}))
    (cell,) = read_cells(results.folder)
    # Of the three items with both games the first and the third have one winner in both orders.
    first_wins = [(1 + 0) / 2, (0 + 0) / 2, 0.5] if form == "labels" else [0.6, 0.3, 0.5]
    assert orders([cell.verdicts]) == {
        "consistency": pytest.approx(2 / 3), "position_bias": pytest.approx(np.mean(first_wins) - 0.5)
    }  # fmt: skip
    assert orders([]) == {"consistency": None, "position_bias": None}


@pytest.mark.parametrize("flag", UNREADABLE)
def test_every_flag_of_a_reply_that_could_not_be_read_is_counted(results, flag):
    told = verdicts("pairwise", 1.0)
    told["columns"]["flags"] = [[flag]] * 6 + [["judge_truncated"]] * (NUM_ITEMS - 6)
    results.write(results.cell("gap", verdicts=told))
    results.add("random", verdicts=None, kind="control")
    (row,) = build_board(results.folder, num_resamples=50).judged
    assert row.unparsable == pytest.approx(6 / NUM_ITEMS)


def test_rank_correlations_are_those_of_the_definition():
    rng = np.random.default_rng(3)
    one, other = rng.integers(0, 5, 12).astype(float), rng.integers(0, 5, 12).astype(float)
    signs = [(np.sign(one[a] - one[b]), np.sign(other[a] - other[b])) for a in range(12) for b in range(a)]
    numerator = sum(x * y for x, y in signs)
    tau_b = numerator / math.sqrt(sum(x * x for x, _ in signs) * sum(y * y for _, y in signs))

    def ranks(values):
        return np.array([(values < x).sum() + ((values == x).sum() + 1) / 2 for x in values])

    found = rank_correlations(one, other)
    assert found[0] == pytest.approx(tau_b)
    assert found[1] == pytest.approx(np.corrcoef(ranks(one), ranks(other))[0, 1])
    assert rank_correlations(one[:2], other[:2]) == (None, None)
    assert rank_correlations(np.ones(4), np.arange(4.0)) == (None, None)


def test_an_even_verdict_reverses_nothing(results):
    def cell(preference):
        told = {"baseline": "random", "judge": "j", "ids": list("abcd"), "preference": preference}
        return results.cell("m", verdicts=told)

    results.write(cell([1.0, 0.5, 0.2, None]))
    (found,) = read_cells(results.folder)
    first = {"m@10%/seed-0": found.verdicts}
    results.write(cell([0.0, 1.0, 0.9, 0.0]))
    assert reversals(read_cells(results.folder), first) == pytest.approx(2 / 3)
    assert orders([found.verdicts]) == {"consistency": None, "position_bias": None}


def test_pooled_bounds_hold_seeds_and_prompts():
    """Against the variance that the draws are made with: items and seeds add."""
    rng = np.random.default_rng(0)
    items = rng.normal(0, 3, 20000)
    drawn = np.stack([50 + items + shift for shift in (-2.0, 0.0, 2.0)])
    alone = pooled_estimates([np.array([50.0])], [drawn[1:2]], num_items=[100], key="k")[0]
    assert alone.high - alone.low == pytest.approx(2 * 1.96 * 3, rel=0.03)
    several = pooled_estimates([np.array([48.0, 50.0, 52.0])], [drawn], num_items=[100], key="k")[0]
    # Student with 2 degrees of freedom, scaled by sd / sqrt(3), beside the normal part.
    monte_carlo = rng.normal(0, 3, 10**6) + rng.standard_t(2, 10**6) * 2 / math.sqrt(3)
    low, high = np.quantile(monte_carlo, [0.025, 0.975])
    assert several.high - several.low == pytest.approx(high - low, rel=0.05)
    assert several.mean == pytest.approx(50)


def test_a_folder_of_results_is_scored_like_a_file(judged, tmp_path):
    lines = []
    for cell in read_cells(judged.folder):
        if cell.verdicts:
            rows = zip(cell.verdicts.ids, cell.verdicts.preference, *cell.verdicts.columns.values(), strict=True)
            for item, preference, mine, other in rows:
                lines.append(
                    {"id": item, "model": f"{cell.label}@10%/seed-{cell.seed}", "baseline": "random",
                     "preference": preference, "length_model": mine, "length_baseline": other}
                )  # fmt: skip
    path = tmp_path / "verdicts.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    about = {"metric": "alpaca-lc", "resamples": 50}
    assert score_file(Scoring(verdicts=judged.folder, **about)) == score_file(Scoring(verdicts=path, **about))
    other = score_file(Scoring(verdicts=judged.folder, metric="win-rate", judge="checker", resamples=50))
    assert other[0]["model"].startswith("longest")
    with pytest.raises(UsageError, match="holds no verdicts of nobody"):
        score_file(Scoring(verdicts=judged.folder, metric="win-rate", judge="nobody"))
    with pytest.raises(UsageError, match="--judge picks verdicts of a folder"):
        score_file(Scoring(verdicts=path, metric="win-rate", judge="checker"))


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"further_verdicts": [verdicts("pairwise", 0.1)]}, "a judge occurs twice"),
        ({"verdicts": {**verdicts("pairwise", 0.1), "columns": {"flags": [[]]}}}, "not one value per id"),
    ],
)
def test_contradicting_verdicts_are_refused(results, change, part):
    results.write(results.cell("odd", **{"verdicts": verdicts("pairwise", 0.1), **change}))
    with pytest.raises(UsageError, match=part):
        read_cells(results.folder)


def test_ten_rows_are_fitted_with_a_difficulty_of_their_own(results):
    for number in range(10):
        label = f"method-{number}"
        results.write(results.cell(label, verdicts=verdicts("pairwise", 0.1 * number, seed=number), prompts=PROMPTS))
    results.write(results.cell("random", verdicts=None, kind="control", prompts=PROMPTS))
    rows = build_board(results.folder, num_resamples=100).judged
    assert {row.form for row in rows} == {"joint"}
    assert rows[0].label == "method-9"
