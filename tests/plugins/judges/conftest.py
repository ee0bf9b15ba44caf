"""A desk that has a served language model, and judgements by it on pairs of answers."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from pathlib import Path

import pytest

from sftbench import Responses
from sftbench.chat import Endpoint
from sftbench.engines.chat import ChatClient
from sftbench.ledger import Meter
from sftbench.pools import pool_from_rows


class SmallDesk:
    """What judges ask of a desk."""

    def __init__(self, client, files):
        self.client, self._files, self.logged = client, files, []

    def chat_with(self, name):
        assert name == "judge"
        return self.client

    def files(self):
        return {name: Path(file) for name, file in self._files.items()}

    def log(self, message):
        self.logged.append(message)

    @contextmanager
    def progress(self, total, unit):
        yield self

    def advance(self, amount=1):
        pass


@pytest.fixture
def pool(tmp_path):
    """A pool of rows, by id `0`, `1` and so on unless they say otherwise."""

    def make(*rows):
        made = [{"id": str(at), "output": "", **row} for at, row in enumerate(rows)]
        number = len(list(tmp_path.glob("*.arrow")))
        return pool_from_rows(made, into=tmp_path / f"{number}.arrow", key=f"pool-{number}")

    return make


@pytest.fixture
def desk(tmp_path):
    """A desk for a part, with a client of a server that keeps its answers in one folder for the whole test."""

    def make(server, part, **more):
        client = ChatClient(
            endpoint=Endpoint(url=server.url, model="m"), cache=tmp_path / "cache",
            unparsed=tmp_path / "unparsed.jsonl", meter=Meter(), log=lambda message: None, **{"waits": (), **more},
        )  # fmt: skip
        return SmallDesk(client, part.needs().files)

    return make


def responses(texts, ids=None):
    """Answers to the rows `0`, `1` and so on."""
    return Responses(ids=tuple(ids or map(str, range(len(texts)))), texts=tuple(texts))


def user_turn(body):
    return body["messages"][-1]["content"]


def between(text, name):
    """What a request shows under a name: all between its tags, of which there is exactly one pair."""
    code = re.match(r"<question(?:-1)?-([0-9a-f]{12})>", text)[1]
    found = re.findall(rf"<{name}-{code}>\n(.*?)\n</{name}-{code}>", text, re.DOTALL)
    assert len(found) == 1, (name, text)
    return found[0]


def prefers(*words):
    """A judge that prefers the answer with the earliest of these words; the others are equal."""

    def rank(answer):
        return next((at for at, word in enumerate(words) if word in answer), len(words))

    def reply(body):
        first, second = (rank(between(user_turn(body), f"answer-{letter}")) for letter in "AB")
        label = "A=B" if first == second else "A>B" if first < second else "B>A"
        return json.dumps({"verdict": label})

    return reply
