from __future__ import annotations

import threading
import time

import pytest
import torch

from edgeeff.graph.side_by_side import side_by_side


def test_results_come_in_the_order_of_the_parts():
    def work(part):
        time.sleep(0.02 if part == 0 else 0)
        return part * part

    assert list(side_by_side(work, iter(range(20)))) == [part * part for part in range(20)]
    assert list(side_by_side(work, [])) == []


def test_each_part_has_one_thread_of_torch_and_the_callers_number_comes_back():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        assert set(side_by_side(lambda _: torch.get_num_threads(), range(8))) == {1}
        assert torch.get_num_threads() == 3
        with pytest.raises(ZeroDivisionError):
            list(side_by_side(lambda part: 1 // part, [1, 0, 1]))
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("most", [1, 2])
def test_parts_are_taken_as_there_is_room(most):
    """Of a long stream only a few parts are in memory."""
    lock, alive, seen = threading.Lock(), 0, []

    def parts():
        nonlocal alive
        for part in range(30):
            with lock:
                alive += 1
                seen.append(alive)
            yield part

    for _ in side_by_side(lambda part: part, parts(), most):
        with lock:
            alive -= 1
    assert max(seen) <= most + 2
