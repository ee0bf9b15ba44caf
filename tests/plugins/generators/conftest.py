"""A desk, pools, and a language model that is a function from requests to texts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import numpy as np
import pytest

from sftbench import ChatAnswer, ChatRequest, Generated, LanguageModel, Pool, Row
from sftbench.pools import pool_from_rows


class Count:
    """Counts what is reported as done."""

    total = 0

    def advance(self, amount: int = 1) -> None:
        self.total += amount


@dataclass(kw_only=True)
class FakeChat:
    """Answers by `reply`: a text, or None where the endpoint fails. Keeps the contract of a chat, and the requests."""

    reply: Callable[[ChatRequest], str | None]
    model: str = "fake-model"
    requests: list[ChatRequest] = field(default_factory=list)

    def ask(self, requests, parse, *, num_attempts=2, lenient=False):
        return [self._answered(each, parse, num_attempts) for each in requests]

    def _answered(self, request, parse, num_attempts):
        text = None
        for attempt in range(num_attempts):
            made = request if not attempt else _again(request, attempt)
            self.requests.append(made)
            text = self.reply(made)
            if text is None:
                return ChatAnswer(value=None, text=None, reason="model_error", attempts=attempt + 1)
            try:
                return ChatAnswer(value=parse(text), text=text, reason=None, attempts=attempt + 1)
            except ValueError:
                continue
        return ChatAnswer(value=None, text=text, reason="parse_error", attempts=num_attempts)

    def prompts(self, piece: str) -> list[ChatRequest]:
        """The requests whose text holds a piece."""
        return [each for each in self.requests if piece in asked(each)]


def _again(request: ChatRequest, attempt: int) -> ChatRequest:
    from dataclasses import replace

    return replace(request, seed=(request.seed or 0) + attempt)


def asked(request: ChatRequest) -> str:
    """All that a request says."""
    return request.prompt if request.prompt is not None else "\n".join(each.content for each in request.messages)


def number_of(request: ChatRequest) -> str:
    """A number for what a request says and draws with."""
    return blake2b(f"{asked(request)} {request.seed}".encode(), digest_size=4).hexdigest()


def obedient(request: ChatRequest) -> str:
    """A model that does what each prompt of the project asks for."""
    text, number = asked(request), number_of(request)
    if request.prompt is not None:
        return f"What is the use of thing {number}?"
    if '{"topics"' in text:
        return json.dumps({"topics": [f"topic{number}{at} field{at}" for at in range(10)]})
    if '{"persona"' in text:
        return json.dumps({"persona": f"somebody{number} who collects things{number}"})
    if '{"quality"' in text:
        return json.dumps({"quality": "good", "difficulty": "easy"})
    if '{"equal"' in text:
        return json.dumps({"equal": False})
    if '{"classification"' in text:
        return json.dumps({"classification": int(number, 16) % 2 == 0})
    if '"output": "..."' in text:
        said = f"Explain the thing {number} in one sentence."
        return json.dumps({"instruction": said, "input": "", "output": f"The thing {number} is a thing."})
    if '{"instruction"' in text:
        return json.dumps({"instruction": f"Please deal with the matter {number} now."})
    listed = re.search(r"tasks number (\d+) to (\d+)", text)
    if listed:
        first, last = map(int, listed.groups())
        words = [f"{at}. Describe w{number}{at} x{number}{at} y{number}{at} z{at}" for at in range(first, last + 1)]
        return "\n".join(words)
    return f"This is the answer {number}."


def bag_of_words(texts: Sequence[str], width: int = 256) -> np.ndarray:
    """Unit vectors in which equal words have equal places."""
    vectors = np.zeros((len(texts), width), dtype=np.float32)
    for at, text in enumerate(texts):
        for word in re.findall(r"\w+", text.lower()):
            vectors[at, int.from_bytes(blake2b(word.encode(), digest_size=2).digest(), "big") % width] += 1
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


@dataclass(kw_only=True)
class StandInDesk:
    """What the generators ask of a desk, and nothing else."""

    pool: Pool
    seed: int = 0
    language: FakeChat | None = None
    model: LanguageModel | None = None
    embedder: Callable[[Sequence[str]], np.ndarray] = bag_of_words
    stand_ins: list[str] = field(default_factory=list)
    asked_for: list[str] = field(default_factory=list)

    def chat(self, *, stand_in: str) -> FakeChat | None:
        if self.language is None:
            self.stand_ins.append(stand_in)
        return self.language

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        return self.embedder(texts)

    def embedded(self, component: str) -> np.ndarray:
        return self.embedder([row.text(component) for row in self.pool])

    def language_model(self, name: str = "scoring", *, dtype: str = "auto") -> LanguageModel:
        assert self.model is not None
        self.asked_for.append(name)
        return self.model

    @contextmanager
    def progress(self, total: int, unit: str) -> Iterator[Count]:
        yield Count()


@dataclass(kw_only=True)
class Made:
    """What a generator made, read to the end."""

    rows: list[Row]
    report: Mapping[str, Any]
    num_wanted: int | None
    desk: StandInDesk

    @property
    def lineages(self) -> list[dict[str, Any]]:
        return [row.original().get("lineage") for row in self.rows]


TREES = ("alder", "birch", "cedar", "dogwood", "elm", "fir", "ginkgo", "hazel", "ironwood", "juniper")


def alpaca_rows(count: int = 40, *, inputs: bool = False) -> list[dict[str, Any]]:
    """Instructions about trees; with `inputs`, every fifth has one that holds the answer."""
    rows = []
    for at in range(count):
        tree, row = TREES[at % len(TREES)], {"id": f"r{at}"}
        if inputs and at % 5 == 4:
            text = f"In garden {at} the {tree} was planted in 19{at:02d} by the gardener of the old school."
            row |= {
                "instruction": f"When was the {tree} of garden {at} planted?",
                "input": text,
                "output": f"19{at:02d}",
            }
        else:
            row |= {
                "instruction": f"Describe the leaves of the {tree} tree number {at}.",
                "input": "",
                "output": f"The leaves of tree {at}, a {tree}, are green and have {at} teeth on each side.",
            }
        rows.append(row)
    return rows


@pytest.fixture
def trees():
    """Alpaca rows about trees, as many as wanted."""
    return alpaca_rows


@pytest.fixture
def does_as_told():
    """The reply of a language model that does what each prompt asks for."""
    return obedient


@pytest.fixture
def said():
    """All that a request says."""
    return asked


@pytest.fixture
def make_pool(tmp_path_factory):
    """A pool of rows in any form."""

    def make(rows: Sequence[Mapping[str, Any]]) -> Pool:
        return pool_from_rows(rows, into=tmp_path_factory.mktemp("pool") / "pool.arrow", key="test")

    return make


@pytest.fixture
def generate(make_pool):
    """Run a generator to the end: with `reply`, by a fake language model; else by its stand-in."""

    def run(part, rows=None, *, seed=0, reply=None, model=None, name="fake-model", **desk) -> Made:
        pool = make_pool(alpaca_rows() if rows is None else rows)
        chat = None if reply is None else FakeChat(reply=reply, model=name)
        at = StandInDesk(pool=pool, seed=seed, language=chat, model=model, **desk)
        made = part.generate(pool, at)
        assert isinstance(made, Generated)
        return Made(rows=list(made.rows), report=made.report, num_wanted=made.num_wanted, desk=at)

    return run


@pytest.fixture(scope="session")
def small_model() -> LanguageModel:
    """The embedded suite's base model."""
    from sftbench_plugins.microcosm.suite import MODEL_FOLDER

    return LanguageModel.load(MODEL_FOLDER)


@pytest.fixture(scope="session")
def tasks() -> list[dict[str, Any]]:
    """Rows of the embedded suite."""
    from sftbench_plugins.microcosm.suite import pool_rows

    return [dict(row) for row in pool_rows(120)]
