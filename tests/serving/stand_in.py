"""A program that stands in for vLLM: serves /health, /v1/models and chats, and misbehaves as its first argument says.

`stand_in.py BEHAVIOUR PORT MODEL FOLDER`; FOLDER counts its starts, and holds the number of each process it began.

Token ids are gone on with by the same ids from behind, at most six of them, after an adapter's own if one is asked,
and then the first that ends an answer. Adapters come and go at its endpoints, and are noted.
"""

import json
import os
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

behaviour, port, model, folder = sys.argv[1], int(sys.argv[2]), sys.argv[3], Path(sys.argv[4])
start = len(list(folder.glob("start-*")))
(folder / f"start-{start}").write_text(str(os.getpid()))

if behaviour == "dies-at-start" or (behaviour == "serves-one-of-two" and start % 2):
    print("loading", flush=True)
    print("(EngineCore pid=7) ERROR 11-28 16:01:21 [core.py:5] ValueError: no such layer", file=sys.stderr)
    print("RuntimeError: Engine core initialization failed. See root cause above.", file=sys.stderr)
    sys.exit(3)
if behaviour == "port-taken" and start == 0:
    sys.exit("OSError: [Errno 98] Address already in use")
if behaviour == "never-ready":
    print("still thinking", flush=True)
    time.sleep(600)
if behaviour == "slow":
    time.sleep(0.6)
if behaviour in ("with-children", "stubborn"):
    # One in the same process group, one that has left it.
    for alone in (False, True):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=alone)
        (folder / f"child-{alone}").write_text(str(child.pid))
if behaviour == "stubborn":
    import signal

    signal.signal(signal.SIGTERM, signal.SIG_IGN)


adapters = {}
counted = []
frozen = []
OF_ADAPTER = 40


def note(line):
    with (folder / "notes").open("a") as stream:
        stream.write(f"{start} {line}\n")


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer({"data": [{"id": each} for each in (model, *adapters)]} if self.path == "/v1/models" else {})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.endswith("_lora_adapter"):
            self.change_adapters(body)
        elif self.path == "/v1/completions":
            self.complete(body)
        else:
            self.chat(body)

    def change_adapters(self, body):
        name, loads = body["lora_name"], self.path.startswith("/v1/load")
        note(f"{'load' if loads else 'unload'} {name}")
        if behaviour == "dies-over-adapters":
            os._exit(1)
        if behaviour == "refuses-adapters":
            self.answer({"error": {"message": "vLLM does not yet support DoRA."}}, 400)
        elif loads:
            assert (Path(body["lora_path"]) / "adapter_config.json").is_file()
            adapters[name] = body["lora_path"]
            self.answer({})
        else:
            self.answer({}, 200 if adapters.pop(name, None) else 404)

    def complete(self, body):
        assert body["ignore_eos"]
        assert body["return_token_ids"]
        counted.append(body)
        note(f"ask {body['model']} {json.dumps(body['prompt'])} {body['temperature']:g} {body.get('seed')}")
        if behaviour == "dies-once" and start == 0 and len(counted) == 5:
            os._exit(1)
        if behaviour == "busy" and len(counted) <= 2:
            return self.answer({"error": {"message": "too busy"}}, 503)
        if behaviour == "refuses-prompts":
            return self.answer({"error": {"message": "Token id 9999 is out of vocabulary"}}, 400)
        if behaviour == "dies-for-good" and (start or len(counted) > 5):
            os._exit(1)
        if behaviour.startswith("refuses-") and len(body["prompt"]) > 150:
            if behaviour == "refuses-by-death":
                os._exit(1)
            return self.answer({"error": {"message": "not this one"}}, int(behaviour.rpartition("-")[2]))
        if body["model"] not in (model, *adapters):
            return self.answer({"error": {"message": "no such model"}}, 404)
        new = [OF_ADAPTER] * (body["model"] in adapters) + body["prompt"][::-1][:6] + body["stop_token_ids"][:1]
        told = new[: body["max_tokens"]]
        choice = {"index": 0, "finish_reason": "stop" if told == new else "length", "text": "", "token_ids": told}
        usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
        made = {"id": "x", "object": "text_completion", "created": 0, "model": model}
        return self.answer({**made, "choices": [{**choice, "logprobs": None}], "usage": usage})

    def chat(self, body):
        asked = body["messages"][-1]["content"]
        with (folder / "asked").open("a") as stream:
            stream.write(f"{asked}\n")
        if behaviour == "dies-once" and start == 0 and asked == "5":
            print("torch.OutOfMemoryError: CUDA out of memory", file=sys.stderr, flush=True)
            os._exit(1)
        if behaviour == "dies-always":
            os._exit(1)
        frozen.extend([asked] * (behaviour == f"freezes-over-{asked}"))
        if frozen or (behaviour == "hangs-once" and start == 0) or behaviour == f"hangs-over-{asked}":
            time.sleep(600)
        if behaviour.startswith("dies-over-") and asked in behaviour.split("-"):
            os._exit(1)
        message = {"role": "assistant", "content": f"answer to {asked}"}
        choice = {"index": 0, "finish_reason": "stop", "message": message, "logprobs": None}
        usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
        made = {"id": "x", "object": "chat.completion", "created": 0, "model": model}
        self.answer({**made, "choices": [choice], "usage": usage})

    def answer(self, content, status=200):
        payload = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def log_message(self, *arguments):
        pass


ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
