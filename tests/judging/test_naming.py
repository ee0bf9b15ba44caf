"""Judges are named as parts, or by the language model that is to judge."""

from __future__ import annotations

import pytest

from sftbench import Needs
from sftbench.errors import UsageError
from sftbench.judging.naming import judge_use, refuse_unasked


@pytest.mark.parametrize(
    "model",
    ["vllm:org/model", "vllm:/models/a,b[c]=d", "http://127.0.0.1:8000/v1#org/model", "https://h/v1#m[x],y=z"],
)
def test_a_model_alone_means_the_pairwise_judge(model):
    use = judge_use(f" {model} ")
    assert (use.name, dict(use.parameters)) == ("pairwise", {"model": model})


def test_all_else_is_a_part():
    use = judge_use('pairwise[model="vllm:/m,n",labels=logprobs]')
    assert (use.name, dict(use.parameters)) == ("pairwise", {"model": "vllm:/m,n", "labels": "logprobs"})
    assert judge_use("checker").name == "checker"


@pytest.mark.parametrize(
    ("text", "words"),
    [("vllm:", "lacks the model"), ("http://h/v1", "cannot read the endpoint"), ("a b", "cannot read 'a b'")],
)
def test_what_is_neither_is_refused(text, words):
    with pytest.raises(UsageError, match=words):
        judge_use(text)


def test_a_key_in_a_url_is_not_shown():
    with pytest.raises(UsageError) as problem:
        judge_use("https://me:secret@h/v1#m")
    assert "secret" not in str(problem.value)


def test_who_asks_a_model_that_nobody_named_is_refused_before_anything_is_spent():
    class Asking:
        name = "grade"

        def needs(self):
            return Needs(chat=True)

    refuse_unasked([Asking()], chat="http://h/v1#m")
    with pytest.raises(UsageError, match=r"grade asks a language model and none is named: grade\[model=URL#MODEL\]"):
        refuse_unasked([Asking()], chat=None)
