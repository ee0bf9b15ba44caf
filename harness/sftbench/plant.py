"""Plants labelled defects in a pool, so that what a method avoids can be checked against known truth."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Final, TypedDict, cast

from sftbench.defects import Spans, filled, near_copy, truncated, whole, wrong_answers

KINDS: Final = ("wrong_answer", "truncation", "other_answer", "near_duplicate", "filler")
"""Every kind of defect; a row that cannot take one gets the next that it can take."""

NEAR_COPIES_PER_DONOR: Final = 6
"""Near-duplicates gather around few rows, as copied boilerplate does."""

NUM_TRIES: Final = 24


class MessageObject(TypedDict):
    """One turn of a conversation."""

    role: str
    content: str


class PlantableRow(TypedDict):
    """What a row needs; any further keys are carried along."""

    id: str
    messages: list[MessageObject]


class PlantedRow(PlantableRow):
    """A row after planting.

    `planted_kind` is one of `KINDS`, or empty for a clean row. `planted_spans` are half-open
    character ranges of the last assistant message which are defective: the changed words of a
    wrong answer, the added sentences of filler, the whole response of an other answer and of a
    near-duplicate, nothing for a truncation (what is wrong with it is not there).
    """

    planted_kind: str
    planted_spans: Spans


RowAt = Callable[[int], PlantableRow]
Accepts = Callable[[PlantableRow, str], bool]
Defective = tuple[PlantableRow, Spans]
_Maker = Callable[[int, PlantableRow, random.Random], Defective | None]


def plant(
    rows: Sequence[PlantableRow],
    *,
    share: float,
    seed: int,
    kinds: Sequence[str] = KINDS,
    accepts: Accepts | None = None,
) -> list[PlantedRow]:
    """The rows in their order with `round(share * len(rows))` of them planted.

    With `accepts`, which says whether a response would be right for a row, a planted wrong or
    other answer is surely wrong. Rows with an empty response stay as they are and are made up
    for by others; raises `ValueError` if there are not enough others.
    """
    return list(plant_stream(rows.__getitem__, len(rows), share=share, seed=seed, kinds=kinds, accepts=accepts))


def plant_stream(
    row_at: RowAt,
    num_rows: int,
    *,
    share: float,
    seed: int,
    kinds: Sequence[str] = KINDS,
    accepts: Accepts | None = None,
) -> Iterator[PlantedRow]:
    """As `plant`, for a pool that is looked up row by row.

    The plan, one byte per row, is all that is held in memory. It is made before the first row
    is given: one pass over the pool sees which responses are empty.
    """
    plantable = bytearray(bool(response_of(row_at(index)).strip()) for index in range(num_rows))
    plan = planned_kinds(plantable, share=share, seed=seed, kinds=kinds)
    planter = _Planter(row_at, plan, seed=seed, kinds=kinds, accepts=accepts)
    return (planter.planted(index) for index in range(num_rows))


def planned_kinds(plantable: Sequence[int], *, share: float, seed: int, kinds: Sequence[str] = KINDS) -> bytes:
    """Per row 0 for clean, or 1 + the position in `kinds` of the defect planned for it.

    The kinds come in equal numbers, up to one; only rows that are `plantable` get one.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share must be between 0 and 1, got {share}")
    if not kinds or set(kinds) - set(KINDS):
        raise ValueError(f"kinds must be some of {KINDS}, got {tuple(kinds)}")
    candidates = [index for index, can in enumerate(plantable) if can]
    num_planted = round(share * len(plantable))
    if num_planted > len(candidates):
        raise ValueError(f"{num_planted} rows to plant, but {len(candidates)} have a response")
    plan = bytearray(len(plantable))
    for place, index in enumerate(random.Random(f"plant {seed}").sample(candidates, num_planted)):
        plan[index] = 1 + place % len(kinds)
    return bytes(plan)


def response_of(row: PlantableRow) -> str:
    """The content of the last assistant message; empty if there is none."""
    for message in reversed(row["messages"]):
        if message["role"] == "assistant":
            return message["content"]
    return ""


def with_content(row: PlantableRow, role: str, content: str) -> PlantableRow:
    """The row with another last message of a role; the given row is not changed."""
    messages = [cast(MessageObject, {**message}) for message in row["messages"]]
    last = max(place for place, message in enumerate(messages) if message["role"] == role)
    messages[last]["content"] = content
    return cast(PlantableRow, {**row, "messages": messages})


def _labelled(row: PlantableRow, kind: str, spans: Spans) -> PlantedRow:
    return cast(PlantedRow, {**row, "planted_kind": kind, "planted_spans": spans})


def _is_reference(row: PlantableRow, response: str) -> bool:
    return response.strip() == response_of(row).strip()


class _Planter:
    """Carries out a plan; what becomes of a row follows from seed, index and original pool."""

    def __init__(
        self,
        row_at: RowAt,
        plan: bytes,
        *,
        seed: int,
        kinds: Sequence[str],
        accepts: Accepts | None,
    ) -> None:
        self._row_at = row_at
        self._plan = plan
        self._seed = seed
        self._kinds = tuple(kinds)
        self._accepts = accepts or _is_reference
        self._copied = self._draw_copied()
        self._makers: dict[str, _Maker] = {
            "wrong_answer": self._wrong_answer,
            "truncation": self._truncation,
            "other_answer": self._other_answer,
            "near_duplicate": self._near_duplicate,
            "filler": self._filler,
        }

    def planted(self, index: int) -> PlantedRow:
        """The row at an index, with its defect if one is planned."""
        row, planned = self._row_at(index), self._plan[index]
        if not planned:
            return _labelled(row, "", [])
        rng = random.Random(f"plant {self._seed} {index}")
        wanted = self._kinds[planned - 1]
        others = [kind for kind in self._kinds if kind != wanted]
        for kind in (wanted, *rng.sample(others, len(others)), "filler"):
            defective = self._makers[kind](index, row, rng)
            if defective is not None:
                return _labelled(defective[0], kind, defective[1])
        raise AssertionError("filler can be added to every response")

    def _wrong_answer(self, index: int, row: PlantableRow, rng: random.Random) -> tuple[PlantableRow, Spans] | None:
        text = response_of(row)
        candidates = wrong_answers(text, lambda: response_of(self._other(index, rng)), rng)
        for spoilt in islice(candidates, NUM_TRIES):
            if spoilt.text != text and not self._accepts(row, spoilt.text):
                return with_content(row, "assistant", spoilt.text), spoilt.spans
        return None

    def _truncation(self, index: int, row: PlantableRow, rng: random.Random) -> tuple[PlantableRow, Spans] | None:
        spoilt = truncated(response_of(row), rng)
        return None if spoilt is None else (with_content(row, "assistant", spoilt.text), spoilt.spans)

    def _other_answer(self, index: int, row: PlantableRow, rng: random.Random) -> tuple[PlantableRow, Spans] | None:
        for _ in range(NUM_TRIES):
            text = response_of(self._other(index, rng))
            if text.strip() and not _is_reference(row, text) and not self._accepts(row, text):
                return with_content(row, "assistant", text), whole(text)
        return None

    def _near_duplicate(self, index: int, row: PlantableRow, rng: random.Random) -> tuple[PlantableRow, Spans] | None:
        sources = [source for source in self._copied if source != index]
        if not sources:
            return None
        donor = self._row_at(rng.choice(sources))
        prompts = [turn["content"] for turn in donor["messages"] if turn["role"] == "user"]
        if not prompts:
            return None
        copy = with_content(donor, "user", near_copy(prompts[-1], rng))
        copy["id"] = row["id"]
        return copy, whole(response_of(copy))

    def _filler(self, index: int, row: PlantableRow, rng: random.Random) -> tuple[PlantableRow, Spans] | None:
        spoilt = filled(response_of(row), rng)
        return with_content(row, "assistant", spoilt.text), spoilt.spans

    def _other(self, index: int, rng: random.Random) -> PlantableRow:
        """A random row of the original pool other than this one; this one if it is alone."""
        step = rng.randrange(1, len(self._plan)) if len(self._plan) > 1 else 0
        return self._row_at((index + step) % len(self._plan))

    def _draw_copied(self) -> list[int]:
        """Which rows near-duplicates are made from: clean ones with a response, if there are any."""
        if "near_duplicate" not in self._kinds or not any(self._plan):
            return []
        planned = self._plan.count(1 + self._kinds.index("near_duplicate"))
        num_wanted = -(-planned // NEAR_COPIES_PER_DONOR) + 1
        rng = random.Random(f"plant {self._seed} copied")
        clean = [index for index, kind in enumerate(self._plan) if not kind]
        sources = rng.sample(clean, min(4 * num_wanted, len(clean))) or range(len(self._plan))
        usable = (i for i in sources if response_of(self._row_at(i)).strip())
        return list(islice(usable, num_wanted))
