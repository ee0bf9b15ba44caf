"""Threads for batches: order, errors, and torch's settings afterwards."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import torch

from sftbench.engines.forward import Nll, Passage
from sftbench.engines.workers import Workers


def test_results_come_in_order_from_threads_of_one_core_each():
    before = torch.get_num_threads()
    seen = []

    def work(number):
        time.sleep(0.02 * (5 - number))
        seen.append((threading.current_thread().name, torch.get_num_threads()))
        return number * number

    assert Workers(3).map(work, range(5)) == [0, 1, 4, 9, 16]
    assert {threads for _, threads in seen} == {1}
    assert len({name for name, _ in seen}) == 3
    assert torch.get_num_threads() == before


def test_fewer_batches_than_threads_are_worked_at_once_with_all_cores():
    main = threading.current_thread().name
    assert Workers(3).map(lambda _: threading.current_thread().name, range(2)) == [main, main]


def test_an_error_in_a_thread_is_raised_here():
    def work(number):
        raise ValueError(number)

    with pytest.raises(ValueError, match="0"):
        Workers(2).map(work, range(4))


@pytest.fixture
def one_thread_inside_operations():
    """One worker computes where the test runs, and an operation of several threads adds in another order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread_inside_operations")
def test_statistics_are_the_same_with_one_thread_and_with_three(llama):
    rng = np.random.default_rng(0)
    passages = [
        Passage(token_ids=rng.integers(0, 263, length).astype(np.int32), scored=np.arange(length) > 2)
        for length in rng.integers(4, 40, 60)
    ]
    one, three = llama(max_batch_tokens=100), llama(max_batch_tokens=100)
    one.workers, three.workers = Workers(1), Workers(3)
    for alone, together in zip(
        one.run(passages, statistics=[Nll()]), three.run(passages, statistics=[Nll()]), strict=True
    ):
        np.testing.assert_array_equal(alone["nll"], together["nll"])
