"""The site without a browser: all that is shown is text, bytes are reproducible, and what is stale is named."""

from __future__ import annotations

import dataclasses
import json
import re
import threading
import unicodedata
import urllib.error
import urllib.request
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sftbench.board import texts
from sftbench.board.build import build_board
from sftbench.board.files import read_board
from sftbench.board.site.data import as_script, packed
from sftbench.board.site.files import site_files, stale_files, write_site
from sftbench.board.site.hostile import file_name, link, visible
from sftbench.board.site.pages import Site, row_page
from sftbench.board.site.pictures import Point, Scale, chart, pareto, short_label
from sftbench.board.site.records import page_names, read_records
from sftbench.board.site.rendering import _lean, _sorted_by
from sftbench.board.site.serving import server
from sftbench.board.statistics import Estimate
from sftbench.board.table import BoardRow
from sftbench.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]
COMMITTED = sorted(path.parent for path in (ROOT / "leaderboards").glob("*/index.html"))


class Page(HTMLParser):
    """The tags of a page with their attributes, as a browser would see them."""

    def __init__(self, path):
        super().__init__()
        self.path, self.tags = path, []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def ids(self):
        return {about["id"] for _, about in self.tags if "id" in about}

    def links(self):
        """Whatever the page leads to or loads."""
        return [
            about[name]
            for _, about in self.tags
            for name in ("href", "src", "data-row", "data-items", "data-texts")
            if name in about
        ]


def pages(folder):
    return [Page(path) for path in sorted(folder.rglob("*.html"))]


@pytest.fixture
def folder(shown):
    return shown / "leaderboards" / "shown"


def test_ids_on_a_page_are_unique(folder):
    for page in pages(folder):
        ids = [about["id"] for _, about in page.tags if "id" in about]
        assert len(ids) == len(set(ids)), page.path


def test_the_title_of_every_page_says_what_it_is(folder):
    titles = [re.search("<title>(.+?)</title>", page.path.read_text()).group(1) for page in pages(folder)]
    assert len(set(titles)) == len(titles)
    assert any(each.startswith("Leaderboard of shown") for each in titles)


def test_nothing_that_came_from_records_is_markup(folder):
    for page in [*pages(folder), Page(folder.parent / "index.html")]:
        for tag, about in page.tags:
            assert not [name for name in about if name.startswith("on") or name == "style"], (page.path, tag)
            assert tag not in ("iframe", "object", "embed", "form", "base"), page.path
            assert tag != "style", page.path
        scripts = [about.get("src", "inline") for tag, about in page.tags if tag == "script"]
        assert all(re.fullmatch(r"(\.\./|shown/)?assets/(theme|board)\.js", src) for src in scripts), page.path
        images = [about["src"] for tag, about in page.tags if tag == "img"]
        assert all(src.startswith("study/") for src in images), page.path


def test_every_page_forbids_what_it_does_not_need(folder):
    for page in [*pages(folder), Page(folder.parent / "index.html")]:
        policies = [about["content"] for _, about in page.tags if about.get("http-equiv") == "Content-Security-Policy"]
        assert len(policies) == 1
        assert "default-src 'none'" in policies[0]
        assert "unsafe" not in policies[0]


def broken_links(site):
    """Links of all pages of a folder that lead to no file, or to no place in it."""
    found = {page.path.resolve(): page for page in pages(site)}
    for page in found.values():
        for address in page.links():
            if re.match(r"https://arxiv\.org/abs/[0-9.]+$", address):
                continue
            path, _, place = address.partition("#")
            target = (page.path.parent / unquote(path)).resolve() if path else page.path.resolve()
            if not target.is_file() or (place and place not in found[target].ids()):
                yield f"{page.path.name}: {address}"


@pytest.mark.parametrize("name", ["shown", *(path.name for path in COMMITTED)])
def test_every_link_leads_to_a_file_or_to_a_page_on_the_web(name, shown):
    site = ROOT / "leaderboards" / name if name != "shown" else shown / "leaderboards"
    assert list(broken_links(site)) == []


def test_a_link_to_nowhere_is_broken(tmp_path):
    (tmp_path / "a.html").write_text('<p id=here></p><a href="#here">x</a><a href="#there">y</a><a href="b.html">z</a>')
    assert list(broken_links(tmp_path)) == ["a.html: #there", "a.html: b.html"]


def test_no_file_of_a_site_has_hidden_characters_or_ends_of_scripts(folder):
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix in (".html", ".js") and path.parent.name != "assets":
            text = path.read_text(encoding="utf-8")
            hidden = {letter for letter in text if unicodedata.category(letter) in ("Cf", "Cs", "Zl", "Zp", "Cc")}
            assert hidden <= {"\n", "\t"}, path
            assert path.suffix == ".html" or "</" not in text, path


def test_hostile_labels_are_shown_with_their_hidden_characters_written_out(folder):
    text = (folder / "index.html").read_text(encoding="utf-8")
    assert "⟨U+202E⟩" in text
    assert "&lt;script&gt;window.harmed = 1" in text
    assert "{{ 7 * 7 }}" in text


def test_huge_texts_are_cut_and_pages_stay_small(folder):
    sizes = {path.name: path.stat().st_size for path in folder.rglob("*.html")}
    assert max(sizes.values()) < 200_000, sizes
    assert all(len(path.name) < 100 for path in folder.rglob("*"))
    assert any("(1,000,0" in path.read_text(encoding="utf-8") for path in (folder / "rows").iterdir())


@given(st.text(max_size=80))
def test_visible_text_hides_nothing_and_keeps_what_is_plain(text):
    shown = visible(text)
    assert not [each for each in shown if unicodedata.category(each) in ("Cf", "Cs", "Zl", "Zp")]
    assert shown.encode("utf-8").decode("utf-8") == shown
    if text.isprintable():
        assert shown == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://example.org/a?b=c", "https://example.org/a?b=c"),
        ("T-SHIRT (arXiv 2506.01317)", "https://arxiv.org/abs/2506.01317"),
        ("javascript:alert(1)", None),
        ("JaVaScRiPt:alert(1)", None),
        ("data:text/html,x", None),
        ("//example.org", None),
        ("http:", None),
        ("https://a b", None),
        ("https://exa\u202emple.org", None),
        ("http://[", None),
        ("Sener and Savarese 2018", None),
    ],
)
def test_only_addresses_on_the_web_become_links(text, expected):
    assert link(text) == expected


@given(st.lists(st.tuples(st.text(max_size=90), st.text(max_size=90), st.text(max_size=9)), unique=True, max_size=12))
def test_every_row_has_a_file_name_of_its_own_that_any_system_can_hold(names):
    found = page_names(names)
    assert len({each.lower() for each in found.values()}) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9._-]{1,80}", each) and each[0] not in ".-" for each in found.values())


def test_a_plain_name_is_its_own_file_name():
    assert file_name("facility-location") == "facility-location"
    assert file_name("../../x") != "../../x"


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 9)), min_size=1, max_size=9), st.booleans())
def test_the_front_is_what_nothing_cheaper_or_equal_in_cost_beats(rows, bigger):
    points = [
        Point(label=str(index), score=score, cost=float(cost), style="method")
        for index, (score, cost) in enumerate(rows)
    ]
    sign = 1 if bigger else -1
    front = pareto(points, bigger_is_better=bigger)
    for index, point in enumerate(points):
        beaten = any(
            other.cost <= point.cost and sign * other.score >= sign * point.score
            and (other.cost < point.cost or sign * other.score > sign * point.score)
            for other in points
        )  # fmt: skip
        twin = any(points[other].cost == point.cost and points[other].score == point.score for other in front)
        assert (index in front or twin) == (not beaten)


def test_rows_of_unknown_cost_and_matched_controls_are_on_no_front():
    points = [
        Point(label="asked", score=0.9, cost=None, style="method"),
        Point(label="matched", score=0.8, cost=1.0, style="matched", may_be_on_front=False),
        Point(label="a", score=0.5, cost=2.0, style="method"),
    ]
    assert pareto(points, bigger_is_better=True) == {2}


def test_a_chart_has_its_points_inside_and_in_order_of_cost_and_score():
    drawn = chart(
        [Point(label=str(n), score=n / 7, cost=0.0 if n == 0 else 10.0 ** (3 + n), style="method") for n in range(6)]
    )
    dots = sorted(drawn.dots, key=lambda dot: dot.point.score)
    assert all(before.x < after.x and before.y > after.y for before, after in pairwise(dots))
    assert all(0 < dot.x < drawn.frame.width and 0 < dot.y < drawn.frame.height for dot in dots)
    assert chart([]) is None


@pytest.mark.parametrize("score", [50.0, 0.0, -3.0])
def test_points_of_one_score_stand_in_the_middle_of_the_chart(score):
    drawn = chart([Point(label=str(n), score=score, cost=10.0**n, style="method") for n in range(1, 4)])
    heights = {dot.y for dot in drawn.dots}
    middle = (drawn.frame.top + drawn.frame.height - drawn.frame.bottom) / 2
    assert len(heights) == 1
    assert abs(heights.pop() - middle) < 0.2 * drawn.frame.height
    values = [float(tick.text) for tick in drawn.y_ticks]
    assert values[0] < score < values[-1]
    assert len(set(values)) == len(values) >= 3


def test_a_scale_shows_every_mean_and_cuts_an_interval_that_would_hide_the_rest():
    def of(mean, half):
        return Estimate(mean=mean, low=mean - half, high=mean + half, num_seeds=3, num_items=9, num_failed_items=0)

    scale = Scale.of([of(0.4, 0.05), of(0.5, 0.05), of(0.6, 0.05), of(0.5, 50)])
    assert scale.low <= 0.4 < 0.6 <= scale.high
    assert scale.high - scale.low < 1
    assert scale.at(-99) < scale.at(0.45) < scale.at(0.55) < scale.at(99) <= 120


class Parsed(HTMLParser):
    """Tags with attributes, and all text, blanks at its ends aside."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, attrs))

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, attrs))

    def handle_data(self, data):
        text = data.strip()
        if text:
            self.found.append(text)


@given(st.lists(st.text(alphabet="ab<>/=\"'td \n&;", max_size=30), min_size=1, max_size=5))
def test_a_lean_page_says_what_the_page_says_whatever_stands_in_it(told):
    from markupsafe import Markup

    cells = Markup("").join(Markup('<td class="a/b" title="{0}">{0}</td>\n').format(text) for text in told)
    items = Markup("").join(Markup('<li><a href="x.html#y" data-v="1.5">{}</a></li>\n').format(text) for text in told)
    page = f'<table><tbody>\n<tr>{cells}</tr>\n</tbody></table><ul>{items}</ul><svg><circle cx="1.5"/></svg>'
    lean = _lean(page)
    assert Parsed(lean).found == Parsed(page).found
    assert len(lean) < len(page)


WRITERS = [texts.amount, texts.percent, texts.seconds, texts.megabytes, texts.count]


@given(st.floats(1e-2, 1e17), st.sampled_from(WRITERS))
def test_what_a_cell_shows_is_what_it_is_sorted_by_only_where_the_page_can_read_it(value, written):
    shown = written(value)
    units = {"E": 1e18, "P": 1e15, "T": 1e12, "G": 1e9, "M": 1e6, "MB": 1e6, "k": 1e3, "%": 0.01, "min": 60, "h": 3600}
    attribute = str(_sorted_by(value, shown))
    if attribute:
        assert attribute == f' data-v="{value:.6g}"'
        return
    digits = re.match(r"[0-9.]+(?:e[+-]?[0-9]+)?", shown).group()
    read = float(digits) * units.get(shown[len(digits) :].strip(), 1)
    assert read == pytest.approx(value, rel=0.06) or abs(read - value) <= (5e5 if "MB" in shown else 0.6)


def test_nothing_is_sorted_as_nothing_also_where_words_say_why():
    assert str(_sorted_by(None, texts.NOTHING)) == ""
    assert str(_sorted_by(None, "not known")) == ' data-v=""'
    assert str(_sorted_by(3.0, "3 of 5")) == ' data-v="3"'
    assert str(_sorted_by("<b>", "x")) == ' data-v="&lt;b&gt;"'


@given(st.lists(st.one_of(st.none(), st.sampled_from([0.0, 0.5, 1.0]), st.floats(-50, 50)), max_size=30))
def test_packed_values_are_the_values_to_a_thousandth(values):
    found = packed(values)
    letters = {"0": 0.0, "h": 0.5, "1": 1.0, "-": None}
    back = [letters[each] if isinstance(found, str) else None if each is None else each / 1000 for each in found]
    assert all(
        (a is None) == (b is None) and (a is None or abs(a - b) <= 0.0005001) for a, b in zip(values, back, strict=True)
    )


@given(st.recursive(st.text(max_size=20), lambda inner: st.lists(inner, max_size=3), max_leaves=6))
def test_a_data_script_is_a_call_with_data_and_nothing_else(content):
    text = as_script("receive", content)
    assert text.isascii()
    assert "<" not in text
    assert json.loads(text.removeprefix("receive(").removesuffix(");\n")) == content


def test_the_same_records_give_the_same_bytes_wherever_they_lie(shown, tmp_path):
    import shutil

    other = tmp_path / "elsewhere" / "deep"
    shutil.copytree(shown / "results", other / "results")
    shutil.copytree(shown / "leaderboards" / "shown" / "study", other / "leaderboards" / "shown" / "study")
    board = read_board(shown / "leaderboards" / "shown")
    found = site_files(board, other / "results" / "shown", other / "leaderboards" / "shown")
    assert found == site_files(board, shown / "results" / "shown", shown / "leaderboards" / "shown")
    assert not [name for name, text in found.items() if str(shown) in text or str(tmp_path) in text]


def test_records_that_lie_elsewhere_are_named_and_not_linked(results, tmp_path):
    results.add("a")
    out = tmp_path / "far" / "away" / "from" / "it"
    files = site_files(build_board(results.folder, num_resamples=20), results.folder, out)
    assert "do not lie beside this page" in files["rows/a.html"]
    assert "a/10pct/seed-0.json" in files["rows/a.html"]
    assert "../results" not in files["rows/a.html"]


def test_what_is_stale_missing_or_left_over_is_named_and_mended(results, tmp_path):
    results.add("a")
    results.add("b", skill=0.3)
    out = tmp_path / "boards" / "x"
    board = build_board(results.folder, num_resamples=20)
    write_site(board, results.folder, out)
    (out / "rows" / "a.html").write_text("edited")
    (out / "data" / "b.js").unlink()
    (out / "rows" / "gone.html").write_text("of a row that is no longer there")
    (out / "notes.txt").write_text("somebody's own")
    wanted = ["data/b.js", "rows/a.html", "rows/gone.html"]
    assert stale_files(site_files(board, results.folder, out), out) == wanted
    assert write_site(board, results.folder, out) == wanted
    assert stale_files(site_files(board, results.folder, out), out) == []
    assert (out / "notes.txt").exists()


def test_what_a_row_learns_to_tell_is_told(results, tmp_path):
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Wiser(BoardRow):
        verified_by: str = ""

    results.add("a")
    board = build_board(results.folder, num_resamples=20)
    row = Wiser(
        **{each.name: getattr(board.rows[0], each.name) for each in dataclasses.fields(BoardRow)}, verified_by="<b>x"
    )
    site = Site.of(dataclasses.replace(board, rows=(row,)), read_records(results.folder, tmp_path))
    page = row_page(site, ("a", "a", ""), with_data=())
    assert "Verified by" in page
    assert "&lt;b&gt;x" in page


@pytest.mark.parametrize("content", ["[1]", '{"a": {"deviations": 3}}', '{"a": '])
def test_a_file_beside_the_records_that_is_not_what_it_should_be_is_named(results, tmp_path, content):
    results.add("a")
    (results.folder / "methods.json").write_text(content)
    with pytest.raises(UsageError, match=r"methods\.json"):
        read_records(results.folder, tmp_path)


@pytest.fixture
def served(shown):
    (shown / "secret.txt").write_text("not for the browser")
    with server(shown / "leaderboards" / "shown", 0) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


def fetched(serving, path, host=None):
    request = urllib.request.Request(
        f"http://127.0.0.1:{serving.server_port}{path}", headers={"Host": host} if host else {}
    )
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, b""


def test_the_server_gives_the_site_and_its_records(served, shown):
    site = shown / "leaderboards" / "shown"
    assert fetched(served, "/") == (200, (site / "index.html").read_bytes())
    assert fetched(served, "/leaderboards/shown/assets/board.css") == (
        200,
        (site / "assets" / "board.css").read_bytes(),
    )
    assert fetched(served, "/results/shown/run.json")[0] == 200
    assert served.server_address[0] == "127.0.0.1"


@pytest.mark.parametrize(
    "path",
    ["/secret.txt", "/leaderboards/shown/../../secret.txt", "/%2e%2e/secret.txt", "/results/../secret.txt",
     "/leaderboards/shown/%2e%2e/%2e%2e/secret.txt", "//etc/passwd", "/%00", "/results/shown/", "/nothing"],
)  # fmt: skip
def test_the_server_gives_nothing_else(served, path):
    assert fetched(served, path)[0] in (400, 404)


def test_the_server_answers_to_no_other_name(served):
    assert fetched(served, "/", host="evil.example:80")[0] == 421


def test_a_folder_without_a_site_is_not_served(tmp_path):
    with pytest.raises(UsageError, match="bench board build"):
        server(tmp_path, 0)


def test_values_of_a_metric_with_items_of_its_own_name_these(results, tmp_path):
    cell = results.cell("alpha")
    ids = cell["evaluations"]["nll"]["ids"]
    cell["evaluations"]["nll"]["ids_of"] = {"nll": ids[:2]}
    cell["evaluations"]["nll"]["items"]["nll"] = [0.25, 0.5]
    results.write(cell)
    files = site_files(build_board(results.folder, num_resamples=20), results.folder, tmp_path / "out")
    told = {
        name: json.loads(files[name].partition("(")[2].rpartition(")")[0])
        for name in ("data/items.js", "data/alpha.js")
    }
    lists = told["data/items.js"]
    found = {each["metric"]: lists[each["items"]] for each in told["data/alpha.js"][0]["values"]}
    assert (found["nll"], found["exact-match"]) == (ids[:2], ids)


def test_labels_of_the_chart_keep_the_values_in_which_rows_of_a_sweep_differ():
    found = [short_label(f"paraphrase[generated_share=0.{digit}]") for digit in "36"]
    assert found == ["paraphrase[ge…ted_share=0.3]", "paraphrase[ge…ted_share=0.6]"]
    assert [short_label("x" * many) for many in (28, 29)] == ["x" * 28, "x" * 13 + "…" + "x" * 14]


def test_the_page_of_the_run_leads_to_every_record(folder):
    linked = [each for each in Page(folder / "run.html").links() if each.endswith(".json") and "seed-" in each]
    found = {(folder / each).resolve() for each in linked}
    assert len(linked) == len(found)
    assert found == set((folder.parents[1] / "results" / "shown").rglob("seed-*.json"))


@pytest.mark.parametrize(
    ("tier", "says"),
    [
        (1, "Place 2 (95 %: 1 to 3), tier 1; it cannot be told apart from the best. 4 seeds in all would tell it"),
        (
            2,
            "Place 2 (95 %: 1 to 3), tier 2: behind some row of tier 1, not shown to be behind the first. 4",
        ),
    ],
)
def test_the_page_of_a_row_says_what_its_tier_means(results, tmp_path, tier, says):
    results.add("a")
    board = build_board(results.folder, num_resamples=20)
    row = dataclasses.replace(board.rows[0], rank=2, tier=tier, tied_with_best=True, seeds_to_tell=4, places=(1, 3))
    site = Site.of(dataclasses.replace(board, rows=(row,)), read_records(results.folder, tmp_path))
    assert says in row_page(site, ("a", "a", ""), with_data=())


def test_a_long_label_may_be_broken_at_its_parameters_and_stays_text(results, tmp_path):
    results.add("a[b=<i>,c=&amp;]")
    page = site_files(build_board(results.folder, num_resamples=20), results.folder, tmp_path / "out")["index.html"]
    assert ">a<wbr>[b=&lt;i&gt;,<wbr>c=&amp;amp;]</a>" in page


def test_the_page_of_a_method_tells_the_values_that_it_sets(results, tmp_path):
    results.add("random-compute", kind="control")
    match = {"parameter": "match", "part": "selector", "default": "lengths", "about": "what is made equal"}
    slow = {"parameter": "slow", "part": "selector", "default": False, "about": "how"}
    named = {"parameter": "of", "part": "scorer", "default": None, "about": "which"}
    raced = {"parameter": "match", "part": "selector", "strategy": "race", "default": "lengths", "about": "there"}
    card = {
        "about": "random rows",
        "parts": {"selector": "matched-random[match=compute]", "scorer": 'x[mode=a,of="vllm:/models/a,b[c]"]'},
        "strategies": {"race": {"selector": "matched-random[match=tokens]", "trainer": "none"}},
        "parameters": [match, slow, raced, named],
    }
    (results.folder / "methods.json").write_text(json.dumps({"random-compute": card}))
    board = build_board(results.folder, num_resamples=20)
    page = site_files(board, results.folder, tmp_path / "out")["methods/random-compute.html"]
    cells = re.findall(r"<code>([^<]*)</code>(, set by this method)?", page[page.index(">Parameters<") :])
    assert cells == [
        ("match", ""), ("compute", ", set by this method"), ("slow", ""), ("False", ""),
        ("match", ""), ("tokens", ", set by this method"),
        ("of", ""), ("vllm:/models/a,b[c]", ", set by this method"),
    ]  # fmt: skip


def test_the_run_says_that_shared_steps_count_more_than_once(results, tmp_path):
    pool = {"room": "pool", "part": "", "key": "p"}
    for label in ("a", "b"):
        results.write(results.cell(label, steps=[pool, {"room": "model", "part": "sft@1", "key": f"m-{label}"}]))
    page = site_files(build_board(results.folder, num_resamples=20), results.folder, tmp_path / "out")["run.html"]
    assert "Steps shared by several entries therefore count in each of them" in page
    assert "asked 4 times for 3 different steps" in page


def test_a_chart_tells_of_matched_controls_only_where_there_are_some(results, tmp_path):
    def page():
        return site_files(build_board(results.folder, num_resamples=20), results.folder, tmp_path / "out")["index.html"]

    results.add("a")
    results.add("b", skill=0.3)
    assert "control matched to a method" not in page().partition("<figcaption>")[2].partition("</figcaption>")[0]
    results.add("lengths(a)", kind="control", matched_to="a", method="lengths")
    assert "control matched to a method" in page().partition("<figcaption>")[2].partition("</figcaption>")[0]


def test_words_of_the_footer_stand_apart(folder):
    for name in ("index.html", "compare.html", "run.html", "study.html"):
        text = (folder / name).read_text(encoding="utf-8")
        assert re.search(r"nothing else\.\s+Also as", text), name
