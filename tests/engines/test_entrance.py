"""One who asks alone, and the others."""

from __future__ import annotations

import threading
import time

from sftbench.engines.entrance import Entrance


def test_many_are_inside_together_and_one_alone_is_with_nobody():
    entrance, inside, seen, most = Entrance(), [], [], []
    lock = threading.Lock()

    def stay(name):
        with lock:
            inside.append(name)
            most.append(len(inside))
            if name == "alone":
                seen.append(list(inside))
        time.sleep(0.005)
        with lock:
            assert name != "alone" or inside == ["alone"]
            inside.remove(name)

    def among(name):
        with entrance.among_others():
            stay(name)

    def alone():
        with entrance.closed(), entrance.alone():
            stay("alone")

    threads = [threading.Thread(target=alone if at % 5 == 0 else among, args=() if at % 5 == 0 else (at,))
               for at in range(40)]  # fmt: skip
    for each in threads:
        each.start()
    for each in threads:
        each.join(10)
    assert seen == [["alone"]] * 8
    assert max(most) > 1
    assert not inside


def test_whoever_is_about_to_be_alone_has_the_right_of_way_and_an_error_opens_the_entrance():
    entrance, order = Entrance(), []

    def among():
        with entrance.among_others():
            order.append("other")

    late = threading.Thread(target=among)
    try:
        with entrance.among_others(), entrance.closed():
            late.start()
            time.sleep(0.05)
            order.append("first")
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    late.join(5)
    assert order == ["first", "other"]
