"""Votes of people in the form in which MT-Bench's are published (arXiv 2306.05685): pairs with several votes each."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sftbench.errors import EnvironmentProblem, UsageError
from sftbench.judging.card.material import EarlierTurn, HumanVote, Pair, read_labels
from sftbench.pools.files import Placed, rows_in_file
from sftbench.pools.hub import HubDataset, rows_on_hub

MT_BENCH = "mt-bench-human"
_ON_HUB = HubDataset(name="lmsys/mt_bench_human_judgments", split="human")
_FORM = ("question_id", "model_a", "model_b", "winner", "judge", "conversation_a", "conversation_b", "turn")
_WINNERS = {"model_a": 1.0, "model_b": 0.0, "tie": 0.5, "tie (inconsistent)": 0.5}
_NO_PEOPLE = ("gpt", "author")
"""Who votes beside people: GPT-4, and the authors of the benchmark, whom their own code keeps apart as well."""
Labels = tuple[list[Pair], list[Pair]]
"""Pairs with a gold label, and pairs with votes of people."""


def given_labels(labels: Path | None, gold: str | None) -> Labels:
    """What `--labels FILE` and `--gold mt-bench-human` name; a file may be in the form of the latter.

    Raises `UsageError` for what is no such file or name, and `EnvironmentProblem`, within seconds, where the hub cannot
    be reached and no copy is at hand.
    """
    if gold not in (None, MT_BENCH):
        raise UsageError(f"--gold is {MT_BENCH}, not '{gold}'; a file of your own goes into --labels")
    labelled, human = _of_file(labels) if labels is not None else ([], [])
    if gold is None:
        return labelled, human
    if human:
        raise UsageError(f"{labels} holds votes in the form of MT-Bench's: take it or --gold {MT_BENCH}, not both")
    return labelled, _from_hub()


def _of_file(path: Path) -> Labels:
    first = next(rows_in_file(path), None)
    if first is not None and all(name in first[1] for name in ("conversation_a", "conversation_b", "winner")):
        return [], voted_pairs(rows_in_file(path), str(path))
    return read_labels(path), []


def _from_hub() -> list[Pair]:
    try:
        return voted_pairs(rows_on_hub(_ON_HUB), _ON_HUB.name)
    except EnvironmentProblem as problem:
        raise EnvironmentProblem(
            f"--gold {MT_BENCH}: {problem}. 'bench judge check' takes such a file as --labels FILE"
        ) from None


def voted_pairs(rows: Iterable[Placed], source: str) -> list[Pair]:
    """One pair for each question, two models, and turn (1 or 2), with the votes of all people on it.

    A pair of turn 2 has the whole dialogue. The model whose name sorts first is `model`, whichever was shown first.
    `gold` is the mean of the votes. Votes on other texts make another pair. Raises `UsageError` with the line for rows
    of another form, and where nobody has voted.
    """
    pairs: dict[tuple[object, ...], Pair] = {}
    votes: dict[tuple[object, ...], list[HumanVote]] = {}
    for where, row in rows:
        place = f"{source}, {where}"
        missing = next((name for name in _FORM if row.get(name) is None), None)
        if missing is not None:
            raise UsageError(f"{place}: no '{missing}'; votes of people have {', '.join(_FORM)}")
        if _is_no_person(row["judge"]):
            continue
        pair, vote = _read(row, place)
        key = (pair.id, pair.prompt, pair.model, pair.baseline, pair.earlier)
        pairs.setdefault(key, pair)
        votes.setdefault(key, []).append(vote)
    if not pairs:
        raise UsageError(f"{source} holds no votes of people (judges whose names begin with neither gpt nor author)")
    return _with_votes(pairs, votes)


def _with_votes(
    pairs: Mapping[tuple[object, ...], Pair], votes: Mapping[tuple[object, ...], list[HumanVote]]
) -> list[Pair]:
    found = []
    seen: dict[str, int] = {}
    for key, pair in pairs.items():
        number = seen[pair.id] = seen.get(pair.id, 0) + 1
        gold = sum(vote.preference for vote in votes[key]) / len(votes[key])
        name = pair.id if number == 1 else f"{pair.id}#{number}"
        found.append(replace(pair, id=name, gold=gold, votes=tuple(votes[key])))
    return found


def _is_no_person(judge: object) -> bool:
    """A list of names is that of a model and of what it was asked with."""
    return not isinstance(judge, str) or judge.startswith(_NO_PEOPLE)


def _read(row: Mapping[str, Any], place: str) -> tuple[Pair, HumanVote]:
    winner, turn = row["winner"], row["turn"]
    if winner not in _WINNERS:
        raise UsageError(f"{place}: winner '{winner}'; expected {', '.join(_WINNERS)}")
    if turn not in (1, 2):
        raise UsageError(f"{place}: turn {turn!r}; expected 1 or 2")
    turned = str(row["model_a"]) > str(row["model_b"])
    first, second = ("b", "a") if turned else ("a", "b")
    mine, theirs = (_exchanges(row[f"conversation_{side}"], turn, place) for side in (first, second))
    if [asked for asked, _ in mine] != [asked for asked, _ in theirs]:
        raise UsageError(f"{place}: the two models were not asked the same")
    turns = [
        EarlierTurn(asked=asked, model=one, baseline=other)
        for (asked, one), (_, other) in zip(mine, theirs, strict=True)
    ]
    names = str(row[f"model_{first}"]), str(row[f"model_{second}"])
    pair = Pair(
        id=f"{row['question_id']}|{'|'.join(names)}|{turn}", prompt=turns[-1].asked, model=turns[-1].model,
        baseline=turns[-1].baseline, earlier=tuple(turns[:-1]), group=f"turn {turn}", by_model=names[0],
        by_baseline=names[1], cluster=str(row["question_id"]),
    )  # fmt: skip
    preference = _WINNERS[winner]
    return pair, HumanVote(voter=str(row["judge"]), preference=1 - preference if turned else preference)


def _exchanges(conversation: object, num_turns: int, place: str) -> list[tuple[str, str]]:
    """What was asked and answered in the first turns."""
    said = conversation[: 2 * num_turns] if isinstance(conversation, list) else []
    told = [each for each in said if isinstance(each, Mapping) and isinstance(each.get("content"), str)]
    if [each.get("role") for each in told] != ["user", "assistant"] * num_turns:
        raise UsageError(
            f"{place}: a conversation of turns with role and content, user and assistant by turns, is expected, and of "
            f"at least {num_turns} answer{'s' if num_turns > 1 else ''}"
        )
    texts = [str(each["content"]) for each in told]
    return list(zip(itertools.islice(texts, 0, None, 2), itertools.islice(texts, 1, None, 2), strict=True))
