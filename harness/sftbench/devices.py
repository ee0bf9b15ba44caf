"""What this machine computes on, found without importing torch where there is no GPU."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Literal

DeviceKind = Literal["cpu", "cuda"]
_SIGNS = ("/proc/driver/nvidia", "/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg", "/dev/kfd")
"""Any of these is there on a machine whose GPU torch could use: Linux, WSL, ROCm."""
MOST_PROCESSES = 4
"""On a CPU; more would share memory bandwidth."""


def visible_gpus() -> tuple[str, ...]:
    """The GPUs that torch can use, by the numbers that `CUDA_VISIBLE_DEVICES` takes."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named == "" or not (named or any(os.path.exists(sign) for sign in _SIGNS)):
        return ()
    # What torch says decides: one built for the CPU computes there, whatever the machine has.
    import torch

    count = torch.cuda.device_count()
    if named is None:
        return tuple(str(index) for index in range(count))
    return tuple(each.strip() for each in named.split(","))[:count]


def device_kind() -> DeviceKind:
    """`cuda` or `cpu`. Results of the two differ in their last digits, so it is part of what identifies them."""
    return "cuda" if visible_gpus() else "cpu"


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def num_processes(workers: int | None) -> int:
    """How many steps run at a time: as asked for, or one per GPU, or up to four on a CPU."""
    return workers or len(visible_gpus()) or min(MOST_PROCESSES, num_cores())


def num_threads(workers: int | None) -> int:
    """Threads of each process: the cores, shared out."""
    return max(1, num_cores() // num_processes(workers))


def own_threads() -> int:
    """Threads that this very process may have: its share, where it is one of a run's, or else every core."""
    told = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    return min(int(told), num_cores()) if told.isdigit() and int(told) else num_cores()


def processor(workers: int | None) -> str:
    """The GPU, or the CPU and how many threads of it a process has: what a measured speed holds for."""
    if device_kind() == "cuda":
        import torch

        return torch.cuda.get_device_name(0)
    return f"{_cpu_name()}, {num_threads(workers)} thread(s)"


def _cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
