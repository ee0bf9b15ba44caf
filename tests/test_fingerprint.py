"""Keys are the same for the same content, and refused for what has no stable form."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sftbench import fingerprint
from sftbench.errors import EnvironmentProblem, UsageError
from sftbench.fingerprint import canonical, fingerprint_model, hash_file, key_of

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(value=PLAIN)
def test_the_canonical_text_is_json_of_the_same_value(value):
    assert json.loads(canonical(value)) == value


@given(value=st.dictionaries(st.text(), st.integers(), min_size=2))
def test_the_order_of_keys_does_not_matter(value):
    assert key_of(value) == key_of(dict(reversed(value.items())))


def test_one_and_one_point_zero_are_the_same_number():
    assert key_of({"epochs": 1}) == key_of({"epochs": 1.0})
    assert key_of({"epochs": 1}) != key_of({"epochs": True})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1: 2}, {1, 2}, Path("x"), b"bytes"])
def test_what_has_no_stable_form_is_refused_with_its_place(value):
    with pytest.raises(UsageError, match=r"\$\.inner"):
        canonical({"inner": value})


def test_a_file_is_hashed_by_its_bytes(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    assert hash_file(path) == hashlib.sha256(b"abc").hexdigest()


def test_a_model_changes_with_its_weights_and_not_with_its_place(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
        (tmp_path / name / "model.safetensors").write_bytes(b"other" if name == "c" else b"weights")
    first, second, third = (fingerprint_model(tmp_path / name) for name in "abc")
    assert first == second != third


def test_a_folder_that_is_no_model_is_an_error(tmp_path):
    with pytest.raises(EnvironmentProblem, match=r"config\.json"):
        fingerprint_model(tmp_path)


@pytest.fixture
def large(tmp_path, monkeypatch):
    """A file that counts as large and was written an hour ago; hashes are counted."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(fingerprint, "REMEMBERED_BYTES", 4)
    path = tmp_path / "weights"

    def write(content, hours_ago=1):
        path.write_bytes(content)
        then = time.time() - 3600 * hours_ago
        os.utime(path, (then, then))
        return path

    read = fingerprint._hash_bytes
    seen = []
    monkeypatch.setattr(fingerprint, "_hash_bytes", lambda each: seen.append(each) or read(each))
    return write, seen


def test_a_large_file_is_read_once_until_it_changes(large):
    write, seen = large
    for content in (b"first version", b"second version, longer"):
        path, before = write(content), len(seen)
        assert [hash_file(path) for _ in range(3)] == [hashlib.sha256(content).hexdigest()] * 3
        assert len(seen) == before + 1


def test_a_change_of_equal_size_at_another_time_is_seen(large):
    write, _ = large
    assert hash_file(write(b"aaaaaaaa", hours_ago=3)) != hash_file(write(b"bbbbbbbb", hours_ago=2))


def test_a_file_that_was_just_written_is_not_remembered(large):
    write, seen = large
    path = write(b"still being written", hours_ago=0)
    assert hash_file(path) == hash_file(path)
    assert len(seen) == 2
