"""What plugins are tested with that train or compare models: tiny models on disk, pools of pairs, and a desk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar

from sftbench import (
    Allowance,
    Encoded,
    LanguageModel,
    PassRequest,
    PassResult,
    Pool,
    Row,
    Selection,
    TrainedModel,
    encode_rows,
)
from sftbench.engines.loading import load_tokenizer
from sftbench.engines.training import models as training_models
from sftbench.pools import pool_from_rows

WINDOW = 48


class Killed(BaseException):
    """What happens to a process from outside."""


@dataclass
class SmallDesk:
    """What trainers and selectors ask of a desk, with models from folders."""

    pool: Pool
    scratch: Path
    folders: dict[str, Path]
    seed: int = 0
    given: Allowance | None = None
    kill_after: int | None = None
    passes: dict[str, PassResult] = field(default_factory=dict)
    metered: dict[str, float] = field(default_factory=dict)
    logged: list[str] = field(default_factory=list)
    num_advanced: int = 0

    def model_path(self, name: str) -> TrainedModel:
        return TrainedModel(path=self.folders[name])

    def loaded(self, model: TrainedModel, *, dtype: str = "auto") -> LanguageModel:
        adapter = model.path if model.base_path else None
        return LanguageModel.load(model.base_path or model.path, adapter=adapter, dtype=dtype, meter=self.meter)

    def language_model(self, name: str = "scoring", *, dtype: str = "auto") -> LanguageModel:
        return self.loaded(self.model_path(name), dtype=dtype)

    def training_encoding(self, rows: Iterable[Row], *, max_length: int | None = None) -> Iterator[Encoded]:
        return encode_rows(rows, load_tokenizer(self.folders["base"]), template="training", max_length=WINDOW)

    def training_tokens(self) -> npt.NDArray[np.int64]:
        return np.array([each.response.sum() for each in self.training_encoding(self.pool)])

    def allowance(self) -> Allowance:
        assert self.given is not None
        return self.given

    def passed(self, request: PassRequest) -> PassResult:
        return self.passes[request.view]

    def meter(self, **amounts: float) -> None:
        for name, amount in amounts.items():
            self.metered[name] = self.metered.get(name, 0.0) + amount

    def log(self, message: str) -> None:
        self.logged.append(message)

    @contextmanager
    def progress(self, total: int, unit: str) -> Iterator[SmallDesk]:
        yield self

    def advance(self, amount: int = 1) -> None:
        self.num_advanced += amount
        if self.kill_after is not None and self.num_advanced >= self.kill_after:
            raise Killed


@dataclass
class SmallBench:
    """Models, pools and desks of one test."""

    root: Path
    folders: dict[str, Path]
    killed: type[BaseException] = Killed

    def pool(self, *pairs: Sequence[str], ids: Sequence[str] | None = None, **columns: Sequence[str]) -> Pool:
        """A pool of conversations: user and assistant in turn."""
        rows = []
        for at, turns in enumerate(pairs):
            messages = [{"role": ("user", "assistant")[place % 2], "content": text} for place, text in enumerate(turns)]
            more = {name: values[at] for name, values in columns.items()}
            rows.append({"id": ids[at] if ids else f"row-{at}", "messages": messages, **more})
        number = len(list(self.root.glob("*.arrow")))
        return pool_from_rows(rows, into=self.root / f"{number}.arrow", key=f"pool-{number}")

    def words(self, count: int, *, seed: int = 0) -> list[tuple[str, str]]:
        """Pairs of random letters, the responses of 1 to 25 characters."""
        draw = np.random.default_rng(seed)

        def text(length: int) -> str:
            return "".join(draw.choice(list("abcdefgh "), length)).replace(" ", "x", 1)

        return [(text(int(draw.integers(3, 12))), text(int(draw.integers(1, 26)))) for _ in range(count)]

    def desk(self, pool: Pool, name: str = "desk", **more: Any) -> SmallDesk:
        scratch = self.root / f"scratch-{name}"
        scratch.mkdir(exist_ok=True)
        return SmallDesk(pool, scratch, self.folders, **more)

    def everything(self, pool: Pool) -> Selection:
        return Selection(ids=tuple(pool.ids))

    def rows(self, number: int, pool: Pool) -> Allowance:
        """An allowance of so many rows."""
        return Allowance(cap=float(number), row_costs=np.ones(len(pool)), unit="rows")

    def losses(self, name: str, pool: Pool, desk: SmallDesk) -> dict[str, npt.NDArray[np.float64]]:
        """The loss of each response token of every row under a model, one row at a time by the library itself."""
        model = LlamaForCausalLM.from_pretrained(self.folders[name]).eval()
        found = {}
        for encoded in desk.training_encoding(pool):
            ids = torch.from_numpy(encoded.token_ids).long()
            with torch.no_grad():
                logp = model(ids[None]).logits[0].log_softmax(-1)
            of_row = [-logp[at - 1, ids[at]].item() if at else np.nan for at in np.flatnonzero(encoded.response)]
            found[encoded.row_id] = np.array(of_row)
        return found

    def assert_same_model(self, first: Path, second: Path, *, within: float = 0.0) -> None:
        one, other = (load_file(next(iter(folder.glob("*model.safetensors")))) for folder in (first, second))
        assert one.keys() == other.keys()
        for name in one:
            torch.testing.assert_close(one[name], other[name], rtol=0, atol=within)


@pytest.fixture
def in_double_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models are trained in float64, so that Adam cannot turn what rounding leaves of a gradient into a whole step."""
    load = training_models.load

    def double(trained: TrainedModel, *, dtype: str, device: torch.device) -> Any:
        return load(trained, dtype=dtype, device=device).double()

    monkeypatch.setattr(training_models, "load", double)


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """One token per byte, and an end token."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE(vocab={letter: at for at, letter in enumerate(letters)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(["</s>"])
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>", model_max_length=WINDOW)


@pytest.fixture(scope="session")
def small_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A base, a reference with other weights, and a scoring model equal to the base."""
    disable_progress_bar()  # type: ignore[no-untyped-call]
    folders = {name: tmp_path_factory.mktemp(name) for name in ("base", "reference", "scoring")}
    for name, folder in folders.items():
        torch.manual_seed(1 if name == "reference" else 0)
        config = LlamaConfig(
            vocab_size=257, hidden_size=24, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
            max_position_embeddings=WINDOW, initializer_range=0.15, bos_token_id=None, eos_token_id=256,
        )  # fmt: skip
        LlamaForCausalLM(config).save_pretrained(folder)
        byte_tokenizer().save_pretrained(folder)
    return folders


@pytest.fixture
def small(small_models: dict[str, Path], tmp_path: Path) -> SmallBench:
    return SmallBench(tmp_path, dict(small_models))


@pytest.fixture
def make_broken(small: SmallBench) -> Callable[[str], None]:
    """Make a model give no number after a letter `#` that it reads, and none for it."""

    def break_it(name: str) -> None:
        model = LlamaForCausalLM.from_pretrained(small.folders[name], tie_word_embeddings=False)
        tokenizer = load_tokenizer(small.folders[name])
        with torch.no_grad():
            head = model.model.embed_tokens.weight.clone()
            model.model.embed_tokens.weight[tokenizer("#")["input_ids"][0]] = float("nan")
            model.lm_head.weight.copy_(head)
        folder = small.root / f"broken-{name}"
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        small.folders[name] = folder

    return break_it
