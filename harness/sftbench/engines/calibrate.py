"""How fast this machine works a model, measured on a short batch, so that a plan can say how long it will take."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from sftbench.engines.flops import forward_flops, training_flops
from sftbench.engines.forward import LanguageModel
from sftbench.engines.generate import generate_greedy
from sftbench.rooms import Message, Row

_REPEATS = 3
_LENGTH = 128
_ROWS = 8
_NEW_TOKENS = 16


def measure_speed(path: Path) -> dict[str, float]:
    """FLOPs per second forward and in training, and tokens generated per second: medians after one round to warm up."""
    loaded = LanguageModel.load(path)
    model, device, shape = loaded.model, loaded.device, loaded.shape
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, shape.vocab_size, (_ROWS, _LENGTH), generator=generator).to(device)
    lengths = [_LENGTH] * _ROWS

    def forward() -> None:
        with torch.inference_mode():
            model(input_ids=tokens)

    def training() -> None:
        model.zero_grad()
        model(input_ids=tokens, labels=tokens).loss.backward()

    prompts = [Row(id=str(at), messages=(Message(role="user", content=f"Tell me {at} things."),)) for at in range(64)]

    def generation() -> None:
        generate_greedy(loaded, prompts, max_new_tokens=_NEW_TOKENS)

    forward_seconds = _median_seconds(forward, device)
    generation_seconds = _median_seconds(generation, device)
    model.requires_grad_(True)
    training_seconds = _median_seconds(training, device)
    return {
        "forward_flops_per_second": forward_flops(shape, lengths) / forward_seconds,
        "training_flops_per_second": training_flops(shape, lengths) / training_seconds,
        "generated_tokens_per_second": len(prompts) * _NEW_TOKENS / generation_seconds,
    }


def _median_seconds(work: Callable[[], None], device: torch.device) -> float:
    seconds = []
    for _ in range(_REPEATS + 1):
        started = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[1:])
