"""What the command line does, as functions with the same words: run, select, score, describe and others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sftbench import plugins
from sftbench.checking import JudgeCheck, check_judge
from sftbench.choosing import Choice, score_pool, select_rows
from sftbench.compare import compare
from sftbench.describing import Description, describe_pool
from sftbench.errors import SftbenchError
from sftbench.finding import ItemHit, Search, search_pool
from sftbench.judgement import PairsWanted, judge_files
from sftbench.judging.card.render import card_rows
from sftbench.judging.score import score_file
from sftbench.judging.scoring import Metric, Scoring
from sftbench.publishing.checking import Checked, ChecksWanted, check
from sftbench.publishing.gather import BundleWanted
from sftbench.publishing.own import OWN, Own, judges_given
from sftbench.publishing.publish import PublishedBundle
from sftbench.publishing.publish import publish as publish_results
from sftbench.rooms import Ragged
from sftbench.runner import Watcher, prepare
from sftbench.settings import load_settings
from sftbench.survey import with_suite_defaults

if TYPE_CHECKING:
    import pandas


def run(*, watcher: Watcher | None = None, config: Path | None = None, **settings: Any) -> pandas.DataFrame:
    """`bench run`: returns the board, one row per method and budget, and writes records and board as the command does.

    Settings have the names of the flags (`methods=["ifd"], budget="10%"`). Cells that failed are rows with a status;
    raises `SftbenchError` when nothing was finished.
    """
    found = plugins.load()
    checked, given = load_settings(settings, config)
    planned = prepare(with_suite_defaults(checked, given, found), given, found)
    compared = compare(planned, watcher or _silent())
    if compared.board is None:
        raise SftbenchError("nothing is finished yet, so there is no board")
    return load_board(compared.results)


def select(method: str, *, pool: str, budget: str, watcher: Watcher | None = None, **more: Any) -> Choice:
    """`bench select`: the rows a method chooses; `more` is what its flags are."""
    return select_rows(method, pool=pool, budget=budget, plugins=plugins.load(), watcher=watcher or _silent(), **more)


def score(scorer: str, *, pool: str, watcher: Watcher | None = None, **more: Any) -> pandas.DataFrame:
    """`bench score`: id, score, further columns and the reason of every row; `more` is what its flags are."""
    rows, scores = score_pool(scorer, pool=pool, plugins=plugins.load(), watcher=watcher or _silent(), **more)
    return score_table(rows.ids, scores)


def describe(pool: str, *, watcher: Watcher | None = None, **more: Any) -> pandas.DataFrame:
    """`bench describe`: one line per diversity metric: metric, value, ci_lo, ci_hi, unit, tokens, n, direction, note.

    `more` is component, against, lm, embedder, limit, token_budget, mode, seed, kl_lm, store.
    """
    import pandas

    wanted = Description(pool=pool, **more)
    return pandas.DataFrame(describe_pool(wanted, plugins=plugins.load(), watcher=watcher or _silent()))


def check_contamination(pool: str, *, against: str, watcher: Watcher | None = None, **more: Any) -> pandas.DataFrame:
    """`bench check contamination`: a line per item of `against` that stands in the pool, with the row that has most of
    it: item, row, by, share, longest_run, cosine, num_rows, positions and texts of both, and where the run stands.

    `more` is by, component, words, cosine, embedder, limit, store. The counts are in `attrs` of the frame.
    """
    import pandas

    wanted = Search(pool=pool, against=against, **more)
    checked = search_pool(wanted, plugins=plugins.load(), watcher=watcher or _silent())
    columns = [each.name for each in fields(ItemHit)]
    found = pandas.DataFrame([each.plain() for each in checked.item_hits()], columns=columns)
    found.attrs = checked.summary
    return found


def compare_selections(a: str, b: str, **more: Any) -> dict[str, Any]:
    """`bench compare`: the anatomy of two methods of a run, or of two files of rows; docs/anatomy.md tells the keys.

    `more` is results, budget, seed, lm, num_clusters, num_examples, pick, embeddings, store.
    """
    import tempfile

    from sftbench.anatomy.compare import ComparisonWanted
    from sftbench.anatomy.compare import compare_selections as compared

    paths = {name: Path(more[name]) for name in ("results", "store") if more.get(name) is not None}
    with tempfile.TemporaryDirectory() as scratch:
        return compared(ComparisonWanted(a=a, b=b, **{**more, **paths}), plugins=plugins.load(), scratch=Path(scratch))


def score_verdicts(verdicts: str | Path, *, metric: Metric, **more: Any) -> pandas.DataFrame:
    """`bench judge score`: one line per model, best first, rates in percent, from a file of verdicts or results/NAME.

    `more` is mode, form, difficulty, gamed, control, weight, resamples, expected, seed, judge.
    """
    import pandas

    paths = {name: Path(more[name]) for name in ("difficulty", "gamed") if more.get(name) is not None}
    return pandas.DataFrame(score_file(Scoring(verdicts=Path(verdicts), metric=metric, **{**more, **paths})))


def judge_pairs(
    model: str | Path, baseline: str | Path, *, judge: str, watcher: Watcher | None = None, **more: Any
) -> pandas.DataFrame:
    """`bench judge pairs`: the verdicts on two files of answers, a line each, with the keys of verdict files.

    `attrs["summary"]` of the table is what the command prints. `more` is prompts, out, chat, embedder, concurrency,
    resamples, seed, store.
    """
    import pandas

    paths = {name: Path(more[name]) for name in ("prompts", "out", "store") if more.get(name) is not None}
    wanted = PairsWanted(model=Path(model), baseline=Path(baseline), judge=judge, **{**more, **paths})
    judged = judge_files(wanted, plugins=plugins.load(), watcher=watcher or _silent())
    table = pandas.DataFrame(judged.lines)
    table.attrs["summary"] = judged.summary
    return table


def judge_check(judge: str, *, watcher: Watcher | None = None, **more: Any) -> pandas.DataFrame:
    """`bench judge check`: one line per figure of the judge's card; `attrs["card"]` of the table is the card.

    `more` is probes (None: all), data, labels, gold, seed, store, chat, concurrency, repeat.
    """
    import pandas

    paths = {name: Path(more[name]) for name in ("data", "labels", "store") if more.get(name) is not None}
    wanted = JudgeCheck(judge=judge, **{**more, **paths})
    card = check_judge(wanted, plugins=plugins.load(), watcher=watcher or _silent())
    table = pandas.DataFrame(card_rows(card))
    table.attrs["card"] = card
    return table


def score_table(ids: list[str], scores: Any) -> pandas.DataFrame:
    """Scores as a table: id, score, the further columns, and why a row has none."""
    import pandas

    found: Mapping[str, Any] = scores.columns
    ragged = {name: [each.tolist() for each in values] for name, values in found.items() if isinstance(values, Ragged)}
    columns = {**found, **ragged}
    reasons = [scores.reasons.get(index) for index in range(len(ids))]
    return pandas.DataFrame({"id": ids, "score": scores.values, **columns, "reason": reasons})


def publish(
    results: str | Path, to: str, *, dry_run: bool = False, board: str | Path | None = None,
    store: str | Path | None = None, **more: Any,
) -> PublishedBundle:  # fmt: skip
    """`bench publish`: makes a bundle of a run's records; returns its seal, its files and their sizes.

    `more` is licence_of_pool, with_rows, with_responses. Without a store, ids and provenance are left out.
    """
    places = [Path(each) if each is not None else None for each in (board, store)]
    wanted = BundleWanted(results=Path(results), board=places[0], store=places[1], **more)
    return publish_results(wanted, to, dry_run=dry_run)


def verify(bundle: str | Path, *, watcher: Watcher | None = None, **asked: Any) -> Checked:
    """`bench verify`: what does not hold (`.findings`), and what is known of each row (`.verification.levels`).

    `asked` is seal, rejudge (a share), of (whose verdicts), judge (one or more, or `none`), seed, reproduce
    (`LABEL@BUDGET/SEED`), tolerance, name, and what is one's own here: pool, base, heldout, lm, embedder, chat,
    task_data, allow_code_execution, workers, concurrency, vllm, store.
    """
    judges = judges_given(asked.pop("judge", None))
    own = Own(settings={name: asked.pop(name) for name in OWN if name in asked}, judges=judges)
    wanted = ChecksWanted(own=own, **asked)
    found = plugins.load() if wanted.runs_something else None
    return check(Path(bundle), wanted, plugins=found, watcher=watcher or _silent())


def load_board(path: str | Path) -> pandas.DataFrame:
    """A board as a table, one row per method and budget: a results folder, a board's folder or its `board.json`."""
    from sftbench.board.render import load_board as load

    return load(path)


def _silent() -> Watcher:
    from sftbench.cli.watching import Silent

    return Silent()
