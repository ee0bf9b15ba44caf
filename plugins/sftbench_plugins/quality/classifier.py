"""A model that gives a text a number: a reward or quality model with a classification head."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
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
    """A sequence-classification model of transformers in float32, from a folder. `meter` takes what it worked.

    Its number is its one output. Of several classes it is the log-odds of class `label` (by default the last)
    against all others, of several outputs that are no classes (`problem_type` of its configuration) that output.
    Raises `EnvironmentProblem` for a folder that cannot be read, `UsageError` for a model without a trained head.
    """

    def __init__(self, folder: Path, *, label: int | None, meter: Callable[..., None]) -> None:
        self.model, self.tokenizer = _loaded(folder)
        config = self.model.config
        number = int(config.num_labels)
        if label is not None and not -number <= label < number:
            raise UsageError(f"the quality model in {folder} has {number} outputs; there is no label {label}")
        self.label, self.meter = (-1 if label is None else label) % number, meter
        self.tells_classes = number > 1 and config.problem_type in (None, "single_label_classification")
        self.max_length = _window(config, self.tokenizer)
        # Without a token to pad with, texts go through one by one, as they do for the authors of such a model.
        is_padded = self.tokenizer.pad_token_id is not None
        self.max_batch_tokens = (4096 if self.model.device.type == "cpu" else 65536) if is_padded else 0
        if config.pad_token_id is None and is_padded:
            config.pad_token_id = self.tokenizer.pad_token_id

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

    def _batches(self, waiting: Mapping[int, Any]) -> Iterator[list[int]]:
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
        lengths = [len(each["input_ids"]) for each in encodings]
        logits = self.model(**self._padded(encodings, max(lengths))).logits.double()
        number = logits[:, self.label]
        if self.tells_classes:
            number = number - torch.cat([logits[:, : self.label], logits[:, self.label + 1 :]], dim=1).logsumexp(1)
        self.meter(tokens_forward=sum(lengths), flops=_flops(self.model, lengths))
        values: npt.NDArray[np.float64] = number.cpu().numpy()
        return values

    def _padded(self, encodings: Sequence[Any], longest: int) -> dict[str, torch.Tensor]:
        """Token ids, attention mask and whatever else the tokenizer gives, [n, longest], padded on the right."""
        pads = {"input_ids": self.tokenizer.pad_token_id or 0, "token_type_ids": self.tokenizer.pad_token_type_id}
        return {
            name: torch.tensor(
                [[*each[name], *[pads.get(name, 0)] * (longest - len(each[name]))] for each in encodings],
                device=self.model.device,
            )
            for name in encodings[0]
        }


def _loaded(folder: Path) -> tuple[Any, Any]:
    """Model and tokenizer. A head that lies not in the folder would be made up by chance."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(str(folder))
        load: Any = AutoModelForSequenceClassification.from_pretrained
        model, told = load(str(folder), dtype=torch.float32, use_safetensors=True, output_loading_info=True)
    except (ImportError, OSError, ValueError, KeyError, RuntimeError) as problem:
        raise EnvironmentProblem(f"the quality model in {folder} cannot be loaded: {problem}") from problem
    missing = sorted(told["missing_keys"])
    if missing:
        raise UsageError(
            f"the model in {folder} is no trained sequence-classification model: it lacks {', '.join(missing[:3])}"
        )
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval(), tokenizer


def _window(config: Any, tokenizer: Any) -> int:
    """How many tokens are read, special ones included."""
    stated = getattr(config, "max_position_embeddings", None) or _MAX_LENGTH
    # RoBERTa and its kin count positions from behind their padding token.
    stated -= 2 if "roberta" in config.model_type else 0
    return int(min(stated, tokenizer.model_max_length))


def _flops(model: Any, lengths: Sequence[int]) -> float:
    """Two per parameter and token, embeddings left out, and attention over all pairs of tokens."""
    outside = sum(each.weight.numel() for each in model.modules() if isinstance(each, torch.nn.Embedding))
    body = sum(parameter.numel() for parameter in model.parameters()) - outside
    pairs = model.config.num_hidden_layers * model.config.hidden_size * sum(length**2 for length in lengths)
    return float(2.0 * body * sum(lengths) + 4.0 * pairs)
