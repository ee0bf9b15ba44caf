"""The scorer `selectit`: how sure language models are of the rating that they would give a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, cast

import numpy as np
import numpy.typing as npt

from sftbench import Desk, Json, Needs, Pool, Scores, param
from sftbench_plugins.selectit.formula import (
    OFFICIAL_WEIGHTS,
    model_level,
    sentence_level,
    token_level,
    weights_by_size,
)

if TYPE_CHECKING:
    from sftbench_plugins.selectit.rating import Turns

Floats = npt.NDArray[np.float64]
_FAINT = 0.05
_NUM_PROMPTS = 9


@dataclass(frozen=True, kw_only=True)
class SelectIt:
    """Confidence of a self-rating, its spread over prompts, and several models (SelectIT, arXiv 2402.16705).

    Token level: the likeliest digit times its mean lead. Sentence level: mean over prompts / (1 + alpha
    std). Model level: weighted sum over models.
    """

    name: ClassVar[str] = "selectit"
    version: ClassVar[str] = "1"
    deterministic: ClassVar[bool] = True

    mode: Literal["paper", "official"] = param(
        "paper", "'official' normalises twice, weighs models by 7/20, 13/20, 70/90, and reads the first turn"
    )
    models: str = param("scoring", "folders of the models that rate, joined by ';'; 'scoring' is the run's")
    level: Literal["auto", "token", "sentence", "model"] = param(
        "auto", "how far to go; auto is sentence with one model and model with several"
    )
    num_prompts: int = param(5, "rating prompts that each model is given (K), at most 9")
    num_ratings: int = param(5, "highest rating; the lowest is 1")
    prompt: int = param(1, "the prompt of level=token, from 1; the authors' code draws one for the whole file")
    alpha: float = param(0.2, "how much spread over prompts counts against a row")
    weights: str = param("auto", "of the models, joined by ';'; auto is by their sizes, in mode official the authors'")
    turns: Literal["auto", "first", "last"] = param(
        "auto", "of a conversation: first, or last with its history; auto is last, in mode official first"
    )
    dtype: Literal["float32", "bfloat16", "float16"] = param("float32", "in which the models compute; authors: float16")

    def __post_init__(self) -> None:
        if not 1 <= self.num_prompts <= _NUM_PROMPTS or not 1 <= self.prompt <= _NUM_PROMPTS:
            raise ValueError(f"num_prompts and prompt lie between 1 and {_NUM_PROMPTS}: so many prompts there are")
        if not 2 <= self.num_ratings <= 9:
            raise ValueError("num_ratings lies between 2 and 9: a rating is one digit")
        if not self.alpha >= 0:
            raise ValueError("alpha is at least 0")
        if not self.folders or len(set(self.folders)) < len(self.folders):
            raise ValueError(f"models={self.models!r} must name each model once, joined by ';'")
        if self.reach != "model" and len(self.folders) > 1:
            raise ValueError(f"level={self.level} rates by one model; models names {len(self.folders)}")
        if self.reach == "model":
            self._check_weights()

    def _check_weights(self) -> None:
        official = self.mode == "official" and self.weights == "auto"
        if official and len(self.folders) != len(OFFICIAL_WEIGHTS):
            raise ValueError(
                f"the authors' weights are for exactly three models, and models names {len(self.folders)}; "
                "give weights=, level=sentence for one model, or mode=paper"
            )
        given = self.given_weights
        if given is not None and len(given) != len(self.folders):
            raise ValueError(f"weights={self.weights!r} are {len(given)} numbers for {len(self.folders)} models")

    @property
    def folders(self) -> list[str]:
        """Models by their folders, in order."""
        return [each.strip() for each in self.models.split(";") if each.strip()]

    @property
    def given_weights(self) -> list[float] | None:
        """None where the mode decides. Raises `ValueError` for what is no number."""
        return None if self.weights == "auto" else [float(each) for each in self.weights.split(";")]

    @property
    def reach(self) -> Literal["token", "sentence", "model"]:
        """The level, with `auto` decided."""
        if self.level != "auto":
            return self.level
        return "model" if len(self.folders) > 1 else "sentence"

    @property
    def passes_over_pool(self) -> float:
        """One for each model and prompt."""
        return float(len(self.folders) * (1 if self.reach == "token" else self.num_prompts))

    def needs(self) -> Needs:
        return Needs(
            language_models=("scoring",) if "scoring" in self.folders else (),
            foreign_models={_role(at): each for at, each in enumerate(self.folders) if each != "scoring"},
        )

    def score(self, pool: Pool, desk: Desk) -> Scores:
        """Bigger is better. Columns: `digit_mass`, `mean_token_score`, `std_token_score`, and `sentence_<k>` per model.

        Raises `UsageError` when a model's tokenizer does not write a digit as one token.
        """
        tokens, masses, sizes = np.empty((len(pool), 0, self._num_asked)), [], []
        reasons: dict[int, str] = {}
        for at in range(len(self.folders)):
            scored, mass, size = self._by_model(at, pool, desk, reasons)
            tokens = np.concatenate([tokens, scored[:, None]], axis=1)
            masses.append(mass)
            sizes.append(size)
        sentences = tokens[:, :, 0] if self.reach == "token" else sentence_level(tokens, self.alpha)
        weights = self._weights(sizes)
        values = model_level(sentences, weights) if self.reach == "model" else sentences[:, 0]
        failed = {int(row): reasons.get(int(row), "non_finite") for row in np.flatnonzero(~np.isfinite(values))}
        notes = self._notes(pool, {row for row in reasons if row not in failed})
        return Scores(
            values=values,
            reasons=failed,
            notes={row: note for row, note in notes.items() if row not in failed},
            columns=_columns(tokens, sentences, np.stack(masses)),
            report=self._report(weights, masses),
        )

    @property
    def _num_asked(self) -> int:
        return 1 if self.reach == "token" else self.num_prompts

    def _by_model(self, at: int, pool: Pool, desk: Desk, reasons: dict[int, str]) -> tuple[Floats, Floats, int]:
        """Token-level scores [n, K] of one model, the digits' mean mass [n], and its number of parameters."""
        from sftbench_plugins.selectit.rating import Questioner

        folder = self.folders[at]
        model = desk.language_model("scoring" if folder == "scoring" else _role(at), dtype=self.dtype)
        numbers = [self.prompt - 1] if self.reach == "token" else range(self.num_prompts)
        questioner = Questioner(
            model=model, numbers=numbers, num_ratings=self.num_ratings, turns=self._turns, log=desk.log
        )
        with desk.progress(len(pool), "row") as progress:
            found = questioner.ask(pool, progress)
        for row, reason in found.reasons.items():
            reasons.setdefault(row, reason)
        mass = _mean_over_prompts(found.probs.sum(-1))
        overall = float(np.nanmean(mass)) if np.isfinite(mass).any() else 1.0
        if overall < _FAINT:
            desk.log(
                f"{folder}: the rating digits get {overall:.2%} of the probability; the model hardly means to rate"
            )
        size = sum(parameter.numel() for parameter in model.model.parameters())
        return token_level(found.probs, self.mode), mass, size

    def _weights(self, sizes: list[int]) -> list[float]:
        if self.given_weights is not None:
            return self.given_weights
        if self.mode == "official" and self.reach == "model":
            return list(OFFICIAL_WEIGHTS)
        return weights_by_size(sizes)

    @property
    def _turns(self) -> Turns:
        if self.turns == "auto":
            return "first" if self.mode == "official" else "last"
        return self.turns

    def _notes(self, pool: Pool, incomplete: set[int]) -> dict[int, str]:
        """Rows that are rated all the same, and in what they are unusual."""
        from sftbench_plugins.selectit.rating import rated_exchange

        notes: dict[int, str] = {}
        for at, row in enumerate(pool):
            instruction, response = rated_exchange(row, self._turns)
            num_answers = sum(message.role == "assistant" for message in row.messages)
            remarks = [
                (not response.strip(), "empty_response"),
                (not instruction.strip(), "empty_instruction"),
                (num_answers > 1, "first_turn_only" if self._turns == "first" else "history_in_prompt"),
                (at in incomplete, "fewer_prompts"),
            ]
            if note := ", ".join(remark for holds, remark in remarks if holds):
                notes[at] = note
        return notes

    def _report(self, weights: list[float], masses: list[Floats]) -> dict[str, Json]:
        from sftbench_plugins.selectit.rating import wordings

        finite = [mass[np.isfinite(mass)] for mass in masses]
        return {
            "level": self.reach,
            "turns": self._turns,
            "models": self.folders,
            "weights": weights if self.reach == "model" else None,
            "rating_prompts": wordings().told(),
            "mean_digit_mass": [float(each.mean()) if len(each) else None for each in finite],
        }


def _role(at: int) -> str:
    return f"rater_{at + 1}"


def _mean_over_prompts(values: Floats) -> Floats:
    """Means over the last axis of what is there; NaN where nothing is."""
    valid = np.isfinite(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        means: Floats = np.where(valid, values, 0.0).sum(-1) / valid.sum(-1)
    return means


def _columns(tokens: Floats, sentences: Floats, masses: Floats) -> dict[str, npt.NDArray[np.generic]]:
    """What lies under the score: over all models and prompts, and each model's own score where there are several."""
    flat = tokens.reshape(len(tokens), -1)
    mean = _mean_over_prompts(flat)
    spread = np.sqrt(_mean_over_prompts((flat - mean[:, None]) ** 2))
    columns = {"digit_mass": _mean_over_prompts(masses.T), "mean_token_score": mean, "std_token_score": spread}
    if sentences.shape[1] > 1:
        columns |= {f"sentence_{at + 1}": sentences[:, at] for at in range(sentences.shape[1])}
    return cast("dict[str, npt.NDArray[np.generic]]", columns)
