"""The model as the harness asks it: the same numbers as the harness's own wrapper gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

from sftbench import LanguageModel
from sftbench_plugins.harness_tasks import building, code_tasks
from sftbench_plugins.harness_tasks.asking import Samples
from sftbench_plugins.harness_tasks.evaluators import TRIAL, LmEval
from sftbench_plugins.harness_tasks.model import HarnessModel, seeds_of

TASKS = "gsm8k+boolq+arc_challenge"


@pytest.fixture(scope="module")
def tiny(reference_data):
    return reference_data / "models" / "tiny-gpt2"


@pytest.fixture(scope="module")
def ours(tiny):
    return HarnessModel(LanguageModel.load(tiny, dtype="float32"))


@pytest.fixture(scope="module")
def theirs(tiny):
    return HFLM(pretrained=str(tiny), device="cpu", dtype="float32", batch_size=4)


def asked(kind, *arguments):
    return [Instance(request_type=kind, doc={}, arguments=each, idx=at) for at, each in enumerate(arguments)]


@pytest.fixture(scope="module")
def requests(tiny, tmp_path_factory):
    """The requests of real tasks with examples: several tokens, single ones, and prompts beyond the window."""
    part = LmEval(tasks=TASKS, num_fewshot=4, task_data=str(TRIAL))
    files = {name: building.Path(path) for name, path in part.needs().files.items()}
    built = building.of_files(part.asked, files, {})
    found = []
    for task in built.tasks.values():
        task.build_all_requests(limit=4)
        found += [each for each in task.instances if each.request_type == "loglikelihood"]
    return found


def both(requests, ours, theirs):
    return ours.loglikelihood(requests), theirs.loglikelihood(requests, disable_tqdm=True)


def test_likelihoods_are_those_of_the_harness(requests, ours, theirs):
    mine, other = both(requests, ours, theirs)
    assert len(mine) == len(requests) >= 20
    np.testing.assert_allclose([each[0] for each in mine], [each[0] for each in other], atol=1e-4)
    assert [each[1] for each in mine] == [each[1] for each in other]


@pytest.mark.parametrize(
    "pairs",
    [
        [("", " alone"), ("A text. ", "and more"), ("x", "\n\n")],
        [("Yes or no?", " yes"), ("Yes or no?", " no"), ("Yes or no?", " maybe so"), ("Yes or no?", " yes")],
        [("word " * 3000, " end"), ("word " * 3000, " stop"), ("word " * 3000, " one two three four")],
    ],
    ids=["no context and blanks", "rivals", "beyond the window"],
)
def test_awkward_requests_agree_too(pairs, ours, theirs):
    mine, other = both(asked("loglikelihood", *pairs), ours, theirs)
    np.testing.assert_allclose([each[0] for each in mine], [each[0] for each in other], atol=1e-4)
    assert [each[1] for each in mine] == [each[1] for each in other]


def test_greedy_flags_are_true_for_what_the_model_writes_itself(ours, theirs):
    wanted = {"until": [], "max_gen_toks": 8, "do_sample": False}
    (text,) = ours.generate_until(asked("generate_until", ("The", wanted)))
    mine, other = both(asked("loglikelihood", ("The", text), ("The", " zebra " + text)), ours, theirs)
    assert [each[1] for each in mine] == [each[1] for each in other] == [True, False]


def test_whole_texts_agree_with_the_harness(ours, theirs):
    texts = asked("loglikelihood_rolling", ("Some words. " * 5,), ("long and longer " * 700,))
    np.testing.assert_allclose(
        ours.loglikelihood_rolling(texts), theirs.loglikelihood_rolling(texts, disable_tqdm=True), rtol=1e-5
    )


def test_greedy_answers_agree_with_the_harness(ours, theirs):
    wanted = {"until": ["\n", "."], "max_gen_toks": 12, "do_sample": False}
    prompts = asked("generate_until", ("One day", wanted), ("Question: what?\nAnswer:", wanted), ("Then she", wanted))
    with torch.random.fork_rng():
        assert ours.generate_until(prompts) == theirs.generate_until(prompts, disable_tqdm=True)


def test_a_context_with_rivals_is_read_once(tiny):
    amounts = {}

    def meter(**more):
        for name, amount in more.items():
            amounts[name] = amounts.get(name, 0) + amount

    model = HarnessModel(LanguageModel.load(tiny, dtype="float32", meter=meter))
    context = "The answer is"
    letters = [(context, f" {letter}") for letter in "ABCD"]
    assert {len(model.tok_encode(letter)) for _, letter in letters} == {1}
    model.loglikelihood(asked("loglikelihood", *letters))
    assert amounts["tokens_forward"] == len(model.tok_encode(context))


def test_a_prompt_that_comes_again_is_drawn_with_another_seed_and_always_the_same():
    seeds = seeds_of(["a", "b", "a", "a"])
    assert len(set(seeds)) == 4
    assert seeds == seeds_of(["a", "b", "a", "a"])
    assert seeds[1] == seeds_of(["b"])[0], "neighbours do not matter"


def test_repeated_draws_of_one_prompt_differ(ours):
    wanted = {"until": [], "max_gen_toks": 12, "do_sample": True, "temperature": 1.5}
    texts = ours.generate_until(asked("generate_until", *[("Once", wanted)] * 4))
    assert len(set(texts)) > 1
    assert texts == ours.generate_until(asked("generate_until", *[("Once", wanted)] * 4))


def test_no_number_never_wins(ours):
    assert ours._checked(float("nan"), True) == (float("-inf"), False)


def test_the_task_that_runs_code_keeps_the_settings_of_its_samples(tmp_path):
    task = code_tasks.CodeTask(samples=Samples(count=12, temperature=0.5, k=10), scratch=tmp_path)
    config = task.tasks["humaneval"]
    assert (config["repeats"], config["generation_kwargs"]["temperature"]) == (12, 0.5)
