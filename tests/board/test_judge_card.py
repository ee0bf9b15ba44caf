"""A board beside whose results the judge's card lies: corrected win rates, and the card's words."""

from __future__ import annotations

import json

import pytest

from sftbench.board.build import build_board
from sftbench.board.flat import board_csv, board_records
from sftbench.board.markdown import board_markdown
from sftbench.board.site.files import site_files
from sftbench.board.table import Board
from sftbench.errors import UsageError

WORDS = ["This judge agrees with gold labels in 80 % [71, 87] of 100 cases.", "It qualifies as a judge."]


def card(value=80.0, low=72.0, high=88.0, **changes):
    preferred = {"value": value, "low": low, "high": high, "num": 100, "on": "llmbar natural"}
    return {
        "schema": 1,
        "words": WORDS,
        "passes": True,
        "flip_rate": None,
        "agreement": None,
        "gold_preference": preferred,
        "findings": [],
        "gates": [],
        **changes,
    }


@pytest.fixture
def judged(results):
    """Three rows; preferences of 0.75 and 0.25, so that win rates lie between."""
    results.add("random", skill=0.45, kind="control", verdicts=None)
    results.add("good", skill=0.7)
    results.add("even", skill=0.5)
    return results


def put(results, told):
    (results.folder / "judge-card.json").write_text(json.dumps(told))
    return build_board(results.folder)


def test_a_row_has_its_win_rate_raw_and_corrected(judged):
    plain, board = build_board(judged.folder), put(judged, card())
    for row, before in zip(board.rows, plain.rows, strict=True):
        assert row.win_rate == before.win_rate
        assert (row.rank, row.tier) == (before.rank, before.tier)
        assert before.win_rate_corrected is None
        if row.is_baseline:
            assert row.win_rate_corrected is None
            continue
        # By hand: a preference of 0.8 for the better answer leaves 0.6 of the lead.
        found = row.win_rate_corrected
        assert found.mean == pytest.approx(50 + (row.win_rate.mean - 50) / 0.6)
        assert found.high - found.low > (row.win_rate.high - row.win_rate.low) / 0.6 * 0.999
        assert found.low < found.mean < found.high
    assert any(each.endswith(" ".join(WORDS)) for each in board.notes)
    assert any("100 pairs (llmbar natural)" in each for each in board.notes)


def test_without_a_card_nothing_is_said_of_one(judged):
    board = build_board(judged.folder)
    for text in (board.to_json(), board_csv(board), board_markdown(board)):
        assert not any(each in text for each in ("corrected for the judge", "win_rate_corrected", "win rates rest"))
        assert "card" not in text


def test_all_forms_of_a_board_have_the_corrected_rate(judged):
    board = put(judged, card())
    again = Board.from_json(board.to_json(), where="here")
    assert again.to_json() == board.to_json()
    record = next(each for each in board_records(board) if each["label"] == "good")
    assert record["win_rate_corrected_low"] < record["win_rate_corrected"] < record["win_rate_corrected_high"]
    text = board_markdown(board)
    assert "win rate, corrected for the judge" in text
    assert "Win rate, corrected for the judge: " in text


def test_a_judge_that_may_guess_corrects_nothing_and_the_board_says_why(judged):
    board = put(judged, card(52.0, 43.0, 61.0))
    assert all(row.win_rate_corrected is None for row in board.rows)
    assert any("cannot be told for any row: it is not told apart from a judge that guesses" in n for n in board.notes)


def test_a_card_without_agreement_leaves_win_rates_as_judged(judged):
    board = put(judged, card(gold_preference=None))
    assert all(row.win_rate_corrected is None for row in board.rows)
    assert "Win rates are as judged: nothing is known of how often this judge is right." in board.notes


def test_a_judge_that_rewards_length_is_not_put_right_by_the_correction(judged):
    told = "The correction does not take out that this judge rewards length"
    for state, warned in (("missed", True), ("met", False), ("untold", False)):
        board = put(judged, card(gates=[{"name": "length bias", "state": state}]))
        assert any(each.startswith(told) for each in board.notes) is warned


@pytest.mark.parametrize(
    "text", ["", "[]", '{"schema": 1}', '{"schema": 2}', json.dumps(card(low=None)), json.dumps(card(words=3))]
)
def test_a_file_that_is_no_card_is_refused_by_its_path(judged, text):
    (judged.folder / "judge-card.json").write_text(text)
    with pytest.raises(UsageError, match=r"judge-card\.json"):
        build_board(judged.folder)


@pytest.mark.parametrize("passes", [True, False, None])
def test_a_judge_that_does_not_qualify_is_the_first_thing_that_is_said(judged, tmp_path, passes):
    (judged.folder / "judge-card.json").write_text(json.dumps(card(passes=passes)))
    board = build_board(judged.folder, sort_metric="win-rate")
    says = "The judge checker does not qualify by its card: win rates by it say little."
    assert (board.notes[0] == says) is (passes is False)
    page = site_files(board, judged.folder, tmp_path / "out")["index.html"]
    first = page.partition("<ul class=said>")[2].partition("</li>")[0]
    assert (f"{says} The order of the entries rests on them." in first) is (passes is False)
    assert page.count(says) == (passes is False)


def test_the_site_has_the_corrected_rate_in_the_table_and_on_the_page_of_the_row(judged, tmp_path):
    board = put(judged, card())
    files = site_files(board, judged.folder, tmp_path / "out")
    good = next(row for row in board.rows if row.label == "good").win_rate_corrected
    assert ">win rate, corrected for the judge</button>" in files["index.html"]
    assert f"{good.mean:.1f} <small>{good.low:.1f} … {good.high:.1f}</small>" in files["index.html"]
    assert (
        f"Win rate corrected for the judge: {good.mean:.1f} [{good.low:.1f}, {good.high:.1f}]"
        in files["rows/good.html"]
    )
    assert "<summary>Win rate corrected" not in files["rows/good.html"]
