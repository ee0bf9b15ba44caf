"""Fixed-model cleaning: which rows, which tokens, and what becomes of awkward ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from sftbench import Pool, Ragged, Scores, Selection, UsageError, fine_tune, training_rows
from sftbench.parameters import build
from sftbench_plugins.chance import permutation
from sftbench_plugins.excess_loss import best_tokens
from sftbench_plugins.sft.trainer import Sft
from sftbench_plugins.token_cleaning.selector import TokenCleaning


def clean(small: Any, pool: Pool, number: int | None = None, *, scores: Scores | None = None, **more: Any) -> Selection:
    desk = small.desk(pool, seed=more.pop("seed", 0))
    return TokenCleaning(**more).select(pool, scores, small.rows(number or len(pool), pool), desk)


def by_hand(small: Any, pool: Pool, ids: tuple[str, ...], keep: float) -> dict[str, list[int]]:
    """The rule of the paper, by sorting (gain, row in the pool, position) of all tokens of the rows."""
    desk = small.desk(pool)
    base, reference = (small.losses(name, pool, desk) for name in ("base", "reference"))
    tokens = [
        (-(base[row_id][at] - reference[row_id][at]), pool.index_of[row_id], at, row_id)
        for row_id in ids
        for at in range(len(base[row_id]))
    ]
    kept = {(row_id, at) for *_, at, row_id in sorted(tokens)[: int(keep * len(tokens))]}
    return {row_id: [int((row_id, at) in kept) for at in range(len(base[row_id]))] for row_id in ids}


@pytest.mark.parametrize("keep", [0.6, 0.3])
def test_tokens_are_kept_by_the_difference_of_the_losses_over_all_rows_together(small: Any, keep: float) -> None:
    pool = small.pool(*small.words(20))
    found = clean(small, pool, 12, keep=keep)
    assert found.token_labels is not None
    labels = {row_id: found.token_labels[at].tolist() for at, row_id in enumerate(found.ids)}
    assert labels == by_hand(small, pool, found.ids, keep)
    assert found.status == "full"
    assert found.report["share_kept"] == pytest.approx(keep, abs=0.01)


def test_without_scores_the_rows_are_those_of_random(small: Any) -> None:
    pool = small.pool(*small.words(20))
    for seed in (0, 3):
        expected = tuple(pool.ids[at] for at in permutation(20, seed, "random")[:7])
        assert clean(small, pool, 7, seed=seed).ids == expected


def test_given_scores_rank_the_rows_and_rows_without_one_are_left_out(small: Any) -> None:
    pool = small.pool(*small.words(6))
    scores = Scores(values=np.array([0.1, np.nan, 0.7, 0.7, -2, 0.3]), reasons={1: "empty_response"})
    found = clean(small, pool, 6, scores=scores)
    assert found.ids == ("row-2", "row-3", "row-5", "row-0", "row-4")
    assert found.scores is not None
    assert found.scores.tolist() == [0.7, 0.7, 0.3, 0.1, -2]
    assert found.status == "short"


def test_a_reference_equal_to_the_base_leaves_ties_that_go_to_the_first_rows(small: Any) -> None:
    pool = small.pool(*small.words(10))
    found = clean(small, pool, reference="scoring")
    assert found.token_labels is not None
    in_pool = [found.token_labels[found.ids.index(row_id)] for row_id in pool.ids]
    flat = np.concatenate(in_pool)
    assert flat.tolist() == [1] * int(0.6 * len(flat)) + [0] * (len(flat) - int(0.6 * len(flat)))


def test_in_a_sample_by_itself_each_row_keeps_its_share_and_at_least_one_token(small: Any) -> None:
    pool = small.pool(("ab", "x"), ("cd", "abcdefghi"), *small.words(4))
    for mode, fewest in (("paper", 1), ("official", 0)):
        found = clean(small, pool, scope="sample", mode=mode)
        assert found.token_labels is not None
        for labels in found.token_labels:
            assert labels.sum() == max(min(fewest, len(labels)), int(0.6 * len(labels)))


def test_an_empty_response_and_a_prompt_that_fills_the_window_have_no_tokens(small: Any) -> None:
    pool = small.pool(("ask", ""), ("x" * 60, "late"), *small.words(5))
    found = clean(small, pool)
    assert set(found.ids) == {f"row-{at}" for at in range(2, 7)}
    assert found.report["num_left_out"] == {"empty_response": 1, "prompt_too_long": 1}
    assert found.status == "short"


def test_a_token_without_anything_before_it_is_masked_and_does_not_count(small: Any) -> None:
    plain = Ragged(values=np.array([np.nan, 1.0, 2.0, 3.0, 0.0, 5.0]), offsets=np.array([0, 4, 6]))
    assert best_tokens(plain, keep=0.6, scope="global").values.tolist() == [0, 0, 1, 1, 0, 1]


def test_a_truncated_response_is_told(small: Any) -> None:
    pool = small.pool(("ask", "y" * 70), *small.words(3))
    assert clean(small, pool).report["notes"] == {"response_truncated": 1}


def test_a_token_without_a_number_is_masked_alone_and_told(small: Any, make_broken: Callable[[str], None]) -> None:
    make_broken("reference")
    pool = small.pool(("abc", "defg#hij"), *small.words(6))
    found = clean(small, pool)
    assert found.report["notes"] == {"non_finite": 1}
    assert found.token_labels is not None
    of_row = found.token_labels[found.ids.index("row-0")]
    assert of_row[5:].sum() == 0
    num_without = found.report["num_tokens_without_a_score"]
    # A masked position that is no number spoils those before it too, but never another row.
    assert num_without in (4, 9)
    finite = len(found.token_labels.values) - num_without
    assert found.token_labels.values.sum() == int(0.6 * finite)
    assert found.report["num_tokens_without_a_score"] == num_without


def test_every_assistant_turn_is_response(small: Any) -> None:
    pool = small.pool(("ab", "cde", "fg", "hij"), ("k", "lm"))
    found = clean(small, pool, keep=1.0)
    assert found.token_labels is not None
    turns = {row_id: len(found.token_labels[at]) for at, row_id in enumerate(found.ids)}
    assert turns == {"row-0": 3 + 1 + 3 + 1, "row-1": 2 + 1}


def test_an_id_used_twice_is_refused(small: Any) -> None:
    pool = small.pool(("a", "b"), ("c", "d"))
    object.__setattr__(pool, "dataset", pool.dataset.map(lambda row: {**row, "id": "same"}))
    with pytest.raises(UsageError, match="twice"):
        clean(small, pool)


def test_parameters_out_of_range_and_modes_that_do_not_exist_are_refused() -> None:
    for given in ({"keep": "0"}, {"keep": "1.2"}, {"mode": "paper_literal"}, {"reference": "base"}):
        with pytest.raises(UsageError):
            build(TokenCleaning, given, where="token-cleaning")  # type: ignore[arg-type]


def test_random_tokens_are_told_from_clean_ones_by_a_reference_trained_on_clean_text(small: Any) -> None:
    """Responses repeat their prompt's letter; the reference has learnt that, and 30 % of the tokens are random."""
    draw = np.random.default_rng(0)
    letters = "abcdefghijklmnopqrst"
    clean_rows = small.pool(*[(letter * 4, letter * 16) for letter in letters for _ in range(4)])
    desk = small.desk(clean_rows, "reference")
    settings = Sft(epochs=25, learning_rate=1e-2, batch_size=16)
    rows = training_rows(clean_rows, small.everything(clean_rows), desk)
    fine_tune(rows, settings=settings, desk=desk, out=small.root / "trained")
    small.folders["reference"] = small.root / "trained"
    spoilt = [["".join(draw.choice(list(letters)) if draw.random() < 0.3 else c for c in c * 16), c] for c in letters]
    pool = small.pool(*[(letter * 4, text) for text, letter in spoilt])
    found = small.desk(pool)
    base, reference = (small.losses(name, pool, found) for name in ("base", "reference"))
    is_clean = np.concatenate([[c == letter for c in text] for text, letter in spoilt])
    scores = np.concatenate([(base[row_id] - reference[row_id])[:16] for row_id in pool.ids])
    above = scores[is_clean][:, None] > scores[~is_clean][None, :]
    assert above.mean() > 0.8
    kept = clean(small, pool)
    assert kept.token_labels is not None
    of_random = [
        kept.token_labels[kept.ids.index(row_id)][:16][[c != letter for c in text]]
        for row_id, (text, letter) in zip(pool.ids, spoilt, strict=True)
    ]
    assert 1 - np.concatenate(of_random).mean() > 0.8
