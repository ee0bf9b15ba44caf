"""A model that gives a text a number: a reward or quality model with a classification head."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from sftbench import EnvironmentProblem, UsageError
from sftbench_plugins.quality.texts import Shown

_MAX_LENGTH = 512
"""Where neither tokenizer nor model states how much it reads."""


class QualityModel:
    """A sequence-classification model of transformers in float32. `meter` takes what it worked.

    `label` is the output that counts; of a model with one output that one, else the last by default.
    """

    def __init__(self, folder: Path, *, label: int | None, meter: Callable[..., None]) -> None:
        from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

        try:
            heads = list(getattr(AutoConfig.from_pretrained(str(folder)), "architectures", None) or [])
            self.tokenizer: Any = AutoTokenizer.from_pretrained(str(folder))
            model: Any = AutoModelForSequenceClassification.from_pretrained(str(folder), dtype=torch.float32)
        except (OSError, ValueError, KeyError) as problem:
            raise EnvironmentProblem(f"the quality model in {folder} cannot be loaded: {problem}") from problem
        if not any("Classification" in head for head in heads):
            raise UsageError(f"the model in {folder} has no classification head, which would give its numbers")
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = model.to(device).eval()
        self.num_parameters = sum(parameter.numel() for parameter in model.parameters())
        number = int(model.config.num_labels)
        if label is not None and not -number <= label < number:
            raise UsageError(f"the quality model in {folder} has {number} outputs; there is no label {label}")
        self.label, self.meter = -1 if label is None else label, meter
        stated = getattr(model.config, "max_position_embeddings", None) or _MAX_LENGTH
        # RoBERTa counts positions from behind its padding token.
        stated -= 2 if "roberta" in model.config.model_type else 0
        self.max_length = int(min(stated, self.tokenizer.model_max_length))
        self.max_batch_tokens = 4096 if device.type == "cpu" else 65536

    def of(self, texts: Sequence[Shown], *, truncate: bool) -> tuple[npt.NDArray[np.float64], dict[int, str]]:
        """A number per text, float64 [n], and remarks by position.

        A text beyond what the model reads is cut and noted `truncated`, or NaN with `prompt_too_long`. A
        number that is not finite is left as it is.
        """
        encoded = [self._encoded(each, truncate=truncate) for each in texts]
        values = np.full(len(texts), np.nan)
        remarks = {
            at: "truncated" if ids is not None else "prompt_too_long" for at, (ids, cut) in enumerate(encoded) if cut
        }
        waiting = {at: ids for at, (ids, _) in enumerate(encoded) if ids is not None}
        for batch in self._batches(waiting):
            values[batch] = self._forward([waiting[at] for at in batch])
        return values, remarks

    def _encoded(self, text: Shown, *, truncate: bool) -> tuple[Any, bool]:
        given = (text.first,) if text.second is None else (text.first, text.second)
        whole = self.tokenizer(*given, verbose=False)
        if len(whole["input_ids"]) <= self.max_length:
            return whole, False
        if not truncate:
            return None, True
        return self.tokenizer(*given, truncation="longest_first", max_length=self.max_length), True

    def _batches(self, waiting: dict[int, Any]) -> Iterator[list[int]]:
        """Positions grouped by length, padding counted."""
        batch: list[int] = []
        for at in sorted(waiting, key=lambda at: -len(waiting[at]["input_ids"])):
            longest = len(waiting[batch[0]]["input_ids"]) if batch else 0
            if batch and longest * (len(batch) + 1) > self.max_batch_tokens:
                yield batch
                batch = []
            batch.append(at)
        if batch:
            yield batch

    @torch.inference_mode()
    def _forward(self, encodings: Sequence[Any]) -> npt.NDArray[np.float64]:
        padded = self.tokenizer.pad([dict(each) for each in encodings], return_tensors="pt").to(self.model.device)
        logits: npt.NDArray[np.float64] = self.model(**padded).logits[:, self.label].double().cpu().numpy()
        num_tokens = sum(len(each["input_ids"]) for each in encodings)
        self.meter(tokens_forward=num_tokens, flops=2.0 * self.num_parameters * num_tokens)
        return logits
