"""Several clips at a time: threads, which share sandboxed children."""

from __future__ import annotations

from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, TypeVar

from kinetics_assets.media.client import MediaWorker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from kinetics_assets.core.settings import Limits

Item = TypeVar("Item")


def for_each(
    items: Sequence[Item],
    work: Callable[[Item, MediaWorker], None],
    *,
    workers: int,
    children: int,
    limits: Limits,
    writable: Sequence[Path],
) -> tuple[str, ...]:
    """Call ``work(item, worker)`` for all items, `workers` at a time.

    The first error stops what has not begun; what is running is awaited, then the error is raised.

    Args:
        items: Units of work.
        work: Called in several threads, all with the same worker.
        workers: How many at a time.
        children: How many of the worker's calls run at a time.
        limits: Of each child.
        writable: Folders below which a child may write; nothing else can be changed by it.

    Returns:
        What the sandbox of this machine does not protect against, empty when nothing.
    """
    if not items:
        return ()
    most = min(workers, len(items))
    with MediaWorker(limits, writable=writable, children=min(children, most)) as worker:
        with ThreadPoolExecutor(most, thread_name_prefix="clip") as pool:
            futures: list[Future[None]] = [pool.submit(work, item, worker) for item in items]
            _, waiting = wait(futures, return_when=FIRST_EXCEPTION)
            for future in waiting:
                future.cancel()
        for future in futures:
            if not future.cancelled():
                future.result()
        return worker.degraded
