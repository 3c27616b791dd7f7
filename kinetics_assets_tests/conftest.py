"""What holds for every test: a clean environment, no network but this machine, GPUs on demand."""

from __future__ import annotations

import ctypes
import os
import sys
from collections import Counter
from compileall import compile_dir
from functools import cache
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# a loaded machine is no failure; a found example is printed, so that it can be made a test
settings.register_profile(
    "loaded machine",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    database=None,
    print_blob=True,
)
settings.load_profile("loaded machine")

_KEPT = ("KINETICS_REQUIRE_GPU", "KINETICS_TEST_")

os.environ["DAGSTER_DISABLE_TELEMETRY"] = "yes"  # asked of every child process too


def _refuse_network(event: str, arguments: tuple[object, ...]) -> None:
    """Raise when a test connects to anything but this machine."""
    if event != "socket.connect":
        return
    address = arguments[1]
    if isinstance(address, tuple) and not _is_here(str(address[0])):
        raise AssertionError(f"a test reached for the network: {address!r}")


def _is_here(host: str) -> bool:
    """Return whether `host` is an address of the loopback interface."""
    try:
        return ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"


sys.addaudithook(_refuse_network)


@pytest.fixture(autouse=True)
def clean_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Take the caller's own settings out of the environment, and the machine's other steps.

    A test that makes a source pause must not stop another whose server has the same port.
    """
    for name in list(os.environ):
        if name.startswith("KINETICS_") and not name.startswith(_KEPT):
            monkeypatch.delenv(name)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.setenv("KINETICS_MACHINE_DIR", str(tmp_path_factory.mktemp("machine")))


def pytest_configure(config: pytest.Config) -> None:
    """Compile all modules before the first test.

    Some tests forbid a process to write large files. Were it the first to import a module, Python
    would keep the part of its bytecode that fits, and whoever imports it later would fail.
    """
    if not hasattr(config, "workerinput"):
        for package in ("kinetics_assets", "kinetics_assets_tests"):
            compile_dir(Path(__file__).parent.parent / package, quiet=2)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files with slow tests first, then those with many, so that no worker ends with one."""
    tests = Counter(item.path for item in items)
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path not in slow, -tests[item.path]))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a GPU test without a GPU, or fail it where KINETICS_REQUIRE_GPU=1 promises one."""
    if item.get_closest_marker("gpu") is None or cuda_devices():
        return
    if os.environ.get("KINETICS_REQUIRE_GPU") == "1":
        pytest.fail("KINETICS_REQUIRE_GPU=1, but there is no usable CUDA device", pytrace=False)
    pytest.skip("no CUDA device")


@cache
def cuda_devices() -> int:
    """Return how many CUDA devices the driver offers; 0 without a driver."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
        return 0
    return count.value
