"""Pools: reading rows in the field's three forms, holding them memory-mapped, splitting them, giving them back."""

from __future__ import annotations

from sftbench.pools.answered import read_answers
from sftbench.pools.arrow import pool_of
from sftbench.pools.forms import form_of
from sftbench.pools.items import items_key, read_items
from sftbench.pools.overlap import Screen
from sftbench.pools.prompts import Prompts, read_prompts
from sftbench.pools.read import pool_from_rows, pool_key, read_pool
from sftbench.pools.split import apart_from, held_out_split
from sftbench.pools.write import write_rows

__all__ = [
    "Prompts",
    "Screen",
    "apart_from",
    "form_of",
    "held_out_split",
    "items_key",
    "pool_from_rows",
    "pool_key",
    "pool_of",
    "read_answers",
    "read_items",
    "read_pool",
    "read_prompts",
    "write_rows",
]
