"""Answers too long for a model that a real vLLM serves: it stops counting tokens, and its tokenizer is asked."""

from __future__ import annotations

import json

import pytest

from sftbench.engines.chat import ChatClient
from sftbench.ledger import Meter
from sftbench_plugins.judges.pairwise import Pairwise

from .conftest import SmallDesk, responses

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(900)]


def test_a_real_server_is_shown_nearly_as_much_as_its_context_holds(vllm_server, pool, tmp_path):
    client = ChatClient(
        endpoint=vllm_server, cache=tmp_path / "cache", unparsed=tmp_path / "u", meter=Meter(), log=print
    )
    part = Pairwise(model="http://x/v1#m")
    found = part.judge(
        pool({"instruction": "q"}), responses(["hello there my friend " * 400]), responses(["other 漢字 " * 400]),
        SmallDesk(client, part.needs().files),
    )  # fmt: skip
    assert found.columns["flags"][0][0] == "judge_truncated"
    # Two that are refused, two that fit, and each of these once more where a tiny model says nothing.
    assert found.report["num_calls"] <= 6
    told = [json.loads(path.read_text()) for path in (tmp_path / "cache").rglob("*.json")]
    kept, window = [each for each in told if "text" in each], 1024
    assert kept
    assert all(0.93 * window <= each["prompt_tokens"] + 48 <= window for each in kept)
