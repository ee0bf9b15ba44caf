"""What a study found is said from its slopes: which series rise, which fall, and where nothing is found."""

from __future__ import annotations

from pathlib import Path

from sftbench.board.site.files import write_site
from sftbench.board.site.studied import slopes_found


def line(series, chance, metric="exact-match", budget="60"):
    return {"series": series, "budget": budget, "metric": metric, "p_slope_positive": str(chance)}


def test_series_that_rise_and_fall_are_named():
    lines = [line("a", 0.99), line("b", 0.01), line("c", 0.5), line("d", 0.975)]
    assert slopes_found(lines, "level, %", {"exact-match": True}) == [
        "exact-match rises with level in 2 of 4 series (“a” and “d”) and falls with level in 1 of 4 series (“b”); in 1 "
        "no slope is found."
    ]


def test_a_metric_of_which_less_is_better_says_so_and_budgets_are_told_apart():
    lines = [line("a", 0.9, "nll"), line("a", 1.0, "nll", "5%"), line("a", "", "nll", "9%")]
    assert slopes_found(lines, "share", {"nll": False}) == [
        "nll (smaller is better) at 60: no slope over share is found in any of 1 series.",
        "nll (smaller is better) at 5% rises with share in 1 of 1 series (“a”).",
    ]


def test_the_page_of_a_study_says_what_was_found(results, tmp_path):
    from sftbench.board.build import build_board

    results.add("a")
    results.add("random", kind="control")
    (results.folder / "study.json").write_text('{"name": "s", "about": "?", "x": {"label": "level, %"}}')
    board = build_board(results.folder, num_resamples=20)
    out = tmp_path / "out"
    write_site(board, results.folder, out)
    page = out / "study.html"
    assert "Against random at 10%" in page.read_text()
    (out / "study").mkdir()
    (out / "study" / "slopes.csv").write_text("series,budget,metric,p_slope_positive\nups,10%,exact-match,0.999\n")
    write_site(board, results.folder, out)
    assert "exact-match rises with level in 1 of 1 series (“ups”)." in Path(page).read_text()
