"""Planning is pure: which cells and steps come out of methods, budgets and seeds, and what changes a key."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, replace
from typing import ClassVar

import pytest

from sftbench import Needs, PartUse, PassRequest, Recipe, UsageError, param
from sftbench.budget import Budget
from sftbench.composition import Take
from sftbench.methods import ResolvedMethod
from sftbench.plan import Facts, Likeness, ModelFacts, Terms, parents_first
from sftbench.planner import make_plan
from sftbench.serving.description import AnswerServing

CONDITIONAL, ALONE = PassRequest(view="conditional"), PassRequest(view="response_only")
NO_RECIPES = {role: {} for role in ("generator", "scorer", "selector", "trainer")}


@dataclass(frozen=True, kw_only=True)
class Loss:
    """Reads one pass."""

    name: ClassVar[str] = "loss"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True
    power: float = param(1.0, "exponent")
    model: str = param("scoring", "whose loss")
    statistics: tuple[str, ...] = param(("nll",), "what is read")

    def needs(self):
        return Needs(passes=tuple(PassRequest(model=self.model, statistic=each) for each in self.statistics))


@dataclass(frozen=True, kw_only=True)
class Gap:
    """Reads two passes, one of which `Loss` reads too."""

    name: ClassVar[str] = "gap"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True

    def needs(self):
        return Needs(passes=(CONDITIONAL, ALONE))


@dataclass(frozen=True, kw_only=True)
class Noisy:
    """A scorer that draws, on top of a clean pass."""

    name: ClassVar[str] = "noisy"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = False

    def needs(self):
        return Needs(passes=(CONDITIONAL,))


@dataclass(frozen=True, kw_only=True)
class Best:
    """A selector without chance."""

    name: ClassVar[str] = "best"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True

    def needs(self):
        return Needs()


@dataclass(frozen=True, kw_only=True)
class Chance:
    """A selector that draws."""

    name: ClassVar[str] = "chance"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = False

    def needs(self):
        return Needs()


@dataclass(frozen=True, kw_only=True)
class Matched:
    """A selector that looks at another selection."""

    name: ClassVar[str] = "matched"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = False

    def needs(self):
        return Needs(other_selection=True)


@dataclass(frozen=True, kw_only=True)
class Reader:
    """A selector that reads a warmed-up model."""

    name: ClassVar[str] = "reader"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True
    depth: int = param(1, "how deep")

    def needs(self):
        recipe = Recipe(selector=PartUse(name="chance"), budget="5%", trainer=PartUse(name="school"))
        return Needs(models={"warm": recipe})


@dataclass(frozen=True, kw_only=True)
class School:
    """A trainer that draws."""

    name: ClassVar[str] = "school"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = False
    epochs: float = param(1.0, "passes over the rows")

    def needs(self):
        return Needs()


@dataclass(frozen=True, kw_only=True)
class Marks:
    """An evaluator, by default one that reads answers."""

    name: ClassVar[str] = "marks"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True
    generates: ClassVar[bool] = True

    def needs(self):
        return Needs()


@dataclass(frozen=True, kw_only=True)
class Referee:
    """A judge."""

    name: ClassVar[str] = "referee"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True

    def needs(self):
        return Needs()


def method(name, *, selector=None, scorer=None, trainer=None, **more):
    return ResolvedMethod(
        name=name, label=name, selector=selector or Best(), scorer=scorer, trainer=trainer or School(),
        **{"recipes": NO_RECIPES, **more},
    )  # fmt: skip


def facts(**more):
    model = ModelFacts(name="base", path="/models/base", fingerprint="f" * 8)
    made = Facts(
        pool_name="rows", pool_source={"source": "/rows.jsonl"}, pool_content={"content": "c" * 8},
        heldout_source=None, heldout_content=None, base=model, scoring=model, embedder=model, chat=None, device="cpu",
        processor="four cores",
    )  # fmt: skip
    return replace(made, **more)


def terms(**more):
    made = Terms(
        budgets=(Budget.parse("10%"),), seeds=(0, 1, 2), plant=0.0, heldout_share=0.1, heldout_at_most=200,
        max_length=256, max_new_tokens=32, evals=(Marks(),), judges={"referee": Referee()}, baseline="random",
    )  # fmt: skip
    return replace(made, **more)


RANDOM = method("random", selector=Chance(), control=True)


def plan(*methods, at=None, **more):
    return make_plan(at or facts(), terms(**more), methods)


def rooms(made):
    return Counter(step.room for step in made.steps.values())


def only(made, name, seed=0):
    found = [cell for cell in made.cells if cell.label == name and cell.seed == seed]
    assert len(found) == 1
    return found[0]


def warmed(**more):
    recipe = method("recipe", selector=Chance())
    return method("warmed", selector=Reader(**more), recipes={**NO_RECIPES, "selector": {"warm": recipe}})


LINE = (method("loss", scorer=Loss()), method("gap", scorer=Gap()), method("noisy", scorer=Noisy()), RANDOM)


def test_the_order_of_methods_on_the_command_line_changes_nothing():
    plans = [plan(*order) for order in itertools.permutations(LINE)]
    assert all(each.cells == plans[0].cells for each in plans)
    assert all(set(each.steps) == set(plans[0].steps) for each in plans)


def test_every_step_comes_after_its_parents_and_none_is_idle():
    made = plan(*LINE, warmed())
    seen = set()
    for ref, step in made.steps.items():
        assert set(step.parents.values()) <= seen
        seen.add(ref)
    assert seen == {ref for cell in made.cells for end in cell.refs for ref in (end, *made.ancestors(end))}


def test_parents_first_leaves_out_what_no_end_needs():
    made = plan(*LINE)
    end = only(made, "loss").selection
    assert set(parents_first(made.steps, [end])) == {end, *made.ancestors(end)}


def test_two_scorers_that_ask_for_the_same_pass_share_it():
    made = plan(method("loss", scorer=Loss()), method("gap", scorer=Gap()), judges={})
    assert rooms(made)["pass"] == 2
    shared = made.ancestors(only(made, "loss").selection) & made.ancestors(only(made, "gap").selection)
    assert [made.steps[ref].identity["view"] for ref in shared if ref.startswith("pass/")] == ["conditional"]


def test_statistics_of_one_pass_are_one_step():
    both = Loss(statistics=("nll", "entropy"))
    assert rooms(plan(method("loss", scorer=both), judges={}))["pass"] == 1


def test_a_pass_of_the_base_is_the_same_step_when_the_base_scores():
    both = (method("loss", scorer=Loss()), method("base-loss", scorer=Loss(model="base")))
    assert rooms(plan(*both))["pass"] == 1
    other = ModelFacts(name="small", path="/models/small", fingerprint="s" * 8)
    assert rooms(plan(*both, at=facts(scoring=other)))["pass"] == 2


def test_a_sweep_over_budgets_scores_once():
    budgets = tuple(Budget.parse(text) for text in ("5%", "10%", "200"))
    made = plan(method("gap", scorer=Gap()), budgets=budgets, judges={})
    assert rooms(made)["scores"] == 1
    assert rooms(made)["pass"] == 2
    assert rooms(made)["selection"] == 3


def test_a_recipe_is_trained_once_for_all_who_want_it():
    recipe = {"warm": method("recipe", selector=Chance())}
    twice = [
        replace(warmed(depth=depth), name=f"warmed{depth}", label=f"warmed{depth}",
                recipes={**NO_RECIPES, "selector": recipe})
        for depth in (1, 2)
    ]  # fmt: skip
    made = plan(*twice, seeds=(0,), judges={})
    warm = [made.steps[only(made, f"warmed{depth}").selection].parents["model:warm"] for depth in (1, 2)]
    assert warm[0] == warm[1]


def test_a_recipe_that_chooses_by_the_scores_of_its_method_does_not_make_them_again():
    recipe = {"warm": method("recipe", selector=Chance(), scorer=Loss())}
    made = plan(method("warmed", selector=Reader(), scorer=Loss(), recipes={**NO_RECIPES, "selector": recipe}))
    scores = {ref for ref, step in made.steps.items() if step.room == "scores"}
    assert len(scores) == 1
    selection = made.steps[only(made, "warmed").selection]
    warm = made.steps[made.steps[selection.parents["model:warm"]].parents["selection"]]
    assert {selection.parents["scores"], warm.parents["scores"]} == scores
    assert made.steps[selection.where["selection:warm"]] == warm
    # A warmed model for each of three seeds, and one trained on what was chosen with it.
    assert rooms(made)["model"] == 6


def test_the_same_name_at_another_server_is_another_language_model():
    @dataclass(frozen=True, kw_only=True)
    class Asking(Loss):
        def needs(self):
            return Needs(chat=True)

    def scored(chat):
        made = plan(method("asking", scorer=Asking()), at=facts(chat=chat), judges={})
        (ref,) = [ref for ref, step in made.steps.items() if step.room == "scores"]
        return ref

    servers = (None, "http://127.0.0.1:8000/v1#m", "http://127.0.0.1:8001/v1#m", "http://127.0.0.1:8001/v1#n")
    assert len({scored(chat) for chat in servers}) == 4
    assert scored(servers[1]) == scored(servers[1])


def test_what_no_chance_enters_is_done_once_for_all_seeds():
    made = plan(method("gap", scorer=Gap()), judges={})
    assert rooms(made)["scores"] == rooms(made)["selection"] == 1
    assert rooms(made)["model"] == rooms(made)["evaluation"] == 3


def test_what_chance_enters_is_done_once_per_seed():
    made = plan(method("noisy", scorer=Noisy()), judges={})
    assert rooms(made)["pass"] == 1
    assert rooms(made)["scores"] == rooms(made)["selection"] == 3


def test_a_part_without_chance_on_top_of_a_drawn_recipe_is_done_per_seed():
    assert rooms(plan(warmed(), judges={}))["selection"] == 3 + 3


def test_seeds_have_steps_of_their_own_whatever_other_seeds_are_planned():
    alone = plan(*LINE, seeds=(1,))
    assert set(alone.steps) <= set(plan(*LINE, seeds=(0, 1, 2)).steps)


MATCHED = method("matched", selector=Matched(), control=True, matched_to_each=True)


def test_a_matched_control_rests_on_the_selection_it_is_matched_to():
    made = plan(method("gap", scorer=Gap()), MATCHED, RANDOM)
    for seed in (0, 1, 2):
        control = only(made, "matched(gap)", seed)
        assert control.matched_to == "gap"
        assert made.steps[control.selection].parents["other"] == only(made, "gap", seed).selection
    assert not any(cell.label == "matched(random)" for cell in made.cells)


def test_a_matched_control_does_not_pay_for_the_choice_it_is_matched_to():
    made = plan(method("gap", scorer=Gap()), MATCHED)
    assert made.cost_of_choosing(only(made, "matched(gap)").selection) == [only(made, "matched(gap)").selection]


def test_choosing_costs_passes_scores_and_recipes_but_not_the_reading_of_the_pool():
    made = plan(method("gap", scorer=Gap()), warmed())
    paid = Counter(made.steps[ref].room for ref in made.cost_of_choosing(only(made, "gap").selection))
    assert paid == {"selection": 1, "scores": 1, "pass": 2}
    paid = Counter(made.steps[ref].room for ref in made.cost_of_choosing(only(made, "warmed").selection))
    assert paid == {"selection": 2, "model": 1}


def test_the_untrained_base_stands_once_and_is_not_trained():
    base = method("base", control=True, trains=False, ignores_budget=True)
    made = plan(base, RANDOM)
    assert [cell.seed for cell in made.cells if cell.label == "base"] == [0]
    assert only(made, "base").model is None


def test_what_ignores_the_budget_is_chosen_once_for_all_budgets():
    full = method("full", control=True, ignores_budget=True)
    made = plan(full, budgets=(Budget.parse("5%"), Budget.parse("10%")), seeds=(0,), judges={})
    assert [cell.budget for cell in made.cells] == ["5%", "10%"]
    assert rooms(made)["selection"] == rooms(made)["model"] == 1


def test_every_cell_is_judged_against_the_baseline_of_its_own_seed():
    made = plan(*LINE)
    for cell in made.cells:
        if cell.method == "random":
            assert cell.verdicts == {}
        else:
            step = made.steps[cell.verdicts["referee"]]
            assert step.parents["responses"] == cell.responses
            assert step.parents["baseline"] == only(made, "random", cell.seed).responses


def test_without_a_baseline_or_a_judge_nothing_is_judged():
    assert not rooms(plan(*LINE[:3]))["verdicts"]
    assert not rooms(plan(*LINE, judges={}))["verdicts"]


def test_answers_are_generated_only_when_somebody_reads_them():
    @dataclass(frozen=True, kw_only=True)
    class Silent(Marks):
        """An evaluator that reads no answers."""

        generates: ClassVar[bool] = False

    assert not rooms(plan(RANDOM, evals=(Silent(),), judges={}))["responses"]
    assert rooms(plan(RANDOM, evals=(Silent(),)))["responses"]


def test_held_out_rows_come_from_the_pool_unless_they_are_given():
    made = plan(RANDOM)
    assert made.steps[made.heldout].parents == made.steps[made.pool].parents
    given = plan(RANDOM, at=facts(heldout_source={"source": "/h.jsonl"}, heldout_content={"content": "h"}))
    assert given.steps[given.heldout].identity["content"] == "h"
    assert given.steps[given.pool].identity["make"] == "apart"
    assert given.steps[given.pool].parents["heldout"] == given.heldout
    suite = plan(RANDOM, at=facts(heldout_source={"suite": "s"}, heldout_content={"suite": "s@1", "part": "heldout"}))
    assert not suite.steps[suite.pool].parents


def test_defects_are_planted_in_the_candidates_and_never_in_held_out_rows():
    made = plan(RANDOM, plant=0.1)
    assert made.steps[made.pool].identity["make"] == "planted"
    assert made.pool not in {made.heldout, *made.ancestors(made.heldout)}


class Newer(Loss):
    """The same scorer after a change of its numbers."""

    version = "2"


@dataclass(frozen=True, kw_only=True)
class Reads(Loss):
    """A scorer with a tokenizer of its own."""

    def needs(self):
        return Needs(tokenizers={"own": "words"})


@dataclass(frozen=True, kw_only=True)
class Opens(Loss):
    """A scorer with a folder of its own."""

    def needs(self):
        return Needs(folders={"own": "things"})


OTHER_MODEL = ModelFacts(name="base", path="/models/base", fingerprint="g" * 8)
CHANGES = {
    "version": ({}, {}, Newer()),
    "parameter": ({}, {}, Loss(power=2.0)),
    "budget": ({}, {"budgets": (Budget.parse("11%"),)}, Loss()),
    "scoring model": ({"scoring": OTHER_MODEL}, {}, Loss()),
    "base model": ({"base": OTHER_MODEL}, {}, Loss()),
    "pool": ({"pool_content": {"content": "d" * 8}}, {}, Loss()),
    "planting": ({}, {"plant": 0.1}, Loss()),
    "held-out share": ({}, {"heldout_share": 0.2}, Loss()),
    "longest row": ({}, {"max_length": 128}, Loss()),
    "device": ({"device": "cuda"}, {}, Loss()),
    "tokenizer": ({"tokenizers": {"words": OTHER_MODEL}}, {}, Reads()),
    "folder": ({"folders": {"things": OTHER_MODEL}}, {}, Opens()),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_selection_has_another_key_after_a_change_of(change):
    more_facts, more_terms, scorer = CHANGES[change]
    there = facts(tokenizers={"words": facts().base}, folders={"things": facts().base})
    same = scorer if change in ("tokenizer", "folder") else Loss()
    before = plan(method("loss", scorer=same), at=there)
    after = plan(method("loss", scorer=scorer), at=facts(**more_facts), **more_terms)
    assert only(before, "loss").selection != only(after, "loss").selection


def test_a_model_has_another_key_for_another_seed_trainer_setting_or_base():
    models = {
        only(plan(method("loss", scorer=Loss(), trainer=trainer), at=facts(base=base)), "loss", seed).model
        for trainer in (School(), School(epochs=2.0))
        for base in (facts().base, OTHER_MODEL)
        for seed in (0, 1)
    }
    assert len(models) == 8


@pytest.mark.parametrize(
    ("budget", "counts"), [("10%", False), ("50 tokens", False), ("1e9 flops", True), ("5s", True)]
)
def test_how_long_is_trained_changes_a_selection_only_where_the_budget_counts_work(budget, counts):
    def chosen(passes):
        return only(
            plan(method("loss", scorer=Loss(), training_passes=passes), budgets=(Budget.parse(budget),)), "loss"
        )

    assert (chosen(3.0).selection != chosen(6.0).selection) == counts


def test_a_measured_speed_holds_for_one_processor():
    here, there = (
        plan(method("loss", scorer=Loss()), at=facts(processor=name), budgets=(Budget.parse("5s"),))
        for name in ("four cores", "eight cores")
    )
    speeds = [{ref for ref, step in made.steps.items() if step.room == "calibration"} for made in (here, there)]
    assert [len(refs) for refs in speeds] == [1, 1]
    assert not speeds[0] & speeds[1]


def test_where_things_lie_and_what_they_are_called_changes_no_key():
    moved = ModelFacts(name="renamed", path="/elsewhere/base", fingerprint=facts().base.fingerprint)
    there = facts(base=moved, scoring=moved, pool_name="other", pool_source={"source": "/elsewhere/rows.jsonl"})
    assert set(plan(*LINE, at=there).steps) == set(plan(*LINE).steps)


def test_another_evaluator_leaves_what_was_trained_as_it_is():
    @dataclass(frozen=True, kw_only=True)
    class More(Marks):
        """Another one."""

        name: ClassVar[str] = "more"

    before, after = plan(*LINE), plan(*LINE, evals=(Marks(), More()))
    assert set(before.steps) < set(after.steps)
    assert {step.room for ref, step in after.steps.items() if ref not in before.steps} == {"evaluation"}


def test_cells_stand_by_budget_as_given_then_methods_before_controls():
    budgets = tuple(Budget.parse(text) for text in ("20%", "5%"))
    made = plan(RANDOM, *LINE[:3], budgets=budgets, seeds=(1, 0))
    names = ["gap", "loss", "noisy", "random"]
    expected = [(budget, name, seed) for budget in ("20%", "5%") for name in names for seed in (0, 1)]
    assert [(cell.budget, cell.label, cell.seed) for cell in made.cells] == expected


def test_a_budget_in_seconds_asks_for_the_speed_of_this_machine():
    made = plan(RANDOM, budgets=(Budget.parse("60s"),))
    assert rooms(made)["calibration"] == 1
    assert not rooms(plan(RANDOM))["calibration"]


def test_a_generator_makes_a_pool_of_its_own_with_lengths_of_its_own():
    @dataclass(frozen=True, kw_only=True)
    class Maker:
        """Makes rows."""

        name: ClassVar[str] = "maker"
        version: ClassVar[str] = "1"
        deterministic: ClassVar[bool] = True

        def needs(self):
            return Needs()

    made = plan(method("made", generator=Maker()), RANDOM, judges={})
    generated = [ref for ref, step in made.steps.items() if step.room == "generated"]
    assert len(generated) == 1
    selection = made.steps[only(made, "made").selection]
    assert selection.parents["pool"] == generated[0]
    assert made.steps[selection.parents["lengths"]].parents["pool"] == generated[0]
    assert made.steps[only(made, "made").model].parents["pool"] == generated[0]


def test_a_parameter_without_a_stable_form_is_refused():
    @dataclass(frozen=True, kw_only=True)
    class Loose(Loss):
        """Holds a set."""

        words: frozenset[str] = param(frozenset({"a"}), "words")

    with pytest.raises(UsageError, match="frozenset"):
        plan(method("loose", scorer=Loose()))


@dataclass(frozen=True, kw_only=True)
class Chooser(School):
    """A trainer that chooses rows and reads a pass for that."""

    name: ClassVar[str] = "chooser"
    chooses: ClassVar[str] = "rows"

    def needs(self):
        return Needs(passes=(CONDITIONAL,))


@dataclass(frozen=True, kw_only=True)
class Cleaner(School):
    """A trainer that chooses tokens, with a warmed-up model."""

    name: ClassVar[str] = "cleaner"
    chooses: ClassVar[str] = "tokens"

    def needs(self):
        return Reader().needs()


WARM = {**NO_RECIPES, "trainer": {"warm": method("recipe", selector=Chance())}}
CHOOSING = method("choosing", trainer=Chooser())
CLEANING = method("cleaning", trainer=Cleaner(), recipes=WARM)


@dataclass(frozen=True, kw_only=True)
class Distils(School):
    """A trainer that does not choose and has a warmed-up teacher."""

    name: ClassVar[str] = "distils"

    def needs(self):
        return Reader().needs()


def test_a_trainer_that_chooses_rows_has_the_budget_and_its_selector_all_rows():
    budgets = tuple(Budget.parse(text) for text in ("5%", "10%"))
    made = plan(CHOOSING, budgets=budgets, seeds=(0,), judges={})
    assert (rooms(made)["selection"], rooms(made)["model"]) == (1, 2)
    first = made.cells[0]
    assert made.steps[first.selection].identity["budget"] == "all"
    assert made.steps[first.model].identity["budget"] == budgets[0].identity()
    assert made.steps[first.model].parents["lengths"] == made.lengths
    assert first.chosen == first.model


def test_in_a_budget_of_work_such_a_trainer_knows_what_a_row_costs():
    made = plan(CHOOSING, budgets=(Budget.parse("60s"),), seeds=(0,), judges={})
    step = made.steps[made.cells[0].model]
    assert step.identity["training_passes"] == CHOOSING.training_passes
    assert "calibration" in step.parents
    assert "training_passes" not in made.steps[made.cells[0].selection].identity


def test_a_trainer_that_chooses_tokens_leaves_the_budget_to_the_selector():
    made = plan(CLEANING, seeds=(0,), judges={})
    cell = only(made, "cleaning")
    assert "budget" not in made.steps[cell.model].identity
    assert made.steps[cell.selection].identity["budget"] == Budget.parse("10%").identity()
    assert made.steps[cell.model].parents["lengths"] == made.lengths
    assert cell.chosen == cell.model


def test_any_other_cell_tells_its_choice_in_its_selection():
    made = plan(method("gap", scorer=Gap()), method("base", trains=False, trainer=Chooser()), seeds=(0,))
    for name in ("gap", "base"):
        assert only(made, name).chosen == only(made, name).selection


def test_a_control_is_matched_to_what_was_chosen_in_training():
    made = plan(CHOOSING, CLEANING, MATCHED)
    for name in ("choosing", "cleaning"):
        control = only(made, f"matched({name})")
        assert made.steps[control.selection].parents["other"] == only(made, name).model
        assert made.cost_of_choosing(control.chosen, control.model) == [control.selection]


def test_choosing_in_training_costs_what_it_rests_on_but_not_the_training():
    made = plan(CHOOSING, CLEANING)

    def paid(name):
        cell = only(made, name)
        return Counter(made.steps[ref].room for ref in made.cost_of_choosing(cell.chosen, cell.model))

    assert paid("choosing") == {"selection": 1, "pass": 1}
    assert paid("cleaning") == {"selection": 2, "model": 1}


def test_a_teacher_that_only_the_trainer_wants_is_paid_for_too():
    made = plan(method("distils", trainer=Distils(), recipes=WARM))
    cell = only(made, "distils")
    paid = Counter(made.steps[ref].room for ref in made.cost_of_choosing(cell.chosen, cell.model))
    assert paid == {"selection": 2, "model": 1}
    assert cell.model not in made.cost_of_choosing(cell.chosen, cell.model)


def test_the_rows_chosen_in_training_may_be_what_another_method_chooses_from():
    after = method("gap", scorer=Gap(), before=CHOOSING, take=Take(times=4.0))
    made = plan(after, seeds=(0,), judges={})
    cell = only(made, "gap")
    pool = made.steps[made.steps[cell.selection].parents["pool"]]
    trained = pool.parents["selection"]
    assert trained.startswith("model/")
    assert made.steps[trained].identity["budget"]["amount"] == pytest.approx(0.4)
    assert trained in made.cost_of_choosing(cell.chosen, cell.model)


BY_WORDS = Likeness(num_words=13)


def test_held_out_items_are_looked_for_once_in_each_pool_that_is_chosen_from():
    @dataclass(frozen=True, kw_only=True)
    class Maker(Best):
        """Makes rows."""

        name: ClassVar[str] = "maker"

    untrained = method("base", trains=False, ignores_budget=True, control=True)
    after = method("after", before=method("gap", scorer=Gap()), take=Take(times=4.0))
    made = plan(method("made", generator=Maker()), after, *LINE, untrained, contamination=BY_WORDS)
    assert rooms(made)["contamination"] == 2
    pools = {cell.label: made.steps[cell.hits].parents["pool"] for cell in made.cells if cell.hits}
    assert pools.pop("made").startswith("generated/")
    assert set(pools.values()) == {made.pool}
    assert set(pools) == {"after", *(each.name for each in LINE)}
    assert {made.steps[cell.hits].parents["items"] for cell in made.cells if cell.hits} == {made.heldout}
    assert only(made, "base").hits is None


def test_looking_for_held_out_items_changes_no_other_step_and_costs_no_choice():
    plain, looking = plan(*LINE), plan(*LINE, contamination=BY_WORDS)
    assert not rooms(plain)["contamination"]
    assert set(plain.steps) == {ref for ref, step in looking.steps.items() if step.room != "contamination"}
    cells = [cell for cell in looking.cells if cell.model is not None]
    assert cells
    assert all(cell.hits not in looking.cost_of_choosing(cell.chosen, cell.model) for cell in cells)


def test_embeddings_are_made_for_a_look_only_where_it_is_asked_for():
    encoder = ModelFacts(name="minilm", path="minilm", fingerprint="minilm@1")
    likeness = replace(BY_WORDS, embedder=encoder, cosine=0.85)
    assert not rooms(plan(RANDOM, contamination=BY_WORDS))["embeddings"]
    made = plan(RANDOM, contamination=likeness)
    assert rooms(made)["embeddings"] == 2
    (step,) = [each for each in made.steps.values() if each.room == "contamination"]
    embedded = [made.steps[step.parents[role]] for role in ("embeddings", "embeddings_of_items")]
    assert [each.parents["pool"] for each in embedded] == [made.pool, made.heldout]
    assert {each.identity["embedder"] for each in embedded} == {"minilm@1"}
    keys = {
        each.hits
        for changed in ({}, {"cosine": 0.9}, {"num_words": 8}, {"component": "response"}, {"embedded": "response"})
        for each in plan(RANDOM, contamination=replace(likeness, **changed), seeds=(0,)).cells
    }
    assert len(keys) == 5


def answers_of(made, name="random"):
    return made.steps[only(made, name).responses]


def served(text):
    return facts(answering=AnswerServing.parse(text))


def test_answers_written_in_a_process_are_known_by_what_they_were_known_by_before_there_was_another_way():
    step = answers_of(plan(RANDOM))
    assert set(step.identity) == {"engine", "device", "base", "max_length", "max_new_tokens"}
    assert (dict(step.where), step.stage) == ({"base": "/models/base"}, "measure")


def test_answers_of_a_server_are_other_answers_known_by_what_changes_numbers_and_by_no_place():
    made = plan(RANDOM, at=served("vllm[dtype=float32,gpu_memory=0.5]"))
    step = answers_of(made)
    assert step.key != answers_of(plan(RANDOM)).key
    assert step.serves == {"vllm:/models/base[dtype=float32,gpu_memory=0.5]"}
    assert (step.stage, step.is_alone) == ("answer", True)
    assert "/models/base" not in str(step.identity)
    faster = answers_of(plan(RANDOM, at=served("vllm[dtype=float32,tensor_parallel=2]")))
    assert faster.key == step.key
    for other in ("vllm", "vllm[dtype=bfloat16]", "vllm[dtype=float32,max_model_len=99]"):
        assert answers_of(plan(RANDOM, at=served(other))).key != step.key


def test_a_way_of_answering_changes_neither_what_is_trained_nor_measures_that_read_no_answers():
    quiet = replace(terms(), evals=(Quiet(),))
    plain, asked = (make_plan(at, quiet, [RANDOM]) for at in (facts(), served("vllm")))
    for made in (plain, asked):
        assert only(made, "random").responses is not None
    assert only(plain, "random").model == only(asked, "random").model
    assert only(plain, "random").evaluations == only(asked, "random").evaluations


@dataclass(frozen=True, kw_only=True)
class Quiet(Marks):
    """An evaluator that reads no answers."""

    name: ClassVar[str] = "quiet"
    generates: ClassVar[bool] = False
