"""The C++ kernels as a library for the CPU at hand: compiled on first use, kept for the next."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from kinetics_assets.engines import tvl1
from kinetics_assets.engines.cache_folders import cache_folder
from kinetics_assets.io.programs import clean_environment, run_program

SOURCE: Final = Path(__file__).with_name("tvl1.cpp")

COMPILERS: Final = ("g++", "clang++")
"""Tried in this order; only the first that is on the PATH."""

EXACT: Final = ("-fno-fast-math", "-ffp-contract=off")
"""What makes the kernels equal to the oracle: no fused multiply-add, nothing reordered."""

FAST: Final = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math")
"""What makes them fast; the last two only say that nobody looks at errno or exception flags.

They come after `-fno-fast-math`, which would undo these two, at a quarter of the speed.
"""

INERT: Final = ("-fPIC", "-shared", "-nostartfiles")
"""How they are linked: no code runs when the library is loaded.

Start files would let a compiler that was set up for `-ffast-math` turn off subnormal numbers in
the whole process, and in every thread that it starts later, just because it loaded a library.
"""

SWITCH: Final = "KINETICS_CPU_KERNELS"
"""The environment variable that chooses between these kernels and numba's; see `cpu.py`."""

_SECONDS: Final = 300.0
_REFUSED: Final = ".refused"


class NotCompiled(Exception):
    """There are no compiled kernels; says why. Never reaches a user: numba does the work."""


def library_file(
    is_right: Callable[[Path, str], bool],
    *,
    sources: Sequence[Path] = (SOURCE,),
    compared_with: str = "",
    needs_macros: Sequence[str] = (),
) -> tuple[Path, str]:
    """Return the file of the compiled kernels, and the name and version of their compiler.

    What is kept is found again by source, options, and what the compiler says of itself and of
    this CPU; so a home that several machines share is no danger.

    Args:
        is_right: Asked once, before a new library is kept; a library that it refuses is not tried
            again. Takes its file and the name of the compiler.
        sources: What is compiled, together, and the headers that lie beside it.
        compared_with: Name and version of what `is_right` holds it against, if that is not ours:
            another version asks again.
        needs_macros: What the compiler defines where the CPU can run what is compiled.

    Raises:
        NotCompiled: there is no C++ compiler, none that makes right kernels, or not the CPU.
        ToolMissing: no process can be started.
        OSError: the library cannot be kept.
    """
    units = [source for source in sources if source.suffix != ".h"]
    compiler = next(filter(None, map(shutil.which, COMPILERS)), None)
    if compiler is None:
        raise NotCompiled(f"neither {' nor '.join(COMPILERS)} is on the PATH")
    folder = cache_folder("cpu")
    with tempfile.TemporaryDirectory(prefix="compile-", dir=folder) as scratch:
        partial, facts = Path(scratch) / "kernels.so", Path(scratch) / "macros.h"
        _run([compiler, *options(), "-dM", "-E", "-x", "c++", os.devnull, "-o", str(facts)])
        macros = facts.read_text(encoding="utf-8", errors="replace")
        name = _name_of(compiler, macros)
        if missing := [one for one in needs_macros if f"#define {one} " not in macros]:
            raise NotCompiled(f"this CPU is without what {' and '.join(missing)} stands for")
        content = [source.read_bytes() for source in sources]
        key = repr((content, options(), compiler, macros, compared_with))
        path = folder / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.so"
        if path.exists():
            return path, name
        refused = path.with_suffix(_REFUSED)
        if not refused.exists():
            _run([compiler, *options(), *INERT, "-w", *map(str, units), "-o", str(partial)])
            if is_right(partial, name):
                with partial.open("rb") as written:
                    os.fsync(written.fileno())  # or a power cut may leave a file full of holes
                partial.replace(path)
                return path, name
            refused.touch()
    raise NotCompiled(f"the machine code that {name} makes does not compute what it should")


def options() -> tuple[str, ...]:
    """Return the options that decide what the machine code computes, and how fast."""
    numbers = {
        "TAU": tvl1.TAU,
        "LAMBDA": tvl1.LAMBDA,
        "THETA": tvl1.THETA,
        "EPSILON": tvl1.EPSILON,
        "FLAT": tvl1.FLT_EPSILON,
    }
    return (
        *("-std=c++17", *EXACT, *FAST),
        *(f"-D{name}={number.hex()}" for name, number in numbers.items()),
        *(f"-DWARPS={tvl1.WARPS}", f"-DMAX_ITERATIONS={tvl1.MAX_ITERATIONS}"),
    )


def _run(argv: list[str]) -> None:
    """Run the compiler.

    Raises:
        NotCompiled: it failed.
        ToolMissing: no process can be started.
    """
    folder = Path(argv[-1]).parent
    environment = {**clean_environment(os.environ), "TMPDIR": str(folder)}
    end = run_program(argv, env=environment, folder=folder, seconds=_SECONDS)
    if end.status != 0:
        raise NotCompiled(f"{Path(argv[0]).name} {end}: {end.words}")


def _name_of(compiler: str, macros: str) -> str:
    """Return name and version of the compiler, from the macros that it defines."""
    lines = (line.split(maxsplit=2) for line in macros.splitlines())
    values = {line[1]: line[2].strip('"') for line in lines if len(line) == 3}
    return f"{Path(compiler).name} {values.get('__VERSION__', 'of unknown version')}"
