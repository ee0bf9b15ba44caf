"""Which evaluation items stand in a pool: by runs of words that both have, and by embeddings that lie close."""

from __future__ import annotations

COSINES = {"minilm": 0.85}
"""From which cosine on two texts count as the same, by encoder: measured on unrelated public data, see
docs/contamination.md."""
