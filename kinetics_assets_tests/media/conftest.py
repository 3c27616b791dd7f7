"""One sandboxed worker for all tests of a process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kinetics_assets.core.settings import Limits
from kinetics_assets.media.client import MediaWorker

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def worker() -> Iterator[MediaWorker]:
    """A worker with the default limits, but for time."""
    with MediaWorker(Limits(clip_wall_seconds=60, clip_cpu_seconds=60)) as shared:
        yield shared
