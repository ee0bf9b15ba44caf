"""What every step did use: counted by the engines, timed and watched by the worker."""

from __future__ import annotations

import contextlib
import dataclasses
import resource
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """The cost of a step. FLOPs and tokens are counted; seconds and memory are measured.

    `device_seconds` is wall time multiplied by the accelerators in use (on a CPU: by 1). Waiting for the server of a
    language model to start is in neither: whoever asks first would pay for all.
    """

    wall_seconds: float = 0.0
    device_seconds: float = 0.0
    tokens_forward: float = 0.0
    tokens_backward: float = 0.0
    tokens_generated: float = 0.0
    flops: float = 0.0
    peak_memory_bytes: float = 0.0

    def __add__(self, other: Ledger) -> Ledger:
        mine, yours = dataclasses.asdict(self), dataclasses.asdict(other)
        peak = max(self.peak_memory_bytes, other.peak_memory_bytes)
        return Ledger(**{**{name: mine[name] + yours[name] for name in mine}, "peak_memory_bytes": peak})

    @classmethod
    def of(cls, values: Mapping[str, float]) -> Ledger:
        known = {each.name for each in dataclasses.fields(cls)}
        return cls(**{name: float(value) for name, value in values.items() if name in known})


class Meter:
    """Collects amounts while a step runs; `ledger()` reads it out."""

    COUNTED = ("tokens_forward", "tokens_backward", "tokens_generated", "flops")

    def __init__(self) -> None:
        self._amounts = dict.fromkeys(self.COUNTED, 0.0)
        self._started = time.monotonic()
        self._seconds: float | None = None
        self._waited = 0.0

    def __call__(self, **amounts: float) -> None:
        for name, amount in amounts.items():
            if name not in self._amounts:
                raise ValueError(f"the ledger has no entry '{name}'; it has {', '.join(self.COUNTED)}")
            self._amounts[name] += amount

    def waited(self, seconds: float) -> None:
        """Time that is not to be counted."""
        self._waited += seconds

    def stop(self) -> None:
        """Fix the time; work after this is not counted."""
        self._seconds = time.monotonic() - self._started

    def ledger(self) -> Ledger:
        """What was used so far."""
        passed = self._seconds if self._seconds is not None else time.monotonic() - self._started
        seconds = max(0.0, passed - self._waited)
        return Ledger(
            wall_seconds=seconds, device_seconds=seconds, peak_memory_bytes=_peak_memory_bytes(), **self._amounts
        )


@contextmanager
def measured() -> Iterator[Meter]:
    """A meter that runs for the length of a `with` block."""
    meter = Meter()
    try:
        yield meter
    finally:
        meter.stop()


def start_of_peak() -> None:
    """Forget earlier peaks, so that a step's peak memory is its own. Linux lets a process reset its high-water mark."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_memory_bytes() -> float:
    """Accelerator memory where one is in use, else the largest resident size of this process since `start_of_peak`."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        return float(torch.cuda.max_memory_allocated())
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return float(line.split()[1]) * 1024
    scale = 1 if sys.platform == "darwin" else 1024
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale)
