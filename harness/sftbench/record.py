"""What is written beside every output: identity, inputs, parameters, cost and provenance, or the failure."""

from __future__ import annotations

import dataclasses
import json
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from sftbench.errors import VerificationError
from sftbench.ledger import Ledger
from sftbench.rooms import Json

SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a step did not end: for people (`message`) and for whoever mends it (`trace`)."""

    error: str
    message: str
    trace: str
    exit_code: int = 1

    @classmethod
    def of(cls, problem: BaseException) -> Failure:
        return cls(
            error=type(problem).__name__,
            message=str(problem) or type(problem).__name__,
            trace="".join(traceback.format_exception(problem)),
            exit_code=getattr(problem, "exit_code", 1),
        )


@dataclass(frozen=True, kw_only=True)
class Record:
    """One finished or failed step. `identity` is what was hashed into `key`, so that drift can be explained."""

    key: str
    room: str
    identity: Mapping[str, Json]
    status: Literal["done", "failed"] = "done"
    given: Mapping[str, Json] = field(default_factory=dict)
    payload: Mapping[str, Json] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)
    provenance: Mapping[str, Json] = field(default_factory=dict)
    failure: Failure | None = None
    schema: int = SCHEMA

    def to_json(self) -> str:
        """The text of the record file."""
        return (
            json.dumps(dataclasses.asdict(self), indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"
        )

    @classmethod
    def from_json(cls, text: str, *, where: str) -> Record:
        """Read a record back. Raises `VerificationError` naming the file for anything else than a record."""
        try:
            values: dict[str, Any] = json.loads(text)
            if values.get("schema") != SCHEMA:
                raise VerificationError(
                    f"{where}: record of schema {values.get('schema')}, this version reads {SCHEMA}"
                )
            failure = values.pop("failure")
            ledger = Ledger.of(values.pop("ledger"))
            return cls(**values, ledger=ledger, failure=Failure(**failure) if failure else None)
        except (ValueError, TypeError, KeyError, AttributeError) as problem:
            raise VerificationError(
                f"{where}: not a record ({problem}); delete it to have the step done again"
            ) from None
