"""Work spread over several processes: results in order, a sign of life, Ctrl-C leaves nothing behind."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing import get_context, parent_process
from typing import TypeVar

from lidartune.errors import UserError

Job = TypeVar("Job")
Result = TypeVar("Result")
Progress = bool | Callable[[int, int], None]
LINE_EVERY_S = 30.0  # where there is no terminal
AHEAD = 8  # jobs a process has waiting: enough to keep it busy, few enough for memory


def available_processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0))


def in_processes(
    work: Callable[[Job], Result],
    jobs: Iterable[Job],
    *,
    processes: int | None = None,
    progress: Progress = True,
    title: str = "",
) -> Iterator[tuple[Job, Result]]:
    """Each job with its result, in the order of the jobs, whatever process was first.

    Jobs are taken from the iterable only as they are needed, so that memory stays the same however many there are.
    One process works in place; more are started afresh, so `work` and the jobs must be picklable.

    Args:
        work: called once for each job; what it raises is raised here, and ends the rest.
        processes: how many at once; default one for each available processor.
        progress: a bar on a terminal and a line now and then elsewhere, none, or a function called with (jobs done,
            jobs in all).

    Raises:
        UserError: a process died.
    """
    total = len(jobs) if isinstance(jobs, Sized) else 0
    count = available_processors() if processes is None else max(1, processes)
    if total:
        count = min(count, total)
    with reporter(progress, total, title) as report:
        results = ((job, work(job)) for job in jobs) if count == 1 else _spread(work, jobs, count)
        for done, pair in enumerate(results, start=1):
            yield pair
            report(done, total)


@contextmanager
def beside(work: Callable[[Job], Result], jobs: Sequence[Job], *, processes: int) -> Iterator[Iterator[Result]]:
    """Results in the order of the jobs, which are worked on beside what the body of `with` does.

    The processes are forks, which begin at once with all that this one has imported: for a process without threads of
    its own. With one process the work is done in place, as the results are asked for.

    Raises:
        UserError: a process died.
    """
    if processes == 1 or not jobs:
        yield map(work, jobs)
        return
    with _pool(processes, "fork") as pool:
        with _deaf_to_interrupts():
            results = pool.map(work, jobs)
        yield results


def _spread(work: Callable[[Job], Result], jobs: Iterable[Job], count: int) -> Iterator[tuple[Job, Result]]:
    waiting: deque[tuple[Job, Future[Result]]] = deque()
    rest = iter(jobs)
    with _pool(count, "spawn") as pool:
        first = list(islice(rest, AHEAD * count))
        with _deaf_to_interrupts():  # the processes, which begin here, stay so
            waiting.extend((job, pool.submit(work, job)) for job in first)
        while waiting:
            job, future = waiting.popleft()
            result = future.result()
            waiting.extend((job, pool.submit(work, job)) for job in islice(rest, 1))
            yield job, result


@contextmanager
def _pool(count: int, begin: str) -> Iterator[ProcessPoolExecutor]:
    """Processes that end with this one, and before the body's end is left."""
    pool = ProcessPoolExecutor(count, mp_context=get_context(begin), initializer=_heed_the_parent)
    try:
        yield pool
    except BrokenProcessPool:
        raise UserError(
            "a process that shared the work died",
            found="it was killed (memory?), or the calling script starts its work while it is imported",
            do='put the script\'s work under `if __name__ == "__main__":`, or use one process',
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """An interrupt waits until the end of this; a process that is started in it never hears of one."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _heed_the_parent() -> None:
    """When the parent is killed, this process ends too, and it answers SIGTERM for itself alone."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_the_parent, daemon=True).start()


def _end_with_the_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def reporter(progress: Progress, total: int, title: str) -> Iterator[Callable[[int, int], None]]:
    """What to call with (done, total): the given function, a bar on a terminal, a line now and then, or nothing."""
    if callable(progress):
        yield progress
    elif not progress:
        yield lambda done, total: None
    elif not sys.stderr.isatty():
        yield _lines(title)
    else:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(title, total=total or None)
            yield lambda done, total: bar.update(task, completed=done)


def _lines(title: str) -> Callable[[int, int], None]:
    """Prints `scans: 120 of 4,541, 2 min left`, at most every LINE_EVERY_S and never at the end."""
    begun = said = time.monotonic()
    already: int | None = None  # what an earlier call had done says nothing about the speed of this one

    def report(done: int, total: int) -> None:
        nonlocal said, already
        already = done - 1 if already is None else already
        now = time.monotonic()
        if now - said < LINE_EVERY_S or done == total:
            return
        said = now
        left = (total - done) * (now - begun) / max(done - already, 1)
        text = f"{done:,} of {total:,}, {_spelled(left)} left" if total else f"{done:,} done"
        print(f"{title}: {text}" if title else text, file=sys.stderr, flush=True)

    return report


def _spelled(seconds: float) -> str:
    if seconds < 60:
        return "less than a minute"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"


def duration(seconds: float) -> str:
    """`4 s`, `3 min 20 s`, `5 h 02 min`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
