"""The suite as a whole: pool, held-out items, planted defects, packaged base model."""

from __future__ import annotations

import math
import random
from itertools import islice

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from sftbench.plant import PlantedRow, plant, response_of
from sftbench_plugins.microcosm import suite
from sftbench_plugins.microcosm.tasks import FAMILIES
from sftbench_plugins.microcosm.terse import documents


@pytest.fixture(scope="module")
def pool() -> list[suite.Row]:
    return list(suite.pool_rows())


@pytest.fixture(scope="module")
def planted(pool: list[suite.Row]) -> list[PlantedRow]:
    return plant(pool, share=suite.PLANTED_SHARE, seed=0, accepts=lambda row, text: suite.is_right(row["id"], text))


def test_the_pool_repeats_itself_and_has_every_family(pool: list[suite.Row]) -> None:
    assert list(suite.pool_rows()) == pool
    assert len(pool) == suite.NUM_POOL_ROWS
    assert {row["family"] for row in pool} == set(FAMILIES)


def test_ids_and_instructions_are_distinct(pool: list[suite.Row]) -> None:
    assert len({row["id"] for row in pool}) == len(pool)
    assert len({row["messages"][0]["content"] for row in pool}) == len(pool)


def test_held_out_instructions_occur_in_no_pool(pool: list[suite.Row]) -> None:
    heldout = {row["messages"][0]["content"] for row in suite.heldout_rows(600, seed=4)}
    assert len(heldout) == 600
    for rows in (pool, suite.pool_rows(1500, seed=4)):
        assert heldout.isdisjoint(row["messages"][0]["content"] for row in rows)


def test_held_out_instructions_do_not_occur_in_pretraining() -> None:
    heldout = {row["messages"][0]["content"] for row in suite.heldout_rows(600)}
    posed = {document.posed for document in islice(documents(0), 20_000)}
    assert heldout.isdisjoint(posed)


def test_every_clean_response_is_right_and_can_be_looked_up_by_id(pool: list[suite.Row]) -> None:
    assert all(suite.is_right(row["id"], row["messages"][1]["content"]) for row in pool)


@pytest.mark.parametrize("row_id", ["row-1", "microcosm-0", "microcosm-0-x", "microcosm-heldout-0-1"])
def test_a_foreign_id_is_refused(row_id: str) -> None:
    with pytest.raises(ValueError, match="not a microcosm pool row"):
        suite.is_right(row_id, "fox")


def test_the_planted_share_is_exact(planted: list[PlantedRow]) -> None:
    num_planted = sum(bool(row["planted_kind"]) for row in planted)
    assert num_planted == round(suite.PLANTED_SHARE * suite.NUM_POOL_ROWS)


def test_planted_wrong_and_other_answers_fail_the_checker(planted: list[PlantedRow]) -> None:
    spoilt = [row for row in planted if row["planted_kind"] in ("wrong_answer", "other_answer")]
    assert spoilt
    assert not any(suite.is_right(row["id"], response_of(row)) for row in spoilt)


def test_the_packaged_model_is_small_and_knows_the_terse_tasks() -> None:
    model = AutoModelForCausalLM.from_pretrained(suite.MODEL_FOLDER, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(suite.MODEL_FOLDER)
    assert 1_000_000 <= model.num_parameters() <= 2_000_000
    sample = [one for one in islice(documents(99), 400) if one.following and one.posed][:100]
    losses = []
    for document in sample:
        encoded = tokenizer(document.text, return_tensors="pt", return_offsets_mapping=True)
        follows = encoded["offset_mapping"][0, 1:, 1] > len(document.posed)
        with torch.no_grad():
            logits = model(encoded["input_ids"]).logits[0, :-1]
        losses += torch.nn.functional.cross_entropy(logits, encoded["input_ids"][0, 1:], reduction="none")[
            follows
        ].tolist()
    assert sum(losses) / len(losses) < 0.15 * math.log(len(tokenizer))


def test_the_tokenizer_gives_back_any_text() -> None:
    tokenizer = AutoTokenizer.from_pretrained(suite.MODEL_FOLDER)
    rng = random.Random(0)
    for row in islice(suite.pool_rows(seed=9), 200):
        text = row["messages"][rng.randrange(2)]["content"]
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert tokenizer.decode(tokenizer("Zürich, 東京 \t 42!")["input_ids"]) == "Zürich, 東京 \t 42!"
    assert tokenizer.eos_token == tokenizer.pad_token == "<|endoftext|>"
    assert tokenizer.bos_token is None


def test_digits_are_tokens_of_their_own() -> None:
    tokenizer = AutoTokenizer.from_pretrained(suite.MODEL_FOLDER)
    assert tokenizer.tokenize("2031") == ["2", "0", "3", "1"]
