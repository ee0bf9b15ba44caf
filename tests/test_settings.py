"""Settings come from flags, the environment and a file, in that order, and are checked."""

from __future__ import annotations

import pytest

from sftbench.errors import UsageError
from sftbench.settings import check_settings, load_settings


def test_a_flag_wins_over_the_environment_and_that_over_the_file(tmp_path, monkeypatch):
    file = tmp_path / "bench.yaml"
    file.write_text("methods: [ifd]\nbudget: 5%\nlimit: 10\nheldout-share: 20%\n")
    monkeypatch.setenv("SFTBENCH_LIMIT", "20")
    monkeypatch.setenv("SFTBENCH_BUDGET", "6%")
    monkeypatch.delenv("SFTBENCH_VLLM", raising=False)
    settings, given = load_settings({"budget": "7%"}, file)
    assert settings.budget == ["7%"]
    assert settings.limit == 20
    assert settings.methods == ["ifd"]
    assert settings.heldout_share == pytest.approx(0.2)
    assert given == {"methods": ["ifd"], "budget": "7%", "limit": "20", "heldout_share": "20%"}


@pytest.mark.parametrize(
    ("text", "seeds"), [("3", [0, 1, 2]), ("7,8", [7, 8]), ("[7]", [7]), (4, [0, 1, 2, 3]), ([5, 6], [5, 6])]
)
def test_seeds_are_a_number_or_a_list(text, seeds):
    assert check_settings({"methods": "ifd", "seeds": text}).seeds == seeds


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({}, "--methods is missing"),
        ({"methods": "ifd", "seeds": "0"}, "--seeds"),
        ({"methods": "ifd", "seeds": "x"}, "--seeds"),
        ({"methods": "ifd", "plant": "150%"}, "--plant"),
        ({"methods": "ifd", "limit": "0"}, "--limit"),
        ({"methods": "ifd", "controls": "some"}, "--controls"),
        ({"methods": "ifd", "name": "../x"}, "--name"),
        ({"methods": ""}, "--methods"),
    ],
)
def test_a_bad_value_is_an_error_that_names_the_flag(values, named):
    with pytest.raises(UsageError, match=named):
        check_settings(values)


def test_an_unknown_key_in_the_file_is_an_error_with_the_nearest_name(tmp_path):
    file = tmp_path / "bench.yaml"
    file.write_text("methods: [ifd]\nbugdet: 5%\n")
    with pytest.raises(UsageError, match="did you mean 'budget'"):
        load_settings({}, file)


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [", "text"])
def test_a_file_that_is_no_configuration_is_an_error_that_names_it(tmp_path, text):
    file = tmp_path / "bench.yaml"
    file.write_text(text)
    with pytest.raises(UsageError, match=r"bench\.yaml"):
        load_settings({}, file)


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(UsageError, match="no configuration file"):
        load_settings({}, tmp_path / "bench.yaml")


def test_commas_inside_a_method_do_not_split_the_list():
    assert check_settings({"methods": "tshirt[mode=official,keep=0.75],ifd"}).methods == [
        "tshirt[mode=official,keep=0.75]",
        "ifd",
    ]
