"""Patterns of methods written out."""

from __future__ import annotations

import pytest

from sftbench.errors import UsageError
from sftbench.study.grid import written_out


def test_a_choice_gives_a_method_for_each_value():
    points = written_out("micro-response[level=0|50|100]")
    assert [each.label for each in points] == [f"micro-response[level={level}]" for level in (0, 50, 100)]
    assert [each.values for each in points] == [{"level": "0"}, {"level": "50"}, {"level": "100"}]


def test_several_choices_give_every_combination_and_other_parameters_stay():
    points = written_out("topics[level=0|6,num_rows=9,generated_share=0.5|1]")
    assert len(points) == 4
    assert points[1].values == {"level": "0", "generated_share": "1"}
    assert points[3].label == "topics[generated_share=1,level=6,num_rows=9]"


def test_a_method_without_a_choice_is_itself():
    (point,) = written_out("tshirt[mode=official]")
    assert (point.label, point.values) == ("tshirt[mode=official]", {})


def test_a_chain_and_parts_by_role_keep_their_bars():
    points = written_out("generator=topics[level=0|6] selector=random")
    assert [each.label for each in points] == [f"generator=topics[level={level}] selector=random" for level in (0, 6)]
    (chain,) = written_out("ifd[take=20%] | random")
    assert chain.label == "ifd take=20% | random"


@pytest.mark.parametrize("pattern", ["x[level=0||1]", "x[level=|1]", "x[level=0|1"])
def test_what_cannot_be_read_is_refused(pattern):
    with pytest.raises(UsageError):
        written_out(pattern)
