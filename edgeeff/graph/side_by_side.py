"""Work on several parts at once such that no bit depends on how many processors there are.

torch's own threads change the order of sums, and wait for each other by spinning, which on a busy machine
turns seconds into minutes. So each part is computed by one thread of torch, a few parts side by side, and the
results are taken in the order of the parts.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

P = TypeVar("P")
R = TypeVar("R")

#: Parts at once: each has activations of its own in memory.
MOST = 4


@contextmanager
def one_thread() -> Iterator[None]:
    """Within it torch computes in the calling thread alone.

    torch's own threads wait by spinning, and change the order of sums.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def side_by_side(work: Callable[[P], R], parts: Iterable[P], most: int = MOST) -> Iterator[R]:
    """What ``work`` makes of each part, in order.

    Args:
        work: Is called in other threads.
        parts: Taken one by one, as there is room.
        most: Parts at once.
    """
    workers = max(1, min(os.cpu_count() or 1, most))
    waiting: deque[Future[R]] = deque()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        # torch keeps the number of its own threads for each thread that calls it.
        with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            for part in parts:
                waiting.append(pool.submit(work, part))
                if len(waiting) > workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
    finally:
        torch.set_num_threads(threads)
