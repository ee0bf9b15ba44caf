"""Have the answers of one model of a run written by vLLM: as an adapter in its base where that can be, else whole."""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sftbench.desk import WorkingDesk
from sftbench.plan import CONCURRENCY, Step
from sftbench.rooms import TrainedModel
from sftbench.serving.adapters import AdaptedService, AdapterRefusedError, rank_of, room_for
from sftbench.serving.description import ServedModel
from sftbench.serving.environment import find_environment
from sftbench.serving.service import ServedService, concierge

if TYPE_CHECKING:
    from sftbench.engines.completing import ServedWriter

FEWEST_SECONDS, SECONDS_PER_TOKEN = 600.0, 2.0
"""How long a server may take for one answer."""


@contextmanager
def served_writer(step: Step, desk: WorkingDesk) -> Iterator[ServedWriter]:
    """Who writes the answers of the model that a step is about; the model is served when the block begins.

    One server at a time: whatever else the run has served is ended. The server itself is left for the next step, which
    may want the same. What is written is kept until the block ends well, for the step done again.
    Raises `EnvironmentProblem` for a model that vLLM cannot serve.
    """
    from sftbench.engines.completing import ServedWriter
    from sftbench.engines.forward import LanguageModel
    from sftbench.engines.kept_answers import KeptAnswers

    trained = desk.model_path("trained")
    with ExitStack() as stack:
        begun = time.monotonic()
        try:
            service, served_as = _Serving(step, desk).reached(trained, stack)
        finally:
            desk.note_start(time.monotonic() - begun)
        model = LanguageModel.without_weights(trained.base_path or trained.path, meter=desk.meter)
        longest = ServedModel.parse(step.where["answers"]).options.max_model_len
        model.max_length = min(model.max_length, longest or model.max_length)
        # Many long answers at a time may each take long, and are no sign of a server that hangs.
        patience = FEWEST_SECONDS + SECONDS_PER_TOKEN * step.number("max_new_tokens")
        at_once = step.where.get(CONCURRENCY)
        kept = KeptAnswers(desk.unfinished(f"answers-{step.key}.jsonl"))
        writer = ServedWriter(
            service=service,
            model=model,
            served_as=served_as,
            timeout_seconds=patience,
            num_at_once=int(at_once) if at_once else None,
            kept=kept,
            log=desk.log,
        )
        try:
            yield writer
        finally:
            desk.note_start(writer.seconds_starting)
        kept.forget()


class _Serving:
    """How a step has its model served."""

    def __init__(self, step: Step, desk: WorkingDesk) -> None:
        self.base = ServedModel.parse(step.where["answers"])
        self.base_name = step.where["base_name"]
        self.room_wanted = max(int(step.where.get("lora_rank", 0)), self.base.options.lora_rank or 0)
        self.desk = desk
        key = step.parents.get("model", "").rpartition("/")[2]
        self.name = f"{self.base_name}-{key[:12]}" if key else ""

    def reached(self, trained: TrainedModel, stack: ExitStack) -> tuple[ServedService | AdaptedService, str]:
        """The service of a model, which answers, and as what it is served; what it needs is put away with the stack."""
        if not self.name:
            service = self._service(self._with_room(self._room(0)), self.base_name)
            service.reach()
            return service, "whole model"
        if trained.base_path is None:
            service = self._service(self._whole(trained.path), self.name)
            service.reach()
            return service, "whole model"
        return self._reached_adapter(trained.path, stack)

    def _reached_adapter(self, adapter: Path, stack: ExitStack) -> tuple[ServedService | AdaptedService, str]:
        room, why = self._room(rank_of(adapter)), "vLLM does not load adapters into this base"
        if room is not None:
            base = self._service(self._with_room(room), self.base_name)
            adapted = AdaptedService(base=base, model=self.name, folder=adapter)
            stack.callback(adapted.unload)
            try:
                adapted.reach()
            except AdapterRefusedError as problem:
                why = str(problem)
            else:
                return adapted, "adapter loaded"
        self.desk.log(f"{why}; the adapter is merged with it and the whole is served")
        service = self._service(self._whole(self._merged(adapter, stack)), self.name)
        service.reach()
        return service, "adapter merged"

    def _merged(self, adapter: Path, stack: ExitStack) -> Path:
        """A folder with the whole model, for as long as the stack stands."""
        from sftbench.engines.loading import save_merged

        folder = self.desk.scratch / "merged"
        shutil.rmtree(folder, ignore_errors=True)
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        dtype = self.base.options.dtype
        save_merged(self.base.model, adapter, folder, dtype=None if dtype == "auto" else dtype)
        return folder

    def _room(self, rank: int) -> int | None:
        return room_for(
            max(rank, self.room_wanted),
            base=Path(self.base.model),
            dtype=self.base.options.dtype,
            environment=find_environment(),
        )

    def _with_room(self, room: int | None) -> ServedModel:
        return dataclasses.replace(self.base, options=dataclasses.replace(self.base.options, lora_rank=room))

    def _whole(self, folder: Path) -> ServedModel:
        return dataclasses.replace(self._with_room(None), model=str(folder))

    def _service(self, served: ServedModel, name: str) -> ServedService:
        described = str(served)
        return ServedService(
            described=described, model=name, identity=name, keeper=concierge(described), tell=self.desk.log, alone=True
        )
