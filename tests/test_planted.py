"""Planted defects are counted as a person would count them: character by character."""

from __future__ import annotations

import json
import random

import numpy as np
import pluggy
import pytest

from sftbench import shelf
from sftbench.arrays import load_arrays
from sftbench.bench import Bench
from sftbench.desk import WorkingDesk
from sftbench.errors import ContractError
from sftbench.fingerprint import key_of
from sftbench.ledger import Meter
from sftbench.plan import Step
from sftbench.planted import count_planted, planted_rows
from sftbench.plugins import Plugins
from sftbench.pools import pool_from_rows, pool_of
from sftbench.prepare import measure_lengths
from sftbench.record import Record
from sftbench.reporting import Reporter
from sftbench.rooms import Message, Ragged, Row, Selection
from sftbench.store import Store


def row(row_id, *turns, planted=None, spans=()):
    """User and assistant in turn."""
    roles = ("user", "assistant")
    messages = tuple(Message(role=roles[at % 2], content=text) for at, text in enumerate(turns))
    return Row(id=row_id, messages=messages, planted=planted, planted_spans=tuple(spans))


class Measured:
    """A pool in a store and its row lengths, measured with a model's tokenizer."""

    def __init__(self, folder, rows, *, base, max_length):
        store, step = Store(folder / "store"), Step(room="pool", label="pool", identity={})
        with store.making("pool", step.key) as work:
            self.pool = pool_of(rows, into=work / shelf.POOL_ROWS, key=step.ref, form="messages")
            shelf.save_pool_form(self.pool, work)
            store.commit(work, Record(key=step.key, room="pool", identity={}))
        nothing = Plugins(manager=pluggy.PluginManager("sftbench"), parts={}, methods={}, suites={}, plugin_of={})
        reporter = Reporter(lambda event: None)
        measuring = Step(
            room="lengths", label="lengths", identity={"max_length": max_length}, parents={"pool": step.ref},
            where={"base": str(base)},
        )  # fmt: skip
        self.desk = WorkingDesk(step=measuring, store=store, meter_=Meter(), reporter=reporter, scratch=folder)
        bench = Bench(plugins=nothing, store=store, work=folder, meter=Meter(), reporter=reporter)
        self.payload = measure_lengths(measuring, bench, self.desk)
        self.lengths = load_arrays(folder / "lengths.safetensors")

    def counted(self, ids, labels=None):
        ragged = None if labels is None else Ragged.of([np.array(each) for each in labels], dtype=np.uint8)
        return count_planted(Selection(ids=tuple(ids), token_labels=ragged), self.pool, self.lengths, self.desk)


HIDDEN, INNER, LAYERS = 8, 12, 2


@pytest.fixture(scope="module")
def bytes_model(tmp_path_factory):
    """A model's folder without weights, whose tokens are bytes and an end."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("bytes")
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: at for at, letter in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["</s>"])
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>").save_pretrained(folder)
    LlamaConfig(
        vocab_size=257, hidden_size=HIDDEN, intermediate_size=INNER, num_hidden_layers=LAYERS, num_attention_heads=2,
        tie_word_embeddings=True,
    ).save_pretrained(folder)  # fmt: skip
    return folder


def forward_flops(total, scored):
    """Two per multiply-add: four square projections, three of the MLP, norms and head, and attention."""
    body = LAYERS * (4 * HIDDEN * HIDDEN + 3 * HIDDEN * INNER + 2 * HIDDEN) + HIDDEN
    return 2 * body * total + 2 * 257 * HIDDEN * scored + 2 * LAYERS * HIDDEN * total**2


BY_HAND = [
    # row, tokens of the response alone, trained tokens, all tokens, planted tokens
    # Prompt, newline, response, end.
    (row("plain", "ab", "xyz"), 3, 4, 7, 0),
    (row("one letter", "ab", "xyz", planted="wrong_answer", spans=[(1, 2)]), 3, 4, 7, 1),
    # The end is nobody's character.
    (row("whole", "ab", "xyz", planted="other_answer", spans=[(0, 3)]), 3, 4, 7, 3),
    # A letter of two bytes is two tokens, and each of them is the letter.
    (row("two bytes", "ab", "xéz", planted="wrong_answer", spans=[(1, 2)]), 4, 5, 8, 2),
    (row("twice", "a", "abcdef", planted="wrong_answer", spans=[(0, 2), (4, 5)]), 6, 7, 9, 3),
    (row("overlapping", "a", "abcdef", planted="wrong_answer", spans=[(0, 3), (2, 4)]), 6, 7, 9, 4),
    (row("truncated", "ab", "xyz", planted="truncation"), 3, 4, 7, 0),
    (row("empty", "ab", ""), 0, 0, 4, 0),
    # Twelve tokens are read: "abcd", newline, seven letters.
    (row("too long", "abcd", "0123456789", planted="filler", spans=[(5, 10)]), 10, 7, 12, 2),
    (row("no room", "abcdefghijklm", "xyz", planted="filler", spans=[(0, 3)]), 3, 0, 12, 0),
    # Only characters of the last response are planted, and both responses are trained.
    (row("two turns", "a", "bc", "d", "ef", planted="wrong_answer", spans=[(0, 1)]), 4, 6, 10, 1),
]


@pytest.fixture
def by_hand(tmp_path, bytes_model):
    return Measured(tmp_path, [each[0] for each in BY_HAND], base=bytes_model, max_length=12)


def test_lengths_are_those_counted_by_hand(by_hand):
    names = ("response_lengths", "training_tokens", "total_tokens", "planted_tokens")
    found = list(zip(by_hand.pool.ids, *(by_hand.lengths[name].tolist() for name in names), strict=True))
    assert found == [(each[0].id, *each[1:]) for each in BY_HAND]
    assert by_hand.lengths["planted"].tolist() == [each[0].planted is not None for each in BY_HAND]


def test_a_forward_pass_over_a_row_costs_what_the_formula_says(by_hand):
    assert by_hand.lengths["forward_flops"].tolist() == [forward_flops(each[3], each[2]) for each in BY_HAND]


def test_the_sums_are_over_the_whole_pool(by_hand):
    columns = list(zip(*BY_HAND, strict=True))
    assert by_hand.payload == {
        "num_rows": 11,
        "num_response_tokens": sum(columns[2]),
        "num_tokens": sum(columns[3]),
        "num_planted": 9,
        "num_planted_tokens": sum(columns[4]),
        "forward_flops": sum(forward_flops(each[3], each[2]) for each in BY_HAND),
    }


def test_what_was_let_in_is_counted_by_hand(by_hand):
    ids = ["two bytes", "plain", "too long"]
    assert by_hand.counted(ids) == {
        "num_rows": 3,
        "ids_hash": key_of(ids),
        "num_response_tokens": 5 + 4 + 7,
        "num_trained_tokens": 5 + 4 + 7,
        "num_planted_rows": 2,
        "num_planted_tokens": 2 + 0 + 2,
    }


def test_masked_tokens_are_not_let_in(by_hand):
    """`xéz` and its end: one half of the planted letter is masked, and the other distilled."""
    found = by_hand.counted(["plain", "two bytes"], [[0, 0, 1, 1], [1, 0, 2, 0, 0]])
    assert (found["num_response_tokens"], found["num_trained_tokens"]) == (9, 4)
    assert (found["num_planted_rows"], found["num_planted_tokens"]) == (1, 1)


@pytest.mark.parametrize("labels", [[1, 1, 1], [1, 1, 1, 1, 1], []])
def test_labels_that_fit_no_response_are_refused_by_row(by_hand, labels):
    with pytest.raises(ContractError, match=f"row 'plain' has 4 response tokens and {len(labels)} token labels"):
        by_hand.counted(["whole", "plain"], [[1, 1, 1, 1], labels])


def test_labels_of_the_right_sum_on_the_wrong_rows_are_refused(by_hand):
    with pytest.raises(ContractError, match="row 'plain'"):
        by_hand.counted(["plain", "two bytes"], [[1] * 5, [1] * 4])


LETTERS = "The amber birch is 7, then\nTell me: fern   "


@pytest.fixture(scope="module")
def drawn(material, tmp_path_factory):
    """Sixty rows of one or two turns with planted spans anywhere, read by a tokenizer with merges up to 30 tokens."""
    rng = random.Random(3)

    def text(most):
        words = rng.choices(["amber", "birch ", " number", "Tell me", "\n", " ", ". Then", "x", ","], k=most)
        return "".join(words) + "".join(rng.choices(LETTERS, k=rng.randint(0, 5)))

    rows = []
    for index in range(60):
        turns = [text(rng.randint(1, 6)) for _ in range(rng.choice([2, 2, 4]))]
        length = len(turns[-1])
        cuts = [sorted(rng.choices(range(length + 1), k=2)) for _ in range(rng.randint(0, 2))]
        spans = [(start, end) for start, end in cuts if start < end]
        rows.append(row(f"row {index}", *turns, planted="filler" if spans else None, spans=spans))
    folder = tmp_path_factory.mktemp("drawn")
    return rows, Measured(folder, rows, base=material.model, max_length=30)


def tokens_by_hand(row, tokenizer, max_length):
    """Per token of a row whether it is of a response, and whether any of its characters is planted.

    What a token covers is known by decoding one after another; all characters here are single bytes.
    """
    kinds = []
    for at, message in enumerate(row.messages):
        answers = message.role == "assistant"
        last = at == len(row.messages) - 1
        bad = {place for start, end in row.planted_spans for place in range(start, end)} if last else set()
        kinds += [(answers, place in bad) for place in range(len(message.content))]
        kinds += [(True, False)] * len(tokenizer.eos_token) if answers else [(False, False)]
    text = "".join(m.content + (tokenizer.eos_token if m.role == "assistant" else "\n") for m in row.messages)
    found, position = [], 0
    for token in tokenizer(text, add_special_tokens=False)["input_ids"][:max_length]:
        covered = kinds[position : position + len(tokenizer.decode([token]))]
        position += len(covered)
        # A token that is half prompt counts as prompt.
        found.append((all(answers for answers, _ in covered), any(bad for _, bad in covered)))
    return [bad for answers, bad in found if answers]


@pytest.fixture(scope="module")
def counted_by_hand(drawn, material):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(material.model)
    return {each.id: tokens_by_hand(each, tokenizer, 30) for each in drawn[0]}


def test_rows_that_were_drawn_are_measured_as_by_hand(drawn, counted_by_hand):
    rows, measured = drawn
    assert measured.lengths["training_tokens"].tolist() == [len(counted_by_hand[each.id]) for each in rows]
    assert measured.lengths["planted_tokens"].tolist() == [sum(counted_by_hand[each.id]) for each in rows]
    # The rows are such that it matters: some are cut, some are planted, and some tokens are planted in part.
    assert (measured.lengths["total_tokens"] == 30).sum() > 10
    assert 100 < measured.payload["num_planted_tokens"] < measured.payload["num_response_tokens"]


@pytest.mark.parametrize("seed", range(5))
def test_a_selection_lets_in_what_is_counted_by_hand(drawn, counted_by_hand, seed):
    rows, measured = drawn
    rng = random.Random(seed)
    chosen = rng.sample(rows, 25)
    ids = [each.id for each in chosen]
    bad = [counted_by_hand[row_id] for row_id in ids]
    found = measured.counted(ids)
    assert found["num_trained_tokens"] == found["num_response_tokens"] == sum(map(len, bad))
    assert found["num_planted_tokens"] == sum(map(sum, bad))
    assert found["num_planted_rows"] == sum(each.planted is not None for each in chosen)
    labels = [[rng.choice([0, 1, 2]) for _ in each] for each in bad]
    found = measured.counted(ids, labels)
    assert found["num_response_tokens"] == sum(map(len, bad))
    assert found["num_trained_tokens"] == sum(label > 0 for each in labels for label in each)
    pairs = [pair for both in zip(bad, labels, strict=True) for pair in zip(*both, strict=True)]
    assert found["num_planted_tokens"] == sum(is_bad and label > 0 for is_bad, label in pairs)


def test_labels_that_train_everything_let_in_what_no_labels_do(drawn):
    rows, measured = drawn
    ids = [each.id for each in reversed(rows)]
    ones = [[1] * int(measured.lengths["training_tokens"][measured.pool.index_of[row_id]]) for row_id in ids]
    assert measured.counted(ids, ones) == measured.counted(ids)


FORMS = {
    "alpaca": lambda index, text: {"instruction": f"Question {index}?", "input": "", "output": text},
    "alpaca with input": lambda index, text: {"instruction": f"Question {index}?", "input": "With.", "output": text},
    "messages": lambda index, text: {
        "messages": [{"role": "user", "content": f"Question {index}?"}, {"role": "assistant", "content": text}]
    },
    "sharegpt": lambda index, text: {
        "conversations": [{"from": "human", "value": f"Question {index}?"}, {"from": "gpt", "value": text}]
    },
    "alpaca with system": lambda index, text: {
        "system": "Be brief.", "instruction": f"Question {index}?", "input": "", "output": text
    },
}  # fmt: skip


def pool_in(form, folder):
    rng = random.Random(1)
    words = ["the", "copper", "lantern", "by", "window", "seven", "has", "12", "days", "of", "violet", "thunder"]
    rows = [
        {"id": str(at), "kept": at, **FORMS[form](at, " ".join(rng.sample(words, 8)) + ". It ends.")}
        for at in range(80)
    ]
    return pool_from_rows(rows, into=folder / "rows.arrow", key="k")


@pytest.mark.parametrize(
    "form",
    [
        *list(FORMS)[:4],
        pytest.param("alpaca with system"),
    ],
)
def test_a_planted_row_shows_its_defect_in_the_form_that_it_came_in(tmp_path, form):
    pool = pool_in(form, tmp_path)
    again = list(planted_rows(pool, share=0.5))
    assert sum(each.planted is not None for each in again) == 40
    read_back = pool_from_rows((json.loads(each.raw) for each in again), into=tmp_path / "again.arrow", key="k")
    assert [each.messages for each in read_back] == [each.messages for each in again]
    for each, before in zip(again, pool, strict=True):
        original = each.original()
        assert (original["id"], original["kept"]) == (each.id, int(each.id))
        assert set(original) == set(before.original())
        assert (each == before) == (each.planted is None)
        if "output" in original:
            assert original["output"] == each.response


def test_the_same_rows_are_planted_again_and_more_of_them_with_a_larger_share(tmp_path):
    pool = pool_in("messages", tmp_path)
    once, twice = (list(planted_rows(pool, share=0.3)) for _ in range(2))
    assert once == twice
    assert sum(each.planted is not None for each in planted_rows(pool, share=0.6)) == 48


def test_no_wrong_answer_is_one_that_would_be_accepted(tmp_path):
    pool = pool_in("messages", tmp_path)
    asked = []

    def accepts(row_id, response):
        asked.append(row_id)
        return "copper" in response

    for each in planted_rows(pool, share=0.9, accepts=accepts):
        if each.planted in ("wrong_answer", "other_answer"):
            assert "copper" not in each.response
    assert set(asked) <= set(pool.ids)
    assert asked
