"""Templates are files: the packaged ones are known by their content, and one's own must have every placeholder."""

from __future__ import annotations

import json

import pytest

from sftbench import UsageError
from sftbench.survey import file_facts
from sftbench_plugins.judges.games import SLOTS, TASKS
from sftbench_plugins.judges.grade import Grade
from sftbench_plugins.judges.pairwise import Pairwise
from sftbench_plugins.judges.template import PACKAGED, Template

from .conftest import prefers, responses, user_turn


@pytest.fixture
def own(tmp_path):
    """A template of one's own: the packaged one with other texts."""

    def write(name="own.json", **texts):
        packaged = json.loads((PACKAGED / "pairwise.json").read_text())
        changed = {key: text for key, text in {**packaged, **texts}.items() if text is not None}
        path = tmp_path / name
        path.write_text(json.dumps(changed))
        return path

    return write


def test_a_template_of_ones_own_is_used_and_told(own, serve, pool, desk):
    path = own(version="mine-3", system="Be strict.", user="{second} {first} {question} {task}")
    server, part = serve(prefers("good")), Pairwise(model="http://x/v1#m", template=str(path))
    # The tags are not the template's to change, so an answer stands between them wherever it is put.
    server.reply = lambda body: '{"verdict": "A=B"}'
    found = part.judge(pool({"instruction": "{task}?"}), responses(["a"]), responses(["b"]), desk(server, part))
    assert found.report["template"]["version"] == "mine-3"
    assert server.bodies[0]["messages"][0]["content"] == "Be strict."
    assert user_turn(server.bodies[0]).startswith("<answer-B-")
    assert "\n{task}?\n" in user_turn(server.bodies[0])


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ({"user": "{question} {first} {task}"}, r"lacks the placeholder {second} in its text 'user'"),
        ({"user": "{question} {first} {second} {first} {task}"}, "more than once the placeholder {first}"),
        ({"user": "{question} {first} {second} {task} {mood}"}, "unknown placeholder {mood}"),
        ({"logprobs": None}, "lacks the text 'logprobs'"),
        ({"system": 3}, "lacks the text 'system'"),
        ({"version": None}, "lacks its 'version'"),
    ],
)
def test_what_a_template_lacks_is_named(own, texts, words):
    path = own(**texts)
    with pytest.raises(UsageError) as problem:
        Template.of(path, slots=SLOTS, tasks=TASKS)
    assert words in str(problem.value)
    assert str(path) in str(problem.value)


@pytest.mark.parametrize("text", ["no JSON", "[1, 2]", '"text"'])
def test_what_is_no_template_is_refused(tmp_path, text):
    path = tmp_path / "t.json"
    path.write_text(text)
    with pytest.raises(UsageError, match="cannot be read"):
        Template.of(path, slots=SLOTS, tasks=TASKS)


def test_the_content_of_a_template_identifies_it(own):
    first, second, same = own("a.json"), own("b.json", system="Another."), own("c.json")
    keys = [file_facts(Pairwise(template=str(path)).needs().files["template"]).fingerprint
            for path in (first, second, same)]  # fmt: skip
    assert keys[0] == keys[2] != keys[1]
    packaged = {part: part().needs().files["template"] for part in (Pairwise, Grade)}
    assert [path.rpartition("/")[2] for path in packaged.values()] == ["pairwise.json", "grade.json"]
