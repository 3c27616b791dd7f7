"""How our errors look in Dagster: one paragraph, and no second try of what cannot heal in minutes.

`RetryPolicy` is for steps that crash. An input that cannot be used stays so; a fault of the machine
or the network (disk full, rate limit, no device) would meet the same fault seconds later, or make
it worse at the source. Both are left to the next run, which goes on where this one stopped.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import dagster as dg

from kinetics_assets.core.errors import KineticsError

if TYPE_CHECKING:
    from collections.abc import Iterator

CRASH_RETRIES = dg.RetryPolicy(max_retries=2, delay=2, backoff=dg.Backoff.EXPONENTIAL)
"""A step that was killed (out of memory) or met a bug is tried twice more."""


@contextmanager
def as_failures() -> Iterator[None]:
    """Turn any `KineticsError` in the block into a Dagster failure with its message.

    Raises:
        dagster.Failure: With retries off.
    """
    try:
        yield
    except KineticsError as error:
        raise dg.Failure(
            description=str(error),
            metadata={"kind": dg.MetadataValue.text(type(error).__name__)},
            allow_retries=False,
        ) from error
