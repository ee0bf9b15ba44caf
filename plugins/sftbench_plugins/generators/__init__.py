"""Generators: new rows out of real ones, by a language model, by the run's own models, or by rules."""

from __future__ import annotations

from sftbench import Fidelity, Generator, Method, PartUse, hookimpl
from sftbench_plugins.generators.evol_instruct import EvolInstruct
from sftbench_plugins.generators.magpie import Magpie
from sftbench_plugins.generators.paraphrase import Paraphrase
from sftbench_plugins.generators.persona import PersonaDriven
from sftbench_plugins.generators.self_instruct import SelfInstruct
from sftbench_plugins.generators.topics import Topics

_DIVERSITY = "What Matters in LLM-generated Data: Diversity and Its Effect on Model Fine-Tuning (arXiv 2506.19262)"
_OWN_PROMPTS = "prompts are our own words; what a language model writes is not the authors' data"
_BOTH_MODES: dict[str, Fidelity] = {"paper": "reconstruction", "official": "reconstruction"}


@hookimpl
def sftbench_generators() -> list[type[Generator]]:
    """Every way of making rows."""
    return [EvolInstruct, Magpie, Paraphrase, PersonaDriven, SelfInstruct, Topics]


@hookimpl
def sftbench_methods() -> list[Method]:
    """Each generator, with a choice by chance from what it made."""
    return [
        _method(
            "paraphrase",
            "new rows of which a share gives way to paraphrases of each other",
            _DIVERSITY,
            "levels D0 to D6 are shares of our choice; the paper's were not to be had",
            "any instructions, where the paper has questions about long texts",
            _OWN_PROMPTS,
        ),
        _method(
            "topics",
            "new rows, equally many about each topic of a list",
            _DIVERSITY,
            "the list is asked for fifty at a time, and topics that are alike are left out; the paper's is unknown",
            "instructions, where the paper has stories",
            _OWN_PROMPTS,
        ),
        _method(
            "persona",
            "instructions that different people would give",
            "Scaling Synthetic Data Creation with 1,000,000,000 Personas (arXiv 2406.20094)",
            "personas are told from the pool's rows, where the paper has web text",
            "words are compared exactly (Jaccard), where the paper estimates by MinHash",
            _OWN_PROMPTS,
        ),
        _method(
            "self-instruct",
            "new tasks after a list of tasks, kept when they differ enough, then worked out",
            "Self-Instruct: Aligning Language Models with Self-Generated Instructions (arXiv 2212.10560)",
            "a chat model answers in JSON, where the released code continues few-shot texts; one instance of a task",
            "the released presence penalty of 2 is not sent",
            _OWN_PROMPTS,
            fidelity=_BOTH_MODES,
        ),
        _method(
            "evol-instruct",
            "real instructions made harder, round after round",
            "WizardLM: Empowering Large Language Models to Follow Complex Instructions (arXiv 2304.12244)",
            "rows of all rounds, chain by chain, where the paper mixes rounds of the whole set",
            _OWN_PROMPTS,
            fidelity=_BOTH_MODES,
        ),
        _method(
            "magpie",
            "what an aligned model writes by itself where a user's turn begins, and its answers",
            "Magpie: Alignment Data Synthesis from Scratch by Prompting Aligned LLMs with Nothing (arXiv 2406.08464)",
            "ratings of quality and difficulty, but no reward model and no selection by length of the response",
            "Markdown at the beginning is rejected afterwards, where the released code lowers its logits",
            _OWN_PROMPTS,
            fidelity=_BOTH_MODES,
        ),
    ]


def _method(
    name: str, summary: str, paper: str, *deviations: str, fidelity: dict[str, Fidelity] | None = None
) -> Method:
    return Method(
        name=name,
        summary=summary,
        generator=PartUse(name=name),
        selector=PartUse(name="random"),
        paper=paper,
        fidelity=fidelity or {"*": "reconstruction"},
        deviations=deviations,
    )
