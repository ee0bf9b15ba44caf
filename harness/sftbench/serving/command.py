"""The command that serves a model with vLLM, as a list of words, and the environment that it needs."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sftbench.errors import EnvironmentProblem
from sftbench.serving.description import ServedModel, has_chat_template
from sftbench.serving.environment import VllmEnvironment

PLAIN_TEMPLATE = (
    "{% for each in messages %}{% if each['role'] == 'assistant' %}{{ each['content'] + (eos_token or '') }}"
    "{% else %}{{ each['content'] + '\\n' }}{% endif %}{% endfor %}"
)
"""For models without a template of their own: the form in which such models are trained here."""
COMPACT_JSON = '{"backend": "guidance", "disable_any_whitespace": true}'
"""Where JSON is asked for, a weak model would go on writing spaces between its fields until it is cut off."""
LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""The largest ranks of adapters that vLLM can make room for."""
TO_CPU = {"VLLM_CPU_KVCACHE_SPACE": "1"}
NOT_FOR_SERVERS = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "VLLM_API_KEY")
"""What belongs to sftbench's own Python, and a key that nobody would send."""
WITHOUT_REPORTS = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}


@dataclass(frozen=True, kw_only=True)
class Launch:
    """What starts a server: `command(port)`, its environment, the model's name there, and who serves it."""

    command: Callable[[int], list[str]]
    environment: Mapping[str, str]
    model: str
    server: str


def launch(served: ServedModel, environment: VllmEnvironment, *, name: str) -> Launch:
    """How a settled model is served under a name. Raises `EnvironmentProblem` for a folder that is not there."""
    folder = Path(served.model)
    if not folder.is_dir():
        raise EnvironmentProblem(f"there is no model folder {served.model}")
    options = served.options
    flags: dict[str, object] = {
        "--dtype": options.dtype,
        "--quantization": options.quantization,
        "--max-model-len": options.max_model_len,
        "--gpu-memory-utilization": None if environment.on_cpu else options.gpu_memory,
        "--tensor-parallel-size": options.tensor_parallel if options.tensor_parallel > 1 else None,
        "--data-parallel-size": options.data_parallel if options.data_parallel > 1 else None,
        "--max-lora-rank": options.lora_rank,
        "--chat-template": None if has_chat_template(folder) else PLAIN_TEMPLATE,
    }
    words = [word for flag, value in flags.items() if value is not None for word in (flag, str(value))]
    # Compiling for a CPU takes longer than it saves, and a line of log per request is read by nobody.
    words += ["--enforce-eager"] if environment.on_cpu else []
    words += ["--enable-lora"] if options.lora_rank is not None else []
    # Requests say how they are to be answered; what a model's folder suggests (a repetition penalty) is not asked for.
    words += ["--generation-config", "vllm"]
    words += ["--disable-uvicorn-access-log", "--structured-outputs-config", COMPACT_JSON]

    def command(port: int) -> list[str]:
        start = [str(environment.python), "-m", "vllm.entrypoints.openai.api_server"]
        place = ["--model", str(folder), "--served-model-name", name, "--host", "127.0.0.1", "--port", str(port)]
        return [*start, *place, *words]

    return Launch(command=command, environment=_variables(served, environment), model=name, server=str(environment))


def _variables(served: ServedModel, environment: VllmEnvironment) -> dict[str, str]:
    """The environment of a server: this one, without what belongs to sftbench's own Python."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in NOT_FOR_SERVERS and not name.startswith("SFTBENCH_")
    }
    # Its compilers and helpers are looked up by name.
    kept["PATH"] = os.pathsep.join([str(environment.python.parent), kept.get("PATH", os.defpath)])
    if served.options.lora_rank is not None:
        kept["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] = "True"
    if environment.on_cpu:
        kept = {**TO_CPU, **kept}
        if served.options.kv_cache_gib is not None:
            kept["VLLM_CPU_KVCACHE_SPACE"] = str(served.options.kv_cache_gib)
    return {**WITHOUT_REPORTS, **kept}
