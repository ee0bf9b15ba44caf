"""The screen that keeps new rows apart from held-out ones."""

from __future__ import annotations

import pytest

from sftbench.pools import Screen, pool_from_rows
from sftbench.rooms import Message, Row

THIRTEEN = "a b c d e f g h i j k l m"
POOL = [("Name a tree.", "An elm."), (f"{THIRTEEN} and more", "Yes.")]
HELDOUT = [
    (f"Long question: {THIRTEEN} end", "x"),
    ("Short question?", "one two"),
    ("Q", " ".join(map(str, range(20)))),
]


def row(asked, answer, system=None):
    turns = [("system", system)] if system else []
    return Row(
        id=f"{asked} {answer}",
        messages=tuple(Message(role=r, content=c) for r, c in [*turns, ("user", asked), ("assistant", answer)]),
    )


@pytest.fixture
def screen(tmp_path):
    def make(heldout=HELDOUT, system=None):
        def pool(pairs, name):
            rows = [
                {"messages": [{"role": m.role, "content": m.content} for m in row(*pair, system=system).messages]}
                for pair in pairs
            ]
            return pool_from_rows(rows, into=tmp_path / name, key=name)

        return Screen(pool=pool(POOL, "pool"), heldout=pool(heldout, "heldout") if heldout else None)

    return make


@pytest.mark.parametrize(
    ("asked", "answer", "passes"),
    [
        (f"Other words before {THIRTEEN}", "y", False),
        (f"Other words before {THIRTEEN.upper().replace(' ', ', ')}!", "y", False),
        ("a b c d e f g h i j k l x m", "y", True),
        ("a b c d e f g h i j k l", "m", True),
        ("New", f"It says {THIRTEEN}", False),
        ("New", "3 4 5 6 7 8 9 10 11 12 13 14 15", False),
        ("New", "3 4 5 6 7 8 9 10 11 12 13 14", True),
        ("short  QUESTION", "anything", False),
        ("A short question?", "anything", True),
        ("New", "Short question?", True),
        ("New", "one two", True),
        ("?!", "y", True),
    ],
)
def test_thirteen_words_in_a_row_or_a_whole_short_prompt_repeat_a_heldout_row(screen, asked, answer, passes):
    made = screen()
    assert bool(list(made.passing([row(asked, answer)]))) == passes
    assert (made.num_passed, made.num_repeats) == (int(passes), int(not passes))


CHINESE = "水的沸点是一百摄氏度在标准大气压下测得"
JAPANESE = "東京タワーの高さは三百三十三メートルです"
THAI = "กรุงเทพมหานครเป็นเมืองหลวงของประเทศไทยและใหญ่ที่สุด"


@pytest.mark.parametrize("sentence", [CHINESE, JAPANESE, THAI])
def test_thirteen_characters_in_a_row_repeat_where_a_script_has_no_blanks(screen, sentence):
    made = screen(heldout=[("Q", sentence)])
    assert not list(made.passing([row("New", f"好的{sentence}吗")]))
    assert not list(made.passing([row("New", f"see {sentence[2:36]}, she said")]))
    assert list(made.passing([row("New", sentence[:8] + "x" + sentence[8:12])]))


def test_a_short_prompt_without_blanks_is_compared_as_a_whole(screen):
    made = screen(heldout=[("水的沸点？", "一百度")])
    assert not list(made.passing([row("水的沸点", "不知道")]))
    assert list(made.passing([row("水的沸点是多少", "不知道")]))


def test_a_row_in_two_scripts_is_compared_by_characters_and_words(screen):
    mixed = "用 Python 写一个 quicksort 函数并且解释它的步骤 please now"
    made = screen(heldout=[("Q", mixed)])
    assert not list(made.passing([row("New", f"请{mixed}")]))
    assert list(made.passing([row("New", mixed.replace("quicksort", "mergesort"))]))


def test_korean_has_blanks_between_its_words(screen):
    made = screen(heldout=[("Q", "대한민국의 수도는 서울특별시이고 인구가 많습니다")])
    assert list(made.passing([row("New", "대한민국의 수도는 서울특별시이고 강이 있습니다")]))


def test_a_short_prompt_anywhere_in_a_conversation_counts(screen):
    turns = [("user", "Short question"), ("assistant", "yes"), ("user", "and then?"), ("assistant", "no")]
    talk = Row(id="t", messages=tuple(Message(role=role, content=text) for role, text in turns))
    assert not list(screen().passing([talk]))


def test_rows_of_the_pool_pass_and_are_not_new(screen):
    made = screen()
    passed = list(made.passing([row(*POOL[1]), row("New one here", "y")]))
    assert len(passed) == made.num_passed == 2
    assert made.num_new == 1


def test_a_system_prompt_that_all_rows_share_repeats_nothing(screen):
    made = screen(system=f"You are {THIRTEEN}")
    assert list(made.passing([row("New one here", "y", system=f"You are {THIRTEEN}")]))


def test_where_nothing_is_held_out_everything_passes(screen):
    made = screen(heldout=None)
    assert len(list(made.passing([row(*HELDOUT[0])]))) == 1
