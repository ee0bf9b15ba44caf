"""What a board says of the servers that wrote answers: nothing where they were alike."""

from __future__ import annotations

from typing import Any

from sftbench.board.build import build_board


def notes(results: Any, *served: tuple[str, str | None, str]) -> list[str]:
    """Of a board with a row for each, and the untrained base."""
    for label, by, form in served:
        told = {"answered_by": {"served_by": by, "served_as": form}} if by else {}
        results.write(results.cell(label, **told))
    whole = {"served_by": served[0][1], "served_as": "whole model"}
    results.write(results.cell("base", selection=None, answered_by=whole if served[0][1] else None))
    return [note for note in build_board(results.folder).notes if note.startswith("Answers were written")]


def test_servers_that_are_alike_are_no_note(results):
    assert notes(results, ("a", "vllm 1", "adapter loaded"), ("b", "vllm 1", "adapter loaded")) == []


def test_answers_of_processes_are_no_note(results):
    assert notes(results, ("a", None, ""), ("b", None, "")) == []


def test_versions_and_forms_that_differ_are_told_with_their_rows(results):
    by, form = notes(
        results, ("a", "vllm 1", "adapter loaded"), ("b", "vllm 2", "adapter merged"), ("c", "vllm 2", "adapter loaded")
    )
    assert by.startswith("Answers were written by vllm 1 (a, base), vllm 2 (b, c): ")
    assert form.startswith("Answers were written from adapter loaded (a, c), adapter merged (b): ")
