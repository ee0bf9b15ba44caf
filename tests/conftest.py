"""What every test may use: where the reference data lies, a pool and a model, and a language model that is served."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from sftbench.chat import Endpoint
    from sftbench.conformance.material import TrialMaterial

# As the processes of a run have it, and before anything loads MKL: equal numbers then do not depend on memory.
os.environ.setdefault("MKL_CBWR", "AUTO")

ROOT = Path(__file__).resolve().parent.parent
CONCIERGE = "TEST_VLLM_CONCIERGE"
"""By this variable the processes of a test session find the one that keeps the vLLM that they share."""


def pytest_configure(config: pytest.Config) -> None:
    """Keep one server of vLLM for all processes of the session; it is started by the first test that wants it."""
    if hasattr(config, "workerinput"):
        return
    from sftbench.serving.concierge import receiving
    from sftbench.serving.servers import Servers

    kept = contextlib.ExitStack()
    logs = kept.enter_context(tempfile.TemporaryDirectory(prefix="sftbench-vllm-"))
    os.environ[CONCIERGE] = kept.enter_context(receiving(Servers(logs=Path(logs), start_seconds=300.0)))
    config.add_cleanup(kept.close)


@pytest.fixture(scope="session")
def vllm_environment() -> Path:
    """The environment of vLLM: `SFTBENCH_VLLM`, or `.vllm` of this checkout (`make .vllm/installed`).

    Without it tests are skipped with the reason; they fail with `CI=true`, and where the variable names none.
    """
    from sftbench.errors import EnvironmentProblem
    from sftbench.serving.environment import VARIABLE, find_environment

    named = VARIABLE in os.environ
    os.environ.setdefault(VARIABLE, str(ROOT / ".vllm"))
    try:
        return find_environment().python
    except EnvironmentProblem as problem:
        if not named:
            del os.environ[VARIABLE]
        if named or os.environ.get("CI") == "true":
            pytest.fail(str(problem))
        pytest.skip(str(problem))


@pytest.fixture(scope="session")
def vllm_server(vllm_environment: Path, reference_data: Path) -> Endpoint:
    """A real vLLM that serves `tiny-gpt2` of the shared models, one for the whole session. Mark its tests `vllm`."""
    from sftbench.serving.service import Concierge, ServedService
    from sftbench.survey import asked_facts

    asked = asked_facts(f"vllm:{reference_data / 'models' / 'tiny-gpt2'}")
    service = ServedService(
        described=asked.where, model=asked.name, identity=asked.identity,
        keeper=Concierge(os.environ[CONCIERGE]), tell=print,
    )  # fmt: skip
    return service.reach()


@pytest.fixture(scope="session")
def reference_data() -> Path:
    """The reference data, or a skip that says what is missing; with `CI=true` its absence is a failure."""
    folder = Path(os.environ.get("SFTBENCH_REFERENCE_DATA") or ROOT / ".." / "shared").resolve()
    if not (folder / "golden").is_dir():
        reason = f"no reference data in {folder}; set SFTBENCH_REFERENCE_DATA"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> TrialMaterial:
    """A pool file of sixty short rows and a tiny random model, as the conformance checks use them."""
    from sftbench.conformance.material import trial_material

    return trial_material(tmp_path_factory.mktemp("material"))


class PatientServer(ThreadingHTTPServer):
    """Every request is a connection of its own, and on a busy machine more than the usual five wait to be taken."""

    request_queue_size = 128


class Server:
    """Speaks the protocol of a chat endpoint, and misbehaves on demand.

    What is sent back is what `reply(body)` says: a text, a text and why it ends (`("and then", "length")`), or a
    status code and an error message, or bytes to be sent as they are. Every answer has read 7 tokens (`num_read` may
    say otherwise) and written 3; `logprobs` go with each, and may be a function of the body.
    """

    def __init__(self, reply: Callable[[dict[str, Any]], Any]) -> None:
        self.reply = reply
        self.bodies: list[dict[str, Any]] = []
        self.at_once = self.most_at_once = 0
        self.counts_tokens = True
        self.num_read: Callable[[dict[str, Any]], int] = lambda body: 7
        self.logprobs: Any = None
        self.lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, content = server.answered({**body, "path": self.path})
                payload = content if isinstance(content, bytes) else json.dumps(content).encode()
                with contextlib.suppress(ConnectionError):
                    self.send_response(status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(payload)))
                    self.end_headers()
                    self.wfile.write(payload)

            def log_message(self, *arguments: object) -> None:
                pass

        self.http = PatientServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_port}/v1"

    def answered(self, body: dict[str, Any]) -> tuple[int, dict[str, Any] | bytes]:
        """Status and content of the answer to a request, which is kept."""
        with self.lock:
            self.bodies.append(body)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        found = self.reply(body)
        with self.lock:
            self.at_once -= 1
        if isinstance(found, bytes):
            return 200, found
        first, second = (found, "stop") if isinstance(found, str) else found
        if isinstance(first, int):
            return first, {"error": {"message": second, "type": "x", "code": first}}
        message = {"role": "assistant", "content": first}
        choice = {"index": 0, "finish_reason": second, "message": message, "text": first, "logprobs": None}
        choice["logprobs"] = self.logprobs(body) if callable(self.logprobs) else self.logprobs
        read = self.num_read(body)
        usage = (
            {"prompt_tokens": read, "completion_tokens": 3, "total_tokens": read + 3} if self.counts_tokens else None
        )
        made = {"id": "x", "object": "chat.completion", "created": 0, "model": "m"}
        return 200, {**made, "choices": [choice], "usage": usage}

    def stop(self) -> None:
        """Nobody is there any more."""
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[dict[str, Any]], Any]], Server]]:
    """Starts servers; see `Server`."""
    started: list[Server] = []

    def start(reply: Callable[[dict[str, Any]], Any]) -> Server:
        started.append(Server(reply))
        return started[-1]

    yield start
    for each in started:
        each.stop()
