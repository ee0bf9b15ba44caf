"""What a chat model is asked, and what becomes of its answers."""

from __future__ import annotations

import json

import pytest

from sftbench.chat import Endpoint
from sftbench.engines.chat import ChatClient
from sftbench.ledger import Meter
from sftbench_plugins.tagging.asking import ask_for_tags, read_tags, schema


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ('{"tags": ["Poetry", " sea  side "]}', ["Poetry", "sea side"]),
        ('["a", "b", "a", ""]', ["a", "b"]),
        ('Sure! {"tags": ["a"]} Anything else?', ["a"]),
        ('[{"tag": "a", "explanation": "why"}, {"tag": "b", "explanation": "[so]"}]', ["a", "b"]),
        ('{"tags": []}', []),
        (json.dumps({"tags": ["x" * 81, "y" * 80]}), ["y" * 80]),
    ],
)
def test_tags_are_read_from_an_answer(text, tags):
    assert read_tags(text) == tags


@pytest.mark.parametrize(
    "text", ["", "poetry, sea", '{"tags": "a"}', '{"tags": [1]}', '{"tags": ["a"', '[{"name": "a"}]']
)
def test_an_answer_without_tags_is_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011 -- what the chat client waits for
        read_tags(text)


def test_the_schema_holds_a_model_to_so_many_tags():
    told = json.loads(json.dumps(schema(5)))
    assert told["properties"]["tags"]["maxItems"] == 5
    assert told["required"] == ["tags"]


def test_a_text_that_the_server_always_fails_over_has_no_tags_and_a_remark(serve, tmp_path):
    """One of many thousand texts must not be able to hold up a pool for good."""
    server = serve(lambda body: (500, "assertion") if "poison" in body["messages"][-1]["content"] else '["a"]')
    client = ChatClient(
        endpoint=Endpoint(url=server.url, model="m"), cache=tmp_path, unparsed=tmp_path / "u", meter=Meter(),
        log=print, waits=(),
    )  # fmt: skip
    found = ask_for_tags(client, ["say", "poison", "so"], "instruction", max_tags=3, max_characters=99)
    assert found == ([["a"], [], ["a"]], {1: "model_error"})
