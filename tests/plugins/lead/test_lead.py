"""LEAD as a run uses it: real training of a small model in rounds, within its allowance, and awkward rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sftbench_plugins.lead as plugin
from sftbench import Allowance, Nll, Passage, PassResult, Ragged, Selection, UsageError
from sftbench.parameters import build
from sftbench_plugins.lead.trainer import ALONE, GIVEN, Lead

QUICK: dict[str, Any] = {"epochs": 1, "learning_rate": 1e-2, "batch_size": 3, "k": 3}


def passes(desk: Any, pool: Any) -> dict[str, PassResult]:
    """Both passes as the harness makes them."""
    model, found = desk.language_model("base"), {}
    encoded = list(desk.training_encoding(pool))
    reasons = {at: each.reason for at, each in enumerate(encoded) if each.reason}
    for view in ("conditional", "response_only"):
        passages = [
            Passage.conditional(each) if view == "conditional" else Passage.response_only(each, bos_token_id=None)
            for each in encoded
        ]
        values = Ragged.of([given["nll"] for given in model.run(passages, statistics=[Nll()])])
        found[view] = PassResult(values=values, reasons=reasons, notes={})
    return found


@pytest.fixture
def lead(small: Any, tmp_path: Path) -> Callable[..., Any]:
    def train(pool: Any, number: int = 8, *, name: str = "lead", **more: Any) -> Any:
        given = more.pop("given", small.rows(number, pool))
        desk = small.desk(pool, name, given=given, seed=more.pop("seed", 0), kill_after=more.pop("kill_after", None))
        desk.passes = passes(desk, pool)
        # Those are other steps.
        desk.metered.clear()
        candidates = more.pop("candidates", small.everything(pool))
        made = Lead(**{**QUICK, **more}).train(pool, candidates, desk, tmp_path / name)
        train.desk = desk  # type: ignore[attr-defined]
        return made

    return train


def test_the_method_has_all_rows_as_candidates_and_needs_two_passes_of_the_base() -> None:
    (method,) = plugin.sftbench_methods()
    assert plugin.sftbench_trainers() == [Lead]
    assert (method.selector.name, method.trainer.name) == ("all", "lead")  # type: ignore[union-attr]
    assert method.fidelity == {"paper": "reconstruction"}
    assert Lead().needs().passes == (GIVEN, ALONE)
    assert Lead.chooses == "rows"


def test_it_trains_on_as_many_rows_as_it_was_given_and_tells_which(small: Any, lead: Callable[..., Any]) -> None:
    pool = small.pool(*small.words(30))
    made = lead(pool, 8)
    assert len(made.selection.ids) == len(set(made.selection.ids)) == 8
    assert made.selection.status == "full"
    trace = made.report["bandit_trace"]
    assert sum(trace["num_new"]) == 8
    assert made.report["num_rounds"] == len(trace["arm"])
    assert made.report["num_steps"] == sum(-(-number // 3) for number in trace["num_rows"])
    assert sum(each["num_taken"] for each in made.report["clusters"]) == 8


def test_the_first_round_has_the_rows_of_highest_loss_in_its_cluster(small: Any, lead: Callable[..., Any]) -> None:
    pool = small.pool(*small.words(20))
    made = lead(pool, 9, k=1, take=0.01)
    losses = {row: values.mean() for row, values in small.losses("base", pool, lead.desk).items()}  # type: ignore[attr-defined]
    hardest = sorted(losses, key=lambda row: -losses[row])[:3]
    assert list(made.selection.ids[:3]) == hardest
    assert made.selection.scores[:3] == pytest.approx([losses[row] for row in hardest], rel=1e-5)


def test_what_it_learns_in_a_round_it_still_knows_in_the_next(small: Any, lead: Callable[..., Any]) -> None:
    """All rows are one sentence, so every round goes on where the one before ended."""
    pool = small.pool(*[("say", "abcabcabcabc")] * 24)
    losses = lead(pool, 24, take=0.01).report["loss_by_round"]
    assert len(losses) >= 6
    assert losses[-1] < 0.6 * losses[0]


def test_the_same_seed_gives_the_same_rows_and_the_same_model(
    small: Any, lead: Callable[..., Any], tmp_path: Path
) -> None:
    pool = small.pool(*small.words(30))
    one, again, other = (lead(pool, 10, name=name, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2)))
    assert one.selection.ids == again.selection.ids != other.selection.ids
    assert one.report == again.report
    small.assert_same_model(tmp_path / "a", tmp_path / "b")


def test_killed_between_or_in_rounds_it_goes_on_to_the_same_end(
    small: Any, lead: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sftbench.engines.training.run.CHECKPOINT_SECONDS", 0.0)
    pool = small.pool(*small.words(30))
    whole = lead(pool, 12, name="whole", epochs=2)
    with pytest.raises(small.killed):
        lead(pool, 12, name="again", epochs=2, kill_after=11)
    again = lead(pool, 12, name="again", epochs=2)
    assert again.selection.ids == whole.selection.ids
    assert again.report == whole.report
    small.assert_same_model(tmp_path / "whole", tmp_path / "again")


@pytest.mark.usefixtures("in_double_precision")
def test_micro_batches_of_any_size_lead_to_the_same_rows(small: Any, lead: Callable[..., Any], tmp_path: Path) -> None:
    pool = small.pool(*small.words(30))
    one, many = (lead(pool, 12, name=str(size), micro_batch_tokens=size, learning_rate=1e-3) for size in (1, 10_000))
    assert one.selection.ids == many.selection.ids
    small.assert_same_model(tmp_path / "1", tmp_path / "10000", within=1e-6)


def test_a_budget_of_work_pays_for_every_use(small: Any, lead: Callable[..., Any]) -> None:
    from sftbench.engines.flops import forward_flops, shape_at

    pool = small.pool(*small.words(30))
    shape = shape_at(small.folders["base"])
    encoded = list(small.desk(pool).training_encoding(pool))
    sizes = [(len(each.token_ids), int(each.response.sum())) for each in encoded]
    # Two epochs; a backward pass is worth two forward passes.
    costs = np.array([6 * forward_flops(shape, [length], num_scored_tokens=scored) for length, scored in sizes])
    given = Allowance(cap=float(costs.sum() / 3), row_costs=costs, unit="flops")
    made = lead(pool, given=given, epochs=2)
    spent = lead.desk.metered["flops"]  # type: ignore[attr-defined]
    assert 0.7 * given.cap < spent <= given.cap * (1 + 1e-9)
    assert made.selection.status == "full"


def test_rows_that_cannot_be_trained_are_never_drawn_and_told(small: Any, lead: Callable[..., Any]) -> None:
    pool = small.pool(("ask", ""), ("x" * 60, "late"), *small.words(6), source=["a", "long", *"bbbccc"])
    made = lead(pool, 8)
    assert set(made.selection.ids) == {f"row-{at}" for at in range(2, 8)}
    assert made.selection.status == "short"
    assert made.report["num_left_out"] == {"empty_response": 1, "prompt_too_long": 1}
    assert made.report["num_prompt_too_long_by_source"] == {"long": 1}
    assert made.report["num_sources"] == 4


def test_an_empty_instruction_and_a_response_of_one_token_are_trained_on(small: Any, lead: Callable[..., Any]) -> None:
    pool = small.pool(("", "answer"), ("one", "x"), *small.words(4))
    made = lead(pool, 6)
    assert {"row-0", "row-1"} <= set(made.selection.ids)


def test_a_row_without_a_number_is_set_aside(
    small: Any, lead: Callable[..., Any], make_broken: Callable[[str], None]
) -> None:
    make_broken("base")
    pool = small.pool(("abc", "def#ghi"), *small.words(6))
    made = lead(pool, 6)
    assert "row-0" not in made.selection.ids
    assert made.report["num_left_out"] == {"non_finite": 1}


def test_rows_name_their_data_set_or_count_as_one(small: Any, lead: Callable[..., Any]) -> None:
    lead(small.pool(*small.words(6)), 4)
    assert any("unknown" in line for line in lead.desk.logged)  # type: ignore[attr-defined]
    tagged = lead(small.pool(*small.words(6), dataset=list("aabbcc")), 4, name="tagged")
    assert not any("unknown" in line for line in lead.desk.logged)  # type: ignore[attr-defined]
    assert tagged.report["num_sources"] == 3


def test_only_rows_that_were_given_are_drawn(small: Any, lead: Callable[..., Any]) -> None:
    pool = small.pool(*small.words(12))
    given = Selection(ids=tuple(pool.ids[3:9]))
    made = lead(pool, 12, candidates=given)
    assert set(made.selection.ids) == set(given.ids)
    assert made.selection.status == "short"


def test_when_no_row_can_be_drawn_that_is_an_error(small: Any, lead: Callable[..., Any]) -> None:
    with pytest.raises(UsageError, match=r"no row can be drawn.*empty_response"):
        lead(small.pool(("a", ""), ("b", "")), 2)


def test_an_id_used_twice_is_refused(small: Any, lead: Callable[..., Any]) -> None:
    pool = small.pool(("a", "b"), ("c", "d"))
    object.__setattr__(pool, "dataset", pool.dataset.map(lambda row: {**row, "id": "same"}))
    with pytest.raises(UsageError, match="twice"):
        lead(pool, 2)


def test_what_cannot_be_kept_is_refused() -> None:
    for given, message in (
        ({"mode": "official"}, "mode"),
        ({"epochs": "1.5"}, "whole epochs"),
        ({"min_steps": "5"}, "min_steps"),
        ({"max_steps": "5"}, "max_steps"),
        ({"gamma": "0"}, "gamma"),
        ({"k": "0"}, "at least 1"),
        ({"cosine": "2"}, "cosine"),
    ):
        with pytest.raises(UsageError, match=message):
            build(Lead, given, where="lead")  # type: ignore[arg-type]
