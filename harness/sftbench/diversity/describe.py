"""All metrics of one side of a set of rows, in the order in which they are shown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sftbench.diversity.compression import Mode, compression
from sftbench.diversity.corpus import Corpus
from sftbench.diversity.distance import embedding_distance
from sftbench.diversity.distinct import distinct
from sftbench.diversity.entropy import TypeCounts, entropies
from sftbench.diversity.lengths import mean_length
from sftbench.diversity.measure import Measure, mean_bounds
from sftbench.diversity.self_bleu import self_bleu
from sftbench.diversity.shift import divergence_of_counts, divergence_of_embeddings
from sftbench.diversity.shift_lm import divergence_of_models
from sftbench.diversity.subsets import subsets_of
from sftbench.ledger import Meter

Vectors = npt.NDArray[np.float32]
SEED = 42


@dataclass(frozen=True, kw_only=True, eq=False)
class Side:
    """What is measured: the texts of one side of some rows, and their embeddings float32 [n, d]."""

    corpus: Corpus
    vectors: Vectors


@dataclass(frozen=True, kw_only=True)
class MeasuresWanted:
    """`token_budget` None is a million tokens, or half of what there is. `kl_lm` trains two small models."""

    token_budget: int | None = None
    seed: int = SEED
    mode: Mode = "paper"
    kl_lm: bool = False


def describe(
    side: Side,
    *,
    pool: TypeCounts,
    real: Side | None = None,
    wanted: MeasuresWanted | None = None,
    meter: Meter | None = None,
) -> list[Measure]:
    """Every metric of the specification. `pool` says which types are mid-band; `real` adds the distances from it."""
    wanted = wanted or MeasuresWanted()
    corpus, seed = side.corpus, wanted.seed
    of_tokens, of_words = (subsets_of(each, wanted.token_budget, seed=seed) for each in (corpus.tokens, corpus.words))
    tokens, num_empty = int(corpus.tokens.offsets[-1]), int(corpus.is_empty.sum())
    measures = [
        mean_length(corpus.tokens),
        *distinct(corpus.tokens, of_tokens, seed=seed),
        *distinct(corpus.words, of_words, seed=seed, suffix="-words"),
        *entropies(corpus.tokens, of_tokens, pool, seed=seed),
        *self_bleu(corpus.tokens, seed=seed),
        *compression(corpus, seed=seed, mode=wanted.mode),
        embedding_distance(side.vectors[corpus.filled], tokens=tokens, seed=seed, mode=wanted.mode),
        _share("duplicate-share", corpus.is_repeated[corpus.filled], tokens),
        _share("empty-share", corpus.is_empty, tokens, note=f"empty_component: {num_empty}" if num_empty else ""),
    ]
    if real is None:
        return measures
    measures += divergence_of_counts(real.corpus.tokens, corpus.tokens, seed=seed)
    kept = [each.vectors[each.corpus.filled] for each in (real, side)]
    measures.append(divergence_of_embeddings(*kept, tokens=tokens, seed=seed))
    if wanted.kl_lm:
        measures.append(divergence_of_models(real.corpus.tokens, corpus.tokens, seed=seed, meter=meter))
    return measures


def _share(name: str, flags: npt.NDArray[np.bool_], tokens: int, *, note: str = "") -> Measure:
    """The share of rows that a flag [n] marks."""
    shares = flags.astype(np.float64)
    value = float(shares.mean()) if len(flags) else 0.0
    return Measure(
        metric=name, value=value, unit="share", tokens=tokens, n=len(flags), direction="down", note=note,
        **mean_bounds(shares),
    )  # fmt: skip
