"""Steps that belong to no part: pools, row lengths, speed, shared forward passes and embeddings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sftbench import shelf
from sftbench.arrays import GrowingArray, save_arrays
from sftbench.bench import Bench, parent_pool
from sftbench.errors import UsageError
from sftbench.planted import planted_rows, planted_tokens
from sftbench.rooms import Json, Pool, Row

if TYPE_CHECKING:
    from sftbench.desk import WorkingDesk
    from sftbench.plan import Step

Payload = dict[str, Json]


def make_pool(step: Step, bench: Bench, desk: WorkingDesk) -> Payload:
    """Read a pool or evaluation items, split a pool, or plant defects in one."""
    from sftbench.pools import apart_from, held_out_split, pool_from_rows, read_items, read_pool

    make, into = step.identity["make"], bench.work / shelf.POOL_ROWS
    if make == "read" and "suite" in step.where:
        suite = bench.plugins.suite(step.where["suite"])
        rows = suite.rows() if step.where["part"] == "pool" else suite.heldout()
        made = pool_from_rows(rows, into=into, key=step.ref)
    elif make == "read" and "prompts" in step.where:
        made = _prompts(step, bench, desk)
    elif make == "items":
        made = read_items(step.where["source"], into=into)
        if made.key != step.identity["content"]:
            raise UsageError(f"{step.where['source']} changed while it was read; run again")
    elif make == "read":
        limit = step.identity.get("limit")
        made = read_pool(step.where["source"], limit=limit if isinstance(limit, int) else None, into=into)
        if made.key != step.identity["content"]:
            raise UsageError(f"{step.where['source']} changed while the run was reading it; run again")
    else:
        pool = parent_pool(step, bench)
        if make == "planted":
            share = step.number("share")
            origin = bench.plugins.suites.get(step.where.get("suite", ""))
            rows_ = planted_rows(pool, share=share, accepts=origin.accepts if origin else None)
            made = _made(rows_, pool.form, step, bench)
        elif make == "apart":
            by_prompt = step.identity.get("by") == "prompt"
            kept = apart_from(pool, parent_pool(step, bench, "heldout"), by_prompt=by_prompt)
            if len(kept) < len(pool):
                what = "repeat a prompt of the suite" if by_prompt else "are held-out rows too"
                desk.log(f"{len(pool) - len(kept)} rows of the pool {what} and cannot be chosen")
            made = _made(_at(pool, kept), pool.form, step, bench)
        else:
            share = step.number("share")
            candidates, heldout = held_out_split(pool, share, int(step.number("at_most")))
            made = _made(_at(pool, candidates if make == "candidates" else heldout), pool.form, step, bench)
    shelf.save_pool_form(made, bench.work)
    return {"num_rows": len(made), "form": made.form}


def _prompts(step: Step, bench: Bench, desk: WorkingDesk) -> Pool:
    """The prompts of a suite, as they were when the run was planned."""
    from sftbench.pools import pool_from_rows, read_prompts

    name, limit = step.where["of"], step.where["limit"]
    suite = bench.plugins.prompt_suites.get(name)
    found = read_prompts(
        step.where["prompts"],
        name=name,
        temperatures=suite.temperatures if suite else {},
        limit=int(limit) if limit else None,
    )
    if found.key != step.identity["prompts"]:
        raise UsageError(f"{step.where['prompts']} changed while the run was reading it; run again")
    if found.num_empty:
        desk.log(f"{found.num_empty} prompts of {name} are empty and were left out")
    return pool_from_rows(found.rows, into=bench.work / shelf.POOL_ROWS, key=step.ref)


def _made(rows: Iterator[Row], form: str, step: Step, bench: Bench) -> Pool:
    from sftbench.pools import pool_of

    return pool_of(rows, into=bench.work / shelf.POOL_ROWS, key=step.ref, form=form)


def _at(pool: Pool, positions: npt.NDArray[np.int64]) -> Iterator[Row]:
    for start in range(0, len(positions), 1024):
        yield from pool.take([int(each) for each in positions[start : start + 1024]])


def measure_lengths(step: Step, bench: Bench, desk: WorkingDesk) -> Payload:
    """Per row: response tokens, trained response tokens, FLOPs of a forward pass, and what is planted."""
    from sftbench.engines.encode import count_response_tokens, encode_rows
    from sftbench.engines.flops import forward_flops, shape_at
    from sftbench.engines.loading import load_tokenizer

    pool = parent_pool(step, bench)
    base = Path(step.where["base"])
    tokenizer, shape = load_tokenizer(base), shape_at(base)
    limit = int(step.number("max_length"))
    count = len(pool)
    names = ("response_lengths", "training_tokens", "total_tokens", "planted_tokens")
    numbers = {name: np.zeros(count, dtype=np.int64) for name in names}
    flops, planted = np.zeros(count), np.zeros(count, dtype=np.bool_)
    position = 0
    with desk.progress(count, "row") as progress:
        for batch in pool.batches():
            encodings = encode_rows(batch, tokenizer, template="training", max_length=limit)
            for row, alone, encoded in zip(batch, count_response_tokens(batch, tokenizer), encodings, strict=True):
                trained, total = int(encoded.response.sum()), len(encoded.token_ids)
                numbers["response_lengths"][position] = alone
                numbers["training_tokens"][position] = trained
                numbers["total_tokens"][position] = total
                numbers["planted_tokens"][position] = int(planted_tokens(row, encoded).sum())
                planted[position] = row.planted is not None
                flops[position] = forward_flops(shape, [total], num_scored_tokens=trained)
                position += 1
            progress.advance(len(batch))
    arrays = {**numbers, "planted": planted, "forward_flops": flops}
    save_arrays(arrays, bench.work / "lengths.safetensors")
    return {
        "num_rows": count,
        "num_response_tokens": int(numbers["training_tokens"].sum()),
        "num_tokens": int(numbers["total_tokens"].sum()),
        "num_planted": int(planted.sum()),
        "num_planted_tokens": int(numbers["planted_tokens"].sum()),
        "forward_flops": float(flops.sum()),
    }


def calibrate(step: Step, bench: Bench, desk: WorkingDesk) -> Payload:
    """FLOPs per second of this machine, forward and in training, on a batch like those of a run."""
    from sftbench.engines.calibrate import measure_speed

    return dict(measure_speed(Path(step.where["base"])))


def run_pass(step: Step, bench: Bench, desk: WorkingDesk) -> Payload:
    """One clean forward pass over the pool; negative log-likelihood and entropy per response token, in nats."""
    from sftbench.engines.encode import encode_rows
    from sftbench.engines.forward import Entropy, LanguageModel, Nll, Passage

    pool = parent_pool(step, bench)
    model = LanguageModel.load(Path(step.where["model"]), meter=bench.meter)
    template, view = step.identity["template"], step.identity["view"]
    reasons: dict[int, str] = {}
    notes: dict[int, str] = {}
    limit = step.identity.get("max_length")
    limit = min(limit, model.max_length) if isinstance(limit, int) else model.max_length

    def passages() -> Iterator[Passage]:
        encoded_rows = encode_rows(pool, model.tokenizer, template=template, max_length=limit)  # type: ignore[arg-type]
        for index, encoded in enumerate(encoded_rows):
            if encoded.reason is not None:
                reasons[index] = encoded.reason
            elif encoded.kept_share < 1:
                notes[index] = "response_truncated"
            if view == "conditional":
                yield Passage.conditional(encoded)
            else:
                yield Passage.response_only(encoded, bos_token_id=model.bos_token_id)

    statistics = (Nll(), Entropy())

    def results() -> Iterator[Mapping[str, npt.NDArray[np.float32]]]:
        with desk.progress(len(pool), "row") as progress:
            for found in model.run(passages(), statistics=statistics):
                yield found
                progress.advance()

    names = [each.name for each in statistics]
    shelf.save_pass(results(), reasons, notes, bench.work, num_rows=len(pool), statistics=names)
    return {"num_rows": len(pool), "num_without_tokens": len(reasons)}


def embed_pool(step: Step, bench: Bench, desk: WorkingDesk) -> Payload:
    """Unit-length embeddings [n, d] of one component of every row."""
    from sftbench.engines.embed import embed_stream

    pool = parent_pool(step, bench)
    component: Any = step.identity["component"]
    texts = (row.text(component) for row in pool)
    with (
        desk.progress(len(pool), "text") as progress,
        GrowingArray(bench.work / "embeddings.safetensors", name="embeddings") as file,
    ):
        for vectors in embed_stream(texts, model=step.where["embedder"], meter=bench.meter):
            file.append(vectors)
            progress.advance(len(vectors))
    (bench.work / "embedder.json").write_text(json.dumps({"embedder": step.identity["embedder"]}))
    return {"num_rows": file.num_rows, "width": int(vectors.shape[1]) if file.num_rows else 0}
