"""How near the chat client keeps a vLLM server to what it reaches under vLLM's own benchmark client.

Both sides send the same chats to one server, greedy, in one run, in turn (A B B A), after a round that nobody counts
(the server keeps prefixes of prompts). Ours writes its cache as it does in a run.

    python benchmarks/judge_throughput.py --model ../shared/models/tiny-gpt2 --data ../shared/data/judge/...jsonl
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean

from sftbench.chat import ChatRequest, Service
from sftbench.engines.chat import ChatClient
from sftbench.ledger import Meter
from sftbench.rooms import Message
from sftbench.serving.environment import find_environment
from sftbench.serving.service import serving
from sftbench.survey import asked_facts

THEIRS = """
import argparse, sys
from vllm.benchmarks.serve import add_cli_args, main
parser = argparse.ArgumentParser()
add_cli_args(parser)
main(parser.parse_args(sys.argv[1:]))
"""


def made_prompts(count: int, num_words: int) -> list[str]:
    """Prompts as long as a judge's, no two with a beginning in common."""
    words = ("amber", "birch", "cedar", "dune", "ember", "fern", "grove", "heath")
    return [
        " ".join(words[(index * 7 + place * (index % 5 + 1)) % len(words)] + str(index) for place in range(num_words))
        for index in range(count)
    ]


def ours(service: Service, prompts: list[str], max_new_tokens: int, folder: Path) -> tuple[float, float, float]:
    """Seconds, written tokens per second, and processor seconds of this process."""
    meter = Meter()
    client = ChatClient(endpoint=service, cache=folder / "cache", unparsed=folder / "unparsed", meter=meter, log=print)
    requests = [
        ChatRequest(messages=(Message(role="user", content=prompt),), max_new_tokens=max_new_tokens)
        for prompt in prompts
    ]
    begun, spent = time.perf_counter(), time.process_time()
    answers = client.ask(requests, str)
    seconds = time.perf_counter() - begun
    assert all(each.reason is None for each in answers)
    return seconds, meter.ledger().tokens_generated / seconds, time.process_time() - spent


def theirs(
    service: Service, model: str, prompts: list[str], max_new_tokens: int, folder: Path, concurrency: int
) -> tuple[float, float, float]:
    """The same by vLLM's client."""
    file = folder / "prompts.jsonl"
    file.write_text("".join(json.dumps({"prompt": each}) + "\n" for each in prompts))
    endpoint = service.reach()
    before = os.times()
    subprocess.run(
        [
            str(find_environment().python), "-c", THEIRS, "--backend", "openai-chat",
            "--base-url", endpoint.url.removesuffix("/v1"), "--endpoint", "/v1/chat/completions",
            "--model", endpoint.model, "--tokenizer", model, "--dataset-name", "custom",
            "--dataset-path", str(file), "--custom-output-len", str(max_new_tokens), "--skip-chat-template",
            "--num-prompts", str(len(prompts)), "--disable-shuffle", "--temperature", "0", "--max-concurrency",
            str(concurrency), "--disable-tqdm", "--save-result", "--result-dir", str(folder),
            "--result-filename", "theirs.json",
        ],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    after = os.times()
    told = json.loads((folder / "theirs.json").read_text())
    assert told["completed"] == len(prompts)
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return told["duration"], told["output_throughput"], cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--num-prompts", type=int, default=400)
    parser.add_argument("--num-words", type=int, default=120)
    parser.add_argument("--max-new-tokens", type=int, default=32)
    parser.add_argument("--concurrency", type=int, default=256, help="of vLLM's client; ours has its own default")
    options = parser.parse_args()
    prompts = made_prompts(options.num_prompts, options.num_words)
    asked = asked_facts(f"vllm:{options.model}")
    found: dict[str, list[tuple[float, float, float]]] = {"ours": [], "theirs": []}
    with (
        tempfile.TemporaryDirectory() as root,
        serving(
            asked.where, asked.identity, tell=lambda text: print(text, file=sys.stderr), logs=Path(root)
        ) as service,
    ):
        for turn, side in enumerate(("ours", "ours", "theirs", "theirs", "ours")):
            folder = Path(root) / str(turn)
            folder.mkdir()
            if side == "ours":
                result = ours(service, prompts, options.max_new_tokens, folder)
            else:
                result = theirs(service, options.model, prompts, options.max_new_tokens, folder, options.concurrency)
            print(f"{side}: {result[0]:.2f} s, {result[1]:.0f} tokens/s, {result[2]:.2f} s of processor", flush=True)
            # The first round warms the server up.
            found[side] += [result] if turn else []
    rate = {side: mean(len(prompts) / each[0] for each in results) for side, results in found.items()}
    share = rate["ours"] / rate["theirs"]
    print(f"requests/s: ours {rate['ours']:.1f}, theirs {rate['theirs']:.1f}: {share:.1%}")


if __name__ == "__main__":
    main()
