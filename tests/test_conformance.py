"""The conformance kit: the project's own plugins pass it, and each broken rule is found and named."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from sftbench.conformance import RuleOutcome, check_plugin, check_plugins, verdict
from sftbench.errors import EnvironmentProblem
from sftbench.roles import ROLES
from sftbench.scaffold import write_distribution

TOYS = Path(__file__).resolve().parent / "toys"
OWN = [
    f"sftbench_plugins.{path.parent.name}"
    for path in sorted((TOYS.parent.parent / "plugins" / "sftbench_plugins").glob("*/__init__.py"))
]
BROKEN = ["crooked_parts", "heavy_parts", "observing_parts", "toy_parts"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


WRITTEN = {kind: f"written_{kind}" for kind in (*ROLES, "method")}
"""A distribution of each kind as `bench plugins new` writes it."""


@pytest.fixture(scope="module")
def checks(tmp_path_factory):
    """All plugins at once: that costs little more than one of them."""
    into = tmp_path_factory.mktemp("written")
    folders = [TOYS, *(write_distribution(f"written-{kind}", kind, into) / "src" for kind in WRITTEN)]
    sys.path[:0] = [str(folder) for folder in folders]
    names = ("SFTBENCH_PLUGINS", "PYTHONPATH")
    before = [os.environ.get(name) for name in names]
    yield check_plugins([*OWN, *BROKEN, *WRITTEN.values()])
    assert [os.environ.get(name) for name in names] == before, "the kit leaves the environment as it was"
    del sys.path[: len(folders)]


def found(checks, part, rule):
    """The one check of a rule for a part of `crooked_parts`."""
    (check,) = [check for check in checks["crooked_parts"] if (check.part, check.rule) == (part, rule)]
    return check


@pytest.mark.parametrize("module", OWN)
def test_a_plugin_of_the_project_follows_the_rules(checks, module):
    good, words = verdict(checks[module])
    assert good, (words, [check for check in checks[module] if check.outcome != "passed"])


@pytest.mark.parametrize("kind", WRITTEN)
def test_a_plugin_follows_the_rules_as_soon_as_it_is_written(checks, kind):
    good, words = verdict(checks[WRITTEN[kind]])
    assert good, (words, [check for check in checks[WRITTEN[kind]] if check.outcome != "passed"])
    # A selector that a method uses is seen to work there.
    assert {kind, "method"} & {check.part.split()[0] for check in checks[WRITTEN[kind]] if check.rule == "works"}


BREACHES = {
    "a row without a score": ("scorer one-too-few", "works", "one per row"),
    "no score and no reason": ("scorer silent-nan", "works", "no reason for 1 rows"),
    "chance without a seed": ("scorer dice", "same seed, same result", "different results"),
    "another result in another process": ("scorer hash-order", "same seed, same result", "different results"),
    "a seed that was not declared": ("scorer secret-seed", "works", "the seed without declaring it"),
    "lengths that were not declared": ("scorer secret-lengths", "works", "row lengths without declaring it"),
    "a tokenizer that was not declared": ("scorer secret-tokenizer", "works", "without declaring it"),
    "writing into the pool": ("scorer vandal", "leaves its inputs untouched", "wrote into 'split off held-out rows'"),
    "a parameter without documentation": ("scorer undocumented", "is documented", "alpha"),
    "a class without documentation": ("scorer nameless", "is documented", "the class itself"),
    "a parameter without a stable form": ("scorer shapeless", "has defaults of a stable form", "frozenset"),
    "a parameter without a default": ("scorer demanding", "has defaults of a stable form", "alpha"),
    "a part that can change": ("scorer changeable", "is a frozen dataclass", "frozen=True"),
    "more rows than the budget": ("selector greedy", "works", "takes 13 rows and was given 12"),
    "more tokens than the budget": ("selector row-counter", "keeps a budget in tokens", "was given 400"),
    "a row twice": ("selector twice", "works", "more than once"),
    "a row of another pool": ("selector elsewhere", "works", "of-another-pool"),
    "labels that fit no tokens": ("selector misaligned", "works", "3 token labels"),
    "two rows with one id": ("generator same-ids", "works", "id"),
    "no model": ("trainer no-model", "works", "no-model"),
    "a model elsewhere": ("trainer elusive", "works", "elusive"),
    "a trainer that chooses and does not tell": ("trainer secretive", "works", "must tell"),
    "a trainer that chooses what it was not given": ("trainer poacher", "works", "rows not given to it"),
    "an item without a value": ("evaluator lost-item", "works", "values of lost"),
    "a preference above 1": ("judge overjoyed", "works", "between 0 and 1"),
}


@pytest.mark.parametrize("breach", BREACHES)
def test_the_kit_finds(checks, breach):
    part, rule, words = BREACHES[breach]
    check = found(checks, part, rule)
    assert check.outcome == "failed"
    assert words in check.detail


def test_a_breach_is_laid_at_its_own_door_only(checks):
    untouched = [check for check in checks["crooked_parts"] if check.rule == "leaves its inputs untouched"]
    assert [check.part for check in untouched if check.outcome == "failed"] == ["scorer vandal"]
    assert found(checks, "selector row-counter", "works").outcome == "passed"
    assert found(checks, "scorer dice", "works").outcome == "passed"


def test_a_heavy_import_is_found(checks):
    (check,) = [check for check in checks["heavy_parts"] if check.rule == "imports lightly"]
    assert check.outcome == "failed"
    assert "sklearn" in check.detail


def test_an_observer_must_take_every_record(checks):
    (check,) = [check for check in checks["observing_parts"] if check.part == "observer"]
    assert check.outcome == "failed"
    assert "AssertionError" in check.detail


def test_a_part_that_tells_its_process_number_is_caught_and_its_neighbours_pass(checks):
    failed = [(check.part, check.rule) for check in checks["toy_parts"] if check.outcome == "failed"]
    assert failed == [("evaluator toy-evaluator", "same seed, same result")]


def test_a_module_that_offers_nothing_fails(tmp_path, monkeypatch):
    (tmp_path / "nothing_parts.py").write_text('"""Offers nothing."""\n')
    monkeypatch.syspath_prepend(tmp_path)
    good, words = verdict(check_plugin("nothing_parts"))
    assert not good
    assert "no part was seen to work" in words


def test_when_everything_was_skipped_nothing_has_passed():
    skipped = [RuleOutcome(part="x", rule="works", outcome="skipped", detail="no GPU")]
    assert verdict(skipped)[0] is False
    assert verdict([*skipped, RuleOutcome(part="y", rule="works", outcome="passed")])[0] is True


def test_a_misspelt_hook_is_named(tmp_path, monkeypatch):
    (tmp_path / "misspelt_parts.py").write_text(
        '"""Misspells a hook."""\nfrom sftbench import hookimpl\n\n\n@hookimpl\ndef sftbench_scorer():\n    return []\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    (check,) = [check for check in check_plugin("misspelt_parts") if check.rule == "loads"]
    assert check.outcome == "failed"
    assert "sftbench_scorer" in check.detail


@pytest.mark.parametrize("text", ["import nobody_has_this\n", "raise SystemExit(3)\n", "def broken(:\n"])
def test_a_module_that_cannot_be_imported_is_a_problem_of_the_environment(tmp_path, monkeypatch, text):
    (tmp_path / "unimportable_parts.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(EnvironmentProblem, match="unimportable_parts"):
        check_plugin("unimportable_parts")
