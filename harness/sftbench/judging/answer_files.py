"""Files of answers by one model each, in the shapes that they are handed about in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sftbench.errors import UsageError
from sftbench.pools.answers import answer_texts, model_named
from sftbench.pools.files import rows_in_file
from sftbench.pools.prompts import asked_in, given_id


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One line of a file: which prompt, if it says so, and the answers to its turns, the last one last."""

    where: str
    id: str | None
    instruction: str | None
    texts: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class AnswerFile:
    """All answers of one model, and its name: as the file has it, or the file's own."""

    path: Path
    model: str
    answers: tuple[Answer, ...]

    @property
    def has_ids(self) -> bool:
        """Whether every answer has an id."""
        return all(each.id is not None for each in self.answers)


def read_answer_file(path: Path) -> AnswerFile:
    """JSON lines or a JSON array (also gzipped), or Parquet.

    A row has an id, an instruction or both, and an answer (see `answer_texts`). Raises `UsageError` naming the line for
    a row without these.
    """
    answers: list[Answer] = []
    names: set[str] = set()
    for where, row in rows_in_file(path):
        place = f"{path}, {where}"
        texts = answer_texts(row, place)
        try:
            found = Answer(where=place, id=given_id(row), instruction=asked_in(row), texts=texts)
        except ValueError as problem:
            raise UsageError(f"{place}: {problem}") from None
        if found.id is None and found.instruction is None:
            raise UsageError(f"{place}: neither an id nor an instruction says which prompt is answered")
        answers.append(found)
        names |= {model_named(row)} - {""}
    if not answers:
        raise UsageError(f"{path} holds no answers")
    if len(names) > 1:
        raise UsageError(f"{path} has answers of {len(names)} models, {', '.join(sorted(names)[:3])}; give one of each")
    return AnswerFile(path=path, model=names.pop() if names else path.name.split(".")[0], answers=tuple(answers))
