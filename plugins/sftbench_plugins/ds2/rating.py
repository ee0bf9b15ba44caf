"""A class from 0 to 5 for every row: as a language model that is asked rates it, or from perplexity in its stead."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from sftbench import Chat, ChatRequest, Json, Message, Pool, Row
from sftbench_plugins.wordings import Wording

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from sftbench import LanguageModel, Passage, Progress

Floats = npt.NDArray[np.float64]
StandIn = Literal["low-perplexity", "high-perplexity"]
NUM_CLASSES = 6
LOWEST_TOLD, HIGHEST_TOLD = 1, 10
_MAX_NEW_TOKENS = 128
_ROWS_AT_ONCE = 1024
_OBJECT = re.compile(r"\{[^{}]*\}")
_SCALE: dict[str, Json] = {"type": "integer", "minimum": LOWEST_TOLD, "maximum": HIGHEST_TOLD}
_ASKED = ("rarity", "complexity", "informativeness", "overall")
SCHEMA: dict[str, Json] = {
    "type": "object",
    "properties": dict.fromkeys(_ASKED, _SCALE),
    "required": list(_ASKED),
    "additionalProperties": False,
}


@dataclass(kw_only=True, eq=False)
class Ratings:
    """`classes` [n] from 0 to 5, NaN with a reason where there is none; `overall` [n] is what a model said, 1 to 10."""

    classes: Floats
    overall: Floats
    reasons: dict[int, str] = field(default_factory=dict)
    notes: dict[int, set[str]] = field(default_factory=dict)

    @classmethod
    def empty(cls, num_rows: int) -> Ratings:
        """Nothing rated yet."""
        return cls(classes=np.full(num_rows, np.nan), overall=np.full(num_rows, np.nan))

    def note(self, row: int, remark: str) -> None:
        self.notes.setdefault(row, set()).add(remark)


@lru_cache(maxsize=1)
def wordings() -> Wording:
    """Our own rating prompt."""
    return Wording.of(Path(__file__).with_name("rating_prompt.json"))


def compressed(overall: int) -> int:
    """Overall ratings from 1 to 10 as classes: up to 4 is 0, from 9 on is 5."""
    return min(max(overall - 4, 0), NUM_CLASSES - 1)


def overall_rating(text: str) -> int:
    """The overall rating in the last JSON object of an answer. Raises `ValueError` where there is none from 1 to 10."""
    found = _OBJECT.findall(text)
    if not found:
        raise ValueError("no JSON object")
    told = {str(key).lower(): value for key, value in json.loads(found[-1]).items()}
    given = told.get("overall", told.get("overall rating"))
    if not isinstance(given, (int, str)):
        raise ValueError(f"no overall rating in {found[-1]}")
    rating = int(given)
    if not LOWEST_TOLD <= rating <= HIGHEST_TOLD:
        raise ValueError(f"{rating} is not from {LOWEST_TOLD} to {HIGHEST_TOLD}")
    return rating


@dataclass(frozen=True, kw_only=True)
class Asker:
    """Asks a language model for ratings. What cannot be read after `num_attempts` is class 0 if `official`, else NaN.

    A conversation that has more than `max_tokens` by `tokenizer` loses its end.
    """

    chat: Chat
    tokenizer: PreTrainedTokenizerFast
    seed: int
    temperature: float
    top_p: float
    max_tokens: int
    num_attempts: int
    official: bool

    def rate(self, pool: Pool, progress: Progress) -> Ratings:
        """Every row of a pool."""
        ratings, start = Ratings.empty(len(pool)), 0
        for rows in pool.batches(_ROWS_AT_ONCE):
            for at, row in enumerate(rows, start):
                _note_what_is_empty(at, row, ratings)
            requests = [self._request(text) for text in self._texts(rows, start, ratings)]
            # In the official mode no rating is missing: what the server fails over would be of the worst class.
            answers = self.chat.ask(requests, overall_rating, num_attempts=self.num_attempts, lenient=not self.official)
            for at, answer in enumerate(answers, start):
                if answer.value is not None:
                    ratings.overall[at] = answer.value
                    ratings.classes[at] = compressed(answer.value)
                elif self.official:
                    ratings.classes[at] = 0
                    ratings.note(at, answer.reason or "parse_error")
                else:
                    ratings.reasons[at] = answer.reason or "parse_error"
            start += len(rows)
            progress.advance(len(rows))
        return ratings

    def _texts(self, rows: Sequence[Row], start: int, ratings: Ratings) -> Iterator[str]:
        texts = [conversation(row) for row in rows]
        offsets = self.tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        for at, (text, spans) in enumerate(zip(texts, offsets["offset_mapping"], strict=True), start):
            if len(spans) > self.max_tokens:
                ratings.note(at, "prompt_truncated")
                yield text[: spans[self.max_tokens - 1][1]] + "\n"
            else:
                yield text

    def _request(self, text: str) -> ChatRequest:
        texts = wordings().texts
        # By parts and not by str.format: braces in a row, and in the JSON that is asked for, mean nothing.
        before, after = texts["user"].split("{conversation}")
        return ChatRequest(
            messages=(
                Message(role="system", content=texts["system"]),
                Message(role="user", content=before + text + after),
            ),
            max_new_tokens=_MAX_NEW_TOKENS,
            temperature=self.temperature,
            top_p=self.top_p,
            seed=self.seed,
            json_schema=SCHEMA,
        )


def conversation(row: Row) -> str:
    """All turns, each on lines of its own behind its role."""
    return "".join(f"### {message.role}: {message.content}\n" for message in row.messages)


def from_perplexity(pool: Pool, model: LanguageModel, wanted: StandIn, progress: Progress) -> Ratings:
    """The stand-in: sixths of the pool by the perplexity of responses given their prompts, the wanted end being 5.

    Equal perplexities have equal classes. A row without a response is class 0.
    """
    from sftbench import Nll, Passage

    ratings, start = Ratings.empty(len(pool)), 0
    means, num_scored = np.full(len(pool), np.nan), np.zeros(len(pool), dtype=np.int64)

    def passages(rows: Sequence[Row], start: int) -> Iterator[Passage]:
        for at, encoded in enumerate(model.encode(rows), start):
            if encoded.reason == "empty_response":
                ratings.classes[at] = 0
            elif encoded.reason is not None:
                ratings.reasons[at] = encoded.reason
            elif encoded.kept_share < 1:
                ratings.note(at, "response_truncated")
            yield Passage.conditional(encoded)

    for rows in pool.batches():
        for at, row in enumerate(rows, start):
            _note_what_is_empty(at, row, ratings)
        for at, found in enumerate(model.run(passages(rows, start), statistics=[Nll()]), start):
            losses = found["nll"][1:] if len(found["nll"]) and np.isnan(found["nll"][0]) else found["nll"]
            num_scored[at] = len(losses)
            means[at] = losses.astype(np.float64).mean() if len(losses) else np.nan
        start += len(rows)
        progress.advance(len(rows))
    ranked = np.flatnonzero(np.isfinite(means))
    ratings.classes[ranked] = sixths(-means[ranked] if wanted == "low-perplexity" else means[ranked])
    for unrated in np.flatnonzero(np.isnan(ratings.classes)):
        ratings.reasons.setdefault(int(unrated), "non_finite" if num_scored[unrated] else "too_few_tokens")
    return ratings


def sixths(values: Floats) -> Floats:
    """Classes 0 to 5 of nearly equal size by rising value, [m] -> [m]; equal values share a class."""
    ordered = np.sort(values)
    # Twice the middle rank of equals, a whole number, so that no rounding decides.
    twice = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right") - 1
    classes: Floats = (NUM_CLASSES * twice // (2 * max(1, len(values)))).astype(np.float64)
    return classes


def _note_what_is_empty(at: int, row: Row, ratings: Ratings) -> None:
    if not row.text("response").strip():
        ratings.note(at, "empty_response")
    if not row.text("instruction").strip():
        ratings.note(at, "empty_instruction")
