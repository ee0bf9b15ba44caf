"""The generator `evol-instruct`: real instructions made harder, round after round, and answered anew."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import ClassVar, Literal

from sftbench import Chat, Desk, Generated, Message, Needs, Pool, param
from sftbench_plugins.generators import asking, evolving
from sftbench_plugins.generators.asking import (
    INSTRUCTION_SCHEMA,
    Sampling,
    Unusable,
    ask,
    new_instruction,
    plain_answer,
    prompt,
)
from sftbench_plugins.generators.chance import draws, seed_of
from sftbench_plugins.generators.drafts import Attempt, Draft, Rejected
from sftbench_plugins.generators.evolving import Evolved, evolved
from sftbench_plugins.generators.harvest import Harvest, StandIn, needed_for_keeping
from sftbench_plugins.generators.mixing import Mixture
from sftbench_plugins.generators.parents import Parent, Parents
from sftbench_plugins.generators.phrases import is_stop_word, pool_words
from sftbench_plugins.generators.settings import Settings

METHODS = {
    "constraint": "add one more constraint or requirement.",
    "deepen": "if it asks about something, ask about it in more depth and breadth.",
    "concretise": "put more specific concepts in the place of general ones.",
    "reasoning": "if it can be done in a few simple steps, ask explicitly for reasoning in several steps.",
    "complicate": "add an input that has to be dealt with: a table, code, a formula, or data in some format.",
}
"""In-depth rewriting, by operator; `breadth` has a prompt of its own."""
DEPTH = {"official": ("constraint", "deepen", "concretise", "reasoning"), "paper": tuple(METHODS)}
ECHOES = ("old instruction", "new instruction", "given prompt", "rewritten prompt", "created prompt", "#rewritten")
"""Words of the prompt that must not turn up in what it gives."""
MAX_WORDS_OF_A_REFUSAL = 80
STAND_IN = StandIn(
    what="instructions get constraints that their responses meet, forms that these are brought into, or a second task",
    who="rules",
)
PROMPT_ID = f"evolving@{evolving.VERSION}"


def eliminated(question: str, answer: str) -> str:
    """Why an evolved instruction is given up, empty if it is not: an echo of the prompt, a refusal, an empty answer.

    The paper's fourth reason, no gain over the old instruction, is asked of the language model.
    """
    low = question.lower()
    if any(echo in low for echo in ECHOES):
        return "echo"
    words = re.findall(r"\w+", answer.lower())
    if "sorry" in words and len(words) < MAX_WORDS_OF_A_REFUSAL:
        return "refusal"
    return "no_content" if all(is_stop_word(word) for word in words) else ""


@dataclass(frozen=True, kw_only=True)
class EvolInstruct(Settings):
    """Real instructions rewritten to be harder, or into a new one of their field (WizardLM, arXiv 2304.12244).

    Each of `rounds` rounds takes one operator, drawn by chance, to what the last round gave; every round is a row.
    Mode `official` has the five operators of the released code, `paper` also `complicate`, and gives up what has no
    gain, is refused, answered by nothing, or echoes the prompt; it is tried again from the old instruction. Without a
    language model rules add constraints, formats and second tasks, with responses that are right by construction.
    """

    name: ClassVar[str] = "evol-instruct"
    version: ClassVar[str] = "2"
    deterministic: ClassVar[bool] = False

    mode: Literal["paper", "official"] = param("paper", "which operators, and whether what fails is given up")
    rounds: int = param(4, "rounds that an instruction goes through, each a row")
    breadth_share: float | None = param(
        None, "share of rewritings that invent another instruction; none: as often as each other operator"
    )
    temperature: float = param(1.0, "temperature of instructions and answers")
    top_p: float = param(0.95, "share of the likeliest words that is drawn from")
    max_new_tokens: int = param(2048, "longest text that the language model writes at a time")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rounds < 1 or not 0 <= (self.breadth_share or 0) <= 1:
            raise ValueError("rounds must be at least 1 and breadth_share from 0 to 1")

    def needs(self) -> Needs:
        return needed_for_keeping(self) | Needs(chat=True)

    def generate(self, pool: Pool, desk: Desk) -> Generated:
        chat = desk.chat(stand_in=STAND_IN.what)
        mixture = Mixture.planned(self, len(pool), desk.seed)
        harvest = Harvest.begun(self, pool, mixture, desk, chat=chat, stand_in=STAND_IN)
        parents = harvest.parents()
        harvest.report |= {"mode": self.mode, "rounds": self.rounds}
        if chat is None:
            harvest.report |= {"prompts": {"evolving": evolving.VERSION}}
            return harvest.generated(self._by_rule(parents, pool_words(pool, most=200), harvest, desk.seed))
        names = ("evolve", "evolve-breadth", *(("evolve-gain",) if self.mode == "paper" else ()))
        harvest.report |= {"prompts": asking.digests(*names)}
        return harvest.generated(self._asked(parents, chat, harvest, desk.seed))

    def operator(self, chain: int, turn: int, seed: int) -> str:
        """What is done to an instruction in a round."""
        rng = draws(seed, "operator", chain, turn)
        depth = DEPTH[self.mode]
        share = 1 / (len(depth) + 1) if self.breadth_share is None else self.breadth_share
        return "breadth" if rng.random() < share else rng.choice(depth)

    def _chains(self, parents: Parents, harvest: Harvest) -> Iterator[list[tuple[int, Parent]]]:
        """Parents with their numbers, so many as fill a batch with the rows of all their rounds."""
        numbers = count()
        while True:
            now = [next(numbers) for _ in range(-(-harvest.batch_size() // self.rounds))]
            yield list(zip(now, parents.take(now), strict=True))

    def _by_rule(self, parents: Parents, words: Sequence[str], harvest: Harvest, seed: int) -> Iterator[list[Attempt]]:
        for chains in self._chains(parents, harvest):
            others = parents.take([draws(seed, "other", chain).randrange(len(parents)) for chain, _ in chains])
            yield [
                attempt
                for (chain, parent), other in zip(chains, others, strict=True)
                for attempt in self._chain_by_rule(chain, parent, other, words, seed)
            ]

    def _chain_by_rule(
        self, chain: int, parent: Parent, other: Parent, words: Sequence[str], seed: int
    ) -> Iterator[Attempt]:
        now = Evolved(
            question=parent.question, answer=parent.answer, planted_spans=parent.row.planted_spans,
            parent_ids=(parent.row.id,),
        )  # fmt: skip
        second = None if parent.context or parent.history or other.row.id == parent.row.id else other
        planted = parent.row.planted
        for turn in range(1, self.rounds + 1):
            rng = draws(seed, "rule", chain, turn)
            operators = rng.sample(evolving.OPERATORS, len(evolving.OPERATORS))
            steps = (evolved(now, operator, rng, other=second, words=words) for operator in operators)
            found = next((step for step in steps if step is not None), None)
            if found is None:
                yield Rejected(kind=f"round {turn}", reason="no_rule_fits")
                continue
            now, rule = found
            planted = planted or (other.row.planted if rule == "join" else None)
            yield Draft(
                question=now.question, answer=now.answer, context=parent.context, history=parent.history,
                kind=f"round {turn}", prompt_id=PROMPT_ID, seed=seed_of(seed, "rule", chain, turn),
                parent_ids=now.parent_ids, about={"operator": rule, "round": turn}, planted=planted,
                planted_spans=now.planted_spans,
            )  # fmt: skip

    def _asked(self, parents: Parents, chat: Chat, harvest: Harvest, seed: int) -> Iterator[list[Attempt]]:
        for chains in self._chains(parents, harvest):
            running = [_Chain(number=number, parent=parent, now=parent.asked) for number, parent in chains]
            for turn in range(1, self.rounds + 1):
                _Round(settings=self, chat=chat, turn=turn, seed=seed).run(running, harvest)
            yield [attempt for chain in running for attempt in chain.attempts]


@dataclass(kw_only=True)
class _Chain:
    """One instruction on its way through the rounds."""

    number: int
    parent: Parent
    now: str
    attempts: list[Attempt] = field(default_factory=list)


@dataclass(kw_only=True)
class _Round:
    """Rewrites every chain once, answers, and gives up what the paper gives up."""

    settings: EvolInstruct
    chat: Chat
    turn: int
    seed: int

    def run(self, chains: Sequence[_Chain], harvest: Harvest) -> None:
        """Adds an attempt to each chain, and moves those forward whose attempt is a row."""
        kind = f"round {self.turn}"
        operators = [self.settings.operator(chain.number, self.turn, self.seed) for chain in chains]
        new = self._instructions(chains, operators, harvest)
        kept = [at for at, each in enumerate(new) if isinstance(each, str)]
        answers = dict(zip(kept, self._answers([(chains[at], str(new[at])) for at in kept]), strict=True))
        equal = self._equal(kept, chains, new) if self.settings.mode == "paper" else {}
        for at, (chain, operator) in enumerate(zip(chains, operators, strict=True)):
            instruction, answer = new[at], answers.get(at)
            reason = instruction.reason if isinstance(instruction, Unusable) else ""
            reason = reason or (answer.reason if isinstance(answer, Unusable) else "")
            if not reason and self.settings.mode == "paper":
                reason = "no_gain" if equal[at] is True else eliminated(str(instruction), str(answer))
                if not reason and isinstance(equal[at], Unusable):
                    harvest.notes["gain_not_judged"] += 1
            if reason:
                chain.attempts.append(Rejected(kind=kind, reason=reason))
                continue
            chain.now = str(instruction)
            chain.attempts.append(
                Draft(
                    question=chain.now,
                    answer=str(answer),
                    history=chain.parent.history,
                    kind=kind,
                    prompt_id=self._prompt(operator),
                    seed=self._seed(chain, "instruction"),
                    parent_ids=(chain.parent.row.id,),
                    about={"operator": operator, "round": self.turn, "mode": self.settings.mode},
                )
            )

    def _instructions(
        self, chains: Sequence[_Chain], operators: Sequence[str], harvest: Harvest
    ) -> list[str | Unusable]:
        new: list[str | Unusable] = [Unusable("prompt_too_long")] * len(chains)
        ready = {}
        for at, (chain, operator) in enumerate(zip(chains, operators, strict=True)):
            method = {} if operator == "breadth" else {"method": METHODS[operator]}
            template = prompt("evolve-breadth" if operator == "breadth" else "evolve")
            found = asking.fitted(template, most=self.settings.max_prompt_characters, question=chain.now, **method)
            if found.messages is not None:
                ready[at] = found.messages
        seeds = [self._seed(chains[at], "instruction") for at in ready]
        answers = ask(
            self.chat, list(ready.values()), new_instruction, seeds=seeds, sampling=self._sampling,
            json_schema=INSTRUCTION_SCHEMA,
        )  # fmt: skip
        for at, answer in zip(ready, answers, strict=True):
            new[at] = answer
        return new

    def _answers(self, asked: Sequence[tuple[_Chain, str]]) -> list[str | Unusable]:
        requests = [(*chain.parent.history, Message(role="user", content=text)) for chain, text in asked]
        seeds = [self._seed(chain, "answer") for chain, _ in asked]
        most = self.settings.max_prompt_characters
        return ask(self.chat, requests, plain_answer, seeds=seeds, sampling=self._sampling, most=most)

    def _equal(
        self, kept: Sequence[int], chains: Sequence[_Chain], new: Sequence[str | Unusable]
    ) -> dict[int, bool | Unusable]:
        requests = [prompt("evolve-gain").filled(old=chains[at].now, question=str(new[at])) for at in kept]
        seeds = [self._seed(chains[at], "gain") for at in kept]
        sampling = Sampling(temperature=0.0, max_new_tokens=32)
        answers = ask(
            self.chat, requests, _is_equal, seeds=seeds, sampling=sampling, json_schema=_EQUAL_SCHEMA,
            most=self.settings.max_prompt_characters,
        )  # fmt: skip
        return dict(zip(kept, answers, strict=True))

    @property
    def _sampling(self) -> Sampling:
        settings = self.settings
        return Sampling(temperature=settings.temperature, top_p=settings.top_p, max_new_tokens=settings.max_new_tokens)

    def _seed(self, chain: _Chain, purpose: str) -> int:
        return seed_of(self.seed, purpose, chain.number, self.turn)

    def _prompt(self, operator: str) -> str:
        return prompt("evolve-breadth" if operator == "breadth" else "evolve").name


_EQUAL_SCHEMA = asking.schema(equal={"type": "boolean"})


def _is_equal(text: str) -> bool:
    told = asking.json_object(text).get("equal")
    if not isinstance(told, bool):
        raise Unusable("parse_error")
    return told
