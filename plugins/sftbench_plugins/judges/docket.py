"""The pairs of a judgement: which need no judge, which are asked about, and what the rulings come to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sftbench import Json, Responses, Row, Verdicts
from sftbench_plugins.judges.games import Opinion, Pair, Ruling, Style
from sftbench_plugins.judges.questions import answers_of, as_one, open_turns, reference_turns


@dataclass(frozen=True, kw_only=True)
class Docket:
    """`settled` are rulings that need no call, `pairs` what is to be asked about; both by place in `ids`.

    `model` and `baseline` are the answers as they are judged, None where there is none.
    """

    ids: tuple[str, ...]
    model: tuple[str | None, ...]
    baseline: tuple[str | None, ...]
    settled: Mapping[int, Ruling]
    pairs: tuple[Pair, ...]
    style: Style

    @classmethod
    def of(
        cls, rows: Sequence[Row], model: Responses, baseline: Responses, *, with_reference: bool, style: Style
    ) -> Docket:
        """Pair the answers of both by row."""
        mine, theirs = answers_of(model), answers_of(baseline)
        settled: dict[int, Ruling] = {}
        pairs: list[Pair] = []
        for at, row in enumerate(rows):
            first, second = mine.get(row.id), theirs.get(row.id)
            num_turns = max(len(first or ()), len(second or ()), 1)
            pair = Pair(
                at=at,
                question=as_one(open_turns(row)[:num_turns]),
                model=as_one(first or ("",)),
                baseline=as_one(second or ("",)),
                reference=_reference(row, num_turns) if with_reference else "",
            )
            ruling = _missing() if first is None or second is None else _without_a_call(pair, style)
            if ruling is None:
                pairs.append(pair)
            else:
                settled[at] = ruling
        return cls(
            ids=tuple(row.id for row in rows),
            model=tuple(_text(mine.get(row.id)) for row in rows),
            baseline=tuple(_text(theirs.get(row.id)) for row in rows),
            settled=settled,
            pairs=tuple(pairs),
            style=style,
        )

    def verdicts(self, rulings: Mapping[int, Ruling], *, keep_one: bool) -> Verdicts:
        """Preferences with columns for verdict files; `keep_one`: by one game where the other has no verdict."""
        in_order = [rulings[at] for at in range(len(self.ids))]
        preference = np.array([preference_of(each, keep_one=keep_one) for each in in_order], dtype=np.float64)
        flags = [self._flags(at, ruling) for at, ruling in enumerate(in_order)]
        columns: dict[str, Sequence[Json]] = {**_games(in_order, self.style), **self._measured(), "flags": flags}
        asked = [in_order[pair.at] for pair in self.pairs]
        return Verdicts(
            ids=self.ids, preference=preference, columns=columns, report=self._report(preference, flags, asked)
        )

    def _flags(self, at: int, ruling: Ruling) -> list[Json]:
        is_empty = any(text is not None and not text.strip() for text in (self.model[at], self.baseline[at]))
        return [*ruling.flags, *(["empty_response"] if is_empty else [])]

    def _measured(self) -> dict[str, list[Json]]:
        from sftbench import answer_columns

        columns = answer_columns([text or "" for text in self.model], [text or "" for text in self.baseline])
        for name, texts in (("model", self.model), ("baseline", self.baseline)):
            for what in ("length", "tokens", "style"):
                found = columns[f"{what}_{name}"]
                columns[f"{what}_{name}"] = [
                    None if text is None else value for text, value in zip(texts, found, strict=True)
                ]
        return columns

    def _report(
        self, preference: np.ndarray[tuple[int], np.dtype[np.float64]], flags: Sequence[Sequence[Json]],
        asked: Sequence[Ruling],
    ) -> dict[str, Json]:  # fmt: skip
        known = preference[np.isfinite(preference)]
        unread = sum(each.num_unread for each in asked)
        num_games = sum(2 for each in asked if "over_budget" not in each.flags)
        return {
            "num_pairs": len(self.ids),
            "num_asked": len(asked),
            "num_judged": len(known),
            "num_without_call": len(self.ids) - len(asked),
            "num_games": num_games,
            "num_unread_games": unread,
            "share_unread_games": unread / num_games if num_games else 0.0,
            "tie_rate": float((known == 0.5).mean()) if len(known) else None,
            **_between_orders(asked),
            "flags": dict(sorted(Counter(str(flag) for each in flags for flag in each).items())),
        }


def preference_of(ruling: Ruling, *, keep_one: bool) -> float:
    """For the model, 0 to 1; NaN where a game has no verdict, unless one is enough and there is one."""
    from sftbench import preference_of_chances, preference_of_games

    model_first, baseline_first = ruling.games
    if model_first is None or baseline_first is None:
        if not keep_one or model_first is baseline_first:
            return float("nan")
        return model_first.chance if model_first else 1 - baseline_first.chance  # type: ignore[union-attr]
    if model_first.label and baseline_first.label:
        return preference_of_games((baseline_first.label, model_first.label))
    return preference_of_chances(baseline_first.chance, model_first.chance)


def _between_orders(rulings: Sequence[Ruling]) -> dict[str, Json]:
    """Over pairs with both games: position bias, mean of (f1 + f2) / 2 - 0.5, and the share with one winner."""
    both = [(one.chance, other.chance) for one, other in (each.games for each in rulings) if one and other]
    masses = [game.mass for each in rulings for game in each.games if game and game.mass is not None]
    found = np.array(both, dtype=np.float64).reshape(-1, 2)
    same = np.sign(found[:, 0] - 0.5) == np.sign(0.5 - found[:, 1])
    return {
        "num_both_orders": len(both),
        "position_bias": float(found.mean() - 0.5) if both else None,
        "consistency": float(same.mean()) if both else None,
        **({"label_mass": float(np.mean(masses))} if masses else {}),
    }


def _games(rulings: Sequence[Ruling], style: Style) -> dict[str, list[Json]]:
    sides = {"model_first": 0, "baseline_first": 1}
    if style == "logprobs":
        return {f"{name}_chance": [_chance(each.games[side]) for each in rulings] for name, side in sides.items()}
    return {name: [_label(each.games[side]) for each in rulings] for name, side in sides.items()}


def _chance(game: Opinion | None) -> float | None:
    return game.chance if game else None


def _label(game: Opinion | None) -> str | None:
    return game.label if game else None


def _reference(row: Row, num_turns: int) -> str:
    """To every turn that was answered, where there are several."""
    return as_one(reference_turns(row)[:num_turns]) if row.num_open_turns > 1 else row.response


def _without_a_call(pair: Pair, style: Style) -> Ruling | None:
    """The ruling on a pair that needs no judge; None where one is needed."""
    if not pair.question.strip():
        return Ruling(flags={"empty_instruction": None})
    if pair.model == pair.baseline or not (pair.model.strip() or pair.baseline.strip()):
        tie = Opinion(chance=0.5, label=None if style == "logprobs" else "A=B")
        return Ruling(games=[tie, tie])
    return None


def _missing() -> Ruling:
    return Ruling(flags={"missing_answer": None})


def _text(answers: tuple[str, ...] | None) -> str | None:
    return None if answers is None else as_one(answers)
