"""How well scores rank the rows that published selections took: ROC AUC beside that of plain lengths.

    OMP_NUM_THREADS=2 python benchmarks/published_selections.py --golden REFERENCE/golden/real_labels --lm MODEL \\
        --scorers "longest[unit=characters],ifd,ifd[variant=cherry],ppl,entropy"

The labels are rows that AlpaGasus (rated by a language model), Cherry (IFD) and CaR chose from all of Alpaca. No
score is expected to find them: a small model rates otherwise than theirs did. The length of the response is the
yardstick; a score that does not beat it has found long rows and little else. 0.5 is chance, and below it a score
prefers the rows that were left.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

import sftbench
from sftbench.parameters import split_list


def auc(scores: np.ndarray, chosen: np.ndarray) -> float:
    """ROC AUC [0, 1] of scores [n] for what was chosen, bool [n]; a row without a score ranks last."""
    finite = np.isfinite(scores)
    lowest = scores[finite].min() - 1
    return float(roc_auc_score(chosen, np.where(finite, scores, lowest)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--golden", required=True, type=Path)
    parser.add_argument("--lm", required=True)
    parser.add_argument("--scorers", default="longest[unit=characters],ifd,ifd[variant=cherry],ppl,entropy")
    parser.add_argument("--limit", type=int)
    given = parser.parse_args()
    labels = json.loads((given.golden / "expected.json").read_text())["labels"]
    print(f"{'score':32}" + "".join(f"{name:>28}" for name in labels))
    for scorer in split_list(given.scorers):
        table = sftbench.score(
            scorer, pool=str(given.golden / "input.jsonl.gz"), lm=given.lm, base=given.lm, limit=given.limit
        )
        values = table["score"].to_numpy()
        found = [auc(values, table["id"].isin(chosen).to_numpy()) for chosen in labels.values()]
        print(f"{scorer:32}" + "".join(f"{each:28.3f}" for each in found), flush=True)


if __name__ == "__main__":
    main()
