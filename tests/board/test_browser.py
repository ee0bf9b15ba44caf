"""The site in a real Chromium, opened from disk: it sorts, filters, can be used by everybody, and nothing moves."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
from pathlib import Path

import pytest

from sftbench.board.build import build_board
from sftbench.board.files import read_board
from sftbench.board.site.files import write_site
from sftbench.board.site.pages import Site, board_page
from sftbench.board.site.records import Records, RunFacts, read_records
from sftbench.positions import positions_from_text

ROOT = Path(__file__).resolve().parents[2]
FLAGS = [
    "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
]  # fmt: skip
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
PAGES = [
    "index.html", "run.html", "study.html", "compare.html", "rows/careful.html", "methods/careful.html",
    "compare/*.html", "../index.html",
]  # fmt: skip
SHIFT = """new Promise(done => { let sum = 0;
  new PerformanceObserver(list => { for (const each of list.getEntries()) sum += each.value; })
    .observe({type: "layout-shift", buffered: true});
  requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => done(sum), 50))); })"""

pytestmark = pytest.mark.browser


def lacking(reason):
    """Without a browser these tests are skipped, but not where everything must be tested."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def browser():
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        lacking("no Chromium is installed")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        lacking("playwright is not installed")
    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=program, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def visit(browser):
    """Opens a file in a window of its own; whatever the page complains of fails the test at its end."""
    contexts, complaints = [], []

    def open_page(path, *, width=1280, height=900, **about):
        context = browser.new_context(viewport={"width": width, "height": height}, **about)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(f"{path}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(f"{path}: {error}"))
        page.on("requestfailed", lambda request: complaints.append(f"{path}: {request.url}"))
        page.on("dialog", lambda dialog: complaints.append(f"{path}: {dialog.message}"))
        page.goto(path.as_uri())
        return page

    open_page.complaints = complaints
    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def folder(shown):
    return shown / "leaderboards" / "shown"


def page_at(folder, name):
    """The page of a name, or the one that a pattern has."""
    if "*" not in name:
        return (folder / name).resolve()
    (found,) = folder.glob(name)
    return found


def load_all(page):
    """Asks for everything that a page loads on demand, all at once, and waits until it is told."""
    page.evaluate(
        """new Promise(done => {
        for (const each of document.querySelectorAll("button.load, button.look")) each.click();
        const look = () => [...document.querySelectorAll(".told")].every(each => each.textContent.endsWith("."))
          ? done() : setTimeout(look, 10);
        look(); })"""
    )


def labels(page):
    """The methods that the table of the open budget shows, from the top."""
    return page.locator(".panel.on table.board tbody th:visible a").all_inner_texts()


def numbers(page, name):
    """The numbers of a column in the order of the rows that are shown."""
    return page.evaluate(
        """name => { const table = document.querySelector(".panel.on table.board");
        const column = [...table.tHead.rows[0].cells].findIndex(each => each.textContent.startsWith(name));
        return [...table.tBodies[0].rows].filter(row => row.checkVisibility())
          .map(row => row.cells[column].dataset.v).filter(each => each !== "").map(Number); }""",
        name,
    )


def test_a_click_on_a_heading_sorts_best_first_and_another_turns_it_round(visit, folder):
    page = visit(folder / "index.html")
    heading = page.locator(".panel.on thead th", has=page.get_by_role("button", name="exact-match ↑"))
    assert numbers(page, "exact-match") == sorted(numbers(page, "exact-match"), reverse=True)
    page.locator(".panel.on").get_by_role("button", name="method", exact=True).click()
    by_name = labels(page)
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "descending"
    assert numbers(page, "exact-match") == sorted(numbers(page, "exact-match"), reverse=True)
    assert labels(page) != by_name
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    assert numbers(page, "exact-match") == sorted(numbers(page, "exact-match"))
    assert page.locator(".panel.on [aria-sort]").count() == 1
    assert labels(page)[-1] == "broken", "a row without a value stands last in either direction"


def test_rows_are_found_by_text_and_by_kind(visit, folder):
    page = visit(folder / "index.html")
    tools = page.locator(".panel.on .tools")
    everything = labels(page)
    assert "lengths(careful)" not in everything
    tools.get_by_label("controls matched to a method").check()
    assert set(labels(page)) - set(everything) == {"lengths(careful)"}
    tools.get_by_label("controls", exact=True).uncheck()
    assert not {"random", "full"} & set(labels(page))
    tools.get_by_label("Find").fill("CAREF")
    assert set(labels(page)) == {"careful", "lengths(careful)"}
    assert tools.locator(".shown").inner_text().startswith("2 of ")
    tools.get_by_label("Find").fill("")
    assert len(labels(page)) == len(everything) - 2 + 1


def test_the_order_at_equal_cost_is_a_click_away_and_so_is_the_way_back(visit, results, tmp_path):
    results.num_items = 40
    for label, skill in (("careful", 0.8), ("quick", 0.7), ("random", 0.3)):
        results.add(label, skill=skill, kind="control" if label == "random" else "method")
    for label, skill in (("careful", 0.9), ("quick", 0.2)):
        name = f"random-compute({label})"
        results.add(name, skill=skill, method="random-compute", kind="control", matched_to=label)
    write_site(build_board(results.folder, num_resamples=40), results.folder, tmp_path / "out")
    page = visit(tmp_path / "out" / "index.html")
    headings = page.locator(".panel.on table.board thead th:visible")
    before = headings.all_inner_texts()
    assert labels(page) == ["careful", "quick", "random"]
    page.get_by_role("button", name="At equal cost", exact=True).click()
    assert labels(page) == ["quick", "random", "careful"]
    assert "pays from, rows" not in before
    assert {"at equal cost", "choosing, in random rows", "on the front"} <= set(headings.all_inner_texts())
    assert numbers(page, "at equal cost") == sorted(numbers(page, "at equal cost"), reverse=True)
    page.get_by_role("button", name="By score").click()
    assert labels(page) == ["careful", "quick", "random"]
    assert headings.all_inner_texts() == before


@pytest.fixture
def at_equal_cost(results, tmp_path):
    """A site of two budgets with the order at equal cost."""
    results.num_items = 40
    for budget in ("5%", "10%"):
        for label, skill in (("careful", 0.8), ("quick", 0.7), ("random", 0.3)):
            results.add(label, skill=skill, budget=budget, kind="control" if label == "random" else "method")
        for label, skill in (("careful", 0.9), ("quick", 0.2)):
            about = {"method": "random-compute", "kind": "control", "matched_to": label}
            results.add(f"random-compute({label})", skill=skill, budget=budget, **about)
    write_site(build_board(results.folder, num_resamples=40), results.folder, tmp_path / "out")
    return tmp_path / "out" / "index.html"


def caption(page):
    return page.locator(".panel.on table.board .cap").inner_text()


def pressed(page):
    return page.locator('.panel.on .order[aria-pressed="true"]').all_inner_texts()


def test_the_caption_and_the_buttons_say_what_the_table_is_sorted_by(visit, at_equal_cost):
    page = visit(at_equal_cost)
    panel = page.locator(".panel.on")
    assert caption(page).startswith("Sorted by exact-match, bigger is better. Means")
    assert pressed(page) == ["By score"]
    panel.get_by_role("button", name="At equal cost", exact=True).click()
    assert caption(page).startswith("Sorted by difference at equal cost, largest first. Means")
    assert pressed(page) == ["At equal cost"]
    panel.get_by_role("button", name="total FLOPs", exact=True).click()
    assert caption(page).startswith("Sorted by total FLOPs, smallest first.")
    assert pressed(page) == []
    panel.get_by_role("button", name="method", exact=True).click()
    assert caption(page).startswith("Sorted by method, from A to Z.")
    panel.get_by_role("button", name="By score").click()
    assert caption(page).startswith("Sorted by exact-match, bigger is better.")
    assert pressed(page) == ["By score"]


def test_budget_and_order_outlive_a_reload_and_other_fragments_do_no_harm(visit, at_equal_cost):
    page = visit(at_equal_cost)
    page.get_by_role("tab", name="Budget 5%").click()
    page.locator(".panel.on").get_by_role("button", name="At equal cost", exact=True).click()
    before = labels(page)
    page.reload()
    assert page.get_by_role("tab", name="Budget 5%").get_attribute("aria-selected") == "true"
    assert page.locator("#budget-1").is_visible()
    assert (labels(page), pressed(page)) == (before, ["At equal cost"])
    heading = page.locator(".panel.on thead button", has_text="total FLOPs")
    heading.click()
    heading.click()
    page.reload()
    assert caption(page).startswith("Sorted by total FLOPs, largest first.")
    assert page.locator(".panel.on th[aria-sort]").get_attribute("aria-sort") == "descending"
    page.get_by_role("tab", name="Budget 10%").click()
    page.reload()
    assert page.locator("#budget-2").is_visible()
    assert caption(page).startswith("Sorted by exact-match, bigger is better.")
    for fragment in ("main", "budget=no&order=no", "by=no&first=no", "%", "order=At+equal+cost"):
        page.goto("about:blank")
        page.goto(f"{at_equal_cost.as_uri()}#{fragment}")
        assert page.locator("#budget-2").is_visible()
    assert pressed(page) == ["At equal cost"]


def test_on_a_phone_the_column_that_sorts_stands_beside_the_method(visit, at_equal_cost):
    page = visit(at_equal_cost, width=390, height=844)
    panel = page.locator(".panel.on")
    headings = panel.locator("table.board thead th:visible")
    box = panel.locator(".box.tall").bounding_box()
    for name in ("At equal cost", "total FLOPs"):
        panel.get_by_role("button", name=name, exact=True).first.click()
        second = headings.nth(1)
        assert second.get_attribute("aria-sort"), name
        assert second.inner_text().lower() == name.lower()
        place = second.bounding_box()
        assert place["x"] + place["width"] <= box["x"] + box["width"]
    assert page.evaluate("document.activeElement.textContent") == "total FLOPs"
    page.set_viewport_size({"width": 1280, "height": 900})
    assert headings.nth(1).inner_text().startswith("exact-match")


@pytest.mark.parametrize("width", [390, 700, 1000, 1280])
def test_the_box_of_columns_stands_in_the_window(visit, folder, at_equal_cost, width):
    for path in (folder / "index.html", at_equal_cost):
        page = visit(path, width=width)
        page.locator(".panel.on .pick summary").click()
        page.locator(".panel.on .picks input").first.wait_for()
        page.wait_for_function("document.querySelector('.panel.on .picks').style.left !== ''")
        box = page.locator(".panel.on .picks").bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= page.evaluate("document.documentElement.clientWidth")
        assert box["width"] >= 150


CHART = """() => {
  const svg = [...document.querySelectorAll(".panel.on svg.chart")].find(each => each.checkVisibility());
  const boxOf = each => { const { x, y, width, height } = each.getBBox(); return [x, y, x + width, y + height]; };
  const box = svg.closest(".box");
  return { names: [...svg.querySelectorAll("text.name")].map(each => [each.textContent, boxOf(each)]),
    dots: [...svg.querySelectorAll("circle")].map(boxOf), numbered: svg.classList.contains("narrow"),
    key: [...document.querySelectorAll(".panel.on .numbers")].some(each => each.checkVisibility()),
    wide: box.scrollWidth - box.clientWidth, size: svg.viewBox.baseVal.width }; }"""


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", ["selection-methods", "m2m-levels", "mixing"])
def test_names_in_charts_of_this_repository_stand_on_no_dot_and_no_name(visit, tmp_path, name, width):
    """As the browser lays them out. On a phone all of the chart is seen at once, with numbers and their key."""
    board = read_board(ROOT / "leaderboards" / name)
    drawn = ROOT / "harness" / "sftbench" / "board" / "site" / "assets"
    shutil.copytree(drawn, tmp_path / "assets")
    site = Site.of(board, Records(cells={}, run=RunFacts(), methods={}, study=None, home=None))
    (tmp_path / "index.html").write_text(board_page(site), encoding="utf-8")
    page = visit(tmp_path / "index.html", width=width)
    found = page.evaluate(CHART)
    assert found["wide"] <= 0
    assert found["numbered"] == found["key"] == (width == 390)
    assert len(found["names"]) >= 4
    for index, (text, box) in enumerate(found["names"]):
        assert box[0] >= 0, text
        assert box[2] <= found["size"], text
        others = [*found["dots"], *(other for _, other in found["names"][index + 1 :])]
        for left, top, right, bottom in others:
            assert not (box[0] < right and left < box[2] and box[1] < bottom and top < box[3]), text


def test_on_a_phone_wide_figures_slide_and_say_so(visit, folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    wide = '<svg xmlns="http://www.w3.org/2000/svg" width="900" height="300" viewBox="0 0 900 300"></svg>'
    for path in (tmp_path / "copy" / "study").glob("*.svg"):
        path.write_text(wide)
    text = (tmp_path / "copy" / "study.html").read_text()
    (tmp_path / "copy" / "study.html").write_text(
        re.sub(r"(<img .*?) width=\d+ height=\d+", r"\1 width=900 height=300", text)
    )
    page = visit(tmp_path / "copy" / "study.html", width=390)
    figure = page.locator("figure.drawn").first
    pan = figure.locator(".pan")
    assert pan.evaluate("each => [each.scrollWidth > each.clientWidth, each.firstChild.width > 890]") == [True, True]
    assert figure.get_by_text("slides sideways").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.set_viewport_size({"width": 1280, "height": 900})
    assert pan.evaluate("each => each.scrollWidth <= each.clientWidth")
    assert not figure.get_by_text("slides sideways").is_visible()


def test_columns_are_chosen(visit, folder):
    page = visit(folder / "index.html")
    heading = page.locator(".panel.on thead th", has_text="nll ↓")
    assert not heading.is_visible()
    page.locator(".panel.on .pick summary").click()
    page.locator(".panel.on .picks").get_by_label("nll ↓", exact=True).check()
    assert heading.is_visible()
    assert page.locator(".panel.on tbody tr").first.locator("td.estimate:visible").count() == 2
    page.keyboard.press("Escape")
    assert not page.locator(".panel.on .picks").is_visible()


@pytest.mark.parametrize("name", ["index.html", "compare.html"])
def test_budgets_are_tabs_that_arrows_reach_and_the_largest_is_open(visit, folder, name):
    page = visit(folder / name)
    first, second = page.get_by_role("tab").all()
    assert second.inner_text().partition(" (")[0] == "Budget 10%"
    assert page.locator("#budget-2").is_visible()
    second.focus()
    page.keyboard.press("ArrowLeft")
    assert first.get_attribute("aria-selected") == "true"
    assert page.locator("#budget-1").is_visible()
    assert not page.locator("#budget-2").is_visible()
    page.keyboard.press("ArrowLeft")
    assert second.get_attribute("aria-selected") == "true"
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.id") == "tab-1"


def test_numbers_with_units_are_sorted_by_what_they_say(visit, folder, shown):
    """Whatever the records have: these texts are put into the cells."""
    page = visit(folder / "index.html")
    cells = page.evaluate(
        """() => { const table = document.querySelector(".panel.on table.board");
        const heading = [...table.tHead.rows[0].cells].find(each => each.textContent === "total FLOPs");
        const column = heading.cellIndex;
        const texts = ["1.5G", "999", "12k", "–", "3.25M", "1.1e+21", "40M", "2T"];
        const rows = [...table.tBodies[0].rows].slice(0, texts.length);
        table.tBodies[0].replaceChildren(...rows);
        rows.forEach((row, index) => { row.hidden = false; row.cells[column].textContent = texts[index]; });
        heading.querySelector("button").click();
        return [...table.tBodies[0].rows].map(row => row.cells[column].textContent); }"""
    )
    assert cells == ["999", "12k", "3.25M", "40M", "1.5G", "2T", "1.1e+21", "–"]


def test_a_phone_shows_name_score_and_tier_and_the_name_stays(visit, folder):
    page = visit(folder / "index.html", width=390, height=844)
    heads = page.locator(".panel.on table.board thead th")
    assert [text.split(" ")[0] for text in heads.all_inner_texts()[:3]] == ["method", "exact-match", "tier"]
    box = page.locator(".panel.on .box.tall").first
    edge = box.bounding_box()
    tier = heads.nth(2).bounding_box()
    assert tier["x"] + tier["width"] <= edge["x"] + edge["width"]
    box.evaluate("each => { each.scrollLeft = 400; }")
    name = page.locator(".panel.on table.board tbody th", has=page.get_by_text("careful", exact=True)).bounding_box()
    assert abs(name["x"] - edge["x"]) <= 1.5
    assert name["width"] <= 0.42 * 390


def test_the_rows_of_two_selections_are_laid_over_each_other_by_keyboard(visit, folder, shown):
    chosen = {}
    for path in (shown / "results" / "shown").rglob("seed-1.json"):
        cell = json.loads(path.read_text())
        if cell["budget"] == "10%" and cell["label"] in ("careful", "random"):
            found = positions_from_text(cell["selection"]["positions"], num_rows=720)
            chosen[cell["label"]] = set(map(int, found))
    page = visit(folder / "run.html")
    group = page.locator(".browser")
    assert page.evaluate("performance.getEntriesByType('resource').filter(e => e.name.includes('/data/')).length") == 0
    group.get_by_label("Selection of").select_option(label="careful")
    group.get_by_label("over that of").select_option(label="random")
    group.get_by_label("with seed").select_option("1")
    group.get_by_label("only positions").focus()
    page.keyboard.press("Enter")
    both = chosen["careful"] & chosen["random"]
    status = group.get_by_role("status")
    chance = f"(by chance about {72 * 72 / 720:.1f} rows would be in both)"
    share = f"which is {100 * len(both) / (144 - len(both)):.0f} % of the {144 - len(both)} rows in either."
    status.get_by_text(f"{len(both)} rows in both of 72 and 72 {chance}, {share}").wait_for()
    assert group.locator("h3").all_inner_texts() == [
        f"In both: {len(both)}", f"Only in careful: {72 - len(both)}", f"Only in random: {72 - len(both)}",
    ]  # fmt: skip
    written = group.locator(".places").nth(1).inner_text()
    assert [int(each) for each in written.split(", ")] == sorted(chosen["careful"] - both)
    page.keyboard.type("0-99, 300")
    near = {place for place in chosen["careful"] if place < 100 or place == 300}
    other = {place for place in chosen["random"] if place < 100 or place == 300}
    status.get_by_text(f"in both of {len(near)} and {len(other)}").wait_for()
    page.keyboard.type("x")
    status.get_by_text("Positions are written as").wait_for()
    group.get_by_label("over that of").select_option("")
    group.get_by_label("only positions").fill("")
    status.get_by_text("72 rows of careful.").wait_for()
    assert group.locator("svg.strip").count() == 1


def test_pages_with_texts_are_found_and_tokens_tell_their_label_without_colour(visit, folder):
    page = visit(folder / "compare.html")
    page.locator(".list .loaded a").click()
    page.wait_for_url("**/compare/*.html")
    assert "holds texts of the pool" in page.locator("main").inner_text()
    assert page.locator("article").count() == 0
    page.get_by_role("button", name="Load the texts").click()
    tokens = page.locator("article .tokens").first
    tokens.wait_for()
    styles = tokens.locator("span").evaluate_all(
        """all => all.map(each => [each.className, each.title, getComputedStyle(each).textDecorationLine,
          getComputedStyle(each).textDecorationStyle])"""
    )
    marks = {name: tuple(rest) for name, *rest in styles}
    assert set(marks) == {"t0", "t1", "t2"}
    assert len({decoration[1:] for decoration in marks.values()}) == 3
    assert marks["t2"][0] == "trained by distillation"
    before = "each => getComputedStyle(each.querySelector('.t0'), '::before').content"
    assert tokens.evaluate(before) == "none"
    page.get_by_label("Write the labels out").check()
    assert tokens.evaluate(before) == '"‹"'
    text = page.locator("article").last.inner_text()
    assert "<script>window.harmed = 1" in text
    assert page.evaluate("window.harmed") is None


def test_a_site_that_was_passed_on_has_no_pages_with_texts_and_offers_none(visit, folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy", ignore=shutil.ignore_patterns("compare"))
    page = visit(tmp_path / "copy" / "compare.html")
    page.locator(".list").wait_for(state="hidden")
    assert page.get_by_role("button", name="Look for").count() == 0
    assert all("compare/list.js" in each or "ERR_FILE_NOT_FOUND" in each for each in visit.complaints)
    visit.complaints.clear()


def test_everything_can_be_reached_and_done_with_the_keyboard(visit, folder):
    page = visit(folder / "index.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.className || document.activeElement.textContent"))
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", page.evaluate("document.activeElement.outerHTML")
        if page.evaluate("document.activeElement.textContent.startsWith('exact-match')"):
            page.keyboard.press("Enter")
            break
    assert {"find", "kind", "Columns"} <= reached
    assert page.locator(".panel.on th[aria-sort]").inner_text().startswith("exact-match")


def test_the_theme_follows_the_system_until_one_is_chosen_and_is_kept(visit, folder):
    page = visit(folder / "index.html", color_scheme="dark")

    def paper():
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    dark = paper()
    page.get_by_role("button", name="Use the light theme").click()
    assert paper() != dark
    page.locator("nav").get_by_text("The run").click()
    page.wait_for_url("**/run.html")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    assert paper() != dark


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing(visit, folder, name, scheme):
    """All rules in the light theme; in the dark one those that its colours can break. With everything loaded."""
    import axe_playwright_python

    page = visit(page_at(folder, name), color_scheme=scheme)
    load_all(page)
    assert visit.complaints == []
    page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    page.evaluate((Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8"))
    found = page.evaluate("rules => axe.run({runOnly: rules})", RULES if scheme == "light" else ["color-contrast"])
    assert found["passes"]
    assert [(each["id"], each["nodes"][0]["html"][:200]) for each in found["violations"]] == []
    # It asks for style sheets, which the policy of the page refuses even to it.
    visit.complaints.clear()


def test_no_page_complains_or_is_too_wide_and_nothing_hostile_is_run(visit, folder):
    page = visit(folder / "index.html", width=360)
    for path in sorted(folder.parent.rglob("*.html")):
        page.goto(path.as_uri())
        load_all(page)
        assert page.evaluate("window.harmed") is None, path
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
        assert page.locator("[onerror], [onload], main script, main iframe, a[href^='javascript:']").count() == 0, path
    page.goto((folder / "index.html").as_uri())
    assert any(text.startswith("<script>window.harmed = 1") for text in labels(page))
    assert any("⟨U+202E⟩" in text for text in labels(page))


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_fits_its_window_and_nothing_moves(visit, folder, name, width):
    page = visit(page_at(folder, name), width=width, height=800)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(SHIFT) == 0
    load_all(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_items_and_chosen_rows_are_loaded_when_asked_for(visit, folder):
    page = visit(folder / "rows" / "careful.html")
    assert (
        page.evaluate("performance.getEntriesByType('resource').filter(each => each.name.includes('/data/')).length")
        == 0
    )
    page.get_by_role("button", name="Load items and chosen rows of careful", exact=True).click()
    page.locator(".loaded h3").first.wait_for()
    assert page.locator(".loaded h3").all_inner_texts() == ["Budget 5%", "Budget 10%"]
    assert page.get_by_role("status").first.inner_text() == "Loaded from 6 records."
    assert page.locator("[aria-live] h3, [role=status] h3").count() == 0
    details = page.locator(".loaded > details", has=page.get_by_text("exact-match", exact=True)).first
    details.locator("summary").click()
    cells = details.locator("tbody tr")
    assert cells.count() == 60
    assert set(details.locator("tbody td").all_inner_texts()) <= {"0", "1"}


def test_a_row_and_its_matched_control_that_are_loaded_at_once_get_each_their_own(visit, folder, shown):
    records = [json.loads(path.read_text()) for path in (shown / "results" / "shown").rglob("seed-*.json")]
    page = visit(folder / "rows" / "careful.html")
    load_all(page)
    sections = page.locator(".lazy")
    assert sections.count() == 2
    for at, label in enumerate(("careful", "lengths(careful)")):
        expected = {each["selection"]["positions"] for each in records if each["label"] == label}
        assert set(sections.nth(at).locator("pre").all_text_contents()) == expected


def test_data_that_is_not_there_is_told(visit, folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy", ignore=shutil.ignore_patterns("data"))
    page = visit(tmp_path / "copy" / "rows" / "careful.html")
    page.get_by_role("button", name="Load items").first.click()
    page.get_by_role("status").get_by_text("does not lie beside this page").wait_for()
    assert all("data/items.js" in each or "ERR_FILE_NOT_FOUND" in each for each in visit.complaints)
    visit.complaints.clear()


def test_without_scripts_every_row_and_column_is_there(visit, folder):
    page = visit(folder / "index.html", java_script_enabled=False)
    assert page.locator("table.board").count() == 2
    assert (
        page.locator("table.board thead th").locator("visible=true").count()
        == page.locator("table.board thead th").count()
    )
    assert page.locator("table.board tbody tr:visible").count() == page.locator("table.board tbody tr").count()
    assert not page.locator(".tools").first.is_visible()


def test_a_page_with_500_rows_sorts_in_a_tenth_of_a_second(visit, shown, tmp_path):
    """Processor time of the page, with the layout that follows: unlike wall time it does not grow when the machine has
    other things to do. The best of several, since these things still empty its caches."""
    board = read_board(shown / "leaderboards" / "shown")
    one = next(row for row in board.rows if row.label == "careful")
    rows = []
    for index in range(500):
        found = one.metrics["exact-match"]
        metrics = one.metrics | {"exact-match": dataclasses.replace(found, mean=(index * 7919 % 500) / 500)}
        rows.append(dataclasses.replace(one, label=f"method-{index}", rank=index + 1, metrics=metrics))
    large = dataclasses.replace(board, budgets=("5%",), rows=tuple(rows))
    site = Site.of(large, read_records(shown / "results" / "shown", shown / "leaderboards" / "shown"))
    shutil.copytree(shown / "leaderboards" / "shown" / "assets", tmp_path / "assets")
    (tmp_path / "index.html").write_text(board_page(site), encoding="utf-8")
    assert (tmp_path / "index.html").stat().st_size < 1_200_000
    page = visit(tmp_path / "index.html")
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def spent():
        counted = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
        return sum(counted[name] for name in ("ScriptDuration", "RecalcStyleDuration", "LayoutDuration"))

    took = []
    for heading in ("th.estimate", "th.method", "th.tier") * 3:
        before = spent()
        page.evaluate(
            "name => { document.querySelector(`${name} button`).click(); document.body.offsetHeight }", heading
        )
        took.append(spent() - before)
    assert 0.001 < min(took) < 0.1, took


def test_a_board_of_one_budget_and_one_row_is_whole(visit, results, tmp_path):
    results.add("alone", seeds=range(1))
    out = tmp_path / "leaderboards" / "one"
    write_site(build_board(results.folder, num_resamples=20), results.folder, out)
    page = visit(out / "index.html")
    assert labels(page) == ["alone"]
    assert page.get_by_role("tab").count() == 0
    assert "is the only ranked row" in page.locator("main").inner_text()


@pytest.mark.parametrize("name", sorted(path.parent.name for path in (ROOT / "leaderboards").glob("*/index.html")))
def test_a_committed_board_opens_fits_and_does_not_move(visit, name):
    page = visit(ROOT / "leaderboards" / name / "index.html", width=360, height=780)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate(SHIFT) == 0
    assert labels(page)
