"""A process that does steps one after another: JSON lines in on stdin, JSON lines out on stdout."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import sys
import threading
from pathlib import Path
from typing import IO, Any

from sftbench.ledger import measured, start_of_peak
from sftbench.plan import Step
from sftbench.record import Failure, Record
from sftbench.reporting import Event, Reporter, to_line
from sftbench.store import Store


def main() -> None:
    """Serve until stdin ends. When the run is killed, stdin ends and this process goes too, whatever it does."""
    out = _private_stdout()
    orders: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(orders,), daemon=True).start()
    _quiet_libraries()

    def emit(event: Event) -> None:
        out.write(to_line(event) + "\n")
        out.flush()

    from sftbench import plugins

    found = plugins.load()
    emit({"event": "ready"})
    while True:
        order = json.loads(orders.get())
        emit({"event": "ended", **_do(order, found, emit)})


def _listen(orders: queue.SimpleQueue[str]) -> None:
    for line in sys.stdin:
        orders.put(line)
    os._exit(1)


def _private_stdout() -> IO[str]:
    """Keep the real stdout for events; whatever libraries print goes to stderr."""
    mine = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return mine


def _quiet_libraries() -> None:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")


def _do(order: dict[str, Any], found: Any, emit: Any) -> dict[str, Any]:
    from sftbench.perform import Bench, perform

    step = Step(**order["step"])
    store = Store(Path(order["store"]))
    with store.making(step.room, step.key) as work:
        # Another run may have made it while this one waited for the lock.
        made = store.find(step.room, step.key)
        if made is not None and not order["redo"]:
            with contextlib.suppress(OSError):
                work.rmdir()
            return {"status": made.status, "made": False}
        start_of_peak()
        failure, payload = None, {}
        with measured() as meter:
            try:
                bench = Bench(plugins=found, store=store, work=work, meter=meter, reporter=Reporter(emit))
                payload = perform(step, bench)
            except Exception as problem:
                failure = Failure.of(problem)
        record = Record(
            key=step.key,
            room=step.room,
            identity=step.identity,
            status="failed" if failure else "done",
            given=step.given,
            payload={**payload, "parents": dict(step.parents)},
            ledger=meter.ledger(),
            provenance=order["provenance"],
            failure=failure,
        )
        store.commit(work, record)
        return {"status": record.status, "made": True}


if __name__ == "__main__":
    main()
