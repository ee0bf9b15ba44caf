"""The judge `pairwise`: a language model compares two answers, in both orders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

from sftbench import Desk, Json, Needs, Pool, Responses, Verdicts, param
from sftbench_plugins.judges.asked import chat_of, check_bounds, check_model, needs_of, template_file

if TYPE_CHECKING:
    from sftbench_plugins.judges.games import Court, Style

MANY_UNREAD = 0.01
_WARNINGS = {
    "judge_truncated": "were judged on answers with the middle cut out",
    "question_too_long": "have a question that is too long for the judge",
    "model_error": "have a game that the judge's server refused or failed over",
    "over_budget": "have no verdict because max_seconds or max_tokens was spent; answers until then are kept, so that "
    "a larger bound goes on from there",
    "missing_answer": "lack an answer",
}


@dataclass(frozen=True, kw_only=True)
class Pairwise:
    """Which of two answers is better, asked with either of them first: (f1 + 1 - f2) / 2, or 0.5 where labels differ.

    f1 and f2 are the chances that the answer shown first is the better one, with the model's and with the baseline's
    answer first (the protocol of MT-Bench, arXiv 2306.05685, section 3.4; log-probabilities as in AlpacaEval 2,
    arXiv 2404.04475).
    """

    name: ClassVar[str] = "pairwise"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True

    model: str | None = param(None, "who judges: URL#MODEL or vllm:MODEL; none: the model of --chat")
    labels: Literal["five-way", "logprobs"] = param(
        "five-way", "'five-way': A>>B to B>>A; 'logprobs': how likely the reply begins with A rather than B"
    )
    rationale: bool = param(False, "five-way: argue before the verdict; costs up to max_answer_tokens a game")
    template: str = param("default", "what the judge is told: a JSON file; default is the packaged one")
    reference: bool = param(False, "show the judge the row's reference answer, where it has one")
    max_answer_tokens: int = param(1024, "tokens that the judge may write in a game, with a rationale")
    temperature: float = param(0.0, "of the judge")
    retry_temperature: float = param(0.3, "of the one more try after a reply without a verdict")
    max_shown: int | None = param(
        None, "characters of an answer that the judge is shown, the middle is cut out; none: as its context allows"
    )
    one_order: Literal["drop", "keep"] = param("drop", "a pair of which only one game has a verdict: without, or by it")
    max_seconds: float | None = param(
        None, "wall-clock seconds for all pairs, once the model is served; the rest has no verdict"
    )
    max_tokens: int | None = param(None, "tokens read and written for all pairs; what is left over has no verdict")
    system_role: bool = param(True, "false: say all in the user's turn, for models without a system role")
    seed: int = param(0, "of the requests: with another one the judge is asked anew")

    def __post_init__(self) -> None:
        check_model(self.model)
        check_bounds(
            max_answer_tokens=self.max_answer_tokens, max_shown=self.max_shown, max_seconds=self.max_seconds,
            max_tokens=self.max_tokens,
        )  # fmt: skip
        for name in ("temperature", "retry_temperature"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)}: expected 0 or more")
        if self.rationale and self.labels == "logprobs":
            raise ValueError("labels=logprobs reads the first token of the reply, so there is no room for a rationale")

    def needs(self) -> Needs:
        return needs_of(self.model, self.template, "pairwise")

    def judge(self, heldout: Pool, model: Responses, baseline: Responses, desk: Desk) -> Verdicts:
        """A verdict per row of `heldout`. Report: position bias, consistency, ties, calls and what failed."""
        from sftbench_plugins.judges.docket import Docket

        docket = Docket.of(list(heldout), model, baseline, with_reference=self.reference, style=self._style)
        told: dict[str, Json] = {"labels": self.labels, "rationale": self.rationale}
        rulings = dict(docket.settled)
        if docket.pairs:
            court = self._court(desk)
            with desk.progress(2 * len(docket.pairs), "game") as progress:
                rulings |= court.rule(docket.pairs, progress)
            told |= court.told()
        verdicts = docket.verdicts(rulings, keep_one=self.one_order == "keep")
        _warn(verdicts.report, desk)
        return replace(verdicts, report={**told, **verdicts.report})

    @property
    def _style(self) -> Style:
        if self.labels == "logprobs":
            return "logprobs"
        return "rationale" if self.rationale else "label"

    def _court(self, desk: Desk) -> Court:
        from sftbench_plugins.judges.games import Asking, Court
        from sftbench_plugins.judges.hearing import Hearing, Manner
        from sftbench_plugins.judges.purse import Purse

        asking = Asking.read(
            template_file(desk), style=self._style, max_new_tokens=self.max_answer_tokens,
            system_role=self.system_role, temperature=self.temperature, seed=self.seed,
        )  # fmt: skip
        chat = chat_of(desk, self.model, self.name)
        hearing = Hearing(
            chat=chat,
            parse=asking.parse,
            manner=Manner(retry_temperature=self.retry_temperature, seed=self.seed, retries=self._style != "logprobs"),
            purse=Purse.of(chat, max_seconds=self.max_seconds, max_tokens=self.max_tokens),
            max_shown=self.max_shown,
        )
        return Court(hearing=hearing, asking=asking)


def _warn(report: Mapping[str, Json], desk: Desk) -> None:
    """Say what makes the verdicts worth less than they look."""
    share, flags = report["share_unread_games"], report["flags"]
    if isinstance(share, float) and share > MANY_UNREAD:
        desk.log(f"{share:.1%} of the games ended without a verdict that could be read; {MANY_UNREAD:.0%} is the most")
    for flag, what in _WARNINGS.items():
        if isinstance(flags, Mapping) and flags.get(flag):
            desk.log(f"{flags[flag]} pairs {what}")
