"""Work on points done by several threads at once, each on its own stretch of them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise


def in_parts(work: Callable[[int, int], None], count: int, threads: int) -> None:
    """Calls `work(start, stop)` for `threads` stretches that make up 0..count; the calling thread does the first.

    Threads end with the call, so that a process may fork before and after; `work` should release the GIL.
    """
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise ValueError(f"threads must be a positive whole number, not {threads!r}")
    if threads == 1:
        work(0, count)
        return
    first, *others = pairwise(count * i // threads for i in range(threads + 1))
    with ThreadPoolExecutor(threads - 1) as pool:
        pending = [pool.submit(work, *stretch) for stretch in others]
        work(*first)
        for done in pending:
            done.result()
