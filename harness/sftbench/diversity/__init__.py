"""How diverse a finished set of rows is: one module per family of metrics, pure functions over texts and token ids.

Definitions: "From Macro to Micro" (arXiv 2505.24768, Table 1), "What Matters in LLM-generated Data" (arXiv
2506.19262: Distinct-5, KL) and "Standardizing the Measurement of Text Diversity" (arXiv 2403.00553: compression).
"""

from __future__ import annotations
