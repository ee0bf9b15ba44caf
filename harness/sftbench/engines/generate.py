"""Greedy answers of a causal language model, in batches with a key-value cache."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch

from sftbench.engines.batching import length_batches
from sftbench.engines.encode import encode_rows, leading_tokens
from sftbench.engines.flops import forward_flops
from sftbench.engines.rendering import render_prompt
from sftbench.rooms import Message, Row

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from sftbench.engines.forward import LanguageModel

_log = logging.getLogger(__name__)
Ids = list[int]


def generate_greedy(
    language_model: LanguageModel,
    rows: Sequence[Row],
    *,
    max_new_tokens: int,
    max_batch_tokens: int | None = None,
    advance: Callable[[int], None] | None = None,
) -> list[str]:
    """The likeliest next token again and again, per row: the new text alone, without special tokens.

    The prompt is the training form up to the last response. A row ends at EOS, at the token that ends
    a turn in the training form, or after `max_new_tokens`. A prompt that leaves too little room in the
    context window loses its beginning, and a row that the chat template refuses is answered by nothing;
    how many is logged.
    """
    prompts = prompt_tokens(language_model, rows, max_new_tokens=max_new_tokens)
    stops = stop_tokens(language_model)
    on_cpu = language_model.device.type == "cpu"
    budget = max_batch_tokens or (16384 if on_cpu else 131072)
    texts = [""] * len(rows)
    asked = [at for at, ids in enumerate(prompts) if ids]
    for places in length_batches([len(prompts[at]) + max_new_tokens for at in asked], max_tokens=budget):
        batch = [asked[place] for place in places]
        new = _continue(language_model, [prompts[at] for at in batch], stops=stops, max_new_tokens=max_new_tokens)
        for at, ids in zip(batch, new, strict=True):
            texts[at] = str(language_model.tokenizer.decode(ids, skip_special_tokens=True))
        if advance is not None:
            advance(len(batch))
    if advance is not None and len(asked) < len(rows):
        advance(len(rows) - len(asked))
    return texts


def prompt_tokens(language_model: LanguageModel, rows: Sequence[Row], *, max_new_tokens: int) -> list[Ids]:
    """What each row gives the model, cut on the left to leave room for `max_new_tokens`; nothing if refused."""
    tokenizer = language_model.tokenizer
    lead: Ids = [] if tokenizer.chat_template else list(leading_tokens(tokenizer))
    room = max(1, language_model.max_length - max_new_tokens - len(lead))
    texts = [_asked(row, tokenizer) for row in rows]
    kept = [text or "" for text in texts]
    found: list[Ids] = tokenizer(kept, add_special_tokens=False, verbose=False)["input_ids"] if kept else []
    num_cut = sum(len(ids) > room for ids in found)
    if num_cut:
        _log.warning("%d of %d prompts are longer than %d tokens and lost their beginning", num_cut, len(found), room)
    if None in texts:
        _log.warning("the chat template refuses %d of %d prompts; they get no answer", texts.count(None), len(texts))
    # A model can continue nothing but something: an empty prompt is taken for the end of another text.
    ended = [int(tokenizer.eos_token_id or 0)]
    return [[] if text is None else lead + ids[-room:] or ended for text, ids in zip(texts, found, strict=True)]


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
def _continue(model: LanguageModel, prompts: Sequence[Ids], *, stops: frozenset[int], max_new_tokens: int) -> list[Ids]:
    """New tokens per prompt, without the one that stopped it."""
    from transformers import DynamicCache

    longest = max(map(len, prompts))
    # Padding stands on the left, so that the newest token of every row is in the last column.
    ids = torch.tensor([[0] * (longest - len(each)) + each for each in prompts])
    mask = torch.tensor([[0] * (longest - len(each)) + [1] * len(each) for each in prompts])
    found: list[Ids] = [[] for _ in prompts]
    rows = list(range(len(prompts)))
    cache: Any = DynamicCache(config=model.model.config)
    for _ in range(max_new_tokens):
        newest = _next_tokens(model, ids, mask, cache)
        going = [at for at, token in enumerate(newest) if token not in stops]
        for at in going:
            found[rows[at]].append(newest[at])
        if not going:
            break
        if len(going) < len(rows):
            cache.reorder_cache(torch.tensor(going, device=model.device))
            mask, rows = mask[going], [rows[at] for at in going]
        ids = torch.tensor([[newest[at]] for at in going])
        mask = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=1)
    _meter(model, prompts, found)
    return found


def _next_tokens(model: LanguageModel, ids: torch.Tensor, mask: torch.Tensor, cache: Any) -> Ids:
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
    chosen: Ids = model.cut.head(states[:, -1]).argmax(1).tolist()
    return chosen


def _meter(model: LanguageModel, prompts: Sequence[Ids], new: Sequence[Ids]) -> None:
    """Every prompt token and every new one but the last goes through the body once; the head makes each new one."""
    num_new = sum(len(each) + 1 for each in new)
    lengths = [len(prompt) + len(each) for prompt, each in zip(prompts, new, strict=True)]
    flops = forward_flops(model.shape, lengths, num_scored_tokens=num_new)
    model.meter(tokens_forward=sum(map(len, prompts)), tokens_generated=sum(map(len, new)), flops=flops)
