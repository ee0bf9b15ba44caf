"""SelectIT: rows of whose rating a language model is sure, whatever the wording of the question and the model."""

from __future__ import annotations

from sftbench import Method, PartUse, Scorer, Selector, hookimpl
from sftbench_plugins.selectit.scorer import SelectIt
from sftbench_plugins.selectit.selector import HighestScores


@hookimpl
def sftbench_scorers() -> list[type[Scorer]]:
    """Token, sentence and model level."""
    return [SelectIt]


@hookimpl
def sftbench_selectors() -> list[type[Selector]]:
    """The ranking with the authors' ties."""
    return [HighestScores]


@hookimpl
def sftbench_methods() -> list[Method]:
    """The highest scores."""
    return [
        Method(
            name="selectit",
            summary="rows that a language model rates high and surely, under several rating prompts and models",
            scorer=PartUse(name="selectit"),
            selector=PartUse(name="selectit"),
            paper="SelectIT: Selective Instruction Tuning via Uncertainty-Aware Self-Reflection (arXiv 2402.16705)",
            fidelity={"paper": "reconstruction", "official": "exact"},
            deviations=(
                "the rating prompts are in our own words: exact is what becomes of given probabilities",
                "the run's scoring model alone, unless models= names more; the authors use LLaMA-2 7B, 13B, 70B",
                "rating digits are looked up in the tokenizer; the authors' ids are those of LLaMA",
                "a row that fails has no score and shifts no other; there it is left out and all later scores move up",
                "level=token takes the prompt that prompt= names; there one is drawn without a seed",
            ),
        )
    ]
