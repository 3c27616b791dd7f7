"""What compiled code there must be on this machine, so that code that is refused fails its tests.

Where compiled code is refused others do its work, with the same bytes. Tests that skipped for that
reason would pass with kernels that do not even compile.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache

import pytest

from kinetics_assets.engines.cpu_compiled import compiler


@cache
def macros() -> frozenset[str]:
    """Return the macros that the C++ compiler defines for this CPU; none without a compiler."""
    found = next(filter(None, map(shutil.which, compiler.COMPILERS)), None)
    if found is None:
        return frozenset()
    argv = [found, "-march=native", "-dM", "-E", "-x", "c++", os.devnull]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return frozenset(line.split()[1] for line in done.stdout.splitlines())


def skip_without(*wanted: str) -> None:
    """Skip the test where no compiler can make code with these macros, or none is wanted."""
    if os.environ.get(compiler.SWITCH) == "numba":
        pytest.skip("compiled code is switched off")
    if missing := set(wanted) - macros():
        pytest.skip(f"no C++ compiler, or a processor without {' and '.join(sorted(missing))}")
