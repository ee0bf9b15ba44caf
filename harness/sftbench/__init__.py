"""sftbench: which way of choosing fine-tuning data is really better, and what does the choosing cost?

This is the public list. Plugins import from here and from nowhere deeper.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

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
    from sftbench.engines.encode import Encoded, encode_rows
    from sftbench.engines.forward import LanguageModel, Passage, Perturbation
    from sftbench.engines.statistics import Entropy, Nll, Statistic
    from sftbench.engines.train_rows import training_rows
    from sftbench.engines.train_settings import Distillation, TrainingSettings
    from sftbench.engines.training import fine_tune

_LAZY = {
    name: f"sftbench.engines.{module}"
    for module, names in {
        "encode": ("Encoded", "encode_rows"),
        "forward": ("LanguageModel", "Passage", "Perturbation"),
        "statistics": ("Entropy", "Nll", "Statistic"),
        "train_rows": ("training_rows",),
        "train_settings": ("Distillation", "TrainingSettings"),
        "training": ("fine_tune",),
    }.items()
    for name in names
}
"""Names that need torch or transformers: imported when first used, so that `import sftbench` stays light."""

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
    "Component",
    "ContractError",
    "Desk",
    "Distillation",
    "Encoded",
    "Entropy",
    "EnvironmentProblem",
    "Evaluation",
    "Evaluator",
    "Fidelity",
    "Generator",
    "Json",
    "Judge",
    "LanguageModel",
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
    "encode_rows",
    "fine_tune",
    "hookimpl",
    "param",
    "training_rows",
]
