"""Hidden states inside a transformer: the model is run no further than the layer that is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from sftbench.errors import UsageError

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class _ReachedError(Exception):
    """The states that were asked for are there; nothing after them is computed."""

    def __init__(self, states: torch.Tensor) -> None:
        super().__init__("reached")
        self.states = states


@dataclass(frozen=True, kw_only=True)
class Depth:
    """A place between the layers of a decoder: `layer` 0 is before the first, 1 after it, and so on.

    The states after the last layer are those of the residual stream: the final norm has not seen them.
    `layer` None is what the decoder gives, after that norm.
    """

    decoder: Any
    layers: torch.nn.ModuleList
    layer: int | None

    @classmethod
    def of(cls, model: PreTrainedModel, layer: int | None) -> Depth:
        """Negative layers count from the end: -1 is after the last. Raises `UsageError` for one that is not there."""
        decoder: Any = model.get_decoder()
        if layer is None:
            return cls(decoder=decoder, layers=torch.nn.ModuleList(), layer=None)
        count = int(model.config.get_text_config().num_hidden_layers)
        lists = (each for each in decoder.modules() if isinstance(each, torch.nn.ModuleList) and len(each) == count)
        layers = next(lists, None)
        if layers is None:
            raise UsageError(f"{type(model).__name__} does not keep its layers in a list; its states cannot be read")
        if not -count - 1 <= layer <= count:
            raise UsageError(f"{type(model).__name__} has {count} layers; there are no states after layer {layer}")
        return cls(decoder=decoder, layers=layers, layer=layer % (count + 1))

    @torch.inference_mode()
    def states(self, token_ids: torch.Tensor) -> torch.Tensor:
        """States [B, L, width] of `token_ids` [B, L], padded on the right."""
        if self.layer is None:
            given: torch.Tensor = self.decoder(input_ids=token_ids, use_cache=False).last_hidden_state
            return given
        if self.layer == 0:
            hook = self.layers[0].register_forward_pre_hook(_stop_before, with_kwargs=True)
        else:
            hook = self.layers[self.layer - 1].register_forward_hook(_stop_after)
        try:
            # No attention mask: a causal model never looks at padding on the right.
            self.decoder(input_ids=token_ids, use_cache=False)
        except _ReachedError as reached:
            return reached.states
        finally:
            hook.remove()
        raise UsageError(f"{type(self.decoder).__name__} does not go through its layers one after the other")


def _stop_before(module: torch.nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
    raise _ReachedError(given[0] if given else named["hidden_states"])


def _stop_after(module: torch.nn.Module, given: Any, made: Any) -> None:
    raise _ReachedError(made[0] if isinstance(made, tuple) else made)
