"""From a method and its parameters to parts: who gets what, and what a training is worth in passes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pluggy
import pytest

from sftbench import plugins as real
from sftbench.errors import UsageError
from sftbench.methods import parts_of, resolve, training_passes
from sftbench.parameters import PartUse, param, parse_use
from sftbench.plugins import Offered, Plugins
from sftbench.roles import Method, Needs, Recipe


class Plain:
    """What all these parts share."""

    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True

    def needs(self):
        return Needs()


@dataclass(frozen=True, kw_only=True)
class Loss(Plain):
    """A scorer."""

    name: ClassVar[str] = "loss"
    mode: str = param("paper", "which rule")
    power: float = param(1.0, "exponent")
    alpha: float = param(5.0, "noise")


@dataclass(frozen=True, kw_only=True)
class Best(Plain):
    """A selector."""

    name: ClassVar[str] = "best"
    cut: float | None = param(None, "what is left out")
    alpha: float = param(0.5, "share")


@dataclass(frozen=True, kw_only=True)
class Drawn(Plain):
    """A selector for recipes."""

    name: ClassVar[str] = "drawn"
    purpose: str = param("", "what for")


@dataclass(frozen=True, kw_only=True)
class Maker(Plain):
    """A generator that reads a model of a recipe."""

    name: ClassVar[str] = "maker"
    warmup_epochs: float | None = param(None, "passes of the warm-up")

    def needs(self):
        trainer = PartUse(name="school", parameters={"epochs": self.warmup_epochs, "rank": 4})
        return Needs(models={"warm": Recipe(selector=PartUse(name="drawn"), budget="5%", trainer=trainer)})


@dataclass(frozen=True, kw_only=True)
class Nested(Plain):
    """A selector whose recipe needs a recipe."""

    name: ClassVar[str] = "nested"

    def needs(self):
        recipe = Recipe(selector=PartUse(name="nested"), budget="5%", trainer=PartUse(name="school"))
        return Needs(models={"warm": recipe})


@dataclass(frozen=True, kw_only=True)
class Scored(Plain):
    """A selector whose recipe chooses by scores."""

    name: ClassVar[str] = "scored"

    def needs(self):
        by = PartUse(name="loss", parameters={"alpha": 0.75})
        recipe = Recipe(scorer=by, selector=PartUse(name="best"), budget="5%", trainer=PartUse(name="school"))
        return Needs(models={"warm": recipe})


@dataclass(frozen=True, kw_only=True)
class School(Plain):
    """The run's trainer."""

    name: ClassVar[str] = "school"
    epochs: float = param(3.0, "passes over the rows")
    rank: int = param(0, "LoRA rank")
    batch_size: int = param(16, "rows per step")

    @property
    def passes_per_epoch(self):
        return 2.0 if self.rank else 3.0


@dataclass(frozen=True, kw_only=True)
class Academy(Plain):
    """Another trainer, which has no batches."""

    name: ClassVar[str] = "academy"
    epochs: float = param(1.0, "passes over the rows")
    rank: int = param(0, "LoRA rank")
    lam: float = param(0.7, "weight")


PARTS = {
    "generator": [Maker],
    "scorer": [Loss],
    "selector": [Best, Drawn, Nested, Scored],
    "trainer": [School, Academy],
}
METHODS = [
    Method(name="loss", summary="", scorer=PartUse(name="loss"), selector=PartUse(name="best"),
           fidelity={"official": "exact", "paper": "reconstruction"}),
    Method(name="best", summary="", selector=PartUse(name="best", parameters={"cut": 1.0, "alpha": 0.25})),
    Method(name="own", summary="", selector=PartUse(name="best"),
           trainer=PartUse(name="academy", parameters={"rank": 2})),
    Method(name="made", summary="", generator=PartUse(name="maker"), selector=PartUse(name="best")),
    Method(name="scored", summary="", selector=PartUse(name="scored")),
    Method(name="nested", summary="", selector=PartUse(name="nested")),
    Method(name="ways", summary="", scorer=PartUse(name="loss"), selector=PartUse(name="best"),
           strategies={"slow": {}, "quick": {"scorer": None, "selector": PartUse(name="drawn")}}),
]  # fmt: skip
PLUGINS = Plugins(
    manager=pluggy.PluginManager("sftbench"),
    parts={
        role: {each.name: Offered(part_class=each, plugin="toys") for each in classes}
        for role, classes in PARTS.items()
    },
    methods={each.name: each for each in METHODS},
    suites={},
    plugin_of={},
)


def made(text, trainer="school"):
    return resolve(PLUGINS, parse_use(text), parse_use(trainer))


def test_a_parameter_goes_to_every_part_that_has_it_and_to_no_other():
    found = made("loss[alpha=2,power=3,epochs=7]")
    assert found.scorer == Loss(alpha=2, power=3)
    assert found.selector == Best(alpha=2)
    assert found.trainer == School(epochs=7)
    assert found.generator is None


def test_a_parameter_with_a_role_reaches_one_part_alone():
    found = made("loss[scorer.alpha=2,trainer.rank=8]")
    assert (found.scorer.alpha, found.selector.alpha, found.trainer.rank) == (2, 0.5, 8)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("loss[alpha=2,scorer.alpha=3]"),
        pytest.param("loss[scorer.alpha=3,alpha=2]"),
    ],
)
def test_what_is_given_for_one_part_goes_before_what_is_given_for_all(text):
    """Both are written the same way on the board, so they must be the same method."""
    found = made(text)
    assert found.label == "loss[alpha=2,scorer.alpha=3]"
    assert (found.scorer.alpha, found.selector.alpha) == (3, 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("loss[powr=2]", r"unknown parameter of loss 'powr'; did you mean 'power'\?"),
        ("loss[epoch=2]", r"unknown parameter of loss 'epoch'; did you mean 'epochs'\?"),
        ("loss[scorer.powr=2]", r"'powr'; did you mean 'power'\?"),
        ("loss[scorer.cut=2]", r"unknown parameter of scorer loss 'cut'"),
        ("loss[scorr.power=2]", r"unknown role .*'scorr'; did you mean 'scorer'\?"),
        ("best[scorer.power=2]", r"unknown role .*'scorer'"),
        ("los", r"unknown method 'los'; did you mean 'loss'\?"),
        ("loss[power=high]", "power"),
    ],
)
def test_what_nobody_has_is_refused_with_the_nearest_that_exists(text, message):
    with pytest.raises(UsageError, match=message):
        made(text)


def test_a_strategy_says_which_parts_there_are():
    assert made("ways").scorer == made("ways[strategy=slow]").scorer == Loss()
    quick = made("ways[strategy=quick,purpose=race,epochs=2]")
    assert (quick.scorer, quick.selector, quick.trainer) == (None, Drawn(purpose="race"), School(epochs=2))
    assert quick.label == "ways[epochs=2,purpose=race,strategy=quick]"
    assert quick.given["strategy"] == "quick"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ways[strategy=quik]", r"unknown strategy of ways 'quik'; did you mean 'quick'\?"),
        ("ways[stratgy=quick]", r"unknown parameter of ways 'stratgy'; did you mean 'strategy'\?"),
        ("ways[strategy=quick,power=2]", "unknown parameter of ways 'power'"),
        ("loss[strategy=quick]", "unknown parameter of loss 'strategy'"),
    ],
)
def test_a_strategy_that_there_is_not_and_what_its_parts_lack_are_refused(text, message):
    with pytest.raises(UsageError, match=message):
        made(text)


def test_a_trainer_setting_of_the_run_must_exist_too():
    with pytest.raises(UsageError, match=r"'epoch'; did you mean 'epochs'\?"):
        made("loss", trainer="school[epoch=2]")


def test_what_a_method_sets_for_its_part_holds_until_something_else_is_given():
    assert made("best").selector == Best(cut=1.0, alpha=0.25)
    assert made("best[alpha=0.75]").selector == Best(cut=1.0, alpha=0.75)
    assert made("best[cut=none]").selector == Best(cut=None, alpha=0.25)


def test_the_runs_trainer_and_its_settings_are_every_methods():
    assert made("loss", trainer="school[epochs=5,rank=8]").trainer == School(epochs=5, rank=8)
    assert made("loss", trainer="academy[lam=0.1]").trainer == Academy(lam=0.1)


def test_a_methods_own_trainer_takes_the_runs_settings_that_it_has_too():
    found = made("own", trainer="school[epochs=5,batch_size=4]")
    assert found.trainer == Academy(epochs=5, rank=2)


def test_what_a_method_says_goes_before_what_the_run_says_and_what_is_given_before_both():
    assert made("own", trainer="school[rank=8]").trainer.rank == 2
    assert made("own[rank=16]", trainer="school[rank=8]").trainer.rank == 16
    assert made("loss[epochs=1]", trainer="school[epochs=5]").trainer.epochs == 1


def test_a_recipe_trains_as_the_run_does_where_it_says_nothing():
    (warm,) = made("made", trainer="school[epochs=5,rank=8,batch_size=2]").recipes["generator"].values()
    assert warm.trainer == School(epochs=5, rank=4, batch_size=2)
    assert warm.selector == Drawn()
    assert warm.training_passes == 5 * 2


def test_a_recipe_keeps_what_it_says_itself():
    found = made("made[warmup_epochs=0.5]", trainer="school[epochs=5]")
    assert found.recipes["generator"]["warm"].trainer.epochs == 0.5
    assert found.trainer.epochs == 5


def test_a_recipe_takes_the_settings_that_its_trainer_shares_with_the_runs():
    found = made("made", trainer="academy[epochs=5,lam=0.1]")
    assert found.recipes["generator"]["warm"].trainer == School(epochs=5, rank=4)


def test_a_recipe_does_not_get_what_is_given_for_the_methods_own_training():
    found = made("made[epochs=9]", trainer="school[epochs=5]")
    assert (found.trainer.epochs, found.recipes["generator"]["warm"].trainer.epochs) == (9, 5)


def test_a_recipe_may_choose_by_scores():
    (warm,) = made("scored").recipes["selector"].values()
    assert warm.scorer == Loss(alpha=0.75)
    assert made("made").recipes["generator"]["warm"].scorer is None
    assert {part.name for part in parts_of([made("scored")])} == {"scored", "loss", "best", "school"}


def test_recipes_cannot_nest():
    with pytest.raises(UsageError, match="recipes cannot nest"):
        made("nested")


def test_every_part_is_listed_those_of_recipes_too():
    names = sorted(part.name for part in parts_of([made("made"), made("loss")]))
    assert names == sorted(["maker", "best", "school", "drawn", "school", "loss", "best", "school"])


@pytest.mark.parametrize(
    ("text", "fidelity"),
    [("loss", "reconstruction"), ("loss[mode=official]", "exact"), ("best", "own definition")],
)
def test_a_method_is_as_true_to_its_authors_as_its_mode(text, fidelity):
    assert made(text).fidelity == fidelity


def test_a_method_is_called_what_the_user_wrote_whatever_the_order():
    assert made("loss[power=3,alpha=2]").label == made("loss[alpha=2, power=3]").label == "loss[alpha=2,power=3]"
    assert made("loss").label == "loss"


@pytest.mark.parametrize(
    ("trainer", "passes"),
    [
        ("sft", 9.0),
        ("sft[epochs=1]", 3.0),
        ("sft[epochs=0.5]", 1.5),
        ("sft[epochs=2,rank=8]", 4.0),
        ("gated[epochs=2]", 8.0),
        ("gated[epochs=2,rank=8]", 6.0),
        ("gated[epochs=2,reference=base]", 8.0),
    ],
)
def test_an_epoch_takes_three_passes_two_with_lora_and_one_more_with_a_teacher(trainer, passes):
    found = real.load()
    assert training_passes(found.part("trainer", parse_use(trainer))) == passes
    assert resolve(found, parse_use("longest"), parse_use(trainer)).training_passes == passes


def test_a_trainer_that_does_not_say_takes_three_passes_an_epoch():
    assert training_passes(Academy(epochs=2)) == 6
    assert training_passes(Best()) == 3


def test_a_method_with_a_teacher_trains_as_the_run_does_and_counts_the_teacher():
    found = resolve(real.load(), parse_use("tokentune"), parse_use("sft[epochs=2,rank=8,batch_size=4]"))
    assert (found.trainer.name, found.trainer.epochs, found.trainer.rank, found.trainer.batch_size) == (
        "gated",
        2,
        8,
        4,
    )
    assert found.training_passes == 2 * (2 + 1)
    warm = [recipe for recipes in found.recipes.values() for recipe in recipes.values()]
    assert len(warm) == 2
    assert {(each.trainer.name, each.trainer.epochs, each.training_passes) for each in warm} == {("sft", 2, 4)}
