"""Every row put to a model with several rating prompts, and the probabilities of the digits that could follow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from sftbench import Pool, Row, UsageError
from sftbench_plugins.digits import Prompt, digit_tokens, read_digits
from sftbench_plugins.exchanges import exchanges
from sftbench_plugins.wordings import Wording

if TYPE_CHECKING:
    from sftbench import LanguageModel, Progress

Floats = npt.NDArray[np.float64]
Turns = Literal["first", "last"]
_PROMPTS_AT_ONCE = 1024


@lru_cache(maxsize=1)
def wordings() -> Wording:
    """Our own rating prompts."""
    return Wording.of(Path(__file__).with_name("rating_prompts.json"))


@dataclass(frozen=True, kw_only=True, eq=False)
class Probabilities:
    """`probs` float64 [n, K, S]: of the digits 1..S after each of K prompts, NaN where there are none.

    `reasons` says why by row: the first that was met.
    """

    probs: Floats
    reasons: dict[int, str]


@dataclass(frozen=True, kw_only=True)
class Questioner:
    """Puts rows to a model with the rating prompts of these numbers (from 0), for ratings from 1 to `num_ratings`."""

    model: LanguageModel
    numbers: Sequence[int]
    num_ratings: int
    turns: Turns
    log: Callable[[str], None]

    def ask(self, pool: Pool, progress: Progress) -> Probabilities:
        """One forward pass per row and prompt. Raises `UsageError` when a digit is not one token for the model."""
        token_ids = digit_tokens(self.model, self.num_ratings)
        probs = np.full((len(pool), len(self.numbers), self.num_ratings), np.nan)
        reasons: dict[int, str] = {}
        start = 0
        for rows in pool.batches(max(1, _PROMPTS_AT_ONCE // len(self.numbers))):
            prompts = [prompt for row in rows for prompt in self._prompts(row)]
            found = read_digits(self.model, prompts, token_ids, log=self.log)
            given = np.exp(found.log_probs).reshape(len(rows), len(self.numbers), -1)
            probs[start : start + len(rows)] = given
            for at, prompt in zip(*np.nonzero(given.sum(-1) == 0), strict=True):
                probs[start + at, prompt] = np.nan
                reasons.setdefault(start + int(at), "no_digit_mass")
            for place, reason in found.reasons.items():
                reasons.setdefault(start + place // len(self.numbers), reason)
            start += len(rows)
            progress.advance(len(rows))
        return Probabilities(probs=probs, reasons=reasons)

    def _prompts(self, row: Row) -> list[Prompt]:
        """The layout of the authors' code: prompt, empty line, instruction, response, and a line that asks."""
        texts = wordings().texts
        instruction, response = rated_exchange(row, self.turns)
        body = f"{texts['instruction']}{instruction}\n{texts['response']}{response}\n{texts['answer']}\n"
        return [Prompt(head=f"{prompt_text(number, self.num_ratings)}\n\n{body}") for number in self.numbers]


def rated_exchange(row: Row, turns: Turns) -> tuple[str, str]:
    """Instruction and response: the first exchange, or the last response with all that stands before it."""
    if turns == "last":
        return row.prompt, row.response
    first = next(iter(exchanges(row)), None)
    return ("", "") if first is None else (first.query, first.response)


def prompt_text(number: int, num_ratings: int) -> str:
    """A rating prompt for ratings up to `num_ratings`. Raises `UsageError` beyond those that exist."""
    prompts: list[str] = wordings().texts["prompts"]
    if not 0 <= number < len(prompts):
        raise UsageError(f"there are {len(prompts)} rating prompts; number {number + 1} is not among them")
    return prompts[number].replace("{top}", str(num_ratings))
