"""What the tests themselves promise: no network, and no GPU test that is silently left out."""

from __future__ import annotations

import marshal
import os
import socket
import subprocess
import sys
from importlib.util import cache_from_source
from pathlib import Path

import pytest

TOP = Path(__file__).parent.parent
GPU_TEST = """
import pytest

@pytest.mark.gpu
def test_on_a_device():
    pass
"""


def _outcome(folder: Path, **env: str) -> str:
    """Return the closing line of a run of one GPU test on a machine whose devices are hidden."""
    (folder / "test_gpu.py").write_text(GPU_TEST)
    options = [
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "kinetics_assets_tests.conftest",
        "-W",
        "ignore",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, f"--rootdir={folder}", "test_gpu.py"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(TOP), "CUDA_VISIBLE_DEVICES": "", **env},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip().splitlines()[-1]


def test_a_gpu_test_is_skipped_without_a_gpu(tmp_path: Path) -> None:
    """A laptop passes the suite."""
    assert _outcome(tmp_path, KINETICS_REQUIRE_GPU="0").startswith("1 skipped")


def test_a_gpu_test_fails_where_a_gpu_is_promised(tmp_path: Path) -> None:
    """A GPU machine whose driver broke does not pass by skipping."""
    assert _outcome(tmp_path, KINETICS_REQUIRE_GPU="1").startswith("1 error")


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1"])
def test_no_test_reaches_the_network(host: str) -> None:
    """A test that connects to another machine fails before a packet is sent."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with (
        socket.socket(family, socket.SOCK_STREAM) as connection,
        pytest.raises(AssertionError, match="reached for the network"),
    ):
        connection.connect((host, 9))


def test_the_callers_settings_do_not_reach_a_test() -> None:
    """A developer's own KINETICS_ROOT is no part of what is tested."""
    assert not {name for name in os.environ if name in {"KINETICS_ROOT", "DAGSTER_HOME"}}


def test_modules_are_compiled_before_the_tests() -> None:
    """No test is the first to import one, with or without room to keep its bytecode."""
    for source in (TOP / "kinetics_assets").rglob("*.py"):
        kept = Path(cache_from_source(str(source)))
        assert len(kept.read_bytes()) > 16  # its header
        assert marshal.loads(kept.read_bytes()[16:])
