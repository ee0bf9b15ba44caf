"""One training on several devices: a process per device under torchrun, each carrying out the same job."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from sftbench.engines.training.job import Job
from sftbench.engines.training.seen import Seen
from sftbench.errors import SftbenchError

_COUNT = "steps done: "


def run_in_processes(job: Job, *, num_processes: int, advance: Callable[[int], None]) -> Seen:
    """Carry out a job in child processes; returns what `training.run` returns.

    Job, result and error pass through files in `job.scratch`. Raises SftbenchError with the message of
    the process that failed first.
    """
    folder = job.scratch / "processes"
    job.write(folder)
    for stale in folder.glob("error*"):
        stale.unlink()
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={num_processes}"]
    command += ["-m", "sftbench.engines.training.processes", str(folder)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    environment.setdefault("OMP_NUM_THREADS", "1")
    with (
        (folder / "log.txt").open("w", encoding="utf-8") as log,
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True) as children,  # noqa: S603
    ):
        try:
            for line in children.stdout or ():
                if line.startswith(_COUNT):
                    advance(int(line.removeprefix(_COUNT)))
        except BaseException:
            children.terminate()
            raise
    if children.returncode != 0:
        raise SftbenchError(_reason(folder))
    return Seen.of(load_file(folder / "seen.safetensors"))


def _reason(folder: Path) -> str:
    for error in sorted(folder.glob("error*")):
        return str(json.loads(error.read_text(encoding="utf-8")))
    return "training in several processes failed:\n" + (folder / "log.txt").read_text(encoding="utf-8")[-2000:]


def _work(folder: Path) -> None:
    from sftbench.engines.training.run import run

    first = os.environ["RANK"] == "0"

    def advance(amount: int) -> None:
        if first:
            print(f"{_COUNT}{amount}", flush=True)

    try:
        seen = run(Job.read(folder), advance=advance)
    except SftbenchError as problem:
        (folder / f"error-{os.environ['RANK']}.json").write_text(json.dumps(str(problem)), encoding="utf-8")
        raise
    if first:
        save_file(seen.tensors(), folder / "seen.safetensors")
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    _work(Path(sys.argv[1]))
