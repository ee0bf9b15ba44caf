"""A process that does steps one after another: JSON lines in on stdin, JSON lines out on stdout."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import queue
import shutil
import sys
import threading
import traceback
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from sftbench import shelf
from sftbench.errors import ContractError
from sftbench.ledger import measured, start_of_peak
from sftbench.plan import Step
from sftbench.record import Failure, Record
from sftbench.reporting import Event, Reporter, to_line
from sftbench.store import Store, full_disk_explained

if TYPE_CHECKING:
    from sftbench.bench import Bench


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
        try:
            emit({"event": "ended", **_do(order, found, emit)})
        except Exception as problem:
            # A part's own failure is recorded and does not come here: this is the store, where nothing can be recorded.
            traceback.print_exc()
            emit({"event": "stopped", "why": str(problem), "exit_code": getattr(problem, "exit_code", 1)})


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
    from sftbench.bench import Bench

    step = Step(**order["step"])
    store = Store(Path(order["store"]))
    with full_disk_explained(store.root), store.making(step.room, step.key) as work:
        # Another run may have made it while this one waited for the lock.
        made = store.find(step.room, step.key)
        if made is not None and not order["redo"]:
            with contextlib.suppress(OSError):
                work.rmdir()
            return {"status": made.status, "made": False}
        _clear(work)
        start_of_peak()
        with measured() as meter:
            bench = Bench(plugins=found, store=store, work=work, meter=meter, reporter=Reporter(emit))
            payload, failure = _outcome(step, bench)
        if failure is not None:
            _clear(work, spare=(shelf.UNPARSED,))
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


def _clear(work: Path, *, spare: tuple[str, ...] = ()) -> None:
    """Remove what an attempt left that did not end; checkpoints, in the scratch folder, stay, and files to `spare`."""
    for leftover in (each for each in work.iterdir() if each.name not in spare):
        if leftover.is_dir() and not leftover.is_symlink():
            if leftover.name != "scratch":
                shutil.rmtree(leftover)
        else:
            leftover.unlink()


def _outcome(step: Step, bench: Bench) -> tuple[dict[str, Any], Failure | None]:
    """What a step has for its record, or why it has nothing. A full disk is not the step's fault and is raised."""
    from sftbench.perform import perform

    try:
        payload = perform(step, bench)
        _check_json(payload)
        return payload, None
    except Exception as problem:
        # Some libraries wrap the system's error in one of their own.
        if getattr(problem, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or os.strerror(errno.ENOSPC) in str(problem):
            raise OSError(errno.ENOSPC, str(problem)) from problem
        return {}, Failure.of(problem)


def _check_json(payload: dict[str, Any]) -> None:
    try:
        json.dumps(payload, allow_nan=False)
    except (TypeError, ValueError) as problem:
        raise ContractError(f"what it reports cannot be written as JSON: {problem}") from None


if __name__ == "__main__":
    main()
