"""The anatomy of two selections, against what can be counted by hand; and what is said where something is missing."""

from __future__ import annotations

import itertools
import json
import shutil

import numpy as np
import pytest

from sftbench.anatomy.closeness import near_duplicates, nearest_heldout
from sftbench.anatomy.histograms import LowerWords, clusters, lengths
from sftbench.anatomy.shared import rank_correlation
from sftbench.anatomy.tokens import pieces_of
from sftbench.errors import UsageError
from sftbench.rooms import Message, Ragged, Row


def row(name, asked="ask", told="tell"):
    return Row(id=name, messages=(Message(role="user", content=asked), Message(role="assistant", content=told)))


def unit(values):
    found = np.asarray(values, dtype=np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def test_records_alone_tell_what_both_took_and_how_they_did(made):
    told = made.compare()
    assert told["overlap"]["num_common"] == 3
    assert told["overlap"]["jaccard"] == pytest.approx(3 / 9)
    assert told["overlap"]["ranks"] is None
    draws = np.random.default_rng(0)
    common = [len({*draws.permutation(40)[:6]} & {*draws.permutation(40)[:6]}) for _ in range(4000)]
    expected = np.mean([each / (12 - each) for each in common])
    assert told["overlap"]["by_chance"] == pytest.approx(expected, abs=0.01)
    assert told["across_seeds"]["a"]["mean"] == pytest.approx(5 / 7)
    assert told["planted"]["a"]["num_rows"] == 2
    assert told["planted"]["a"]["let_in"] == pytest.approx(0.2)
    (metric,) = told["metrics"]
    files = [json.loads(path.read_text()) for path in sorted(made.results.rglob("seed-*.json"))]
    means = [np.mean(each["evaluations"]["exact-match"]["items"]["exact-match"]) for each in files]
    assert metric["difference"] == pytest.approx(np.mean(means[:2]) - np.mean(means[2:]))
    assert metric["low"] < metric["difference"] < metric["high"]
    assert (metric["num_seeds"], metric["num_items"]) == (2, 20)
    assert metric["p"] > 0.05
    assert metric["seeds_to_tell"] > 2
    assert any("not in the store" in each for each in told["missing"])
    assert "histograms" not in told


def test_with_the_store_texts_are_told_too(made):
    made.put_all()
    told = made.compare()
    assert told["missing"] == []
    order = [1, 2, 0]  # The common rows of `one` by rank are r2, r3, r1; in `two` they stand at 2, 0, 1.
    assert told["overlap"]["ranks"]["num_rows"] == len(order)
    assert told["overlap"]["ranks"]["spearman"] == pytest.approx(float(np.corrcoef([0, 1, 2], [2, 0, 1])[0, 1]))
    source = told["histograms"]["source"]
    counted = dict(zip(source["bins"], zip(source["a"], source["b"], strict=True), strict=True))
    assert counted == {"alpha": (2, 2), "beta": (2, 2), "gamma": (2, 2)}
    assert told["planted"]["a"]["by_defect"] == {"truncation": 2}
    words = told["histograms"]["response_words"]
    assert (words["bins"], words["a"], words["median_a"]) == (["2-3"], [6.0], 2.0)
    bands = told["histograms"]["bands"]
    assert (bands["bins"], bands["unit"]) == (["rare", "middle", "frequent"], "words")
    assert sum(bands["a"]) == sum(bands["b"]) == 12
    alone = told["examples"]["only_a"]
    assert alone["num_rows"] == 3
    assert {each["id"] for each in alone["rows"]} == {"r7", "r20", "r21"}
    assert [each["rank"] for each in alone["rows"]] == [1, 5, 6]


def test_the_same_seed_draws_the_same_examples(made):
    made.put_all()
    first, again, other = (made.compare(num_examples=1, pick=pick)["examples"] for pick in (0, 0, 5))
    assert first == again
    assert len(other["only_a"]["rows"]) == 1


def test_another_seed_is_compared_when_it_is_named(made):
    made.put_all()
    told = made.compare(seed=1)
    assert {each["id"] for each in told["examples"]["only_a"]["rows"]} == {"r7", "r20", "r39"}


def test_labels_of_tokens_need_the_tokenizer_of_the_run(made, labels):
    made.put_all(labels=labels)
    told = made.compare()
    assert told["tokens"] == {}
    assert any("--lm" in each for each in told["missing"])


def test_each_token_has_its_label(made, labels, tokens, material):
    made.put_all(labels=labels)
    told = made.compare(lm=str(material.model))
    (problem,) = told["missing"]
    assert "is not the base model of this run" in problem
    assert "a" not in told["tokens"]
    assert len(told["tokens"]["b"]) == 3
    by_id = {each.row_id: each for each in tokens}
    for each in told["tokens"]["b"]:
        text = f"word{each['id'][1:]} end"
        marks = [label for piece, label in each["pieces"] for _ in piece]
        assert "".join(piece for piece, _ in each["pieces"]) == text
        spans = by_id[each["id"]].spans
        assert all(
            marks[at] == place % 3 for place, (start, end) in enumerate(spans) if start >= 0 for at in range(start, end)
        )


def test_labels_of_another_tokenizer_are_not_shown(made, labels, material):
    labels = Ragged(values=labels.values[:6], offsets=np.arange(7))
    made.put_all(labels=labels)
    told = made.compare(lm=str(material.model))
    assert told["tokens"]["b"] == []
    assert sum("is this the tokenizer of the run?" in each for each in told["missing"]) == 3


def test_a_pool_that_is_gone_is_said_to_be(made):
    made.put_all()
    shutil.rmtree(made.store.folder("pool", "p"))
    told = made.compare()
    assert any("no longer in the store" in each for each in told["missing"])
    assert told["overlap"]["num_common"] == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"a": "ones"}, "did you mean 'one'"),
        ({"budget": "7"}, "unknown budget of this method '7'"),
        ({"seed": 5}, "no seed 5; it has 0, 1"),
        ({"results": None}, "--results is missing"),
    ],
)
def test_what_is_unknown_is_refused(made, changes, message):
    with pytest.raises(UsageError, match=message):
        made.compare(**changes)


def test_folders_of_records_are_sides_too(made):
    told = made.compare(a=made.results / "one", b=made.results / "two", results=None)
    assert told["overlap"]["num_common"] == 3
    assert len(told["metrics"]) == 1


def test_methods_of_other_pools_are_not_compared(made):
    other = made.cell("far", (1, 2), "x", 0, [1.0] * 20)
    other["pool"]["key"] = "pool/other"
    folder = made.folder / "other"
    made.results = folder
    made.write(other)
    with pytest.raises(UsageError, match="different pools"):
        made.compare(a=made.folder / "results" / "one", b=folder / "far", results=None)


def test_a_failed_cell_and_an_untrained_base_have_no_selection(made):
    made.write(made.cell("base", (), "none", 0, [0.0] * 20) | {"selection": None})
    told = made.compare(a="base")
    assert told["overlap"] is None
    assert any("trains on nothing" in each for each in told["missing"])


def test_files_are_compared_by_their_ids(made, tmp_path):
    files = []
    for name, places in (("x.jsonl", range(5)), ("y.jsonl", range(3, 9))):
        rows = [{"id": f"q{n}", "instruction": f"ask {n}", "output": "tell " * n} for n in places]
        files.append(tmp_path / name)
        files[-1].write_text("".join(json.dumps(each) + "\n" for each in rows), encoding="utf-8")
    told = made.compare(*files, results=None)
    assert (told["overlap"]["num_common"], told["overlap"]["by_chance"]) == (2, None)
    assert told["examples"]["only_b"]["num_rows"] == 4
    with pytest.raises(UsageError, match="one of each cannot"):
        made.compare(files[0], "one")


@pytest.mark.parametrize("seed", range(5))
def test_rank_correlation_is_that_of_pearson_over_ranks(seed):
    rng = np.random.default_rng(seed)
    first, second = ([f"r{n}" for n in rng.permutation(30)[:20]] for _ in "12")
    found = rank_correlation(tuple(first), tuple(second))
    both = [each for each in first if each in second]
    if len(both) < 3:
        assert found is None
        return
    ranks = [[sorted(map(side.index, both)).index(side.index(each)) for each in both] for side in (first, second)]
    assert found["num_rows"] == len(both)
    assert found["spearman"] == pytest.approx(np.corrcoef(ranks)[0, 1])


def test_the_p_of_ranks_is_near_that_of_all_orders():
    names = tuple("abcdefg")
    all_orders = [rank_correlation(names, order)["spearman"] for order in itertools.permutations(names)]
    found = rank_correlation(names, ("b", "a", "d", "c", "e", "g", "f"))
    exact = np.mean(np.abs(all_orders) >= found["spearman"] - 1e-9)
    assert found["p"] == pytest.approx(exact, abs=0.03)


def test_lengths_fall_into_bins_that_double():
    first = [row("a", told=" ".join("x" * n)) for n in (0, 1, 2, 3, 4, 7, 8)]
    found = lengths(first, first[:2], text=lambda each: each.response)
    assert found["bins"] == ["0", "1", "2-3", "4-7", "8-15"]
    assert found["a"] == [1, 1, 2, 2, 1]
    assert found["b"] == [1, 1, 0, 0, 0]
    assert found["share_b"] == [0.5, 0.5, 0, 0, 0]


def test_clusters_are_those_of_the_vectors():
    vectors = unit([[1, 0], [1, 0.01], [0, 1], [0.01, 1], [0, 1]])
    rows = [row(str(n), asked=f"ask {n}") for n in range(5)]
    found = clusters(rows[:3], rows[3:], (vectors[:3], vectors[3:]), num_clusters=2, seed=0)
    assert sorted(zip(found["a"], found["b"], strict=True)) == [(1, 2), (2, 0)]
    assert clusters(rows[:1], rows[:1], (vectors[:1], vectors[:1]), num_clusters=8, seed=0)["a"] == [1]


def test_near_duplicates_are_pairs_within_a_selection():
    rows = [row("a", "x"), row("b", "y"), row("c", "z"), row("d", "Y?")]
    found = near_duplicates(rows, unit([[1, 0], [0, 1], [-1, 0], [0.01, 1]]), cosine=0.99)
    assert (found["share"], found["share_exact"]) == (0.5, 0.5)


def test_the_nearest_row_is_told_for_the_closest_prompts(made):
    made.put_all()
    from sftbench import shelf

    heldout = shelf.load_pool(made.store.folder("pool", "h"), "pool/h")
    items = unit(np.random.default_rng(0).normal(size=(20, 4)))
    vectors = unit(np.random.default_rng(1).normal(size=(5, 4)))
    vectors[3] = items[11]
    found = nearest_heldout([row(f"r{n}") for n in range(5)], vectors, heldout, items)
    assert (found["closest"][0]["item"], found["closest"][0]["row"]) == ("h41", "r3")
    assert found["median"] == pytest.approx(float(np.median((items @ vectors.T).max(axis=1))))


def test_pieces_of_a_text_are_whole_and_have_the_labels_of_their_tokens():
    spans = [(0, 2), (2, 5), (6, 8), (-1, -1)]
    assert pieces_of("abcde fg", spans, [0, 0, 2, 1]) == [("abcde", 0), (" ", None), ("fg", 2)]


def test_words_that_stand_in_for_tokens_are_in_lower_case():
    words = LowerWords()
    assert words(["One two", "TWO three!"]) == [[0, 1], [1, 2]]
