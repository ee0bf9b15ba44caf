"""How long a judgement takes whose games were all judged before: 805 pairs in both orders, from the command line.

A stand-in server judges once; twenty pairs have an answer that is too long for it, and are cut. Then the same games are
judged again as another step, which finds every answer, and every refusal, in the cache (`one_order=keep` is another
judge and asks nothing else), and as the same step, which is in the store; by `bench judge pairs` and in a run over the
same prompts. Seconds are on the clock, from the command to its end, and of the processor; those of the verdict step
alone are what its record tells.

    python benchmarks/judge_cached.py --data ../shared/data/judge --base ../shared/models/tiny-gpt2
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

MODELS = ("vicuna-7b", "gpt-3.5-turbo-1106")
LABELS = ("A>>B", "A>B", "A=B", "B>A", "B>>A")
NUM_LONG, TIMES = 20, 40
"""So many answers of the second model are repeated so often."""
WINDOW = 8192
"""Tokens, of four bytes each, that the stand-in holds."""


class StandIn(ThreadingHTTPServer):
    """A judge that names a label by lot, the same one for the same game, and refuses what is too long for it."""

    request_queue_size = 256
    daemon_threads = True

    def __init__(self) -> None:
        self.num_asked = self.num_refused = 0
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                server.num_asked += 1
                asked = len(body) // 4 + json.loads(body)["max_tokens"]
                if asked > WINDOW:
                    server.num_refused += 1
                    words = (
                        f"This model's maximum context length is {WINDOW} tokens. However, you requested {asked} tokens"
                    )
                    return self.answer(400, {"error": {"message": words}})
                label = LABELS[hashlib.sha256(body).digest()[0] % len(LABELS)]
                message = {"role": "assistant", "content": json.dumps({"verdict": label})}
                answer = {
                    "id": "x", "object": "chat.completion", "created": 0, "model": "judge",
                    "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
                    "usage": {"prompt_tokens": 500, "completion_tokens": 8, "total_tokens": 508},
                }  # fmt: skip
                return self.answer(200, answer)

            def answer(self, status: int, told: object) -> None:
                payload = json.dumps(told).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, *arguments: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def judge(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1#judge"


def lines(path: Path) -> list[dict[str, object]]:
    """The objects of a `.jsonl.gz`."""
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).decode().splitlines()]


def lengthened(row: dict[str, object], name: str) -> str:
    """What a model answered; to the first prompts the second model answers at great length."""
    output = str(row["output"])
    return output.ljust(200, ".") * TIMES if name == MODELS[1] and row["i"] < NUM_LONG else output  # type: ignore[operator]


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def timed(*arguments: object, home: Path) -> tuple[float, float]:
    """Seconds that a command takes on the clock and of the processor; its end is shown where it fails."""
    environment = {**os.environ, "SFTBENCH_STORE": str(home / "store"), "HF_HUB_OFFLINE": "1"}
    command = [str(Path(sys.executable).parent / "bench"), *map(str, arguments)]
    begun, before = time.perf_counter(), spent()
    done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return time.perf_counter() - begun, spent() - before


def spent() -> float:
    """Processor seconds of all commands until now, with the processes that they started and waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def steps(home: Path) -> dict[str, float]:
    """Seconds of each verdict step in the store."""
    found = {}
    for path in (home / "store" / "verdicts").rglob("record.json"):
        found[str(path)] = float(json.loads(path.read_text())["ledger"]["wall_seconds"])
    return found


def thrice(home: Path, server: StandIn, what: str, *arguments: object, at_least: int) -> None:
    """A judgement for the first time, with all answers kept, and with its step in the store."""
    judge = f"pairwise[model={server.judge}"
    for name, named in (("first", f"{judge}]"), ("answers kept", f"{judge},one_order=keep]"),
                        ("step kept", f"{judge},one_order=keep]")):  # fmt: skip
        before, asked, refused = steps(home), server.num_asked, server.num_refused
        seconds, processor = timed(*arguments, "--judge", named, home=home)
        asked = server.num_asked - asked
        step = [f"{took:.2f} s of it the verdict step" for path, took in steps(home).items() if path not in before]
        told = f"{seconds:.2f} s ({processor:.2f} s of processor), {asked} requests, "
        told += f"{server.num_refused - refused} of them refused as too long"
        print(f"{what}, {name}: {told}" + "".join(f", {each}" for each in step), flush=True)
        assert asked >= at_least if name == "first" else asked == 0
        assert name != "first" or server.num_refused - refused >= 2 * NUM_LONG


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with alpaca_eval_805 and its outputs")
    parser.add_argument("--base", type=Path, required=True, help="model that answers in the run")
    options = parser.parse_args()
    prompts = lines(options.data / "alpaca_eval_805.jsonl.gz")
    outputs = lines(options.data / "alpaca_eval_outputs.jsonl.gz")
    server = StandIn()
    with tempfile.TemporaryDirectory() as root:
        home = Path(root)
        files = [
            write(
                home / f"{name}.jsonl",
                [{"id": prompts[row["i"]]["id"], "instruction": prompts[row["i"]]["instruction"],  # type: ignore[index]
                  "model": name, "output": lengthened(row, name)} for row in outputs if row["model"] == name],
            )
            for name in MODELS
        ]  # fmt: skip
        suite = write(home / "own.jsonl", [{"id": row["id"], "prompt": row["instruction"]} for row in prompts])
        pool = write(home / "pool.jsonl", [{"instruction": f"say {at}", "output": f"{at}"} for at in range(20)])
        thrice(home, server, "bench judge pairs", "judge", "pairs", *files, "--prompts", suite, at_least=1500)
        thrice(
            home, server, "bench run", "run", "--methods", "base", "--controls", "none", "--suite", suite, "--pool",
            pool, "--base", options.base.absolute(), "--evals", "none", "--baseline", f"{files[1]}#{MODELS[1]}",
            "--max-new-tokens", 4, "--workers", 1, "--contamination", "none", at_least=1500,
        )  # fmt: skip


if __name__ == "__main__":
    main()
