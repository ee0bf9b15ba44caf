"""Ratings read off a language model: how likely it takes each digit to be the next token after a text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sftbench import UsageError

if TYPE_CHECKING:
    from sftbench import LanguageModel, Passage, Statistic

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A text after which a digit is expected: `head`, `body` and `tail`.

    In a window that is too small `body` loses its end; `head` and `tail` stay whole.
    """

    head: str
    body: str = ""
    tail: str = ""

    @property
    def text(self) -> str:
        return self.head + self.body + self.tail


@dataclass(frozen=True, kw_only=True, eq=False)
class Expected:
    """What a model expects after each of n prompts.

    `log_probs` float64 [n, k] are natural logarithms of full-vocabulary probabilities of the digits,
    NaN where there is a reason: `prompt_too_long`, `model_error`, or `non_finite`. `cut` [n] is True
    where a prompt has lost the end of its body.
    """

    log_probs: Floats
    reasons: dict[int, str]
    cut: npt.NDArray[np.bool_]


def digit_tokens(model: LanguageModel, highest: int) -> tuple[int, ...]:
    """Token ids of the digits 1 to `highest`, as they stand at the start of a line or after a lone space.

    Raises `UsageError`, naming the tokenizer, when a digit is not one token of its own that the model knows.
    """
    tokenizer = model.tokenizer
    before: list[int] = tokenizer("\n", add_special_tokens=False)["input_ids"]
    found: list[int] = []
    for digit in range(1, highest + 1):
        ids: list[int] = tokenizer(f"\n{digit}", add_special_tokens=False)["input_ids"]
        alone = len(ids) == len(before) + 1 and ids[:-1] == before
        if not alone or ids[-1] == tokenizer.unk_token_id or ids[-1] in found or ids[-1] >= model.vocab_size:
            raise UsageError(
                f"the tokenizer of '{tokenizer.name_or_path}' does not write {digit} as one token of its own, so that "
                f"no rating from 1 to {highest} can be read off its model; name another model"
            )
        found.append(ids[-1])
    return tuple(found)


def read_digits(
    model: LanguageModel, prompts: Sequence[Prompt], token_ids: tuple[int, ...], *, log: Callable[[str], None]
) -> Expected:
    """What the model expects after each prompt, in one forward pass over each and nothing generated.

    When the model raises, the prompts are tried once more, each alone; what fails again is `model_error`.
    """
    from sftbench import LogProbs, Passage

    found = np.full((len(prompts), len(token_ids)), np.nan)
    cut, reasons, waiting = np.zeros(len(prompts), dtype=np.bool_), {}, {}
    for at, (ids, is_cut) in enumerate(_encoded(model, prompts)):
        cut[at] = is_cut
        if ids is None:
            reasons[at] = "prompt_too_long"
        else:
            waiting[at] = Passage.next_token(np.asarray(ids, dtype=np.int32))
    results = _tried(model, list(waiting.values()), LogProbs(token_ids), log)
    for at, values in zip(waiting, results, strict=True):
        if values is None:
            reasons[at] = "model_error"
        elif np.isnan(values).any():
            reasons[at] = "non_finite"
        else:
            found[at] = values
    return Expected(log_probs=found, reasons=reasons, cut=cut)


def _encoded(model: LanguageModel, prompts: Sequence[Prompt]) -> Iterator[tuple[list[int] | None, bool]]:
    """Token ids of every prompt and whether its body was cut; None where head and tail leave no room."""
    lead = [] if model.bos_token_id is None else [model.bos_token_id]
    room = model.max_length - len(lead)
    for prompt, ids in zip(prompts, _ids(model, [each.text for each in prompts]), strict=True):
        if len(ids) <= room:
            yield lead + ids, False
            continue
        head, stem, tail = _ids(model, [prompt.head, prompt.head + prompt.body, prompt.tail])
        kept = room - len(tail)
        yield (lead + stem[:kept] + tail, True) if len(head) < kept < len(stem) else (None, False)


def _ids(model: LanguageModel, texts: list[str]) -> list[list[int]]:
    ids: list[list[int]] = model.tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"] if texts else []
    return ids


def _tried(
    model: LanguageModel, passages: Sequence[Passage], statistic: Statistic, log: Callable[[str], None]
) -> list[npt.NDArray[np.float32] | None]:
    """The statistic after every passage, all at once, or one by one where that fails."""
    try:
        return [found[statistic.name][0] for found in model.run(passages, statistics=[statistic])]
    except Exception as problem:
        log(f"the model failed on {len(passages)} texts ({type(problem).__name__}: {problem}); trying each alone")
    return [_tried_alone(model, passage, statistic) for passage in passages]


def _tried_alone(model: LanguageModel, passage: Passage, statistic: Statistic) -> npt.NDArray[np.float32] | None:
    try:
        values: npt.NDArray[np.float32] = next(iter(model.run([passage], statistics=[statistic])))[statistic.name][0]
    except Exception:
        return None
    return values
