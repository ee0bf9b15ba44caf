"""The selector `mods`: its stages against brute force, what it asks and adds, and what it leaves out."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import sftbench_plugins.quality as plugin
from sftbench import Continuation, Scores, UsageError
from sftbench.parameters import build
from sftbench_plugins.geometry.kcenter import Kcenter
from sftbench_plugins.quality.judging import BY_LIKENESS
from sftbench_plugins.quality.mods import Mods
from sftbench_plugins.quality.scorer import Quality

TEXTS = {"good": [1.0, 0.0], "fair": [0.8, 0.6], "bad": [0.0, 1.0], "": [1.0, 0.0]}


def embeds(texts):
    """What a row says is always `good`; an answer is as near to it as its word says."""
    return np.array([TEXTS.get(text, [1.0, 0.0]) for text in texts], dtype=np.float32)


@pytest.fixture
def answers(monkeypatch):
    """What the tuned model says to each question; what it was asked is kept."""
    given = SimpleNamespace(to={}, rows=[], tokens=[], ended=True)

    def answer_rows(model, rows, *, max_new_tokens, advance=None):
        given.rows += rows
        given.tokens.append(max_new_tokens)
        advance(len(rows))
        return [Continuation(text=given.to[row.messages[0].content], ended=given.ended) for row in rows]

    monkeypatch.setattr("sftbench.answer_rows", answer_rows, raising=False)
    return given


@pytest.fixture
def select(make_desk, rows_allowed, answers):
    """A selection of rows `(question, response)` that the tuned model answers by the word after each question."""

    def run(said, *, cap, seeds=("r0",), values=None, rows=None, costs=None, tokens=None, folder=None, **parameters):
        rows = rows or [(f"q{at}", "own") for at in range(len(said))]
        answers.to.update({f"q{at}": word for at, word in enumerate(said)})
        model = SimpleNamespace(max_length=100)
        desk = make_desk(
            rows, embeds=embeds, models={"seeded": model}, seeds=seeds, tokens=tokens, folders={"quality": folder}
        )
        if folder is not None:
            parameters["quality_model"] = str(folder)
        scores = Scores(values=np.ones(len(rows)) if values is None else np.asarray(values, dtype=float))
        found = Mods(**parameters).select(desk.pool, scores, rows_allowed(desk.pool, cap, costs), desk)
        run.desk = desk
        return found

    return run


def parts():
    """Scorer and selector of the seeds, as a run makes them from the recipe of the method."""
    method = next(each for each in plugin.sftbench_methods() if each.name == "mods")
    recipe = build(Mods, method.selector.parameters, where="mods").needs().models["seeded"]
    assert (recipe.scorer.name, recipe.selector.name, recipe.trainer.name) == ("quality", "kcenter", "sft")
    return (
        build(Quality, recipe.scorer.parameters, where="quality"),
        build(Kcenter, recipe.selector.parameters, where="kcenter"),
    )


def plain_kcenter(vectors, rows, first, count):
    """Again and again the row whose nearest row taken is farthest, every distance made anew."""
    taken = [first]
    while len(taken) < count:
        apart = {row: min(np.linalg.norm(vectors[row] - vectors[each]) for each in taken) for row in rows}
        taken.append(max((row for row in rows if row not in taken), key=lambda row: (apart[row], -row)))
    return taken


@pytest.mark.parametrize("seed", range(5))
def test_seeds_are_k_centers_of_the_rows_above_the_threshold(make_desk, rows_allowed, losses, seed):
    """Stages 1 and 2 as the recipe of the method names them, against all distances of the rows that are left."""
    draw = np.random.default_rng(seed)
    count = 40
    vectors = draw.normal(size=(count, 5))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    nll = draw.uniform(0.5, 3, count)
    rows = [(f"ask {at}", f"tell {at}") for at in range(count)]
    desk = make_desk(rows, passes=losses([[each, each] for each in nll]), seed=seed)
    desk.embeds = lambda texts: vectors[[int(text.split()[1]) for text in texts]]
    scorer, kcenter = parts()
    scores = scorer.score(desk.pool, desk)
    good = np.flatnonzero(nll < nll.mean()).tolist()
    assert np.flatnonzero(np.isfinite(scores.values)).tolist() == good
    found = kcenter.select(desk.pool, scores, rows_allowed(desk.pool, 10), desk)
    taken = [int(row_id[1:]) for row_id in found.ids]
    assert taken == plain_kcenter(vectors.astype(float), good, taken[0], 10)


def test_in_official_mode_the_first_seed_is_drawn_as_the_authors_code_draws_it():
    needs = {mode: Mods(mode=mode).needs().models["seeded"].selector.parameters for mode in ("paper", "official")}
    assert [needs[mode]["mode"] for mode in needs] == ["paper", "official"]
    assert {needs[mode]["component"] for mode in needs} == {"instruction"}
    assert Mods(turns="first").needs().models["seeded"].selector.parameters["turns"] == "first"


def test_seeds_come_first_and_then_what_was_answered_badly_worst_first(select, answers):
    found = select(["-", "good", "bad", "fair", "good", "bad"], cap=4, seeds=("r4", "r0"), fill=False)
    assert found.ids == ("r4", "r0", "r2", "r5")
    assert [row.id for row in answers.rows] == ["r1", "r2", "r3", "r5"], "seeds are not asked"
    # Likeness 1, 0, 0.8 and 0: below their mean lie the two zeros.
    assert found.report["num_answered_badly"] == 2
    assert (found.report["num_seeds"], found.report["num_added"], found.report["num_filled"]) == (2, 2, 0)
    assert found.report["mean"] == pytest.approx(0.45)
    assert found.status == "full"


def test_rows_answered_well_fill_what_is_left_or_stay_out(select):
    said = ["-", "good", "bad", "fair"]
    filled = select(said, cap=4)
    assert filled.ids == ("r0", "r2", "r3", "r1")
    assert filled.report["num_added"] + filled.report["num_filled"] == 3
    alone = select(said, cap=4, fill=False)
    assert alone.ids == ("r0", "r2")
    assert alone.status == "short"


def test_the_threshold_is_a_choice(select):
    said = ["-", "good", "bad", "fair"]
    # Standard scores of 1, 0 and 0.8 are 0.93, -1.39 and 0.46.
    counts = [select(said, cap=4, below=below).report["num_answered_badly"] for below in (-1.5, -1.3, 0.5, 1.0)]
    assert counts == [0, 1, 2, 3]


def test_seeds_that_use_up_the_budget_save_the_answers(select, answers):
    found = select(["good"] * 4, cap=2, seeds=("r3", "r1", "r2"))
    assert found.ids == ("r3", "r1")
    assert answers.rows == []
    assert found.report["num_answers"] == 0
    assert any("use up the budget" in line for line in select.desk.logged)
    assert found.report["num_seeds"] == 2


def test_a_budget_in_tokens_is_kept(select):
    found = select(["-", "good", "bad", "fair"], cap=10, costs=[4, 3, 5, 1])
    assert found.ids == ("r0", "r2", "r3")


def test_rows_without_quality_or_without_anything_to_train_are_neither_asked_nor_taken(select, answers):
    values = [1.0, np.nan, 1.0, 1.0, 1.0]
    found = select(["-", "bad", "bad", "bad", "good"], cap=5, values=values, tokens=np.array([3, 3, 0, 3, 3]))
    assert found.ids == ("r0", "r3", "r4")
    assert [row.id for row in answers.rows] == ["r3", "r4"]
    assert found.report["reasons"] == {"no_score": 1, "nothing_to_train": 1}
    assert found.report["num_eligible"] == 3


def test_an_answer_that_says_nothing_is_like_nothing(select):
    found = select(["-", "fair", "", "good"], cap=2)
    assert found.ids == ("r0", "r2")
    assert found.report["answers"] == {"empty": 1}


def test_whoever_stands_in_is_named(select):
    found = select(["-", "good", "bad"], cap=3)
    assert select.desk.stand_ins == [BY_LIKENESS]
    assert found.report["answers_judged_by"] == f"stand-in: {BY_LIKENESS}"


def test_the_first_exchange_is_asked_or_the_last(select, answers):
    talk = [("q0", "own"), ("q1", "own", "more?", "much"), ("q2", "own")]
    select(["-", "good", "good"], cap=3, rows=talk, turns="first")
    assert [message.content for message in answers.rows[0].messages] == ["q1", "own"]
    answers.rows.clear()
    select(["-", "good", "good"], cap=3, rows=talk, turns="last")
    assert [message.content for message in answers.rows[0].messages] == ["q1", "own", "more?", "much"]


def test_answers_are_no_longer_than_half_of_what_the_model_reads(select, answers):
    select(["-", "good"], cap=2)
    select(["-", "good"], cap=2, max_new_tokens=7)
    assert answers.tokens == [50, 7]


def test_many_answers_are_asked_in_batches_each_in_its_place(select, monkeypatch):
    said = ["-", *(["good", "bad", "fair"] * 4)]
    whole = select(said, cap=13).ids
    monkeypatch.setattr("sftbench_plugins.quality.judging._ROWS_AT_ONCE", 5)
    assert select(said, cap=13).ids == whole


@pytest.fixture
def judged(select, reward_folder, ask_directly):
    """The order in which a reward model wants rows by what was said to them, and what it would want of these texts."""

    def run(said, texts, **parameters):
        found = select(said, cap=len(said), folder=reward_folder, turns="first", **parameters)
        numbers = [ask_directly(reward_folder, *pair)[0] for pair in texts]
        return found, [f"r{at + 1}" for at in np.argsort(numbers, kind="stable")], numbers

    return run


SAID = ["-", "one", "another one", "something", ""]


def test_the_reward_model_judges_answers_where_one_is_named(judged, select):
    found, order, numbers = judged(SAID, [(f"q{at}", SAID[at]) for at in range(1, 5)])
    assert list(found.ids[1:]) == order
    assert found.report["num_answered_badly"] == sum(number < 0 for number in numbers)
    assert found.report["answers_judged_by"] == "model"
    assert found.report["answers"] == {"empty": 1}
    assert not select.desk.stand_ins


def test_official_mode_asks_about_a_row_without_input_with_a_newline_at_the_end_of_the_question(judged, monkeypatch):
    from sftbench_plugins.quality.classifier import QualityModel

    seen = []
    real = QualityModel.of
    monkeypatch.setattr(
        QualityModel, "of", lambda self, texts, *, truncate: seen.extend(texts) or real(self, texts, truncate=truncate)
    )
    found, order, _ = judged(SAID, [(f"q{at}\n", SAID[at]) for at in range(1, 5)], mode="official")
    assert list(found.ids[1:]) == order
    assert [each.first for each in seen] == ["q1\n", "q2\n", "q3\n", "q4\n"]


def test_official_mode_adds_no_newline_to_a_row_with_input(select, answers, reward_folder, monkeypatch):
    from sftbench_plugins.quality.classifier import QualityModel

    seen = []

    def of(self, texts, *, truncate):
        seen.extend(texts)
        return np.zeros(len(texts)), {}

    monkeypatch.setattr(QualityModel, "of", of)
    rows = [{"id": "r0", "instruction": "q0", "output": "own"},
            {"id": "r1", "instruction": "q1", "input": "in", "output": "own"}]  # fmt: skip
    answers.to["q1\nin"] = "good"
    select(["-"], cap=2, rows=rows, folder=reward_folder, mode="official")
    assert [(each.first, each.second) for each in seen] == [("q1\nin", "good")]


@pytest.mark.parametrize(
    ("mode", "ended", "shown"),
    [("official", False, "somet"), ("official", True, "something"), ("paper", False, "something")],
)
def test_official_mode_cuts_four_more_letters_off_an_answer_that_was_cut_off(
    select, answers, reward_folder, monkeypatch, mode, ended, shown
):
    from sftbench_plugins.quality.classifier import QualityModel

    seen = []

    def of(self, texts, *, truncate):
        seen.extend(each.second for each in texts)
        return np.zeros(len(texts)), {}

    monkeypatch.setattr(QualityModel, "of", of)
    answers.ended = ended
    found = select(["-", "something"], cap=2, folder=reward_folder, mode=mode)
    assert seen == [shown]
    assert found.report["answers"] == ({} if ended else {"cut_off": 1})


def test_an_answer_that_the_model_cannot_read_or_rate_leaves_its_row_out_and_is_counted(
    select, reward_folder, monkeypatch
):
    said = ["-", "one", "x" * 90, "another one", "three"]
    found = select(said, cap=5, folder=reward_folder)
    assert "r2" not in found.ids
    assert len(found.ids) == 4
    assert found.report["answers"] == {"prompt_too_long": 1}
    assert found.status == "short"
    cut = select(said, cap=5, folder=reward_folder, overlong="truncate")
    assert len(cut.ids) == 5
    assert cut.report["answers"] == {"truncated": 1}
    from sftbench_plugins.quality.classifier import QualityModel

    numbers = np.array([1.0, np.nan, -np.inf, -1.0])
    monkeypatch.setattr(QualityModel, "of", lambda self, texts, *, truncate: (numbers, {}))
    found = select(said, cap=5, folder=reward_folder)
    assert found.ids == ("r0", "r4", "r1")
    assert found.report["answers"] == {"non_finite": 2}


def test_a_model_that_judges_is_declared_with_the_seeds_that_are_trained_first():
    needs = Mods(quality_model="org/reward", above=0.5, seeds="7").needs()
    assert needs.foreign_models == {"quality": "org/reward"}
    assert not needs.embedder
    recipe = needs.models["seeded"]
    assert recipe.budget == "7"
    assert recipe.scorer.parameters["quality_model"] == "org/reward"
    assert recipe.scorer.parameters["above"] == 0.5
    assert Mods().needs().embedder
    trained = Mods(warmup_epochs=3, warmup_rank=0, warmup_learning_rate=2e-5).needs().models["seeded"].trainer
    assert trained.parameters == {"epochs": 3, "rank": 0, "learning_rate": 2e-5}


def test_without_scores_it_says_which_scorer_it_belongs_to(make_desk, rows_allowed):
    desk = make_desk([("ask", "tell")])
    with pytest.raises(UsageError, match="has the scorer 'quality'"):
        Mods().select(desk.pool, None, rows_allowed(desk.pool, 1), desk)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"max_new_tokens": 0}, "at least 1"),
        ({"below": float("nan")}, "below is a number"),
        ({"above": float("inf")}, "above is a number"),
    ],
)
def test_what_makes_no_sense_is_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        Mods(**parameters)
