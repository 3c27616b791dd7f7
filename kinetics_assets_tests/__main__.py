"""Every check of the repository, in the order of how fast it fails.

``python -m kinetics_assets_tests [pytest arguments]`` from the top of the repository; the exit code
is that of the first check that failed, 0 if all passed.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).parent.parent
SWITCH = "KINETICS_CPU_KERNELS"
_COMPILE = (
    sys.executable,
    "-c",
    "from kinetics_assets.engines.cpu import CpuEngine; CpuEngine().warm_up()",
)
"""Compiles what the tests find on the disk then, beside the checks that use one core."""
COVERED = ("core", "io")
FLOOR_PERCENT = 95
_SPREAD = ("--numprocesses=2", "--dist=loadfile", "--no-loadscope-reorder")
"""File by file, in the order of `conftest.py`: the slow ones first."""


def main(pytest_arguments: list[str]) -> int:
    """Return 0 if every check passes, else the exit code of the first that does not.

    Args:
        pytest_arguments: Given to pytest; with any (a part of the suite) there is no coverage gate.
    """
    checks = [
        _argv("ruff", "check", "."),
        _argv("ruff", "format", "--check", "."),
        _argv("mypy"),
        _argv("coverage", "erase"),
        _argv("pytest", *_SPREAD, *_coverage()),
    ]
    if pytest_arguments:
        checks[-1] = _argv("pytest", *pytest_arguments)
    else:
        checks += [_floor(part) for part in COVERED]
    environment = _environment() | {SWITCH: "numba"}
    compiling = subprocess.Popen(_COMPILE, cwd=TOP, env=environment, stderr=subprocess.DEVNULL)
    for argv in checks:
        if "pytest" in argv:
            compiling.wait()  # what is wrong with the kernels is for the tests to tell
        print(f"$ python {shlex.join(argv[1:])}", flush=True)
        code = subprocess.run(argv, cwd=TOP, check=False, env=_environment()).returncode
        if code:
            print(f"FAILED with exit code {code}: {shlex.join(argv[2:])}", flush=True)
            return code
    print("All checks passed.", flush=True)
    return 0


def _argv(module: str, *arguments: str) -> list[str]:
    """Return the command line that runs `module` with this interpreter."""
    return [sys.executable, "-m", module, *arguments]


def _coverage() -> list[str]:
    """Return the pytest options that measure the parts with a floor, without a report."""
    return [*(f"--cov=kinetics_assets.{part}" for part in COVERED), "--cov-report="]


def _floor(part: str) -> list[str]:
    """Return the command line that fails if less than the floor of `part` was run."""
    include = f"--include=*/kinetics_assets/{part}/*"
    return _argv("coverage", "report", include, f"--fail-under={FLOOR_PERCENT}")


def _environment() -> dict[str, str]:
    """Return the environment without what would change the outcome on one machine only."""
    kept = ("KINETICS_REQUIRE_GPU", "KINETICS_TEST_")
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith(kept) or not name.startswith(("KINETICS_", "DAGSTER_", "PYTEST_"))
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
