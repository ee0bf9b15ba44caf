"""The desk: all that a part gets from outside while it works, metered into the ledger without its help."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sftbench import shelf
from sftbench.arrays import load_arrays
from sftbench.chat import Chat
from sftbench.errors import ContractError
from sftbench.ledger import Meter
from sftbench.plan import CONCURRENCY, Step, pass_role
from sftbench.reporting import Reporter
from sftbench.roles import Allowance, PassRequest, PassResult, Progress
from sftbench.rooms import Component, Json, Row, Selection, TrainedModel
from sftbench.store import Store

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from sftbench.engines.chat import ChatClient
    from sftbench.engines.encode import Encoded
    from sftbench.engines.forward import LanguageModel


@dataclass(kw_only=True)
class WorkingDesk:
    """The desk of one step. Everything beyond what the step declared is refused: it would not be in the key."""

    step: Step
    store: Store
    meter_: Meter
    reporter: Reporter
    scratch: Path
    given: Allowance | None = None
    """What a trainer may take that chooses rows."""
    stand_ins: list[str] = field(default_factory=list)
    """What parts did without the model that they would have asked."""
    _models: dict[str, LanguageModel] = field(default_factory=dict)
    _chats: dict[str, ChatClient] = field(default_factory=dict)
    _seconds_starting: float = 0.0

    @property
    def seed(self) -> int:
        seed = self.step.identity.get("seed", 0 if self.step.measures else None)
        if not isinstance(seed, int):
            raise self._undeclared("the seed", "`deterministic = False`")
        return seed

    def passed(self, request: PassRequest) -> PassResult:
        return shelf.load_pass(self._parent(pass_role(request), f"the pass {request}"), request.statistic)

    def embedded(self, component: Component) -> npt.NDArray[np.float32]:
        folder = self._parent(f"embeddings:{component}", f"embeddings of {component}")
        return load_arrays(folder / "embeddings.safetensors")["embeddings"]

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        if "embedder" not in self.step.where:
            raise self._undeclared("the encoder", "needs().embedder")
        from sftbench.engines.embed import embed_texts

        return embed_texts(texts, model=self.step.where["embedder"], meter=self.meter_)

    def chat(self, *, stand_in: str) -> Chat | None:
        if "chat" not in self.step.identity:
            raise self._undeclared("a language model to ask", "needs().chat")
        if "chat" not in self.step.where:
            self._do_without("language model was named with --chat", stand_in)
            return None
        return self._client("chat")

    def chat_with(self, name: str) -> Chat:
        if f"asks:{name}" not in self.step.where:
            raise self._undeclared(f"the language model '{name}'", "needs().asks")
        return self._client(f"asks:{name}")

    def _client(self, role: str) -> ChatClient:
        if role not in self._chats:
            from sftbench.engines.chat import ChatClient
            from sftbench.serving.service import service_of

            at_once = self.step.where.get(CONCURRENCY)
            self._chats[role] = ChatClient(
                endpoint=service_of(self.step.where[role], str(self.step.identity[role]), self.log),
                cache=self.store.root / "chat",
                unparsed=self.scratch.parent / shelf.UNPARSED,
                meter=self.meter_,
                log=self.log,
                num_at_once=int(at_once) if at_once else None,
                another=self._another(role),
            )
        return self._chats[role]

    def _another(self, role: str) -> str:
        """How the user names another model to be asked; a part asks the one in its own parameters."""
        if role == "chat":
            return "name another with --chat"
        if self.step.room == "verdicts":
            return "name another judge"
        return f"name another for {str(self.step.identity['part']).partition('@')[0]}"

    def stand_in(self, what: str) -> None:
        self._do_without("model was named for it", what)

    def _do_without(self, named: str, stand_in: str) -> None:
        if stand_in not in self.stand_ins:
            self.stand_ins.append(stand_in)
            self.log(f"no {named}, so a stand-in is used: {stand_in}")

    def asked(self) -> dict[str, Json]:
        """What was asked of a language model, or stood in for one, for the record."""
        told: dict[str, Json] = {"stand_ins": list(self.stand_ins)} if self.stand_ins else {}
        return told | {role: client.counts() for role, client in self._chats.items()}

    @property
    def seconds_starting(self) -> float:
        """How long servers of language models were waited for: whoever asks first waits for all."""
        return self._seconds_starting + sum(client.seconds_starting for client in self._chats.values())

    def note_start(self, seconds: float) -> None:
        """A server was waited for that no chat of this desk asks."""
        self._seconds_starting += seconds

    def unfinished(self, name: str) -> Path:
        """A file for what this step has of use if it does not end; what is there is left when it fails."""
        return self.store.root / "unfinished" / name

    def model_path(self, name: str) -> TrainedModel:
        if name == "trained" and self.step.measures:
            if "model" not in self.step.parents:
                return TrainedModel(path=Path(self.step.where["base"]))
            return self._trained(self.step.parents["model"])
        if f"model:{name}" in self.step.parents:
            return self._trained(self.step.parents[f"model:{name}"])
        if f"model:{name}" in self.step.where:
            return TrainedModel(path=Path(self.step.where[f"model:{name}"]))
        if name == "base" and self.step.room == "model":
            return TrainedModel(path=Path(self.step.where["base"]))
        raise self._undeclared(f"the model '{name}'", "needs().language_models, foreign_models or models")

    def trained_on(self, name: str) -> Selection:
        if f"selection:{name}" not in self.step.where:
            raise self._undeclared(f"what the model '{name}' was trained on", "needs().models")
        return shelf.load_selection(self._folder(self.step.where[f"selection:{name}"]))

    def folder(self, name: str) -> Path:
        if f"folder:{name}" not in self.step.where:
            raise self._undeclared(f"the folder '{name}'", "needs().folders")
        return Path(self.step.where[f"folder:{name}"])

    def files(self) -> dict[str, Path]:
        return {role[5:]: Path(path) for role, path in self.step.where.items() if role.startswith("file:")}

    def language_model(self, name: str = "scoring", *, dtype: str = "auto") -> LanguageModel:
        cached = f"{name}:{dtype}"
        if cached not in self._models:
            self._models[cached] = self.loaded(self.model_path(name), dtype=dtype)
        return self._models[cached]

    def loaded(self, model: TrainedModel, *, dtype: str = "auto") -> LanguageModel:
        from sftbench.engines.forward import LanguageModel

        adapter = model.path if model.base_path else None
        return LanguageModel.load(model.base_path or model.path, adapter=adapter, dtype=dtype, meter=self.meter_)

    def allowance(self) -> Allowance:
        if self.given is None:
            raise self._undeclared("its allowance", '`chooses = "rows"`')
        return self.given

    def tokenizer(self, name: str = "base") -> PreTrainedTokenizerFast:
        from sftbench.engines.loading import load_tokenizer

        if f"tokenizer:{name}" in self.step.where:
            return load_tokenizer(self.step.where[f"tokenizer:{name}"])
        path = Path(self.step.where["base"]) if name == "base" and "base" in self.step.where else None
        model = self.model_path(name) if path is None else TrainedModel(path=path)
        return load_tokenizer(model.base_path or model.path)

    def training_encoding(self, rows: Iterable[Row], *, max_length: int | None = None) -> Iterator[Encoded]:
        from sftbench.engines.encode import encode_rows

        limit = self._max_length()
        wanted = limit if max_length is None else min(limit, max_length)
        return encode_rows(rows, self.tokenizer("base"), template="training", max_length=wanted)

    def response_lengths(self) -> npt.NDArray[np.int64]:
        return self._lengths()["response_lengths"].astype(np.int64)

    def training_tokens(self) -> npt.NDArray[np.int64]:
        return self._lengths()["training_tokens"].astype(np.int64)

    def training_flops(self) -> npt.NDArray[np.float64]:
        return self._training_flops("training_passes")

    def other_selection(self) -> Selection:
        return shelf.load_selection(self._parent("other", "another method's selection"))

    def other_cost(self) -> Mapping[str, float]:
        selecting, other = self.step.where.get("other_steps", ""), self.step.parents["other"]
        choosing = sum(self.store.ended(ref).ledger.flops for ref in selecting.split())
        return {"selecting_flops": choosing, "training_flops": self._training_flops_of(other)}

    def meter(self, **amounts: float) -> None:
        self.meter_(**amounts)

    def progress(self, total: int, unit: str) -> AbstractContextManager[Progress]:
        return self.reporter.progress(self.step.label, total, unit)

    def log(self, message: str) -> None:
        self.reporter.log(f"{self.step.label}: {message}")

    def _lengths(self) -> dict[str, npt.NDArray[np.generic]]:
        return load_arrays(self._parent("lengths", "row lengths") / "lengths.safetensors")

    def _training_flops(self, passes: str) -> npt.NDArray[np.float64]:
        if passes not in self.step.identity:
            raise self._undeclared("what training costs", "needs().other_selection")
        return self._lengths()["forward_flops"].astype(np.float64) * self.step.number(passes)

    def _training_flops_of(self, other: str) -> float:
        """What training takes on another's selection; where it was chosen in training, what that has taken."""
        if other.startswith("model/"):
            return self.store.ended(other).ledger.flops
        positions = {row_id: index for index, row_id in enumerate(self._pool_ids())}
        chosen = [positions[row_id] for row_id in self.other_selection().ids]
        return float(self._training_flops("training_passes_of_other")[chosen].sum())

    def _pool_ids(self) -> list[str]:
        ref = self.step.parents["pool"]
        return shelf.load_pool(self._folder(ref), ref).ids

    def _max_length(self) -> int:
        limit = self.step.identity.get("max_length")
        if isinstance(limit, int):
            return limit
        lengths = self.step.parents.get("lengths")
        record = self.store.record_of(lengths) if lengths else None
        if record is None or not isinstance(record.identity.get("max_length"), int):
            raise self._undeclared("the training encoding", "needs().lengths")
        return int(record.identity["max_length"])  # type: ignore[arg-type]

    def _trained(self, ref: str) -> TrainedModel:
        return shelf.load_model(self._folder(ref), Path(self.step.where["base"]))

    def _parent(self, role: str, what: str) -> Path:
        if role not in self.step.parents:
            raise self._undeclared(what, "needs()")
        return self._folder(self.step.parents[role])

    def _folder(self, ref: str) -> Path:
        return self.store.folder_of(ref)

    def _undeclared(self, what: str, where: str) -> ContractError:
        part = self.step.identity.get("part", self.step.room)
        return ContractError(f"{part} asked its desk for {what} without declaring it in {where}")
