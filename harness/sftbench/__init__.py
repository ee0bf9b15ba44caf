"""sftbench: which way of choosing fine-tuning data is really better, and what does the choosing cost?

This is the public list. Plugins import from here and from nowhere deeper; notebooks use `run`, `select`, `score`,
`describe`, `score_verdicts` and `load_board`, which do what the command line does.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sftbench.chat import Chat, ChatAnswer, ChatRequest
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
        load_board,
        run,
        score,
        score_verdicts,
        select,
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

_LAZY = {
    name: f"sftbench.{module}"
    for module, names in {
        "commands": (
            "check_contamination", "compare_selections", "describe", "load_board", "run", "score", "score_verdicts",
            "select",
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
    "Component",
    "Continuation",
    "ContractError",
    "Desk",
    "Distillation",
    "Encoded",
    "Entropy",
    "EnvironmentProblem",
    "Evaluation",
    "Evaluator",
    "Fidelity",
    "Generated",
    "Generator",
    "Json",
    "Judge",
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
    "Ragged",
    "Recipe",
    "Responses",
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
    "answer_rows",
    "check_contamination",
    "compare_selections",
    "continue_texts",
    "describe",
    "encode_rows",
    "fine_tune",
    "hookimpl",
    "largest_share",
    "load_board",
    "param",
    "run",
    "score",
    "score_verdicts",
    "select",
    "trained_on",
    "training_rows",
]
