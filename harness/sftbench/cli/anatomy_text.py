"""The anatomy of two selections for a terminal: bars side by side, examples, and tokens by what they are for."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TextIO

from sftbench.board.texts import NOTHING, amount, percent
from sftbench.cli.visible import spaced_line, visible_line

Line = list[tuple[str, str]]
"""Pieces of a line, each with its style."""
_BAR = 20
_LONGEST = 240
_MARKS = {0: ("[", "]"), 1: ("", ""), 2: ("{", "}"), None: ("", "")}
_STYLES = {0: "dim strike", 1: "green", 2: "bold magenta", None: ""}
_TITLES = {
    "response_words": "words of the response", "instruction_words": "words of the instruction", "source": "source",
    "bands": "response tokens by how often the pool has them", "cluster": "cluster of instructions",
}  # fmt: skip
A, B = "cyan", "yellow"


def print_anatomy(told: Mapping[str, Any], stream: TextIO) -> None:
    """In colours on a terminal, as plain lines elsewhere and where NO_COLOR is set: there, brackets stand for them."""
    colours = stream.isatty() and not os.environ.get("NO_COLOR")
    lines = list(_lines(told, colours=colours))
    if not colours:
        stream.writelines("".join(text for text, _ in line).rstrip() + "\n" for line in lines)
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(file=stream, highlight=False)
    for line in lines:
        console.print(Text.assemble(*line), soft_wrap=True)


def _lines(told: Mapping[str, Any], *, colours: bool) -> Iterator[Line]:
    yield from _heading(told)
    yield from _shared(told)
    yield from _metrics(told)
    for name, found in (told.get("histograms") or {}).items():
        yield from _histogram(_TITLES[name], found) if found else ()
    yield from _closeness(told)
    yield from _examples(told)
    yield from _tokens(told, colours=colours)
    if told["missing"]:
        yield []
        yield from ([(f"not known: {visible_line(each)}", "red")] for each in told["missing"])


def _title(text: str) -> Iterator[Line]:
    yield []
    yield [(text, "bold")]


def _heading(told: Mapping[str, Any]) -> Iterator[Line]:
    for side, style in (("a", A), ("b", B)):
        about = told[side]
        place = f", budget {about['budget']}, seed {about['seed']}" if "budget" in about else ""
        rows = f", {about['num_rows']} rows" if about.get("num_rows") is not None else ""
        cost = f", choosing took {amount(about['flops_of_selecting'])} FLOPs" if about.get("flops_of_selecting") else ""
        yield [(f"{side.upper()} ", f"bold {style}"), (visible_line(f"{about['name']}{place}{rows}{cost}"), "")]


def _shared(told: Mapping[str, Any]) -> Iterator[Line]:
    yield from _title("in common")
    found = told["overlap"]
    if found is None:
        yield [("  which rows both took is not known", "")]
    else:
        chance = f", {percent(found['by_chance'])} by chance" if found["by_chance"] is not None else ""
        both = f"{found['num_common']} row{'s' * (found['num_common'] != 1)} of {found['num_a']} and {found['num_b']}"
        yield [(f"  {both}: Jaccard {percent(found['jaccard'])}{chance}", "")]
        ranks = found["ranks"]
        if ranks:
            told_p = f"p {ranks['p']:.2g}"
            yield [(f"  ranks of these: Spearman {ranks['spearman']:+.2f} over {ranks['num_rows']} rows, {told_p}", "")]
    for side in ("a", "b"):
        seeds = told["across_seeds"][side]
        if seeds:
            text = f"{percent(seeds['mean'])}, {percent(seeds['by_chance'])} by chance"
            yield [(f"  {side.upper()} with itself under another seed: {text}", "")]
        planted = told["planted"][side]
        if planted:
            kinds = ", ".join(f"{count} {name}" for name, count in planted.get("by_defect", {}).items())
            text = f"{planted['num_rows']} rows ({percent(planted['share'])}), {percent(planted['let_in'])} of all"
            yield [(f"  {side.upper()} let in planted: {text}{': ' + visible_line(kinds) if kinds else ''}", "")]


def _metrics(told: Mapping[str, Any]) -> Iterator[Line]:
    if not told["metrics"]:
        return
    yield from _title("A minus B, on the same items and seeds (95 %)")
    yield [("  p is not adjusted: the board adjusts over all pairs", "")]
    width = max(len(each["metric"]) for each in told["metrics"])
    for each in told["metrics"]:
        arrow = "↑" if each["bigger_is_better"] else "↓"
        bounds = f" [{each['low']:+.3f}, {each['high']:+.3f}]" if each["low"] is not None else ""
        counts = f"{each['num_seeds']} seed{'s' if each['num_seeds'] > 1 else ''}, {each['num_items'] or 'no'} items"
        counts += f"; {each['seeds_to_tell']} seeds would tell" if each["seeds_to_tell"] else ""
        numbers = f"{each['difference']:+.3f}{bounds}  p {each['p']:.2g}  ({each['a']:.3f}, {each['b']:.3f}; {counts})"
        yield [(f"  {visible_line(each['metric']).ljust(width)} {arrow} {numbers}", "")]


def _histogram(title: str, found: Mapping[str, Any]) -> Iterator[Line]:
    medians = f"; medians {found['median_a']:g} and {found['median_b']:g}" if "median_a" in found else ""
    unit = f" ({found['unit']})" if title.startswith("response tokens") else ""
    yield from _title(f"{title}{unit}{medians}")
    names = [visible_line(name)[:48] for name in found["bins"]]
    width = max(map(len, names))
    most = max([*found["share_a"], *found["share_b"], 1e-9])
    for place, name in enumerate(names):
        pair = found["share_a"][place], found["share_b"][place]
        yield [
            (f"  {name.rjust(width)} ", ""),
            *_bar(pair[0], most, A),
            ("  ", ""),
            *_bar(pair[1], most, B),
        ]


def _bar(share: float, most: float, style: str) -> Line:
    """The bar has its share beside it, so that it reads without colour and without measuring."""
    length = round(_BAR * share / most)
    return [(f"{percent(share):>5} ", ""), ("█" * length, style), (" " * (_BAR - length), "")]


def _closeness(told: Mapping[str, Any]) -> Iterator[Line]:
    near = told.get("near_duplicates")
    if near:
        yield from _title(f"near-duplicates (instructions at a cosine of {near['cosine']:g} and more; the same words)")
        for side in ("a", "b"):
            exact = percent(near[side]["share_exact"])
            yield [(f"  {side.upper()} {percent(near[side]['share'])} of rows have one; {exact} an exact one", "")]
    held = told.get("nearest_heldout")
    if held:
        yield from _title("nearest row to each held-out prompt (cosine)")
        for side in ("a", "b"):
            found = held[side]
            bounds = f"median {found['median']:.2f}, nine tenths below {found['ninetieth']:.2f}"
            yield [(f"  {side.upper()} {bounds}, most {found['most']:.2f}", "")]
            for each in found["closest"]:
                pair = f"{_short(each['item_text'], 90)}  ~  {_short(each['row_text'], 90)}"
                yield [(f"     {each['cosine']:.2f}  {pair}", "dim")]


def _examples(told: Mapping[str, Any]) -> Iterator[Line]:
    for side, style in (("a", A), ("b", B)):
        found = (told.get("examples") or {}).get(f"only_{side}")
        if not found or not found["rows"]:
            continue
        yield from _title(f"rows that {side.upper()} alone took: {found['num_rows']}, of them {len(found['rows'])}")
        for row in found["rows"]:
            planted = f", planted: {visible_line(row['planted'])}" if row["planted"] else ""
            yield [(f"  {visible_line(row['id'])}, rank {row['rank']}{planted}", style)]
            yield [(f"    asked: {_short(row['instruction'])}", "")]
            yield [(f"    told:  {_short(row['response'])}", "")]


def _tokens(told: Mapping[str, Any], *, colours: bool) -> Iterator[Line]:
    if not told["tokens"]:
        return
    yield from _title("what tokens are for")
    yield [
        piece
        for label, name in ((0, "masked"), (1, "cross-entropy"), (2, "distillation"))
        for piece in (*_marked(name, label, colours=colours), ("  ", ""))
    ]
    for side, rows in told["tokens"].items():
        for row in rows:
            yield [(f"  {side.upper()} {visible_line(row['id'])}", A if side == "a" else B)]
            yield [("    ", ""), *_coloured(row["pieces"], colours=colours)]


def _coloured(pieces: Sequence[Sequence[Any]], *, colours: bool) -> Line:
    line: Line = []
    left = 4 * _LONGEST
    for text, label in pieces:
        shown = text[:left]
        line += _marked(spaced_line(shown), label, colours=colours)
        left -= len(shown)
        if not left:
            return [*line, (" …", "")]
    return line


def _marked(text: str, label: int | None, *, colours: bool) -> Line:
    if colours:
        return [(text, _STYLES[label])]
    before, after = _MARKS[label]
    return [(f"{before}{text}{after}" if text.strip() else text, "")]


def _short(text: str, longest: int = _LONGEST) -> str:
    line = visible_line(text)
    return line if len(line) <= longest else line[: longest - 1] + "…"


def flat_rows(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All numbers as lines of section, name, and a value of each side (or of both together under `a`)."""
    rows: list[dict[str, Any]] = []

    def add(section: str, name: object, a: object, b: object = None) -> None:
        rows.append({"section": section, "name": visible_line(str(name)), "a": a, "b": b})

    for name in ("name", "budget", "seed", "num_rows", "num_response_tokens", "trained_share"):
        add("selection", name, *(_safe(told[side].get(name)) for side in ("a", "b")))
    overlap = dict(told["overlap"] or {})
    ranks = overlap.pop("ranks", None) or {}
    for name, value in {**overlap, **{f"ranks_{name}": value for name, value in ranks.items()}}.items():
        add("overlap", name, value)
    for section in ("across_seeds", "planted", "near_duplicates", "nearest_heldout"):
        sides = [(told.get(section) or {}).get(side) or {} for side in ("a", "b")]
        plain = [{n: v for n, v in each.items() if not isinstance(v, (list, dict))} for each in sides]
        for name in dict.fromkeys([*plain[0], *plain[1]]):
            add(section, name, plain[0].get(name), plain[1].get(name))
    for each in told["metrics"]:
        add("metric", each["metric"], each["a"], each["b"])
        for name in ("difference", "low", "high", "p"):
            add("metric", f"{each['metric']} {name}", each[name])
    for title, found in (told.get("histograms") or {}).items():
        for place, name in enumerate(found["bins"] if found else ()):
            add(f"histogram {title}", name, found["share_a"][place], found["share_b"][place])
    for each in told["missing"]:
        add("missing", each, NOTHING, NOTHING)
    return rows


def _safe(value: object) -> object:
    return visible_line(value) if isinstance(value, str) else value
