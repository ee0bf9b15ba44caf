"""The scorer `tags`: what each row is about, in a vocabulary that the whole pool shares."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from sftbench import Desk, Json, Needs, Pool, Ragged, Row, Scores, SftbenchError, param

if TYPE_CHECKING:
    from sftbench import Chat
    from sftbench_plugins.tagging.vocabulary import Vocabulary

STAND_IN = "tags from key phrases"
_ROLES = {"instruction": "user", "response": "assistant"}
_PAPER_ROWS = 300_000
"""Rows of InsTag's pool, to which its frequency thresholds belong (306,044, in round figures)."""
_FAILED_WARNING, _FAILED_ERROR = 0.05, 0.5

Tagger: TypeAlias = "Callable[[Sequence[str]], tuple[list[list[str]], dict[int, str]]]"
"""From texts to the distinct tags of each, and remarks by position."""


@dataclass(frozen=True, kw_only=True)
class Tags:
    """Number of distinct tags of a row, as the tagger gave them; tags and merged tags are columns.

    Tagging and normalisation of InsTag (arXiv 2308.07074, section 3), the first by any instruct model.
    """

    name: ClassVar[str] = "tags"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True

    component: Literal["instruction", "response"] = param("instruction", "side of the rows that is tagged")
    turns: Literal["all", "first"] = param("all", "turns of that side that are tagged, joined by a newline")
    max_tags: int = param(8, "tags that a row has at most")
    max_characters: int = param(4800, "of a longer text the model is shown the beginning (about 1,200 tokens)")
    frequency_floor: int | None = param(None, "rows that a tag needs; none: 20 in 300,000 rows, at least 2")
    stem: bool = param(True, "merge tags that differ in case, special characters or word endings only")
    merge_distance: float | None = param(
        None, "cosine distance within which tags are merged, 0 for none; none: 0.1, from 300,000 rows on 0.05"
    )
    rule_support: int | None = param(None, "rows that two associated tags share; none: twice the frequency floor")
    rule_confidence: float = param(0.99, "share of a tag's rows with another tag that it is then merged into; 0: none")

    def __post_init__(self) -> None:
        for name in ("max_tags", "max_characters", "frequency_floor", "rule_support"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is at least 1, not {value}")
        if not 0 <= (self.merge_distance or 0) < 1 or not 0 <= self.rule_confidence <= 1:
            raise ValueError("merge_distance lies from 0 to below 1, rule_confidence from 0 to 1")

    def needs(self) -> Needs:
        return Needs(chat=True, embedder=True)

    def score(self, pool: Pool, desk: Desk) -> Scores:
        """Columns: `raw_tags`; `tags`, what each raw tag became (empty when dropped); `num_tags`, distinct ones."""
        chat = desk.chat(stand_in=STAND_IN)
        floor = self.frequency_floor or max(2, round(20 * len(pool) / _PAPER_ROWS))
        given, notes, seen = _Given(), dict[int, str](), set[int]()
        tag = self._by_phrases(pool, floor) if chat is None else self._by_asking(chat)
        with desk.progress(len(pool), "row") as progress:
            for rows in pool.batches():
                texts = [self.text(row) for row in rows]
                tags, remarks = tag(texts)
                notes |= {given.num_rows + at: remark for at, remark in remarks.items()}
                notes |= {given.num_rows + at: self._empty for at, text in enumerate(texts) if not text.strip()}
                given.add(tags)
                seen.update(map(hash, texts))
                progress.advance(len(rows))
        self._refuse_failures(notes, len(pool), desk)
        vocabulary, stages = self._vocabulary(given, floor, desk)
        num_tags = vocabulary.num_tags()
        for row in np.flatnonzero(num_tags == 0).tolist():
            notes.setdefault(row, "no_tags")
        report: dict[str, Json] = {
            "tagger": STAND_IN if chat is None else chat.model,
            "component": self.component,
            "frequency_floor": floor,
            "num_distinct_tags": stages,
            "mean_raw_tags": float(given.counts.mean()) if len(pool) else 0.0,
            "mean_tags": float(num_tags.mean()) if len(pool) else 0.0,
            "num_duplicate_texts": len(pool) - len(seen),
            "notes": dict(Counter(notes.values())),
            "largest_merged": vocabulary.largest_merged(20),
        }
        return Scores(
            values=given.counts.astype(np.float64),
            notes=notes,
            columns={**vocabulary.columns(given.codes), "num_tags": num_tags},
            report=report,
        )

    def text(self, row: Row) -> str:
        """The turns of the side that is tagged."""
        turns = [message.content for message in row.messages if message.role == _ROLES[self.component]]
        return "\n".join(turns[:1] if self.turns == "first" else turns)

    @property
    def _empty(self) -> str:
        return f"empty_{self.component}"

    def _by_phrases(self, pool: Pool, floor: int) -> Tagger:
        """Key phrases: their rarity in the pool must be known before any is given."""
        from sftbench_plugins.tagging.key_phrases import KeyPhrases

        phrases = KeyPhrases(max_phrases=self.max_tags, min_rows=floor)
        for rows in pool.batches():
            phrases.count(self.text(row) for row in rows)
        return lambda texts: ([phrases.of(text) for text in texts], {})

    def _by_asking(self, chat: Chat) -> Tagger:
        from sftbench_plugins.tagging.asking import ask_for_tags

        return partial(
            ask_for_tags, chat, component=self.component, max_tags=self.max_tags, max_characters=self.max_characters
        )

    def _refuse_failures(self, notes: dict[int, str], num_rows: int, desk: Desk) -> None:
        failed = sum(note in ("parse_error", "model_error") for note in notes.values())
        if failed > _FAILED_ERROR * num_rows:
            raise SftbenchError(
                f"tags: the tagger gave nothing usable for {failed} of {num_rows} rows; try another model with --chat"
            )
        if failed > _FAILED_WARNING * num_rows:
            desk.log(f"the tagger gave nothing usable for {failed} of {num_rows} rows; they have no tags")

    def _vocabulary(self, given: _Given, floor: int, desk: Desk) -> tuple[Vocabulary, dict[str, Json]]:
        """The stages of InsTag one after the other, and how many tags each left."""
        from sftbench_plugins.tagging.rules import associated
        from sftbench_plugins.tagging.vocabulary import Vocabulary, near, spellings

        vocabulary = Vocabulary.of(given.codes, list(given.number_of))
        stages: dict[str, Json] = {"raw": len(vocabulary.names)}
        vocabulary = vocabulary.without_rare(floor)
        stages["frequent"] = len(vocabulary.names)
        if self.stem:
            vocabulary = vocabulary.merged(spellings(vocabulary.names))
            stages["stemmed"] = len(vocabulary.names)
        distance = self.merge_distance
        if distance is None:
            distance = 0.05 if given.num_rows >= _PAPER_ROWS else 0.1
        if distance and vocabulary.names:
            vectors = desk.embed(vocabulary.names)
            stages["not_finite"] = int((~np.isfinite(vectors).all(axis=1)).sum())
            vocabulary = vocabulary.merged(near(vectors, distance))
            stages["embedded"] = len(vocabulary.names)
        if self.rule_confidence:
            support = self.rule_support or 2 * floor
            vocabulary = associated(vocabulary, support=support, confidence=self.rule_confidence)
            stages["associated"] = len(vocabulary.names)
        return vocabulary, stages


@dataclass(kw_only=True, eq=False)
class _Given:
    """The tags of all rows so far, each text held once."""

    number_of: dict[str, int] = field(default_factory=dict)
    flat: array[int] = field(default_factory=lambda: array("i"))
    sizes: array[int] = field(default_factory=lambda: array("i"))

    def add(self, tags: Iterable[Sequence[str]]) -> None:
        for each in tags:
            self.flat.extend(self.number_of.setdefault(tag, len(self.number_of)) for tag in each)
            self.sizes.append(len(each))

    @property
    def num_rows(self) -> int:
        return len(self.sizes)

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        return np.array(self.sizes, dtype=np.int64)

    @property
    def codes(self) -> Ragged:
        offsets = np.concatenate([[0], np.cumsum(self.counts)]).astype(np.int64)
        return Ragged(values=np.array(self.flat, dtype=np.int32), offsets=offsets)
