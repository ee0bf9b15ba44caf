"""Models from folders: what is missing is said, adapters are merged, and what is made faster stays the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sftbench.engines.forward import LanguageModel, Nll, Passage
from sftbench.engines.loading import load_model
from sftbench.errors import SftbenchError, UsageError

CPU = torch.device("cpu")


@pytest.fixture
def folder(llama, tmp_path):
    """A saved model with its tokenizer."""
    engine = llama()
    engine.model.save_pretrained(tmp_path / "model")
    engine.tokenizer.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_a_folder_gives_the_model_that_was_saved(folder, llama):
    loaded, passage = (
        LanguageModel.load(folder),
        Passage(token_ids=np.arange(9, dtype=np.int32), scored=np.arange(9) > 3),
    )
    expected = next(llama().run([passage], statistics=[Nll()]))["nll"]
    np.testing.assert_allclose(next(loaded.run([passage], statistics=[Nll()]))["nll"], expected, rtol=1e-5)
    assert loaded.model.dtype == torch.float32
    assert not loaded.model.training
    assert (loaded.max_length, loaded.width, loaded.vocab_size, loaded.bos_token_id) == (96, 16, 263, None)


def test_a_model_without_a_tokenizer_is_refused_by_path(folder):
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    with pytest.raises(UsageError, match=str(folder)):
        LanguageModel.load(folder)


def test_a_folder_that_is_not_there_is_refused_by_path(tmp_path):
    with pytest.raises(UsageError, match="nowhere"):
        LanguageModel.load(tmp_path / "nowhere")


def test_a_folder_without_weights_is_an_error_without_a_traceback(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(SftbenchError, match="cannot be loaded"):
        LanguageModel.load(folder)


def test_an_unknown_dtype_is_refused_with_those_that_exist(folder):
    with pytest.raises(UsageError, match="bfloat16"):
        LanguageModel.load(folder, dtype="float8")


def test_a_dtype_can_be_asked_for(folder):
    assert LanguageModel.load(folder, dtype="bfloat16").model.dtype == torch.bfloat16


# peft reads a property that transformers has renamed.
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_an_adapter_is_merged_into_its_base_and_changes_the_fingerprint(folder, tmp_path):
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(1)
    base = load_model(folder, adapter=None, dtype="auto", device=CPU)
    adapted = get_peft_model(base, LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)).eval()
    adapted.save_pretrained(tmp_path / "adapter")
    ids = torch.arange(9)[None]
    with torch.no_grad():
        expected = adapted(input_ids=ids).logits
    merged = LanguageModel.load(folder, adapter=tmp_path / "adapter")
    plain = LanguageModel.load(folder)
    with torch.no_grad():
        torch.testing.assert_close(merged.model(input_ids=ids).logits, expected, atol=1e-4, rtol=1e-4)
        assert (plain.model(input_ids=ids).logits - expected).abs().max() > 1e-3
    assert merged.fingerprint != plain.fingerprint
    assert plain.fingerprint == LanguageModel.load(folder).fingerprint


def test_the_fused_activation_changes_nothing(tmp_path):
    from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(vocab_size=50, n_embd=16, n_layer=2, n_head=2, n_positions=32)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4)
    model.save_pretrained(tmp_path)
    plain = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    fused = load_model(tmp_path, adapter=None, dtype="auto", device=CPU)
    ids = torch.arange(30)[None]
    assert not any(type(each).__name__ == "NewGELUActivation" for each in fused.modules())
    with torch.no_grad():
        torch.testing.assert_close(fused(ids).logits, plain(ids).logits, atol=1e-4, rtol=1e-4)


def test_the_fused_activation_can_be_trained_through():
    from sftbench.engines.loading import Gelu

    inputs = torch.linspace(-6, 6, 50, dtype=torch.float64, requires_grad=True)
    torch.autograd.gradcheck(Gelu(), inputs)
    with torch.no_grad():
        torch.testing.assert_close(Gelu()(inputs), torch.nn.functional.gelu(inputs, approximate="tanh"))
