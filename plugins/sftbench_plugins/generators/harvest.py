"""Attempts in, rows out: each is kept or rejected for a reason, until there are enough rows or no tries left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np

from sftbench import Chat, Desk, EnvironmentProblem, Generated, Json, Needs, Pool, Row
from sftbench_plugins.generators.chance import seed_of
from sftbench_plugins.generators.closeness import Closeness, Kept
from sftbench_plugins.generators.drafts import Attempt, Draft, Rejected, row_of
from sftbench_plugins.generators.measures import Distinct
from sftbench_plugins.generators.mixing import Mixture
from sftbench_plugins.generators.parents import Parents
from sftbench_plugins.generators.settings import Settings

BATCH, FEWEST = 64, 8
"""Attempts that are made together. What is attempted must not depend on how many rows are wanted: fewer rows are then
the first of more rows, which is what makes draws of different shares nested."""

MODEL_ERROR = "model_error"


@dataclass(frozen=True, kw_only=True)
class StandIn:
    """What is done where the user names no language model: in a sentence, and by whom, for the lineage of a row."""

    what: str
    who: str


def needed_for_keeping(settings: Settings) -> Needs:
    """Embeddings of the real rows and of new ones, if rows are compared at all."""
    return Needs(embeddings=("both",), embedder=True) if settings.compares else Needs()


@dataclass(kw_only=True)
class Harvest:
    """Keeps what attempts give. `author` says who wrote (`model`, or `stand_in`); `report` is filled by reading `rows`.

    Rejected are, in this order: what an attempt gives as rejected itself, an empty instruction or response, a response
    of too few words (`too_short`), what is asked of a real row or was kept before already (`duplicate`), a row whose
    embedding is not finite, too far from the real rows, or too near to one kept before (`near_duplicate`).
    """

    settings: Settings
    pool: Pool
    mixture: Mixture
    desk: Desk
    author: Mapping[str, Json]
    """What enters the lineage of every row: generator, who wrote, and under which licence."""
    stand_in: str | None
    report: dict[str, Json] = field(default_factory=dict)
    accepted: Counter[str] = field(default_factory=Counter)
    attempted: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    """Remarks on prompts and parents, counted."""

    @classmethod
    def begun(
        cls, part: Settings, pool: Pool, mixture: Mixture, desk: Desk, *, chat: Chat | None, stand_in: StandIn
    ) -> Harvest:
        """For the rows of a mixture, written by the language model or by what stands in for it."""
        name = {"generator": f"{part.name}@{part.version}"}
        wrote = {"model": chat.model, "licence": part.licence} if chat else {"model": f"stand-in: {stand_in.who}"}
        return cls(
            settings=part, pool=pool, mixture=mixture, desk=desk, author={**name, **wrote},
            stand_in=None if chat else stand_in.what,
        )  # fmt: skip

    def parents(self) -> Parents:
        """The rows that may be looked at, as parents; why others are none is counted among the notes."""
        found = Parents.of(self.pool, self.mixture.known, self.settings.turns)
        self.notes.update({f"no_parent_{reason}": count for reason, count in found.reasons.items()})
        return found

    def generated(self, batches: Iterable[Sequence[Attempt]]) -> Generated:
        """Rows of these attempts, with the real rows of the mixture."""
        rows = self.mixture.rows(self.rows(batches), self.pool)
        return Generated(rows=rows, num_wanted=self.mixture.num_wanted, report=self.report)

    def batch_size(self) -> int:
        """How many attempts to make next: not many more than rows are missing, at most `BATCH`."""
        return max(FEWEST, min(BATCH, self.mixture.num_generated - self.accepted.total()))

    def row(self, draft: Draft) -> Row:
        """The row that a draft becomes. A prompt that is a text, and no rule, is told with its hash."""
        told = self.report.get("prompts")
        digest = told.get(draft.prompt_id) if isinstance(told, dict) else None
        lineage = {**self.author, **({"prompt_hash": digest} if digest else {})}
        return row_of(draft, form=self.pool.form, lineage=lineage)

    def rows(self, batches: Iterable[Sequence[Attempt]]) -> Iterator[Row]:
        """The rows, at most as many as the mixture wants, streaming.

        Raises `EnvironmentProblem` when the language model answers nothing at all in a whole batch: what it answered
        before is remembered, and the next run goes on from there.
        """
        wanted = self.mixture.num_generated
        limit = wanted * self.settings.attempts_per_row
        known = {_key(row.prompt) for row in self.pool} if wanted else set()
        closeness, variety = self._closeness() if wanted else None, Distinct()
        kept = Kept(cap=self.settings.cap) if self.settings.cap is not None else None
        with self.desk.progress(wanted, "row") as progress:
            for batch in batches if wanted else ():
                self._heed_endpoint(batch)
                for row, kind, reason in self._judged(batch, known, closeness, kept):
                    self.attempted[kind] += 1
                    if reason:
                        self.reasons[reason] += 1
                    elif row is not None:
                        self.accepted[kind] += 1
                        variety.add(row.text("both"))
                        progress.advance()
                        yield row
                    if self.accepted.total() == wanted or self.attempted.total() == limit:
                        break
                if self.accepted.total() == wanted or self.attempted.total() >= limit:
                    break
        self._tell(variety)

    def _judged(
        self, batch: Sequence[Attempt], known: set[int], closeness: Closeness | None, kept: Kept | None
    ) -> Iterator[tuple[Row | None, str, str]]:
        """Each attempt in order: its row, its kind, and why it is rejected if it is."""
        drafts = [each for each in batch if isinstance(each, Draft)]
        rows = iter([self.row(each) for each in drafts])
        nearness = iter(self._nearness(drafts, closeness))
        for attempt in batch:
            if isinstance(attempt, Rejected):
                yield None, attempt.kind, attempt.reason
                continue
            row, (vector, cosine) = next(rows), next(nearness)
            reason = self._unfit(attempt) or ("duplicate" if _key(row.prompt) in known else "")
            if not reason and vector is not None:
                reason = self._far_or_double(vector, cosine, closeness, kept)
            if not reason:
                known.add(_key(row.prompt))
            yield row, attempt.kind, reason

    def _unfit(self, draft: Draft) -> str:
        if not draft.question.strip():
            return "empty_instruction"
        if not draft.answer.strip():
            return "empty_response"
        return "too_short" if len(draft.answer.split()) < self.settings.min_response_words else ""

    def _nearness(
        self, drafts: Sequence[Draft], closeness: Closeness | None
    ) -> Iterator[tuple[np.ndarray[tuple[int], np.dtype[np.float32]] | None, float]]:
        if not self.settings.compares or not drafts:
            yield from ((None, 1.0) for _ in drafts)
            return
        texts = ["\n".join(message.content for message in draft.messages) for draft in drafts]
        vectors = self.desk.embed(texts)
        cosines = closeness.of(vectors) if closeness is not None else np.ones(len(vectors))
        yield from zip(vectors, cosines.tolist(), strict=True)

    def _far_or_double(
        self,
        vector: np.ndarray[tuple[int], np.dtype[np.float32]],
        cosine: float,
        closeness: Closeness | None,
        kept: Kept | None,
    ) -> str:
        if not np.isfinite(vector).all() or not np.isfinite(cosine):
            return "non_finite"
        if closeness is not None and cosine < self._threshold:
            return "far_from_real"
        return "near_duplicate" if kept is not None and not kept.admits(vector) else ""

    def _closeness(self) -> Closeness | None:
        wish = self.settings.closeness
        if wish == "off":
            return None
        vectors = self.desk.embedded("both")[np.sort(self.mixture.known)]
        count = 1 if self.settings.closeness_of == "nearest" else 5
        closeness = Closeness(real=vectors, num_neighbours=count)
        rng = np.random.default_rng(seed_of(0, "calibration"))
        self._threshold = closeness.threshold(rng) if wish == "calibrated" else float(wish)
        return closeness

    def _heed_endpoint(self, batch: Sequence[Attempt]) -> None:
        if batch and all(isinstance(each, Rejected) and each.reason == MODEL_ERROR for each in batch):
            raise EnvironmentProblem(
                f"the language model gave no answer to {len(batch)} requests in a row, after "
                f"{self.accepted.total()} of {self.mixture.num_generated} rows; its answers so far are kept: run again "
                "when it can be reached"
            )

    def _tell(self, variety: Distinct) -> None:
        accepted, attempts = self.accepted.total(), self.attempted.total()
        self.report |= {
            **self.author,
            **({"stand_in": self.stand_in} if self.stand_in else {}),
            "num_real": len(self.mixture.real),
            "num_generated_wanted": self.mixture.num_generated,
            "num_attempts": attempts,
            "num_accepted": accepted,
            "acceptance_rate": accepted / attempts if attempts else None,
            "rejected": dict(sorted(self.reasons.items())),
            "kinds": {
                kind: {"attempts": count, "accepted": self.accepted[kind]}
                for kind, count in sorted(self.attempted.items())
            },
            "notes": dict(sorted((+self.notes).items())),
            "distinct": variety.values(),
        }
        if self.settings.closeness != "off" and self.mixture.num_generated:
            self.report |= {"closeness": {"smallest_cosine": self._threshold, "of": self.settings.closeness_of}}


def _key(prompt: str) -> int:
    """64 bits of what is asked, whatever its capitals and white space."""
    text = " ".join(prompt.casefold().split())
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
