"""Several clips at a time: threads, each with its own sandboxed child."""

from __future__ import annotations

from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from queue import SimpleQueue
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
    limits: Limits,
    writable: Sequence[Path],
) -> tuple[str, ...]:
    """Call ``work(item, worker)`` for all items, `workers` at a time.

    The first error stops what has not begun; what is running is awaited, then the error is raised.

    Args:
        items: Units of work.
        work: Called in several threads, each with a child of its own.
        workers: How many at a time.
        limits: Of each child.
        writable: Folders below which a child may write; nothing else can be changed by it.

    Returns:
        What the sandbox of this machine does not protect against, empty when nothing.
    """
    if not items:
        return ()
    with ExitStack() as stack:
        children: SimpleQueue[MediaWorker] = SimpleQueue()
        all_children = [
            stack.enter_context(MediaWorker(limits, writable=writable))
            for _ in range(min(workers, len(items)))
        ]
        for child in all_children:
            children.put(child)

        def call(item: Item) -> None:
            child = children.get()
            try:
                work(item, child)
            finally:
                children.put(child)

        with ThreadPoolExecutor(len(all_children), thread_name_prefix="clip") as pool:
            futures: list[Future[None]] = [pool.submit(call, item) for item in items]
            _, waiting = wait(futures, return_when=FIRST_EXCEPTION)
            for future in waiting:
                future.cancel()
        for future in futures:
            if not future.cancelled():
                future.result()
        return tuple(sorted({text for child in all_children for text in child.degraded}))
