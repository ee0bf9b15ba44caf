"""sftbench: which way of choosing fine-tuning data is really better, and what does the choosing cost?

This is the public list. Plugins import from here and from nowhere deeper; notebooks use `run`, `select`, `score`,
`describe`, `judge_check`, `judge_pairs`, `score_verdicts`, `load_board`, `publish` and `verify`, which do what the
command line does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sftbench.chat import Chat, ChatAnswer, ChatRequest, Endpoint, Room
from sftbench.errors import (
    BudgetError,
    ContractError,
    EnvironmentProblem,
    SftbenchError,
    UsageError,
)
from sftbench.hookspecs import hookimpl
from sftbench.parameters import PartUse, param
from sftbench.roles import (
    Allowance,
    Desk,
    Evaluator,
    Fidelity,
    Generator,
    Judge,
    Method,
    Needs,
    Part,
    PassRequest,
    PassResult,
    Progress,
    PromptSuite,
    Recipe,
    Scorer,
    Selector,
    Suite,
    Trainer,
)
from sftbench.rooms import (
    CROSS_ENTROPY,
    DISTILLATION,
    MASKED,
    Component,
    Evaluation,
    Generated,
    Json,
    Message,
    Pool,
    Ragged,
    Responses,
    Row,
    Scores,
    Selection,
    TrainedModel,
    Verdicts,
)

if TYPE_CHECKING:
    from sftbench.commands import (
        check_contamination,
        compare_selections,
        describe,
        judge_check,
        judge_pairs,
        load_board,
        publish,
        run,
        score,
        score_verdicts,
        select,
        verify,
    )
    from sftbench.engines.encode import Encoded, encode_rows
    from sftbench.engines.forward import LanguageModel, Passage, Perturbation
    from sftbench.engines.generate import Continuation, answer_rows, continue_texts
    from sftbench.engines.shares import largest_share
    from sftbench.engines.statistics import Entropy, LogProbs, Nll, Statistic
    from sftbench.engines.training.fine_tune import fine_tune
    from sftbench.engines.training.rounds import Rounds
    from sftbench.engines.training.rows import trained_on, training_rows
    from sftbench.engines.training.settings import Distillation, TrainingSettings, Weighing
    from sftbench.judging.answers import answer_columns
    from sftbench.judging.verdicts import Label, preference_of_chances, preference_of_games, winner
    from sftbench.sandbox import CodeLimits, CodeOutcome, run_code, run_codes

_LAZY = {
    name: f"sftbench.{module}"
    for module, names in {
        "commands": (
            "check_contamination",
            "compare_selections",
            "describe",
            "judge_check",
            "judge_pairs",
            "load_board",
            "publish",
            "run",
            "score",
            "score_verdicts",
            "select",
            "verify",
        ),
        "engines.encode": ("Encoded", "encode_rows"),
        "engines.forward": ("LanguageModel", "Passage", "Perturbation"),
        "engines.generate": ("Continuation", "answer_rows", "continue_texts"),
        "engines.statistics": ("Entropy", "LogProbs", "Nll", "Statistic"),
        "engines.shares": ("largest_share",),
        "engines.training.rows": ("trained_on", "training_rows"),
        "engines.training.rounds": ("Rounds",),
        "engines.training.settings": ("Distillation", "TrainingSettings", "Weighing"),
        "engines.training.fine_tune": ("fine_tune",),
        "judging.answers": ("answer_columns",),
        "judging.verdicts": ("Label", "preference_of_chances", "preference_of_games", "winner"),
        "sandbox": ("CodeLimits", "CodeOutcome", "run_code", "run_codes"),
    }.items()
    for name in names
}
"""Names whose modules import much: found when first used, so that `import sftbench` stays light."""

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'sftbench' has no attribute '{name}'")


__all__ = [
    "CROSS_ENTROPY",
    "DISTILLATION",
    "MASKED",
    "Allowance",
    "BudgetError",
    "Chat",
    "ChatAnswer",
    "ChatRequest",
    "CodeLimits",
    "CodeOutcome",
    "Component",
    "Continuation",
    "ContractError",
    "Desk",
    "Distillation",
    "Encoded",
    "Endpoint",
    "Entropy",
    "EnvironmentProblem",
    "Evaluation",
    "Evaluator",
    "Fidelity",
    "Generated",
    "Generator",
    "Json",
    "Judge",
    "Label",
    "LanguageModel",
    "LogProbs",
    "Message",
    "Method",
    "Needs",
    "Nll",
    "Part",
    "PartUse",
    "PassRequest",
    "PassResult",
    "Passage",
    "Perturbation",
    "Pool",
    "Progress",
    "PromptSuite",
    "Ragged",
    "Recipe",
    "Responses",
    "Room",
    "Rounds",
    "Row",
    "Scorer",
    "Scores",
    "Selection",
    "Selector",
    "SftbenchError",
    "Statistic",
    "Suite",
    "TrainedModel",
    "Trainer",
    "TrainingSettings",
    "UsageError",
    "Verdicts",
    "Weighing",
    "answer_columns",
    "answer_rows",
    "check_contamination",
    "compare_selections",
    "continue_texts",
    "describe",
    "encode_rows",
    "fine_tune",
    "hookimpl",
    "judge_check",
    "judge_pairs",
    "largest_share",
    "load_board",
    "param",
    "preference_of_chances",
    "preference_of_games",
    "publish",
    "run",
    "run_code",
    "run_codes",
    "score",
    "score_verdicts",
    "select",
    "trained_on",
    "training_rows",
    "verify",
    "winner",
]
