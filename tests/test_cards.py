"""Cards of methods: plain data that stands beside the records, for every method that is installed."""

from __future__ import annotations

import json

import pytest

from sftbench.board.site.records import Card
from sftbench.cards import cards_of
from sftbench.plugins import load

PLUGINS = load()


def test_only_methods_that_are_offered_have_cards_in_order():
    assert list(cards_of(PLUGINS, ["tshirt", "scorer=ppl selector=top", "ifd", "tshirt"])) == ["ifd", "tshirt"]


@pytest.mark.parametrize("name", sorted(PLUGINS.methods))
def test_a_card_is_what_the_pages_read(name):
    card = cards_of(PLUGINS, [name])[name]
    read = Card.model_validate_json(json.dumps(card, allow_nan=False))
    method = PLUGINS.methods[name]
    assert (read.about, read.paper, read.deviations) == (method.summary, method.paper, tuple(method.deviations))
    assert read.fidelity == dict(method.fidelity)
    assert {each.parameter for each in read.parameters} == {each["parameter"] for each in card["parameters"]}
