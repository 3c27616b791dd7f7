"""One sandboxed worker for all tests of a process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kinetics_assets.core.settings import Limits
from kinetics_assets.media.client import MediaWorker

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MediaWorker]:
    """A worker with the default limits, but for time, that writes to temporary folders only."""
    limits = Limits(clip_wall_seconds=60, clip_cpu_seconds=60)
    # links to /dev/full stand for a full disk
    writable = [tmp_path_factory.getbasetemp(), Path("/dev")]
    with MediaWorker(limits, writable=writable) as shared:
        yield shared
