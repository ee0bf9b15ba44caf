"""A mistake on the command line gets a message that says what to do, the exit code of its kind, and no traceback."""

from __future__ import annotations

import os
import re
import shutil

import pytest

USAGE, ENVIRONMENT = 2, 4


@pytest.fixture
def ready(bench, material):
    """A command line with a pool and a model beside it, so that only the mistake is wrong."""
    shutil.copy(material.pool, bench.folder / "pool.jsonl")
    shutil.copytree(material.model, bench.folder / "model")
    return bench


SELECT = ("select", "random", "--pool", "pool.jsonl", "--base", "model", "--budget", "3")
RUN = ("run", "--methods", "longest", "--pool", "pool.jsonl", "--base", "model")


def without(command, flag):
    """A command without one flag and its value."""
    at = command.index(flag)
    return (*command[:at], *command[at + 2 :])


MISTAKES = {
    "an unknown command": (("slect",), "did you mean 'select'"),
    "an unknown method": (("select", "tshrt", *SELECT[2:]), "did you mean 'tshirt'"),
    "a part that is no method": (("select", "top", *SELECT[2:]), "unknown method 'top'"),
    "an unknown scorer": (("score", "idf", "--pool", "pool.jsonl", "--lm", "model"), "did you mean 'ifd'"),
    "an unknown parameter": (("select", "tshirt[mod=official]", *SELECT[2:]), "did you mean 'mode'"),
    "an unknown role of a parameter": (("select", "tshirt[scorr.mode=paper]", *SELECT[2:]), "did you mean 'scorer'"),
    "a value that a parameter cannot have": (("select", "tshirt[mode=oficial]", *SELECT[2:]), "'paper' or 'official'"),
    "a parameter given twice": (("select", "tshirt[mode=paper,mode=paper]", *SELECT[2:]), "given twice"),
    "a bracket that is not closed": (("select", "tshirt[mode=paper", *SELECT[2:]), "cannot read"),
    "a method that is matched to others": (("select", "random-lengths", *SELECT[2:]), "'bench run' only"),
    "no method": (without(RUN, "--methods"), "--methods is missing"),
    "an unknown trainer": ((*RUN, "--trainer", "stf"), "did you mean 'sft'"),
    "an unknown evaluator": ((*RUN, "--evals", "nnl"), "did you mean 'nll'"),
    "an unknown judge": ((*RUN, "--judge", "cheker"), "did you mean 'checker'"),
    "an unknown suite": ((*without(RUN, "--pool"), "--suite", "macrocosm"), "did you mean 'microcosm'"),
    "seeds that are no numbers": ((*RUN, "--seeds", "one"), "--seeds 'one'"),
    "no seed": ((*RUN, "--seeds", "0"), "at least one seed"),
    "an unknown word for controls": ((*RUN, "--controls", "some"), "'standard'"),
    "an unknown word for redo": ((*RUN, "--redo", "sometimes"), "'never'"),
    "a share above one": ((*RUN, "--plant", "130%"), "--plant '130%'"),
    "a limit of zero": ((*SELECT, "--limit", "0"), "--limit 0"),
    "a budget of zero": ((*SELECT[:-1], "0"), "at least one row"),
    "a share of zero": ((*SELECT[:-1], "0%"), "at least one row"),
    "a share above the pool": ((*SELECT[:-1], "120%"), "more than the pool"),
    "a budget that is none": ((*SELECT[:-1], "some"), "examples:"),
    "a file type that cannot be written": ((*SELECT, "--out", "chosen.txt"), ".jsonl"),
    "a folder that is not there": ((*SELECT, "--out", "nowhere/chosen.jsonl"), "no folder"),
    "a pool that is not there": (("select", "random", "--pool", "pol.jsonl", *SELECT[4:]), "did you mean"),
    "a configuration file that is not there": (("run", "-c", "nowhere.yaml"), "no configuration file"),
    "a thing that nobody offers": (("show", "tshrt"), "did you mean 'tshirt'"),
    "an unknown room": (("cache", "--remove", "scors"), "did you mean 'scores'"),
    "a bad plugin name": (("plugins", "new", "My Scorer", "--kind", "scorer"), "small letters"),
    "a run without results": (("board", "nowhere"), "nowhere"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_message_tells_of(ready, mistake):
    arguments, words = MISTAKES[mistake]
    assert words in ready.refused(USAGE, *arguments)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("select", "random", "--bugdet", "3"), "--budget"),
        (("run", "--metods", "ifd"), "--methods"),
        (("list", "-o", "jsn"), "json"),
    ],
)
def test_an_unknown_flag_or_word_is_refused_with_what_was_meant(bench, arguments, words):
    done = bench(*arguments)
    assert done.returncode == USAGE
    assert words in done.stderr.splitlines()[-1]
    assert "error:" in done.stderr.splitlines()[-1]


def test_a_base_without_a_tokenizer_is_refused_with_the_way_out(ready):
    (ready.folder / "model" / "tokenizer.json").unlink()
    assert "save_pretrained" in ready.refused(USAGE, *SELECT)


@pytest.mark.parametrize(("base", "words"), [("./nowhere", "no model folder"), (".", "config.json")])
def test_a_base_that_is_no_model_is_a_problem_of_the_environment(ready, base, words):
    (ready.folder / "tokenizer.json").write_text("{}")
    assert words in ready.refused(ENVIRONMENT, *SELECT[:4], "--base", base, "--budget", "3")


def test_a_mistake_in_the_configuration_file_names_file_and_key(ready):
    (ready.folder / "bench.yaml").write_text("metods: [ifd]\n")
    message = ready.refused(USAGE, "run", "-c", "bench.yaml")
    assert "bench.yaml" in message
    assert "did you mean 'methods'" in message


@pytest.mark.parametrize("text", ["methods: [\n", "- ifd\n", "methods: !!python/object:os.system {}\n"])
def test_a_configuration_file_that_cannot_be_read_is_refused(ready, text):
    (ready.folder / "bench.yaml").write_text(text)
    assert "bench.yaml" in ready.refused(USAGE, "run", "-c", "bench.yaml")


def test_a_mistake_in_the_environment_is_refused(ready):
    assert "--seeds 'few'" in ready.refused(USAGE, *RUN, SFTBENCH_SEEDS="few")


def test_a_store_that_cannot_be_made_is_refused_before_any_work(ready):
    (ready.folder / "file").write_text("")
    message = ready.refused(USAGE, *RUN, "--store", "file/store")
    assert "file/store" in message


def test_without_a_command_the_help_is_shown(bench):
    done = bench()
    assert done.returncode == 0
    assert "bench COMMAND" in done.stdout


def test_every_command_has_a_help_of_its_own(bench):
    verbs = re.findall(r"^  (\w+) +\w", bench("--help").stdout.partition("commands:")[2], re.MULTILINE)
    assert {"run", "plan", "list", "show", "select", "score", "board", "plugins", "doctor", "cache"} <= set(verbs)
    for verb in verbs:
        done = bench(verb, "--help")
        assert done.returncode == 0
        assert f"bench {verb}" in done.stdout
        assert os.linesep in done.stdout
