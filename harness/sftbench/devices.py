"""What this machine computes on, found without importing torch where there is no GPU."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Literal

DeviceKind = Literal["cpu", "cuda"]


def visible_gpus() -> tuple[str, ...]:
    """The GPUs that a process may use, by the numbers that `CUDA_VISIBLE_DEVICES` takes; none if torch sees none."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        named = [each for each in os.environ["CUDA_VISIBLE_DEVICES"].split(",") if each.strip() not in ("", "-1")]
    else:
        folder = Path("/proc/driver/nvidia/gpus")
        named = [str(index) for index, _ in enumerate(folder.iterdir())] if folder.is_dir() else []
    return tuple(named) if named and _torch_sees_gpus() else ()


def _torch_sees_gpus() -> bool:
    # A torch built for the CPU computes there, whatever the machine has.
    import torch

    return torch.cuda.is_available()


def device_kind() -> DeviceKind:
    """`cuda` or `cpu`. Results of the two differ in their last digits, so it is part of what identifies them."""
    return "cuda" if visible_gpus() else "cpu"


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """The GPU, or the CPU with its cores: what a measured speed holds for."""
    if device_kind() == "cuda":
        import torch

        return torch.cuda.get_device_name(0)
    return f"{_cpu_name()}, {num_cores()} cores"


def _cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
