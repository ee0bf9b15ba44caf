"""The numbers and the choice of the authors' code on shared rows, float32 on a CPU."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sftbench import Allowance, LanguageModel, Passage, Scores
from sftbench.pools.read import read_pool
from sftbench_plugins.tshirt import Hierarchical, TShirt
from sftbench_plugins.tshirt.copies import selective_ifd, spread
from sftbench_plugins.tshirt.noise import AuthorsStream
from sftbench_plugins.tshirt.reading import Reading, read_as_authors
from sftbench_plugins.tshirt.threshold import DeltaFile

pytestmark = pytest.mark.reference
KEEPS = {"50": 0.5, "75": 0.75}


@dataclass(kw_only=True)
class Golden:
    """One set of golden rows: the pool, what the authors' code gave, and the model."""

    pool: Any
    expected: dict[str, Any]
    arrays: Any
    model: LanguageModel

    def column(self, name: str) -> np.ndarray:
        return np.array([np.nan if row[name] is None else row[name] for row in self.expected["rows"]])

    @property
    def readings(self) -> list[Reading]:
        return list(read_as_authors(self.pool, self.model.tokenizer, max_length=1024))


@dataclass
class Replay:
    """A model that remembers the results of its first run, so that two thresholds cost one run."""

    inner: LanguageModel
    results: list[dict[str, np.ndarray]] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def run(self, passages: Iterable[Passage], **settings: Any) -> Iterator[dict[str, np.ndarray]]:
        if self.results:
            assert len(list(passages)) == len(self.results)
            yield from self.results
            return
        for result in self.inner.run(passages, **settings):
            self.results.append(result)
            yield result


def load(reference_data: Path, prefix: str, into: Path) -> Golden:
    folder = reference_data / "golden" / "tshirt"
    return Golden(
        pool=read_pool(folder / f"{prefix}input.jsonl", into=into / f"{prefix}pool.arrow"),
        expected=json.loads((folder / f"{prefix}expected.json").read_text()),
        arrays=dict(np.load(folder / f"{prefix}expected.npz")),
        model=LanguageModel.load(reference_data / "models" / "tiny-gpt2", dtype="float32", device="cpu"),
    )


@pytest.fixture
def golden(reference_data: Path, tmp_path: Path) -> Golden:
    return load(reference_data, "", tmp_path)


@pytest.fixture
def edge(reference_data: Path, tmp_path: Path) -> Golden:
    return load(reference_data, "edge_", tmp_path)


def chosen(golden: Golden, scores: Scores, cap: int) -> list[str]:
    allowance = Allowance(cap=cap, row_costs=np.ones(len(golden.pool)), unit="rows")
    selection = Hierarchical(mode="official").select(golden.pool, scores, allowance, None)  # type: ignore[arg-type]
    return list(selection.ids)


@pytest.mark.parametrize("which", ["golden", "edge"])
def test_every_row_gets_the_noise_that_the_authors_drew(which: str, request: pytest.FixtureRequest) -> None:
    golden: Golden = request.getfixturevalue(which)
    source = AuthorsStream(seed=42, num_draws=30, dtype=torch.float32)
    lengths, fingerprints = golden.arrays["length_full"], golden.arrays["noise_fingerprint"]
    for reading, length, fingerprint in zip(golden.readings, lengths, fingerprints, strict=True):
        assert reading.num_drawn_tokens == length
        drawn = source.uniform(reading, num_tokens=int(length), width=192)
        # The first numbers of a row are right only if each row before it drew as many as the authors' code.
        np.testing.assert_array_equal(drawn[1, 0, :3].double().numpy(), fingerprint[:3])


def test_the_same_tokens_enter_s_ifd(golden: Golden) -> None:
    counts = [reading.pair.num_shared if reading.pair else 0 for reading in golden.readings]
    assert counts == [row["n_delta"] for row in golden.expected["rows"]]


@pytest.mark.parametrize("percent", KEEPS)
def test_threshold_scores_and_choice_follow_from_the_authors_differences(
    percent: str, golden: Golden, tmp_path: Path
) -> None:
    delta, offsets = golden.arrays["delta_noisy"], golden.arrays["indptr"]
    blocks = [delta[:, start:end] for start, end in itertools.pairwise(offsets)]
    with DeltaFile(tmp_path / "deltas", num_values=delta.size) as file:
        for block in blocks:
            file.append(block)
        tau = file.percentile(100 * (1 - KEEPS[percent]))
        found = [spread(selective_ifd(block, tau).values) for block in file.blocks(block.shape for block in blocks)]
    assert tau == golden.expected["tau"][percent]
    mean, std = np.array(found).T
    scored = np.diff(offsets) > 0
    np.testing.assert_allclose(mean[scored], golden.column(f"avg_noisy_sifd_{percent}")[scored], rtol=1e-6)
    np.testing.assert_allclose(std[scored], golden.column(f"std_noisy_sifd_{percent}")[scored], atol=1e-6)
    columns = {"std_sifd": std, "mean_noisy_ifd": golden.column("avg_noisy_ifd")}
    for cap in (6, 12):
        expected = golden.expected["selected"][f"k{percent}_B{cap}"]
        assert chosen(golden, Scores(values=mean, columns=columns), cap) == expected


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_official_mode_gives_the_authors_scores_and_choice(golden: Golden, make_desk: Any) -> None:
    desk = make_desk(Replay(golden.model), golden.pool)
    for percent, keep in KEEPS.items():
        scores = TShirt(mode="official", dtype="float32", keep=keep).score(golden.pool, desk)
        assert scores.report["tau_nats"] == pytest.approx(golden.expected["tau"][percent], abs=1e-4)
        assert scores.report["num_pooled"] == golden.expected["n_pooled"]
        scored = ~np.isnan(golden.column("avg_noisy_ifd"))
        np.testing.assert_array_equal(np.isfinite(scores.values), scored)
        for found, name, tolerance in (
            (scores.values, f"avg_noisy_sifd_{percent}", {"rtol": 0, "atol": 3e-4}),
            (scores.columns["std_sifd"], f"std_noisy_sifd_{percent}", {"rtol": 0, "atol": 3e-4}),
            (scores.columns["mean_noisy_ifd"], "avg_noisy_ifd", {"rtol": 1e-4}),
            (scores.columns["std_noisy_ifd"], "std_noisy_ifd", {"rtol": 1e-3, "atol": 1e-5}),
            (scores.columns["ifd_clean"], "ifd", {"rtol": 1e-4}),
        ):
            np.testing.assert_allclose(found[scored], golden.column(name)[scored], **tolerance)
        for cap in (6, 12):
            assert chosen(golden, scores, cap) == golden.expected["selected"][f"k{percent}_B{cap}"]
    assert len(desk.model.results) == 2 * int(scored.sum())


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_rows_longer_than_the_window_are_cut_as_the_authors_cut_them(edge: Golden, make_desk: Any) -> None:
    desk = make_desk(Replay(edge.model), edge.pool)
    scores = TShirt(mode="official", dtype="float32").score(edge.pool, desk)
    assert set(scores.notes.values()) == {"response_truncated"}
    np.testing.assert_allclose(scores.columns["ifd_clean"], edge.column("ifd"), rtol=1e-4)
    np.testing.assert_allclose(scores.columns["mean_noisy_ifd"], edge.column("avg_noisy_ifd"), rtol=1e-4)
    offsets = edge.arrays["indptr"]
    for row in range(len(edge.pool)):
        given, alone = (desk.model.results[2 * row + which]["nll"] for which in (0, 1))
        expected = edge.arrays["delta_noisy"][:, offsets[row] : offsets[row + 1]]
        np.testing.assert_allclose(given[1:, 1:] - alone[1:], expected, atol=1e-4)
