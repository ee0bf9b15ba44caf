"""Text by a causal language model, the likeliest or drawn by chance, in batches with a key-value cache."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from sftbench.engines.batching import length_batches
from sftbench.engines.encode import encode_rows, leading_tokens
from sftbench.engines.flops import forward_flops
from sftbench.engines.rendering import render_prompt
from sftbench.engines.sampling import Drawn, Likeliest, TokenChoice
from sftbench.rooms import Message, Row

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from sftbench.engines.forward import LanguageModel

_log = logging.getLogger(__name__)
Ids = list[int]
_PIECE = "\ufffd"


@dataclass(frozen=True, slots=True, kw_only=True)
class Continuation:
    """What a model wrote after a prompt: without special tokens, and without the stop text.

    `ended` is False when the limit of new tokens cut it off.
    """

    text: str
    ended: bool


def continue_texts(
    language_model: LanguageModel,
    prompts: Sequence[str],
    *,
    max_new_tokens: int,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seeds: Sequence[int] = (),
    stop: Sequence[str] = (),
    max_batch_tokens: int | None = None,
    advance: Callable[[int], None] | None = None,
) -> list[Continuation]:
    """What comes after each prompt: raw text, in which special tokens count as such and round which no template is put.

    At `temperature` 0 the likeliest token again and again; above, tokens are drawn from the softmax at that
    temperature, of the smallest set of tokens that holds `top_p` of it. Each prompt draws with a seed of its own, so
    that neither its neighbours nor the size of a batch change what it gets. Ends at EOS, at a token that ends a turn,
    before the first text of `stop`, or after `max_new_tokens`. Prompts lose their beginning as in `answer_rows`.
    """
    choice = _choice(len(prompts), temperature=temperature, top_p=top_p, seeds=seeds)
    tokens = raw_tokens(language_model, prompts, max_new_tokens=max_new_tokens)
    return _written(
        language_model, tokens, max_new_tokens=max_new_tokens, choice=choice, stop=stop,
        max_batch_tokens=max_batch_tokens, advance=advance,
    )  # fmt: skip


def answer_rows(
    language_model: LanguageModel,
    rows: Sequence[Row],
    *,
    max_new_tokens: int,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seeds: Sequence[int] = (),
    max_batch_tokens: int | None = None,
    advance: Callable[[int], None] | None = None,
) -> list[Continuation]:
    """What the model answers to each row, drawn as by `continue_texts`; the row's own last response is not read.

    The prompt is the training form up to the last response. A prompt that leaves too little room in the
    context window loses its beginning, and a row that the chat template refuses is answered by nothing;
    how many is logged.
    """
    choice = _choice(len(rows), temperature=temperature, top_p=top_p, seeds=seeds)
    tokens = prompt_tokens(language_model, rows, max_new_tokens=max_new_tokens)
    return _written(
        language_model, tokens, max_new_tokens=max_new_tokens, choice=choice, max_batch_tokens=max_batch_tokens,
        advance=advance,
    )  # fmt: skip


def generate_greedy(
    language_model: LanguageModel,
    rows: Sequence[Row],
    *,
    max_new_tokens: int,
    max_batch_tokens: int | None = None,
    advance: Callable[[int], None] | None = None,
) -> list[str]:
    """The likeliest answer to each row, as text alone; see `answer_rows`."""
    found = answer_rows(
        language_model, rows, max_new_tokens=max_new_tokens, max_batch_tokens=max_batch_tokens, advance=advance
    )
    return [each.text for each in found]


def _choice(count: int, *, temperature: float, top_p: float, seeds: Sequence[int]) -> TokenChoice:
    if temperature == 0:
        return Likeliest()
    if len(seeds) != count:
        raise ValueError(f"{count} prompts need as many seeds to draw with; given: {len(seeds)}")
    return Drawn(temperature=temperature, top_p=top_p, seeds=seeds)


def _written(
    model: LanguageModel,
    prompts: Sequence[Ids],
    *,
    max_new_tokens: int,
    choice: TokenChoice,
    stop: Sequence[str] = (),
    max_batch_tokens: int | None = None,
    advance: Callable[[int], None] | None = None,
) -> list[Continuation]:
    """Continuations in the order of the prompts; a prompt without tokens gets nothing."""
    ends = _Ends(model, stop)
    on_cpu = model.device.type == "cpu"
    budget = max_batch_tokens or (16384 if on_cpu else 131072)
    written = [Continuation(text="", ended=True)] * len(prompts)
    asked = [at for at, ids in enumerate(prompts) if ids]
    for places in length_batches([len(prompts[at]) + max_new_tokens for at in asked], max_tokens=budget):
        batch = [asked[place] for place in places]
        new = _continue(model, {at: prompts[at] for at in batch}, ends=ends, num_steps=max_new_tokens, choice=choice)
        for at, (ids, ended) in new.items():
            text, stopped = ends.cut(ids)
            written[at] = Continuation(text=text, ended=ended or stopped)
        if advance is not None:
            advance(len(batch))
    if advance is not None and len(asked) < len(prompts):
        advance(len(prompts) - len(asked))
    return written


class _Ends:
    """Where a text ends: at a token that stands for it, or at a stop text, whatever tokens that is made of."""

    def __init__(self, model: LanguageModel, stop: Sequence[str]) -> None:
        self.tokens = stop_tokens(model)
        self._tokenizer = model.tokenizer
        self._stop = tuple(filter(None, stop))
        # A piece of a character is written as the replacement character, by itself and as long as the rest is missing.
        self._last = {text[-1] for text in self._stop} | {_PIECE}
        # Some tokenizers swallow a blank that stands alone, and what follows a piece tells that it remains one.
        self._any_may_end = any(text.endswith((" ", _PIECE)) for text in self._stop)
        self._may_end: dict[int, bool] = {}

    def reached(self, ids: Ids) -> bool:
        """Whether the newest token completes a stop text. Only one with its last letter can, or with a piece of it."""
        if not self._stop:
            return False
        newest = ids[-1]
        if newest not in self._may_end:
            self._may_end[newest] = self._any_may_end or not self._last.isdisjoint(self._decoded([newest]))
        return self._may_end[newest] and self._first_stop(self._decoded(ids).rstrip(_PIECE)) is not None

    def cut(self, ids: Ids) -> tuple[str, bool]:
        """The text before the first stop text, and whether there is one."""
        text = self._decoded(ids)
        settled = self._first_stop(text.rstrip(_PIECE))
        at = self._first_stop(text) if settled is None else settled
        return text[:at], at is not None

    def _first_stop(self, text: str) -> int | None:
        return min((at for each in self._stop if (at := text.find(each)) >= 0), default=None)

    def _decoded(self, ids: Ids) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=True))


def raw_tokens(language_model: LanguageModel, prompts: Sequence[str], *, max_new_tokens: int) -> list[Ids]:
    """Raw prompts as tokens, with the BOS that the tokenizer puts first unless it is written out."""
    tokenizer = language_model.tokenizer
    lead: Ids = list(leading_tokens(tokenizer))
    texts = list(prompts)
    found: list[Ids] = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"] if texts else []
    found = [ids[len(lead) :] if lead and ids[: len(lead)] == lead else ids for ids in found]
    return _fitted(language_model, found, lead=lead, max_new_tokens=max_new_tokens)


def prompt_tokens(language_model: LanguageModel, rows: Sequence[Row], *, max_new_tokens: int) -> list[Ids]:
    """What each row gives the model, cut on the left to leave room for `max_new_tokens`; nothing if refused."""
    tokenizer = language_model.tokenizer
    lead: Ids = [] if tokenizer.chat_template else list(leading_tokens(tokenizer))
    texts = [_asked(row, tokenizer) for row in rows]
    kept = [text or "" for text in texts]
    found: list[Ids] = tokenizer(kept, add_special_tokens=False, verbose=False)["input_ids"] if kept else []
    if None in texts:
        _log.warning("the chat template refuses %d of %d prompts; they get no answer", texts.count(None), len(texts))
    fitted = _fitted(language_model, found, lead=lead, max_new_tokens=max_new_tokens)
    return [[] if text is None else ids for text, ids in zip(texts, fitted, strict=True)]


def _fitted(model: LanguageModel, found: Sequence[Ids], *, lead: Ids, max_new_tokens: int) -> list[Ids]:
    """Prompts after the BOS, cut on the left to leave room; how many were cut is logged."""
    room = max(1, model.max_length - max_new_tokens - len(lead))
    num_cut = sum(len(ids) > room for ids in found)
    if num_cut:
        _log.warning("%d of %d prompts are longer than %d tokens and lost their beginning", num_cut, len(found), room)
    # A model can continue nothing but something: an empty prompt is taken for the end of another text.
    ended = [int(model.tokenizer.eos_token_id or 0)]
    return [lead + ids[-room:] or ended for ids in found]


def _asked(row: Row, tokenizer: PreTrainedTokenizerFast) -> str | None:
    from jinja2 import TemplateError

    try:
        return render_prompt(row, tokenizer)
    except TemplateError:
        return None


def stop_tokens(language_model: LanguageModel) -> frozenset[int]:
    """EOS by the tokenizer and by the model's generation settings, and what ends a turn in the training form."""
    tokenizer: PreTrainedTokenizerFast = language_model.tokenizer
    settings: Any = getattr(language_model.model, "generation_config", None)
    declared = getattr(settings, "eos_token_id", None)
    known = [tokenizer.eos_token_id, *(declared if isinstance(declared, list) else [declared])]
    turn = Row(id="", messages=(Message(role="user", content="a"), Message(role="assistant", content="b")))
    shown = next(encode_rows([turn], tokenizer, max_length=2**20))
    ends = shown.token_ids[shown.response][shown.spans[:, 0] < 0]
    special = set(tokenizer.all_special_ids) | {
        at for at, each in tokenizer.added_tokens_decoder.items() if each.special
    }
    return frozenset(
        {int(each) for each in known if each is not None} | {int(each) for each in ends if each in special}
    )


@torch.inference_mode()
def _continue(
    model: LanguageModel, prompts: dict[int, Ids], *, ends: _Ends, num_steps: int, choice: TokenChoice
) -> dict[int, tuple[Ids, bool]]:
    """New tokens per prompt, by its number, without the token that stopped it, and whether one did."""
    from transformers import DynamicCache

    longest = max(map(len, prompts.values()))
    # Padding stands on the left, so that the newest token of every row is in the last column.
    ids = torch.tensor([[0] * (longest - len(each)) + each for each in prompts.values()])
    mask = torch.tensor([[0] * (longest - len(each)) + [1] * len(each) for each in prompts.values()])
    found: dict[int, Ids] = {number: [] for number in prompts}
    ended = dict.fromkeys(prompts, False)
    rows = list(prompts)
    cache: Any = DynamicCache(config=model.model.config)
    for step in range(num_steps):
        newest = choice(_next_logits(model, ids, mask, cache), rows, step)
        going = []
        for at, token in enumerate(newest):
            if token in ends.tokens:
                ended[rows[at]] = True
                continue
            found[rows[at]].append(token)
            ended[rows[at]] = ends.reached(found[rows[at]])
            if not ended[rows[at]]:
                going.append(at)
        if not going:
            break
        if len(going) < len(rows):
            cache.reorder_cache(torch.tensor(going, device=model.device))
            mask, rows = mask[going], [rows[at] for at in going]
        ids = torch.tensor([[newest[at]] for at in going])
        mask = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=1)
    meter_generation(model, list(prompts.values()), list(found.values()))
    return {number: (found[number], ended[number]) for number in prompts}


def _next_logits(model: LanguageModel, ids: torch.Tensor, mask: torch.Tensor, cache: Any) -> torch.Tensor:
    places: dict[str, torch.Tensor] = {}
    if "position_ids" in inspect.signature(type(model.model).forward).parameters:
        places["position_ids"] = (mask.cumsum(1) - 1).clamp_min(0)[:, -ids.shape[1] :].to(model.device)
    states = model.cut.body(
        input_ids=ids.to(model.device),
        attention_mask=mask.to(model.device),
        past_key_values=cache,
        use_cache=True,
        **places,
    )
    return model.cut.head(states[:, -1])


def meter_generation(model: LanguageModel, prompts: Sequence[Ids], new: Sequence[Ids]) -> None:
    """Every prompt token and every new one but the last goes through the body once; the head makes each new one."""
    num_new = sum(len(each) + 1 for each in new)
    lengths = [len(prompt) + len(each) for prompt, each in zip(prompts, new, strict=True)]
    flops = forward_flops(model.shape, lengths, num_scored_tokens=num_new)
    model.meter(tokens_forward=sum(map(len, prompts)), tokens_generated=sum(map(len, new)), flops=flops)
