"""Fine-tuning a tiny random model: it learns, repeats itself exactly, survives a kill, and says what it did."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar

from sftbench.engines.training.fine_tune import fine_tune
from sftbench.engines.training.job import Job
from sftbench.engines.training.processes import run_in_processes
from sftbench.engines.training.rows import TrainingRow, TrainingRows
from sftbench.engines.training.run import run
from sftbench.engines.training.settings import Distillation, TrainingSettings
from sftbench.errors import SftbenchError, UsageError
from sftbench.rooms import TrainedModel

VOCAB_SIZE = 40


class Killed(BaseException):
    """What happens to a process from outside."""


@dataclass
class TrialDesk:
    """A desk with models by name, that is killed after some steps when asked to."""

    scratch: Path
    folders: dict[str, Path]
    seed: int = 0
    kill_after: int | None = None
    num_advanced: int = 0
    metered: dict[str, float] = field(default_factory=dict)

    def model_path(self, name: str) -> TrainedModel:
        return TrainedModel(path=self.folders[name])

    def meter(self, **amounts: float) -> None:
        self.metered.update(amounts)

    def log(self, message: str) -> None: ...

    @contextmanager
    def progress(self, total: int, unit: str) -> Iterator[TrialDesk]:
        yield self

    def advance(self, amount: int = 1) -> None:
        self.num_advanced += amount
        if self.kill_after is not None and self.num_advanced >= self.kill_after:
            raise Killed


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A Llama as base, another as teacher, and a GPT-2."""
    disable_progress_bar()  # type: ignore[no-untyped-call]
    root = tmp_path_factory.mktemp("models")
    words = {f"w{index}": index for index in range(VOCAB_SIZE)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    gpt2 = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64}
    makers: dict[str, Callable[[], torch.nn.Module]] = {
        "base": lambda: LlamaForCausalLM(LlamaConfig(vocab_size=VOCAB_SIZE, initializer_range=0.1, **shape)),
        "teacher": lambda: LlamaForCausalLM(LlamaConfig(vocab_size=VOCAB_SIZE - 2, initializer_range=0.5, **shape)),
        "larger": lambda: LlamaForCausalLM(LlamaConfig(vocab_size=VOCAB_SIZE + 3, **shape)),
        "gpt2": lambda: GPT2LMHeadModel(GPT2Config(vocab_size=VOCAB_SIZE, initializer_range=0.1, **gpt2)),
    }
    for seed, (name, make) in enumerate(makers.items()):
        torch.manual_seed(seed)
        make().save_pretrained(root / name)  # type: ignore[operator]
        PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="w1").save_pretrained(root / name)
    return {name: root / name for name in makers}


@pytest.fixture
def desk(folders: dict[str, Path], tmp_path: Path) -> Callable[..., TrialDesk]:
    def make(name: str = "one", *, base: str = "base", seed: int = 0, kill_after: int | None = None) -> TrialDesk:
        scratch = tmp_path / f"scratch-{name}"
        scratch.mkdir(exist_ok=True)
        return TrialDesk(scratch, {**folders, "base": folders[base]}, seed, kill_after)

    return make


def counting_rows(count: int = 24, *, distilled: bool = False) -> TrainingRows:
    """Rows that count upwards in steps of three: easy to learn."""
    random, made = np.random.default_rng(0), []
    for start in range(count):
        length = int(random.integers(6, 20))
        trained = np.arange(length) >= 3
        of_teacher = trained & (np.arange(length) % 2 == 0) & distilled
        made.append(
            TrainingRow(
                token_ids=((np.arange(length) * 3 + start) % (VOCAB_SIZE - 2)).astype(np.int32),
                ce_weights=(trained & ~of_teacher).astype(np.float32),
                kd_weights=of_teacher.astype(np.float32),
            )
        )
    return TrainingRows(rows=tuple(made), skipped={"empty_response": 2}, num_truncated=1)


QUICK = TrainingSettings(learning_rate=1e-2, epochs=3, batch_size=8)


def weights(folder: Path) -> dict[str, Tensor]:
    return load_file(
        folder / ("model.safetensors" if (folder / "model.safetensors").exists() else "adapter_model.safetensors")
    )


def same(first: Path, second: Path) -> bool:
    a, b = weights(first), weights(second)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("base", ["base", "gpt2"])
@pytest.mark.parametrize("rank", [0, 4])
def test_training_reduces_the_loss(desk: Callable[..., TrialDesk], tmp_path: Path, base: str, rank: int) -> None:
    settings = TrainingSettings(learning_rate=2e-2, epochs=15, batch_size=8, rank=rank)
    trained = fine_tune(counting_rows(), settings=settings, desk=desk(base=base), out=tmp_path / "out")
    losses = trained.report["loss_by_tenth"]
    assert isinstance(losses, list)
    assert losses[-1] < (0.5 if rank == 0 else 0.9) * losses[0]


def test_a_saved_model_loads_and_has_learnt(desk: Callable[..., TrialDesk], tmp_path: Path) -> None:
    settings = TrainingSettings(learning_rate=2e-2, epochs=20, batch_size=8)
    fine_tune(counting_rows(), settings=settings, desk=desk(), out=tmp_path / "out")
    model = LlamaForCausalLM.from_pretrained(tmp_path / "out").eval()
    ids = torch.tensor([[5, 8, 11, 14, 17]])
    with torch.no_grad():
        assert model(ids).logits[0, -1].argmax().item() == 20
    assert PreTrainedTokenizerFast.from_pretrained(tmp_path / "out")("w7 w3")["input_ids"] == [7, 3]


def test_lora_leaves_the_base_as_it_was_and_saves_the_adapter_alone(
    desk: Callable[..., TrialDesk], folders: dict[str, Path], tmp_path: Path
) -> None:
    settings = TrainingSettings(learning_rate=1e-2, epochs=1, rank=2)
    trained = fine_tune(counting_rows(), settings=settings, desk=desk(), out=tmp_path / "out")
    assert trained.base_path == folders["base"]
    assert not (tmp_path / "out" / "model.safetensors").exists()
    names = weights(tmp_path / "out")
    assert all("lora_" in name for name in names)
    assert any(names[name].abs().max() > 0 for name in names if "lora_B" in name)
    assert not any("lm_head" in name for name in names)


@pytest.mark.parametrize("rank", [0, 2])
def test_the_same_seed_gives_the_same_weights_bit_for_bit(
    desk: Callable[..., TrialDesk], tmp_path: Path, rank: int
) -> None:
    settings = TrainingSettings(learning_rate=1e-2, epochs=1, batch_size=8, rank=rank)
    for name, seed in (("one", 3), ("again", 3), ("other", 4)):
        fine_tune(counting_rows(), settings=settings, desk=desk(name, seed=seed), out=tmp_path / name)
        torch.randn(7)
    assert same(tmp_path / "one", tmp_path / "again")
    assert not same(tmp_path / "one", tmp_path / "other")


@pytest.mark.parametrize(("base", "rank", "kill_after"), [("base", 0, 4), ("gpt2", 0, 9), ("base", 2, 1)])
def test_a_killed_training_goes_on_to_the_same_result(
    desk: Callable[..., TrialDesk],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    base: str,
    rank: int,
    kill_after: int,
) -> None:
    monkeypatch.setattr("sftbench.engines.training.run.CHECKPOINT_SECONDS", 0.0)
    settings = TrainingSettings(learning_rate=1e-2, epochs=3, batch_size=8, rank=rank, weight_decay=0.1)
    whole = fine_tune(counting_rows(), settings=settings, desk=desk("whole", base=base), out=tmp_path / "whole")
    killed = desk("killed", base=base, kill_after=kill_after)
    with pytest.raises(Killed):
        fine_tune(counting_rows(), settings=settings, desk=killed, out=tmp_path / "resumed")
    again = desk("killed", base=base)
    resumed = fine_tune(counting_rows(), settings=settings, desk=again, out=tmp_path / "resumed")
    assert same(tmp_path / "whole", tmp_path / "resumed")
    assert resumed.report == whole.report
    assert again.num_advanced == 9


def test_a_checkpoint_of_another_training_is_not_taken_up(
    desk: Callable[..., TrialDesk], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sftbench.engines.training.run.CHECKPOINT_SECONDS", 0.0)
    with pytest.raises(Killed):
        fine_tune(counting_rows(), settings=QUICK, desk=desk(kill_after=5), out=tmp_path / "out")
    fine_tune(counting_rows(), settings=QUICK, desk=desk(seed=1), out=tmp_path / "after")
    fine_tune(counting_rows(), settings=QUICK, desk=desk("fresh", seed=1), out=tmp_path / "fresh")
    assert same(tmp_path / "after", tmp_path / "fresh")


def test_no_file_of_a_training_is_a_pickle(
    desk: Callable[..., TrialDesk], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sftbench.engines.training.run.CHECKPOINT_SECONDS", 0.0)
    fine_tune(counting_rows(), settings=QUICK, desk=desk(), out=tmp_path / "out")
    suffixes = {path.suffix for path in tmp_path.rglob("*") if path.is_file()}
    assert suffixes <= {".safetensors", ".json"}


def test_micro_batches_of_any_size_lead_to_the_same_model(desk: Callable[..., TrialDesk], tmp_path: Path) -> None:
    for name, tokens in (("one", 1), ("many", 10_000)):
        settings = TrainingSettings(learning_rate=1e-3, epochs=1, batch_size=8, micro_batch_tokens=tokens)
        fine_tune(counting_rows(), settings=settings, desk=desk(name), out=tmp_path / name)
    a, b = weights(tmp_path / "one"), weights(tmp_path / "many")
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=0, atol=2e-5)


def test_distillation_pulls_the_student_towards_the_teacher(desk: Callable[..., TrialDesk], tmp_path: Path) -> None:
    trained = fine_tune(
        counting_rows(distilled=True),
        settings=TrainingSettings(learning_rate=1e-2, epochs=10, batch_size=8),
        desk=desk(),
        out=tmp_path / "out",
        distillation=Distillation(teacher="teacher", cross_entropy_share=0.0, temperature=2.0),
    )
    losses = trained.report["loss_by_tenth"]
    assert isinstance(losses, list)
    assert losses[-1] < losses[0]
    assert isinstance(trained.report["mean_distillation"], float)


def test_steps_without_a_term_are_counted_and_finite(desk: Callable[..., TrialDesk], tmp_path: Path) -> None:
    plain, distilled = counting_rows(2).rows, counting_rows(2, distilled=True).rows
    only = tuple(
        TrainingRow(token_ids=r.token_ids, ce_weights=0 * r.ce_weights, kd_weights=r.kd_weights) for r in distilled
    )
    settings = TrainingSettings(learning_rate=1e-3, epochs=1, batch_size=1)
    rows = TrainingRows(rows=(*plain, *only), skipped={})
    trained = fine_tune(
        rows, settings=settings, desk=desk(), out=tmp_path / "out", distillation=Distillation(teacher="teacher")
    )
    assert trained.report["num_steps_without_cross_entropy"] == 2
    assert trained.report["num_steps_without_distillation"] == 2
    assert all(bool(tensor.isfinite().all()) for tensor in weights(tmp_path / "out").values())


def test_a_teacher_with_a_larger_vocabulary_is_refused_before_training(
    desk: Callable[..., TrialDesk], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"43.*40"):
        fine_tune(
            counting_rows(distilled=True), settings=QUICK, desk=desk(), out=tmp_path / "out",
            distillation=Distillation(teacher="larger"),
        )  # fmt: skip


def test_distilled_tokens_without_a_teacher_are_refused(desk: Callable[..., TrialDesk], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no teacher"):
        fine_tune(counting_rows(distilled=True), settings=QUICK, desk=desk(), out=tmp_path / "out")


def test_a_loss_that_is_not_finite_ends_the_training_with_step_and_learning_rate(
    desk: Callable[..., TrialDesk], tmp_path: Path
) -> None:
    settings = TrainingSettings(
        learning_rate=1e30, epochs=5, batch_size=8, clip_norm=0, warmup_share=0, schedule="constant"
    )
    with pytest.raises(SftbenchError, match=r"step \d+ of 15 \(learning rate 1e\+30\)"):
        fine_tune(counting_rows(), settings=settings, desk=desk(), out=tmp_path / "out")


def test_the_report_counts_what_was_trained(desk: Callable[..., TrialDesk], tmp_path: Path) -> None:
    rows, trial = counting_rows(20), desk()
    trained = fine_tune(rows, settings=QUICK, desk=trial, out=tmp_path / "out")
    tokens = sum(len(row) for row in rows.rows)
    assert trained.report["num_rows_trained"] == 20
    assert trained.report["num_rows_skipped"] == {"empty_response": 2}
    assert trained.report["num_rows_truncated"] == 1
    assert trained.report["num_steps"] == trial.num_advanced == 9
    assert trained.report["num_response_tokens_trained"] == tokens - 3 * 20
    assert trial.metered["tokens_forward"] == trial.metered["tokens_backward"] == 3 * tokens
    assert trial.metered["flops"] > 6 * 3 * tokens * 2 * 4 * 16 * 16


def test_the_reported_loss_of_the_first_step_is_that_of_the_base(
    desk: Callable[..., TrialDesk], folders: dict[str, Path], tmp_path: Path
) -> None:
    rows = counting_rows(6)
    settings = TrainingSettings(batch_size=6, max_steps=1)
    trained = fine_tune(rows, settings=settings, desk=desk(), out=tmp_path / "out")
    base = LlamaForCausalLM.from_pretrained(folders["base"]).eval()
    losses = []
    for row in rows.rows:
        ids = torch.from_numpy(row.token_ids).long()
        with torch.no_grad():
            logp = base(ids[None]).logits[0].log_softmax(-1)
        losses += [-logp[at - 1, ids[at]].item() for at in range(1, len(ids)) if row.ce_weights[at]]
    assert trained.report["final_loss"] == pytest.approx(np.mean(losses), rel=1e-5)


def test_recomputed_activations_change_nothing(desk: Callable[..., TrialDesk], tmp_path: Path) -> None:
    for name, on in (("kept", False), ("recomputed", True)):
        settings = TrainingSettings(learning_rate=1e-2, max_steps=2, activation_checkpointing=on, rank=2)
        fine_tune(counting_rows(), settings=settings, desk=desk(name), out=tmp_path / name)
    assert same(tmp_path / "kept", tmp_path / "recomputed")


@pytest.mark.slow
def test_two_processes_train_the_same_model_as_one(folders: dict[str, Path], tmp_path: Path) -> None:
    counts = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        # 9 rows in batches of 4: the last step has fewer rows than processes.
        job = Job(
            rows=counting_rows(9, distilled=True).rows,
            settings=TrainingSettings(learning_rate=1e-3, epochs=1, batch_size=4),
            seed=0,
            base=TrainedModel(path=folders["base"]),
            out=tmp_path / name / "out",
            scratch=tmp_path / name,
            distillation=Distillation(teacher="teacher"),
            teacher=TrainedModel(path=folders["teacher"]),
        )
        seen = (
            run(job, advance=counts.append)
            if name == "one"
            else run_in_processes(job, num_processes=2, advance=counts.append)
        )
        np.savetxt(tmp_path / name / "sums", seen.sums.numpy())
        np.savetxt(tmp_path / name / "visits", seen.visits.numpy())
    a, b = (weights(tmp_path / name / "out") for name in ("one", "two"))
    for name in a:
        torch.testing.assert_close(a[name], b[name], rtol=0, atol=2e-5)
    for what in ("sums", "visits"):
        np.testing.assert_allclose(*(np.loadtxt(tmp_path / name / what) for name in ("one", "two")), rtol=1e-5)
    assert sum(counts) == 6


@pytest.mark.slow
def test_the_message_of_a_failed_process_comes_back(folders: dict[str, Path], tmp_path: Path) -> None:
    settings = TrainingSettings(
        learning_rate=1e30, epochs=9, batch_size=8, clip_norm=0, warmup_share=0, schedule="constant"
    )
    job = Job(
        rows=counting_rows().rows, settings=settings, seed=0, base=TrainedModel(path=folders["base"]),
        out=tmp_path / "out", scratch=tmp_path,
    )  # fmt: skip
    with pytest.raises(SftbenchError, match="learning rate 1e\\+30"):
        run_in_processes(job, num_processes=1, advance=lambda amount: None)
