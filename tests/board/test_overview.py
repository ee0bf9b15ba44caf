"""The page over several boards: a card each, the same bytes from the same boards, and nobody's page written over."""

from __future__ import annotations

import pytest

from sftbench.board.build import build_board
from sftbench.board.site.files import write_site
from sftbench.board.site.overview import overview_page, require_own_page
from sftbench.board.site.serving import SiteServer
from sftbench.errors import UsageError


@pytest.fixture
def boards(new_results, tmp_path):
    """Two boards in `leaderboards`, and their folder."""
    for name, skill in (("zeta", 0.9), ("alpha", 0.5)):
        made = new_results(f"results/{name}")
        made.add("random", skill=0.3, kind="control")
        made.add("careful", skill=skill)
        made.add("<b>wild", skill=0.3)
        write_site(build_board(made.folder, num_resamples=200), made.folder, tmp_path / "leaderboards" / name)
    return tmp_path / "leaderboards"


def test_every_board_has_a_card_by_name_with_its_first_finding(boards):
    page = overview_page(boards)
    assert page.index("alpha/index.html") < page.index("zeta/index.html")
    assert page.count("class=card") == 2
    assert "Against random at 10%: better: careful" in page
    assert "2 ways of choosing training data had a budget of 10% (72 rows) and the pool" in page
    assert "<b>wild" not in page
    assert overview_page(boards) == page


def test_without_chance_the_best_is_told(new_results, tmp_path):
    made = new_results("results/one")
    made.add("alone", seeds=range(1))
    write_site(build_board(made.folder, num_resamples=20), made.folder, tmp_path / "leaderboards" / "one")
    assert "alone is best at 10% of 1 ranked entry." in overview_page(tmp_path / "leaderboards")


def test_a_folder_without_boards_and_one_of_somebody_else_are_refused(boards, tmp_path):
    with pytest.raises(UsageError, match="no boards"):
        overview_page(tmp_path)
    with pytest.raises(UsageError, match="is a board"):
        require_own_page(boards / "alpha")
    require_own_page(boards)
    (boards / "index.html").write_text("<!doctype html><title>mine</title>")
    with pytest.raises(UsageError, match="written over"):
        require_own_page(boards)
    (boards / "index.html").write_text(overview_page(boards))
    require_own_page(boards)


def test_the_overview_is_served_with_its_boards_and_their_records(boards, tmp_path):
    (boards / "index.html").write_text(overview_page(boards))
    (tmp_path / "results" / "alpha" / "run.json").write_text("{}")
    (tmp_path / "secret.txt").write_text("not for the browser")
    with SiteServer(boards, 0) as serving:
        assert serving.address.endswith("/leaderboards/")
        assert serving.file_of("/leaderboards/") == boards / "index.html"
        assert serving.file_of("/leaderboards/alpha/rows/careful.html") is not None
        assert serving.file_of("/results/alpha/run.json") is not None
        assert serving.file_of("/secret.txt") is None
