"""What a stranger's bundle may not have one's machine do when a row of it is made again."""

from __future__ import annotations

import pytest

from sftbench import plugins
from sftbench.board.reading import read_cells
from sftbench.errors import UsageError
from sftbench.publishing.again import Own, planned_again
from sftbench.publishing.gather import Wanted
from sftbench.publishing.publish import publish
from sftbench.publishing.rejudge import Pair, _compared
from sftbench.publishing.reproduce import _by_item

SERVER = "http://server.example/v1#model"


def bundled(new_run, tmp_path, **settings):
    run = new_run()
    run.settings.update(methods=["longest"], **settings)
    publish(Wanted(results=run.finish()), str(tmp_path / "bundle"))
    return tmp_path / "bundle"


def planned(bundle, **own):
    return planned_again(bundle, Own(settings=own), plugins.load(), read_cells(bundle / "records")[0])


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"chat": SERVER}, "chat: http://server.example/v1#model.*; name your own with --chat"),
        ({"methods": [f"longest[x={SERVER}]"]}, "methods: .*which is not asked from here$"),
    ],
)
def test_no_server_that_a_bundle_names_is_asked(new_run, tmp_path, settings, says):
    run = new_run()
    run.settings.update(settings)
    publish(Wanted(results=run.finish()), str(tmp_path / "bundle"))
    with pytest.raises(UsageError, match=says):
        planned(tmp_path / "bundle")


def test_another_pool_or_base_is_told_before_anything_is_done(new_run, tmp_path):
    bundle = bundled(new_run, tmp_path, max_new_tokens=8)
    with pytest.raises(UsageError, match="the pool here is not the one of the bundle"):
        planned(bundle, store=tmp_path / "store")
    assert not (tmp_path / "store").exists()


def pairs(*told):
    about = {"where": "alpha@10/0", "answer": "a", "other": "b"}
    return [Pair(item=str(number), told=value, **about) for number, value in enumerate(told)]


def test_the_same_judge_must_say_the_same():
    assert _compared(pairs(1.0, 0.5), [1.0, 0.5], used="checker", published="checker", num_of=2).findings == ()
    found = _compared(pairs(1.0, 0.5), [1.0, 0.0], used="checker", published="checker", num_of=2)
    assert [(each.where, each.told, each.recomputed) for each in found.findings] == [("alpha@10/0, item 1", 0.5, 0.0)]
    assert found.agreement == 0.5


def test_another_judge_may_differ_by_accident_and_not_on_the_whole():
    told = [0.0, 1.0] * 50
    by_accident = [abs(value - 1) if index % 10 < 2 else value for index, value in enumerate(told)]
    found = _compared(pairs(*told), by_accident, used="mine", published="theirs", num_of=100)
    assert (found.agreement, found.mean_difference, found.findings) == (0.8, 0.0, ())
    (finding,) = _compared(pairs(*[1.0] * 100), told, used="mine", published="theirs", num_of=100).findings
    assert (finding.told, finding.recomputed) == (1.0, 0.5)


def test_values_here_are_by_the_items_of_their_metric():
    payload = {"ids": ["a", "b"], "items": {"whole": [1.0, 0.0], "own": [0.5]}, "ids_of": {"own": ["c"]}}
    assert _by_item(payload, "whole") == {"a": 1.0, "b": 0.0}
    assert _by_item(payload, "own") == {"c": 0.5}
    assert _by_item({"ids": ["a"], "items": {}}, "whole") == {}
