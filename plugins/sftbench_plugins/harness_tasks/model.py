"""A trained model as the harness asks it: scored and continued by the project's own engines. Imports the harness."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from lm_eval.api.model import TemplateLM
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from sftbench import LanguageModel, LogProbs, Nll, Passage, Progress, continue_texts

Ids = list[int]
Scored = tuple[float, bool]
"""Log-likelihood of a continuation in nats, and whether the model would write it if it took the likeliest tokens."""
DEFAULT_NEW_TOKENS = 256
"""The harness's own limit where a task names none."""


Watch = Callable[[int, str], AbstractContextManager[Progress]]


class _Unwatched:
    def advance(self, amount: int = 1) -> None:
        pass


@dataclass(frozen=True)
class Foremost:
    """The likeliest token [c], or whether the one that stands there is it."""

    compared: bool = True
    name: str = "foremost"

    def reduce(self, logits: torch.Tensor, log_normaliser: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        likeliest = logits.argmax(1)
        return (likeliest == targets).float() if self.compared else likeliest.float()


class HarnessModel(TemplateLM):  # type: ignore[misc]  # the harness has no types
    """Answers the harness's requests; `remarks` counts what was cut."""

    def __init__(self, model: LanguageModel, *, progress: Watch | None = None) -> None:
        super().__init__()
        self.model, self.tokenizer = model, model.tokenizer
        self.remarks: Counter[str] = Counter()
        self.progress: Watch = progress or (lambda total, unit: nullcontext(_Unwatched()))

    @property
    def eot_token_id(self) -> int:
        return int(self.tokenizer.eos_token_id or 0)

    @property
    def prefix_token_id(self) -> int:
        """What stands before a text that has no context."""
        found = self.tokenizer.bos_token_id
        return self.eot_token_id if found is None else int(found)

    @property
    def tokenizer_name(self) -> str:
        return str(self.tokenizer.name_or_path)

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        return str(
            self.tokenizer.apply_chat_template(
                chat_history,
                tokenize=False,
                add_generation_prompt=add_generation_prompt,
                continue_final_message=not add_generation_prompt,
            )
        )

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **kwargs: Any) -> Ids:
        lead = self._lead(string) if add_special_tokens is not False else []
        return lead + list(self.tokenizer(string, add_special_tokens=False, verbose=False)["input_ids"])

    def loglikelihood(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[Scored]:
        """Each continuation after its context, split into tokens as the harness does; a context is tokenised once."""
        pairs = [_blanks_moved(*request.args) for request in requests]
        contexts = list(dict.fromkeys(context for context, _ in pairs))
        ids = dict(zip(contexts, self._encoded(contexts), strict=True))
        wholes = self._encoded([context + continuation for context, continuation in pairs])
        found = []
        for (context, continuation), whole in zip(pairs, wholes, strict=True):
            before, after = ids[context], whole[len(ids[context]) :]
            if not context:
                after = self.tok_encode(continuation, add_special_tokens=False)
                first = [self.prefix_token_id]
                before, after = (first, after) if after[:1] != first else (after[:1], after[1:])
            found.append((None, before, after))
        return self._loglikelihood_tokens(found)

    def _encoded(self, texts: Sequence[str]) -> list[Ids]:
        if not texts:
            return []
        plain = self.tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
        return [self._lead(text) + list(ids) for text, ids in zip(texts, plain, strict=True)]

    def _lead(self, string: str) -> Ids:
        """The BOS that the tokenizer itself puts first, unless the text begins with it."""
        token = self.model.bos_token_id
        written = token is not None and string.startswith(str(self.tokenizer.decode([token])))
        return [] if token is None or written else [token]

    def _loglikelihood_tokens(
        self, requests: Sequence[tuple[Any, Ids, Ids]], disable_tqdm: bool = False, **kwargs: Any
    ) -> list[Scored]:
        """Each continuation given its context, of which the window keeps the end.

        Where several single tokens compete after one context, the model reads that once.
        """
        pairs = [(tuple(context), tuple(continuation)) for _, context, continuation in requests]
        rivals = Counter(context for context, continuation in pairs if len(continuation) == 1)
        shared = {context for context, count in rivals.items() if count > 1}
        found: dict[tuple[tuple[int, ...], tuple[int, ...]], Scored] = {}
        different = list(dict.fromkeys(pairs))
        together = [pair for pair in different if len(pair[1]) == 1 and pair[0] in shared]
        alone = [pair for pair in different if len(pair[1]) != 1 or pair[0] not in shared]
        with self.progress(len(different), "request") as progress:
            for pair, value in chain(self._competing(together), self._alone(alone)):
                found[pair] = value
                progress.advance()
        return [found[pair] for pair in pairs]

    def _alone(self, pairs: Sequence[tuple[tuple[int, ...], tuple[int, ...]]]) -> Iterator[tuple[Any, Scored]]:
        passages = (self._passage(*pair) for pair in pairs)
        results = self.model.run(passages, statistics=[Nll(), Foremost()])
        for pair, numbers in zip(pairs, results, strict=True):
            likely = -float(np.asarray(numbers["nll"], dtype=np.float64).sum())
            yield pair, self._checked(likely, bool(numbers["foremost"].all()))

    def _passage(self, context: Sequence[int], continuation: Sequence[int]) -> Passage:
        """The last tokens that are read and predicted: one more than the window, for the last is only predicted."""
        whole = [*context, *continuation]
        kept = whole[-(self.model.max_length + 1) :]
        self.remarks["prompts that lost their beginning"] += len(whole) > len(kept)
        scored = np.zeros(len(kept), dtype=np.bool_)
        scored[max(1, len(kept) - len(continuation)) :] = True
        return Passage(token_ids=np.array(kept, dtype=np.int32), scored=scored)

    def _competing(self, pairs: Sequence[tuple[tuple[int, ...], tuple[int, ...]]]) -> Iterator[tuple[Any, Scored]]:
        tokens_after: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for context, (token,) in pairs:
            tokens_after[context].append(token)
        alike: dict[tuple[int, ...], list[tuple[int, ...]]] = defaultdict(list)
        for context, tokens in tokens_after.items():
            alike[tuple(sorted(tokens))].append(context)
        for rivals, contexts in alike.items():
            passages = (self._next(each) for each in contexts)
            results = self.model.run(passages, statistics=[LogProbs(rivals), Foremost(compared=False)])
            for context, numbers in zip(contexts, results, strict=True):
                likeliest = numbers["foremost"][0]
                for token, value in zip(rivals, numbers["log_probs"][0], strict=True):
                    yield (context, (token,)), self._checked(float(value), bool(likeliest == token))

    def _next(self, context: Sequence[int]) -> Passage:
        kept = context[-self.model.max_length :]
        self.remarks["prompts that lost their beginning"] += len(context) > len(kept)
        return Passage.next_token(np.array(kept, dtype=np.int32))

    def _checked(self, likely: float, is_foremost: bool) -> Scored:
        if np.isfinite(likely):
            return likely, is_foremost
        # No number must not win a comparison between choices.
        self.remarks["continuations without a likelihood"] += 1
        return float("-inf"), False

    def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:
        """Whole texts, in windows that overlap nowhere in what they score."""
        windows, owners = [], []
        for at, request in enumerate(requests):
            tokens = self.tok_encode(request.args[0])
            for window in get_rolling_token_windows(
                token_list=tokens, prefix_token=self.prefix_token_id, max_seq_len=self.model.max_length, context_len=1
            ):
                context, continuation = make_disjoint_window(window)
                windows.append((None, list(context), list(continuation)))
                owners.append(at)
        totals = [0.0] * len(requests)
        for owner, (likely, _) in zip(owners, self._loglikelihood_tokens(windows), strict=True):
            totals[owner] += likely
        return totals

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """What comes after each prompt. A prompt that comes again is drawn with another seed, always the same."""
        alike: dict[Drawing, list[int]] = defaultdict(list)
        for at, request in enumerate(requests):
            alike[self._drawing(request.args[1])].append(at)
        texts = [""] * len(requests)
        with self.progress(len(requests), "answer") as progress:
            for drawing, places in alike.items():
                prompts = [str(requests[at].args[0]) for at in places]
                written = continue_texts(
                    self.model, prompts, max_new_tokens=drawing.max_new_tokens, temperature=drawing.temperature,
                    top_p=drawing.top_p, seeds=seeds_of(prompts), stop=drawing.stop, advance=progress.advance,
                )  # fmt: skip
                for at, each in zip(places, written, strict=True):
                    texts[at] = each.text
        return texts

    def _drawing(self, wanted: Mapping[str, Any]) -> Drawing:
        """The harness's generation settings; what would leave less than half the window to the prompt is cut."""
        asked = int(wanted.get("max_gen_toks") or wanted.get("max_new_tokens") or DEFAULT_NEW_TOKENS)
        allowed = min(asked, self.model.max_length // 2)
        if allowed < asked:
            self.remarks[f"answers limited to {allowed} instead of {asked} tokens, half the window"] += 1
        until = wanted.get("until") or ()
        temperature = float(wanted.get("temperature") or 0.0)
        if wanted.get("do_sample") and "temperature" not in wanted:
            temperature = 1.0
        return Drawing(
            max_new_tokens=allowed,
            temperature=temperature if wanted.get("do_sample", temperature > 0) else 0.0,
            top_p=float(wanted.get("top_p") or 1.0),
            stop=(until,) if isinstance(until, str) else tuple(until),
        )


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """How texts are continued."""

    max_new_tokens: int
    temperature: float
    top_p: float
    stop: tuple[str, ...]


def _blanks_moved(context: str, continuation: str) -> tuple[str, str]:
    """Blanks at the end of a context belong to what follows: tokens begin with them."""
    kept = context.rstrip()
    return kept, context[len(kept) :] + continuation


def seeds_of(prompts: Sequence[str]) -> list[int]:
    """A seed for each prompt from its text and from how often it came before."""
    seen: Counter[str] = Counter()
    seeds = []
    for prompt in prompts:
        digest = hashlib.sha256(f"{seen[prompt]}\n{prompt}".encode()).digest()
        seeds.append(int.from_bytes(digest[:4], "big"))
        seen[prompt] += 1
    return seeds
