"""Tests of what the sandboxed child loads."""

from __future__ import annotations

import subprocess
import sys

import pytest

from kinetics_assets.media.client import MediaWorker
from kinetics_assets.media.worker import OPERATIONS

_ASK = """
import sys
from pathlib import Path
from kinetics_assets.media.worker import OPERATIONS
try:
    OPERATIONS[sys.argv[1]](path=sys.argv[2], caps={"max_side_px": 64, "max_frames": 1})
except FileNotFoundError:
    print(*sorted({"av", "numpy", "simplejpeg"} & set(sys.modules)))
"""


@pytest.mark.parametrize("operation", ["verify", "length"])
def test_checking_a_video_loads_no_picture_libraries(operation: str) -> None:
    """Only what decodes is loaded; starting a child is most of what a tiny clip costs.

    Cause: every child loaded every operation, 0.2 s of CPU that a child which verifies never used.
    """
    argv = [sys.executable, "-c", _ASK, operation, "/nonexistent/clip.mp4"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert "numpy" not in done.stdout
    assert done.stdout.endswith("\n")


def test_the_operations_are_those_of_the_client() -> None:
    """A method of the client for each; none else can be asked for."""
    names = {"verify", "length", "trim", "join", "resize", "rawframes", "gray", "check_pictures"}
    names |= {"products", "count_frames", "write_canary", "extract_audio", "log_mel"}
    assert set(OPERATIONS) == names
    assert all(
        hasattr(MediaWorker, name.replace("length", "length_seconds")) for name in OPERATIONS
    )
