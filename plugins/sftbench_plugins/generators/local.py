"""The run's own models in place of a language model that the user names: one writes lines, one answers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sftbench import Desk, Needs, Row
from sftbench_plugins.generators.drafts import Attempt, Draft, Rejected, changed
from sftbench_plugins.generators.harvest import StandIn
from sftbench_plugins.generators.measures import distinct
from sftbench_plugins.generators.settings import LocalSettings

if TYPE_CHECKING:
    from sftbench import LanguageModel

WARM = "warmed-up"
MIN_WORDS_OF_A_LOOP, MIN_VARIETY = 20, 0.5
"""A response of so many words, fewer than half of whose word triples are different ones, goes round in a circle."""
_SENTENCE_END = re.compile(r"[.!?](?!\w)[\"')\]]*")
MAX_LINE_TOKENS = 128
"""An instruction longer than this, in one line, has lost its way."""


def models_needed(settings: LocalSettings) -> Needs:
    """The models that stand in."""
    if settings.stand_in == "scoring":
        return Needs(language_models=("scoring",))
    return Needs(language_models=("base",), models={WARM: settings.recipe()})


def what_stands_in(settings: LocalSettings, how: str) -> StandIn:
    """For the record; `how` says what is written."""
    if settings.stand_in == "scoring":
        return StandIn(what=f"{how}, by the run's scoring model, which also answers", who="the run's scoring model")
    warm = f"warmed up on {settings.warmup_budget} of the pool"
    return StandIn(what=f"{how}, by the base model, which answers when {warm}", who=f"the base model, answering {warm}")


@dataclass(kw_only=True)
class LocalModels:
    """Writes instructions, a line each, and answers them in the form that models are trained in."""

    desk: Desk
    settings: LocalSettings
    notes: Counter[str]
    """What was shortened, counted."""

    @property
    def writer(self) -> LanguageModel:
        """What writes instructions."""
        return self.desk.language_model(self.settings.stand_in)

    @property
    def answerer(self) -> LanguageModel:
        """What answers."""
        return self.desk.language_model(WARM if self.settings.stand_in == "base" else "scoring")

    def next_lines(self, prompts: Sequence[str], *, seeds: Sequence[int], temperature: float) -> list[str | None]:
        """The line after each prompt; where that is blank, the one after it, since some models leave one free."""
        found = self.lines(prompts, seeds=seeds, temperature=temperature)
        blank = [at for at, line in enumerate(found) if line is not None and not line.strip()]
        after = self.lines(
            [f"{prompts[at]}\n" for at in blank], seeds=[seeds[at] for at in blank], temperature=temperature
        )
        for at, line in zip(blank, after, strict=True):
            found[at] = line
        return found

    def lines(
        self, prompts: Sequence[str], *, seeds: Sequence[int], temperature: float, whole_turn: bool = False
    ) -> list[str | None]:
        """The rest of the line, or turn, that each prompt begins.

        What is cut off at the limit ends with its last whole sentence; None where there is none.
        """
        from sftbench import continue_texts

        found = continue_texts(
            self.writer, prompts, max_new_tokens=self._line_limit, temperature=temperature,
            top_p=self.settings.stand_in_top_p, seeds=seeds, stop=() if whole_turn else ("\n",),
        )  # fmt: skip
        return [each.text if each.ended else self._shortened(each.text, "instruction") for each in found]

    def answered(self, batch: Sequence[Attempt]) -> list[Attempt]:
        """Every draft with the likeliest answer, which ends with its last whole sentence where it is cut off.

        Rejected are an answer cut off in its first sentence, and one that says the same again and again.
        """
        return changed(batch, self._answers)

    def _answers(self, drafts: Sequence[Draft]) -> list[Attempt]:
        from sftbench import answer_rows

        rows = [Row(id=str(at), messages=draft.messages) for at, draft in enumerate(drafts)]
        limit = min(self.settings.max_new_tokens, max(1, self.answerer.max_length // 2))
        found = answer_rows(self.answerer, rows, max_new_tokens=limit) if rows else []
        texts = [each.text if each.ended else self._shortened(each.text, "response") for each in found]
        return [self._with_answer(draft, text) for draft, text in zip(drafts, texts, strict=True)]

    def _with_answer(self, draft: Draft, text: str | None) -> Attempt:
        if text is None:
            return Rejected(kind=draft.kind, reason="response_cut_off")
        if len(text.split()) >= MIN_WORDS_OF_A_LOOP and (distinct([text], 3) or 1.0) < MIN_VARIETY:
            return Rejected(kind=draft.kind, reason="repetitive_response")
        return replace(draft, answer=text.strip())

    def _shortened(self, text: str, what: str) -> str | None:
        ends = list(_SENTENCE_END.finditer(text))
        if ends:
            self.notes[f"{what}_shortened"] += 1
        return text[: ends[-1].end()] if ends else None

    def fitting(self, examples: Sequence[str], opening: str = "") -> tuple[str, int]:
        """Examples a line each and the opening of the next line, and how many examples had to be left out for room."""
        room = self.writer.max_length - self._line_limit
        for start in range(len(examples) + 1):
            text = "".join(f"{example}\n" for example in examples[start:]) + opening
            if start == len(examples) or self._length(text) <= room:
                return text, start
        raise AssertionError("no examples always fit")

    def _length(self, text: str) -> int:
        return len(self.writer.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])

    @property
    def _line_limit(self) -> int:
        """New tokens of a line: at most a quarter of the window, which is shared with the examples."""
        return min(MAX_LINE_TOKENS, self.settings.max_new_tokens, max(1, self.writer.max_length // 4))


def one_line(text: str) -> str:
    """A text without line breaks."""
    return " ".join(text.split())
