"""The selector as a run uses it: real forward passes of tiny models behind a fake desk."""

from __future__ import annotations

import copy
import itertools
import string
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from sftbench import Allowance, LanguageModel, Nll, Passage, Pool, Selection, UsageError
from sftbench_plugins.tokentune.selector import Tokentune

Pairs = list[tuple[str, str]]


def allow(pool: Pool, cap: float, costs: np.ndarray | None = None) -> Allowance:
    return Allowance(cap=cap, row_costs=np.ones(len(pool)) if costs is None else costs, unit="rows")


@pytest.fixture
def select(make_pool: Any, make_desk: Any, pairs: Pairs) -> Callable[..., Selection]:
    def choose(cap: float = 15, *, seed: int = 0, costs: np.ndarray | None = None, **parameters: Any) -> Selection:
        pool = make_pool(pairs)
        part = Tokentune(**{"k": 6, "warm_start": 3, **parameters})
        return part.select(pool, None, allow(pool, cap, costs), make_desk(len(pool), seed=seed))

    return choose


def token_losses(model: LanguageModel, pool: Pool) -> list[np.ndarray]:
    encoded = list(model.encode(pool, template="training"))
    return [given["nll"] for given in model.run(map(Passage.conditional, encoded), statistics=[Nll()])]


VARIANTS: list[dict[str, Any]] = [
    {},
    {"mode": "official"},
    {"bandit": "thompson"},
    {"bandit": "exp3"},
    {"warm_start": 0},
    {"clusters_per_iteration": 3, "cadence": 0.4},
    {"clustering": "dbscan"},
    {"clustering": "gmm"},
    {"elbow": True},
    {"take": "cluster"},
    {"take": "cluster", "reward": "all_scored"},
    {"scored_share": 0.5, "no_mab": True},
    {"label_scope": "sample"},
    {"u_norm": False},
    {"lg": "ldp"},
    {"no_mab": True},
    {"no_sample_utility": True},
    *({"au": each} for each in ("eq4_full", "topk_relu", "entropy", "complement")),
]


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_a_selection_has_distinct_rows_of_the_pool_in_order_and_labels_for_every_response_token(
    select: Callable[..., Selection], pairs: Pairs, variant: dict[str, Any]
) -> None:
    found = select(**variant)
    rows = [int(each.removeprefix("row-")) for each in found.ids]
    assert len(rows) == len(set(rows)) == 15
    assert found.status == "full"
    assert found.scores is not None
    assert (np.diff(found.scores) <= 0).all()
    assert found.token_labels is not None
    assert found.token_labels.values.dtype == np.uint8
    lengths = [min(len(pairs[row][1]) + 1, 64 - len(pairs[row][0]) - 1) for row in rows]
    assert [len(labels) for labels in found.token_labels] == lengths
    learnt = (found.token_labels.values == 1).sum()
    if variant != {"label_scope": "sample"}:
        assert learnt == int(0.6 * sum(lengths))
    assert found.report["label_shares"]["cross_entropy"] == pytest.approx(learnt / sum(lengths))  # type: ignore[index, call-overload]


def test_equal_seeds_choose_alike_and_others_may_not(select: Callable[..., Selection]) -> None:
    first, again, other = select(bandit="exp3"), select(bandit="exp3"), select(bandit="exp3", seed=1)
    assert first.ids == again.ids
    assert first.report == again.report
    assert first.ids != other.ids


def test_the_official_mode_equals_a_recomputation_from_saved_losses(
    make_pool: Any, make_desk: Any, pairs: Pairs
) -> None:
    pool = make_pool(pairs)
    desk = make_desk(len(pool))
    found = Tokentune(mode="official").select(pool, None, allow(pool, 20), desk)
    utility, gains = {}, {}
    losses = zip(token_losses(desk.models["base"], pool), token_losses(desk.models["reference"], pool), strict=True)
    for index, (base, reference) in enumerate(losses):
        if len(base) == 0:
            continue
        count = max(1, int(0.6 * len(base)))
        top_base, top_reference = sorted(base)[-count:], sorted(reference)[-count:]
        utility[index] = (np.mean(top_base) - np.mean(top_reference)) / np.mean(top_base)
        gains[index] = np.float32(base.astype(np.float64) - reference)
    best = sorted(utility, key=lambda index: -utility[index])[:20]
    assert found.ids == tuple(f"row-{index}" for index in best)
    assert found.scores == pytest.approx([utility[index] for index in best], abs=1e-6)
    flat = np.concatenate([gains[index] for index in best])
    kept = set(np.argsort(-flat, kind="stable")[: int(0.6 * len(flat))].tolist())
    assert found.token_labels is not None
    assert found.token_labels.values.tolist() == [1 if at in kept else 2 for at in range(len(flat))]
    assert found.report["share_scored"] == pytest.approx(59 / 60)


def test_only_the_rows_that_are_looked_into_are_encoded(make_pool: Any, make_desk: Any, pairs: Pairs) -> None:
    pool = make_pool(pairs)
    desk = make_desk(len(pool))
    found = Tokentune(k=10, warm_start=1, cadence=1.0, take="cluster").select(pool, None, allow(pool, 4), desk)
    assert len(desk.encoded) == len(set(desk.encoded)) < 45
    left_out = sum(found.report["num_left_out"].values())  # type: ignore[union-attr]
    assert found.report["num_scored"] == len(desk.encoded) - left_out
    assert desk.advanced == 4


@pytest.mark.parametrize(("share", "wanted", "looks"), [(0.15, 4, 9), (0.5, 4, 30), (0.15, 20, 30)])
def test_the_best_of_the_share_that_may_be_looked_into_are_taken(
    make_pool: Any, make_desk: Any, pairs: Pairs, share: float, wanted: int, looks: int
) -> None:
    pool = make_pool(pairs)
    desk, whole = make_desk(len(pool)), make_desk(len(pool))
    found = Tokentune(k=3, scored_share=share).select(pool, None, allow(pool, wanted), desk)
    assert len(desk.encoded) == len(set(desk.encoded)) == desk.advanced == looks
    assert len(found.ids) == wanted
    every = Tokentune(k=3, scored_share=1.0).select(pool, None, allow(pool, len(pool)), whole)
    assert every.scores is not None
    known = dict(zip(every.ids, every.scores.tolist(), strict=True))
    seen = sorted((known[each] for each in desk.encoded if each in known), reverse=True)
    assert found.scores == pytest.approx(seen[:wanted], abs=1e-6)


def test_rows_without_enough_tokens_are_left_out_with_their_reason(select: Callable[..., Selection]) -> None:
    found = select(1000)
    assert found.status == "short"
    assert len(found.ids) == 58
    assert not {"row-0", "row-1"} & set(found.ids)
    assert found.report["num_left_out"] == {"empty_response": 1, "too_few_tokens": 1}
    shorter = select(1000, min_response_tokens=4)
    assert len(shorter.ids) == 59
    official = select(1000, mode="official")
    assert len(official.ids) == 59
    assert official.report["num_left_out"] == {"empty_response": 1}


def test_a_row_whose_prompt_fills_the_window_is_left_out_and_an_empty_prompt_is_not(
    make_pool: Any, make_desk: Any, pairs: Pairs
) -> None:
    pool = make_pool([("x" * 80, "answer of some length"), ("", "answer of some length"), *pairs[3:10]])
    found = Tokentune(k=2, warm_start=2).select(pool, None, allow(pool, 9), make_desk(9))
    assert found.report["num_left_out"] == {"prompt_too_long": 1}
    assert "row-1" in found.ids
    assert found.status == "short"


def test_a_model_that_gives_no_number_for_a_row_loses_that_row_alone(
    make_pool: Any, make_desk: Any, make_model: Any, pairs: Pairs
) -> None:
    broken = make_model(1)
    broken.model = copy.deepcopy(broken.model)
    token = broken.tokenizer.convert_tokens_to_ids("9")
    with torch.no_grad():
        broken.model.transformer.wte.weight[token] = float("nan")
        broken.model.lm_head.weight = torch.nn.Parameter(make_model(1).model.lm_head.weight.clone())
    pool = make_pool([*pairs[3:20], ("what", "a 9 that breaks")])
    usual = Tokentune(k=2).select(pool, None, allow(pool, 17), make_desk(18))
    found = Tokentune(k=2).select(pool, None, allow(pool, 18), make_desk(18, reference=broken))
    assert found.report["num_left_out"] == {"non_finite": 1}
    assert set(found.ids) == {f"row-{index}" for index in range(17)}
    scores = dict(zip(usual.ids, usual.scores, strict=True))  # type: ignore[arg-type]
    same = dict(zip(found.ids, found.scores, strict=True))  # type: ignore[arg-type]
    assert all(scores[each] == pytest.approx(same[each], abs=1e-5) for each in scores if each in same)


def test_a_budget_in_tokens_is_kept(select: Callable[..., Selection], pairs: Pairs) -> None:
    costs = np.array([len(response) + 1.0 for _, response in pairs])
    found = select(200, costs=costs)
    spent = sum(costs[int(each.removeprefix("row-"))] for each in found.ids)
    assert 200 - costs.max() < spent <= 200
    assert found.status == "full"


def test_ablations_change_the_labels_and_nothing_else(select: Callable[..., Selection]) -> None:
    usual = select()
    masked, learnt, plain = select(no_sd=True), select(ce_on_au=True), select(no_token_utility=True)
    assert usual.ids == masked.ids == learnt.ids == plain.ids
    labels = [each.token_labels.values for each in (usual, masked, learnt, plain)]  # type: ignore[union-attr]
    distilled = labels[0] == 2
    assert distilled.any()
    assert np.array_equal(labels[1], np.where(distilled, 0, labels[0]))
    assert np.array_equal(labels[2], np.where(distilled, 1, labels[0]))
    assert (labels[3] == 1).all()


def test_the_gate_leaves_tokens_with_little_evidence_masked(select: Callable[..., Selection]) -> None:
    gated, open_gate = select(), select(au_gate=0)
    assert gated.report["label_shares"]["masked"] > open_gate.report["label_shares"]["masked"]  # type: ignore[index, call-overload, operator]
    complement = select(au_gate=0, au_keep=1.0)
    assert complement.report["label_shares"]["masked"] == 0  # type: ignore[index, call-overload]


def test_noise_is_the_same_for_a_row_whenever_it_is_asked_about(make_pool: Any, make_desk: Any, pairs: Pairs) -> None:
    pool = make_pool(pairs[3:30])
    scores = []
    for clusters in (1, 5):
        part = Tokentune(lg="ldp", k=clusters, warm_start=2)
        found = part.select(pool, None, allow(pool, 27), make_desk(27, seed=4))
        scores.append(dict(zip(found.ids, found.scores, strict=True)))  # type: ignore[arg-type]
    assert all(scores[0][each] == pytest.approx(scores[1][each], abs=1e-4) for each in scores[0])
    assert any(abs(value) > 1e-3 for value in scores[0].values())


def test_tokens_replaced_at_random_are_not_learnt_when_the_reference_knows_clean_text(
    make_pool: Any, make_desk: Any, make_model: Any
) -> None:
    draw = np.random.default_rng(0)
    clean = string.ascii_lowercase
    reference = make_model(2)
    reference.model = copy.deepcopy(reference.model)
    encoded = next(iter(reference.encode(make_pool([("say", clean)]), template="training")))
    batch = torch.tensor(encoded.token_ids, dtype=torch.long)[None]
    optimiser = torch.optim.Adam(reference.model.parameters(), lr=1e-2)
    for _ in range(120):
        noisy = torch.where(torch.rand(16, batch.shape[1]) < 0.3, torch.randint(3, 29, (16, batch.shape[1])), batch)
        logits = reference.model(noisy).logits[:, :-1]
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch.repeat(16, 1)[:, 1:].flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    planted = draw.random((40, 26)) < 0.3
    texts = [
        "".join(draw.choice(list(string.digits)) if bad else good for bad, good in zip(row, clean, strict=True))
        for row in planted
    ]
    pool = make_pool([("say", text) for text in texts])
    found = Tokentune(k=4).select(pool, None, allow(pool, 40), make_desk(40, reference=reference))
    assert found.token_labels is not None
    learnt = {row_id: labels[:26] == 1 for row_id, labels in zip(found.ids, found.token_labels, strict=True)}
    dropped = np.concatenate([~learnt[f"row-{row}"][planted[row]] for row in range(40)])
    assert dropped.mean() > 0.8


def test_an_id_that_stands_twice_is_refused(make_pool: Any, make_desk: Any, pairs: Pairs) -> None:
    pool = make_pool(pairs)
    ids = ["same", "same", *pool.ids[2:]]
    doubled = Pool(dataset=pool.dataset.remove_columns("id").add_column("id", ids), key="test", form="messages")  # type: ignore[call-arg]
    with pytest.raises(UsageError, match="twice"):
        Tokentune().select(doubled, None, allow(doubled, 5), make_desk(len(doubled)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"keep": 0},
        {"au_gate": 1.0},
        {"warm_start": -1},
        {"reference": "base"},
        {"no_sd": True, "ce_on_au": True},
        {"k": 0},
    ],
    ids=str,
)
def test_parameters_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Tokentune(**wrong)


def test_a_part_asks_only_for_what_its_parameters_need() -> None:
    assert set(Tokentune().needs().models) == {"reference"}
    assert Tokentune().needs().embeddings == ("both",)
    assert Tokentune(mode="official").needs().embeddings == ()
    assert Tokentune().needs().language_models == ("base",)
    assert Tokentune(reference="scoring").needs().models == {}
    assert Tokentune(reference="scoring").needs().language_models == ("base", "scoring")
    assert Tokentune(lg="ldp", reference="base").needs().models == {}
    recipes = [Tokentune(warmup_budget=budget).needs().models["reference"] for budget in ("1%", "1%", "5%")]
    assert recipes[0] == recipes[1] != recipes[2]


def test_a_scoring_model_with_another_vocabulary_cannot_be_the_reference(
    make_pool: Any, make_desk: Any, make_model: Any, pairs: Pairs
) -> None:
    pool = make_pool(pairs)
    other = make_model(1)
    own = Tokentune(reference="scoring", k=4).select(pool, None, allow(pool, 5), make_desk(60, scoring=other))
    assert len(own.ids) == 5
    other.tokenizer = copy.deepcopy(other.tokenizer)
    other.tokenizer.add_tokens(["more"])
    with pytest.raises(UsageError, match="tokenizer"):
        Tokentune(reference="scoring").select(pool, None, allow(pool, 5), make_desk(60, scoring=other))


def test_the_trace_tells_every_pull(select: Callable[..., Selection]) -> None:
    trace: Any = select(take="cluster").report["bandit_trace"]
    assert sum(trace["taken"]) == 15
    assert len({len(each) for each in trace.values()}) == 1
    samples: dict[int, int] = {}
    for arm, taken, count in zip(trace["arm"], trace["taken"], trace["samples"], strict=True):
        assert count == samples.get(arm, count - taken) + taken
        samples[arm] = count
    assert all(one <= other for one, other in itertools.pairwise(trace["iteration"]))
