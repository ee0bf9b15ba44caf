"""Noise: scale, sharing between the passages of a row, the authors' stream, and independence of order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from sftbench import Message, Row
from sftbench_plugins.tshirt.noise import AuthorsStream, PairedNoise, PerRow
from sftbench_plugins.tshirt.reading import Reading, read_as_authors

WIDTH = 6


def readings(tokenizer: Any, responses: list[str]) -> list[Reading]:
    rows = [
        Row(id=f"r{at}", messages=(Message(role="user", content="Say"), Message(role="assistant", content=response)))
        for at, response in enumerate(responses)
    ]
    return list(read_as_authors(rows, tokenizer, max_length=64))


def draws(noise: PairedNoise, given: list[Reading]) -> list[torch.Tensor]:
    """The conditional and the lone noise of every pair, in order."""
    found, index = [], 0
    for reading in given:
        noise.expect(reading)
        for passage in (reading.pair.conditional, reading.pair.alone) if reading.pair else ():
            found.append(noise.draw(index, len(passage.token_ids), WIDTH))
            index += 1
    return found


@pytest.mark.parametrize("make", [PerRow, AuthorsStream])
def test_the_lone_response_has_the_noise_of_its_place_in_the_whole(make: Any, make_tokenizer: Any) -> None:
    noise = PairedNoise(make(seed=1, num_draws=3, dtype=torch.float32), alpha=5.0)
    whole, alone = draws(noise, readings(make_tokenizer(), ["abcd"]))
    assert whole.shape == (noise.num_copies, 8, WIDTH)
    torch.testing.assert_close(alone, whole[:, 4:], rtol=0, atol=0)


def test_draws_from_a_later_one_on_are_those_of_all_draws(make_tokenizer: Any) -> None:
    given = readings(make_tokenizer(), ["abcd", "xyz"])
    every, some = (
        draws(PairedNoise(PerRow(seed=1, num_draws=last, dtype=torch.float32, first=first), alpha=5.0), given)
        for first, last in ((0, 9), (4, 7))
    )
    for whole, part in zip(every, some, strict=True):
        torch.testing.assert_close(part, whole[4:7], rtol=0, atol=0)


def test_the_noise_is_uniform_within_the_scale_of_the_whole_length(make_tokenizer: Any) -> None:
    noise = PairedNoise(PerRow(seed=1, num_draws=2000, dtype=torch.float32), alpha=5.0)
    whole, _ = draws(noise, readings(make_tokenizer(), ["abcd"]))
    scale = 5.0 / (8 * WIDTH) ** 0.5
    assert float(whole.abs().max()) <= scale
    # A uniform number has mean 0 and variance scale^2 / 3; 96,000 draws.
    assert float(whole.mean()) == pytest.approx(0, abs=4 * scale / (3 * 96_000) ** 0.5)
    assert float(whole.var()) == pytest.approx(scale**2 / 3, rel=0.02)


def test_the_authors_stream_is_one_draw_after_another_with_the_last_copy_thrown_away(make_tokenizer: Any) -> None:
    given = readings(make_tokenizer(), ["abcd", "a", "", "xyz"])
    noise = PairedNoise(AuthorsStream(seed=42, num_draws=30, dtype=torch.float32), alpha=5.0)
    found = draws(noise, given)
    random = torch.Generator().manual_seed(42)
    # The one-token row draws and is not forwarded; the empty one draws nothing.
    first, _, third = (torch.rand(31 * tokens * WIDTH, generator=random) * 2 - 1 for tokens in (8, 5, 7))
    for tokens, expected, drawn in ((8, first, found[0]), (7, third, found[2])):
        assert not drawn[0].any()
        numbers = expected.reshape(31, tokens, WIDTH)[:30] * (5.0 / (tokens * WIDTH) ** 0.5)
        torch.testing.assert_close(drawn[1:], numbers, rtol=1e-5, atol=1e-7)


def test_noise_per_row_depends_on_the_id_and_not_on_the_order(make_tokenizer: Any) -> None:
    given = readings(make_tokenizer(), ["abcd", "abce", "abcf"])
    make = lambda seed: PairedNoise(PerRow(seed=seed, num_draws=2, dtype=torch.float32), alpha=5.0)  # noqa: E731
    forward, backward = draws(make(1), given), draws(make(1), given[::-1])
    for at in range(3):
        assert torch.equal(forward[2 * at], backward[2 * (2 - at)])
    assert not torch.equal(forward[0], forward[2])
    assert not torch.equal(forward[0], draws(make(2), given)[0])


def test_noise_is_drawn_in_the_dtype_of_the_model(make_tokenizer: Any) -> None:
    noise = PairedNoise(AuthorsStream(seed=42, num_draws=2, dtype=torch.bfloat16), alpha=5.0)
    whole, alone = draws(noise, readings(make_tokenizer(), ["abcd"]))
    assert whole.dtype == alone.dtype == torch.bfloat16
    assert np.isfinite(whole.float().numpy()).all()
