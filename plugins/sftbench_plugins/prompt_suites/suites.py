"""The published benchmarks of open prompts: how many, under which names their files lie, and how answers are drawn."""

from __future__ import annotations

from typing import Final

from sftbench import PromptSuite

MT_BENCH_TEMPERATURES: Final = {
    "writing": 0.7,
    "roleplay": 0.7,
    "stem": 0.1,
    "humanities": 0.1,
    "extraction": 0.0,
    "math": 0.0,
    "coding": 0.0,
    "reasoning": 0.0,
}
"""FastChat's `temperature_config` (llm_judge); any other category is at 0 here and at 0.7 there."""

SUITES: Final = (
    PromptSuite(
        name="alpaca-eval",
        summary="805 instructions of AlpacaEval 2: raw and length-controlled win rate (arXiv 2404.04475)",
        version="1",
        num_prompts=805,
        files=("alpaca_eval_805.jsonl.gz", "alpaca_eval.jsonl", "alpaca_eval_gpt4_baseline.json", "alpaca_eval.json"),
        hub="tatsu-lab/alpaca_eval/alpaca_eval_gpt4_baseline.json",
        defaults={"max_new_tokens": 2048},
    ),
    PromptSuite(
        name="arena-hard-v0.1",
        summary="500 hard prompts of Arena-Hard: style-controlled score, prompts bootstrapped (arXiv 2406.11939)",
        version="1",
        num_prompts=500,
        files=("arena_hard_v0.1.jsonl.gz", "arena_hard_v0.1.jsonl", "arena-hard-v0.1/question.jsonl"),
        hub="lmarena-ai/arena-hard-auto/data/arena-hard-v0.1/question.jsonl",
        defaults={"max_new_tokens": 4096},
        control="style",
    ),
    PromptSuite(
        name="arena-hard-v2.0",
        summary="500 hard and 250 creative prompts of Arena-Hard 2: style-controlled score, prompts bootstrapped",
        version="1",
        num_prompts=750,
        files=("arena_hard_v2.0.jsonl.gz", "arena_hard_v2.0.jsonl", "arena-hard-v2.0/question.jsonl"),
        hub="lmarena-ai/arena-hard-auto/data/arena-hard-v2.0/question.jsonl",
        defaults={"max_new_tokens": 4096},
        control="style",
    ),
    PromptSuite(
        name="mt-bench",
        summary="80 dialogues of two turns: win rate, and grades from 1 to 10 by a judge model (arXiv 2306.05685)",
        version="1",
        num_prompts=80,
        files=("mt_bench.jsonl.gz", "mt_bench.jsonl", "mt_bench/question.jsonl"),
        hub="HuggingFaceH4/mt_bench_prompts",
        defaults={"max_new_tokens": 1024},
        temperatures=MT_BENCH_TEMPERATURES,
        graders=("grade",),
    ),
    PromptSuite(
        name="vicuna",
        summary="80 questions of Vicuna, one turn each: win rate",
        version="1",
        num_prompts=80,
        files=("vicuna_80.jsonl.gz", "vicuna_80.jsonl", "vicuna_bench/question.jsonl"),
        defaults={"max_new_tokens": 1024},
    ),
)
