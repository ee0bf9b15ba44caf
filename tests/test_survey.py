"""What a plan must know of its inputs: they are found, what is missing is said, and keys follow content, not place."""

from __future__ import annotations

import json
import shutil

import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from sftbench import plugins
from sftbench.errors import EnvironmentProblem, UsageError
from sftbench.fingerprint import fingerprint_tokenizer
from sftbench.planner import make_plan
from sftbench.runner import prepare
from sftbench.settings import check_settings, load_settings
from sftbench.survey import (
    EMBEDDER_FILES,
    PREFERRED_EMBEDDER,
    embedder_facts,
    model_facts,
    survey,
    tokenizer_facts,
    window,
    with_suite_defaults,
)  # fmt: skip


@pytest.fixture(scope="module")
def found():
    return plugins.load()


def write_model(folder, *, weights=b"weights", tokenizer="{}"):
    """A folder that looks like a model from outside."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"max_position_embeddings": 128}')
    (folder / "model.safetensors").write_bytes(weights)
    write_tokenizer(folder, tokenizer)
    return folder


def write_tokenizer(folder, content="{}"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(content)
    (folder / "tokenizer_config.json").write_text('{"eos_token": "</s>"}')
    return folder


@pytest.fixture
def inputs(tmp_path):
    """A pool, a model and a tokenizer of another."""
    (tmp_path / "rows.jsonl").write_text('{"instruction": "say", "output": "a"}\n' * 3)
    write_model(tmp_path / "tiny")
    write_tokenizer(tmp_path / "words", '{"model": 1}')
    return tmp_path


@pytest.fixture
def look(found, inputs):
    """Surveys a pool and a base, unless they are None."""

    def survey_(*parts, **settings):
        own = {"methods": ["random"], "pool": str(inputs / "rows.jsonl"), "base": str(inputs / "tiny"), **settings}
        return survey(check_settings(own), found, parts)

    return survey_


@pytest.mark.parametrize(("missing", "there"), [("base", "pool"), ("pool", "base")])
def test_a_pool_without_a_base_and_a_base_without_a_pool_are_refused(look, missing, there):
    with pytest.raises(UsageError, match=f"--{there} is given without --{missing}"):
        look(**{missing: None})


def test_without_both_everything_comes_from_the_suite(look, found):
    facts, suite = look(pool=None, base=None), found.suite("microcosm")
    assert facts.pool_name == facts.base.name == "microcosm"
    assert facts.pool_source == {"suite": "microcosm", "part": "pool"}
    assert facts.heldout_source == {"suite": "microcosm", "part": "heldout"}
    assert facts.base.path == str(suite.base.resolve())
    assert facts.pool_content != facts.heldout_content


def test_a_limit_is_for_pools_from_outside(look):
    with pytest.raises(UsageError, match="--limit needs --pool"):
        look(pool=None, base=None, limit=5)
    keys = {json.dumps(look(limit=limit).pool_content, sort_keys=True) for limit in (None, 1, 2)}
    assert len(keys) == 3


def test_a_pool_is_known_by_its_bytes_and_not_by_its_place(look, inputs):
    before = look()
    shutil.copy(inputs / "rows.jsonl", inputs / "other.jsonl")
    moved = look(pool=str(inputs / "other.jsonl"))
    assert moved.pool_content == before.pool_content
    assert moved.pool_source != before.pool_source
    (inputs / "rows.jsonl").write_text('{"instruction": "say", "output": "b"}\n' * 3)
    assert look().pool_content != before.pool_content


def test_held_out_rows_from_a_file_are_known_by_its_bytes(look, inputs):
    assert look().heldout_source is None
    heldout = inputs / "heldout.jsonl"
    heldout.write_text('{"instruction": "say", "output": "c"}\n')
    before = look(heldout=str(heldout))
    assert before.heldout_source == {"source": str(heldout)}
    heldout.write_text('{"instruction": "say", "output": "d"}\n')
    assert look(heldout=str(heldout)).heldout_content != before.heldout_content


def test_the_base_scores_unless_another_model_is_named(look, inputs):
    assert look().scoring == look().base
    write_model(inputs / "small", weights=b"others")
    other = look(lm=str(inputs / "small"))
    assert (other.base.name, other.scoring.name) == ("tiny", "small")
    assert other.base.fingerprint != other.scoring.fingerprint


def test_a_pool_that_is_not_there_is_named(look):
    with pytest.raises(UsageError, match=r"nowhere\.jsonl"):
        look(pool="nowhere.jsonl")


def test_a_model_that_is_not_there_is_named(look, inputs):
    with pytest.raises(EnvironmentProblem, match=f"there is no model folder {inputs / 'nowhere'}"):
        look(base=str(inputs / "nowhere"))


def test_a_model_without_a_tokenizer_is_refused_with_the_way_out(inputs):
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (inputs / "tiny" / name).unlink()
    with pytest.raises(UsageError, match="no tokenizer beside it; save one with"):
        model_facts(str(inputs / "tiny"))


def test_a_model_is_called_after_its_folder_wherever_a_link_to_it_lies(inputs):
    (inputs / "link").symlink_to(inputs / "tiny")
    assert model_facts(str(inputs / "link")) == model_facts(str(inputs / "tiny"))
    assert model_facts(str(inputs / "tiny")).name == "tiny"


def test_a_snapshot_of_a_hub_is_called_after_its_id(inputs, monkeypatch):
    snapshot = write_model(inputs / "hub" / "models--org--model" / "snapshots" / "0a1b")
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda model, allow_patterns: str(snapshot))
    assert model_facts("org/model").name == "org/model"
    assert model_facts("org/model").fingerprint == model_facts(str(inputs / "tiny")).fingerprint


def test_a_hub_that_cannot_be_reached_is_a_problem_of_the_environment(monkeypatch):
    def unreachable(model, allow_patterns):
        raise OSError("no route")

    monkeypatch.setattr("huggingface_hub.snapshot_download", unreachable)
    with pytest.raises(EnvironmentProblem, match="'org/model' is no folder here, and it could not be fetched"):
        model_facts("org/model")


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"max_position_embeddings": 77}, 77),
        ({"n_positions": 78}, 78),
        ({"max_seq_len": 79}, 79),
        ({"max_position_embeddings": None, "seq_length": 80}, 80),
        ({}, 2048),
    ],
)
def test_the_window_is_read_from_the_configuration(tmp_path, config, expected):
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert window(str(tmp_path)) == expected


def test_the_suites_own_settings_hold_where_nothing_else_was_said(found, inputs):
    defaults = found.suite("microcosm").defaults

    def settled(**flags):
        settings, given = load_settings({"methods": ["random"], **flags}, None)
        return with_suite_defaults(settings, given, found)

    assert settled().plant == defaults["plant"]
    assert settled().trainer == defaults["trainer"]
    assert settled(plant="5%").plant == 0.05
    assert settled(plant="5%").trainer == defaults["trainer"]
    outside = settled(pool=str(inputs / "rows.jsonl"), base=str(inputs / "tiny"))
    assert (outside.plant, outside.trainer) == (0, "sft")


@pytest.fixture
def cache(inputs, monkeypatch):
    """A cache of hub snapshots that holds one of the preferred embedder, and no way to any hub."""
    snapshot = inputs / "hub" / "snapshots" / "0a1b"
    for file in EMBEDDER_FILES:
        (snapshot / file).parent.mkdir(parents=True, exist_ok=True)
        (snapshot / file).write_text("{}")

    def from_cache(model, *, allow_patterns, local_files_only=False):
        assert local_files_only, "a hub was asked"
        if model != PREFERRED_EMBEDDER or not snapshot.exists():
            raise LocalEntryNotFoundError("not cached")
        return str(snapshot)

    monkeypatch.setattr("huggingface_hub.snapshot_download", from_cache)
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", lambda *_, **__: pytest.fail("a hub was asked"))
    return snapshot


def test_the_preferred_embedder_is_taken_from_the_cache_and_known_by_its_files(cache):
    found = embedder_facts("auto")
    assert (found.name, found.path) == (PREFERRED_EMBEDDER, str(cache))
    (cache / "model.safetensors").write_text("others")
    assert embedder_facts("auto").fingerprint != found.fingerprint


@pytest.mark.parametrize("missing", [None, *EMBEDDER_FILES])
def test_without_all_of_the_preferred_embedder_the_packaged_one_is_taken_whatever_a_hub_says(cache, missing):
    shutil.rmtree(cache) if missing is None else (cache / missing).unlink()
    assert embedder_facts("auto").name == "minilm"


def test_where_no_part_embeds_the_packaged_embedder_stands(cache):
    assert embedder_facts("auto", wanted=False).name == "minilm"


def test_a_tokenizer_is_known_by_its_content_and_not_by_its_place(inputs):
    words = inputs / "words"
    before = fingerprint_tokenizer(words)
    assert fingerprint_tokenizer(shutil.copytree(words, inputs / "elsewhere" / "named otherwise")) == before
    changed = {before}
    for name in ("tokenizer.json", "tokenizer_config.json", "merges.txt", "special_tokens_map.json"):
        (words / name).write_text('{"model": 2}')
        changed.add(fingerprint_tokenizer(words))
    assert len(changed) == 5


def test_what_is_no_part_of_a_tokenizer_does_not_change_it(inputs):
    before = fingerprint_tokenizer(inputs / "tiny")
    (inputs / "tiny" / "model.safetensors").write_bytes(b"others")
    (inputs / "tiny" / "README.md").write_text("hello")
    assert fingerprint_tokenizer(inputs / "tiny") == before


def test_a_tokenizer_changes_with_its_chat_template(inputs):
    before = fingerprint_tokenizer(inputs / "words")
    (inputs / "words" / "chat_template.jinja").write_text("{{ messages }}")
    assert fingerprint_tokenizer(inputs / "words") != before


def test_the_tokenizers_that_parts_name_are_looked_up(look, inputs, found):
    micro = found.part_class("selector", "micro")
    words = str(inputs / "words")
    facts = look(micro(tokenizer=words), micro(), micro(tokenizer=words, level=50.0))
    assert set(facts.tokenizers) == {words}
    assert facts.tokenizers[words].path == words
    assert facts.tokenizers[words].fingerprint == fingerprint_tokenizer(inputs / "words")
    assert look(micro()).tokenizers == {}


def test_a_tokenizer_that_is_not_there_is_named(inputs):
    with pytest.raises(EnvironmentProblem, match=f"there is no model folder {inputs / 'nowhere'}"):
        tokenizer_facts(str(inputs / "nowhere"))
    (inputs / "empty").mkdir()
    with pytest.raises(
        EnvironmentProblem, match=rf"there is no tokenizer in {inputs / 'empty'}: none of tokenizer\.json"
    ):
        tokenizer_facts(str(inputs / "empty"))


def test_a_folder_that_a_part_names_is_known_by_everything_in_it(look, inputs):
    from sftbench.roles import Needs

    part = type("Part", (), {"name": "part", "needs": lambda self: Needs(folders={"own": str(inputs / "things")})})()
    with pytest.raises(EnvironmentProblem, match=f"there is no folder {inputs / 'things'}"):
        look(part)
    (inputs / "things" / "below").mkdir(parents=True)
    with pytest.raises(EnvironmentProblem, match="is empty"):
        look(part)
    (inputs / "things" / "below" / "a.bin").write_bytes(b"a")
    first = look(part).folders[str(inputs / "things")]
    assert first.path == str(inputs / "things")
    (inputs / "things" / "below" / "a.bin").write_bytes(b"b")
    second = look(part).folders[str(inputs / "things")]
    (inputs / "things" / "below" / "a.bin").rename(inputs / "things" / "a.bin")
    third = look(part).folders[str(inputs / "things")]
    assert len({first.fingerprint, second.fingerprint, third.fingerprint}) == 3


class Planned:
    """Selections by method, planned from inputs in the working folder, under names that do not change."""

    def __init__(self, found):
        self.found = found

    def selections(self, *methods):
        given = {"methods": list(methods), "pool": "rows.jsonl", "base": "tiny", "controls": "none", "seeds": [0]}
        run = prepare(check_settings(given), given, self.found)
        assert make_plan(run.facts, run.terms, run.methods) == run.plan
        return {cell.label: cell.selection for cell in run.plan.cells}


FOREIGN, STUDENT = "micro-response[tokenizer=./words]", "micro-response"


@pytest.fixture
def planned(found, inputs, monkeypatch):
    monkeypatch.chdir(inputs)
    return Planned(found)


def test_rows_are_chosen_again_when_the_tokenizer_that_a_method_names_changes(planned, inputs):
    before = planned.selections(FOREIGN, STUDENT, "random")
    assert planned.selections(FOREIGN, STUDENT, "random") == before
    (inputs / "words" / "tokenizer.json").write_text('{"model": 2}')
    after = planned.selections(FOREIGN, STUDENT, "random")
    assert after.pop(FOREIGN) != before.pop(FOREIGN)
    assert after == before


def test_rows_are_not_chosen_again_when_everything_is_moved(planned, inputs, tmp_path_factory, monkeypatch):
    before = planned.selections(FOREIGN, STUDENT)
    moved = shutil.copytree(inputs, tmp_path_factory.mktemp("moved") / "here")
    monkeypatch.chdir(moved)
    assert planned.selections(FOREIGN, STUDENT) == before


def test_a_missing_tokenizer_ends_the_planning(planned, inputs):
    shutil.rmtree(inputs / "words")
    with pytest.raises(EnvironmentProblem, match="words"):
        planned.selections(FOREIGN)
    assert planned.selections(STUDENT)


def test_a_tokenizer_that_only_a_recipe_names_is_looked_up_too(look, inputs):
    from sftbench.methods import ResolvedMethod, parts_of
    from sftbench.roles import Needs

    def part(**needs):
        return type("Part", (), {"name": "part", "needs": lambda self: Needs(**needs)})()

    words = str(inputs / "words")
    recipe = ResolvedMethod(name="recipe", label="", selector=part(tokenizers={"own": words}), trainer=part())
    outer = ResolvedMethod(
        name="outer", label="", selector=part(), trainer=part(), recipes={"selector": {"warm": recipe}}
    )
    assert set(look(*parts_of([outer])).tokenizers) == {words}
