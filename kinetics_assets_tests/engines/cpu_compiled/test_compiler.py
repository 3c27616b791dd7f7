"""The C++ kernels: whoever has no compiler that makes right ones gets numba's, and is told so."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from kinetics_assets.core.errors import SettingsError, ToolMissing
from kinetics_assets.engines import cpu, cpu_kernels, reference, registry
from kinetics_assets.engines.cache_folders import cache_folder
from kinetics_assets.engines.cpu import CpuEngine
from kinetics_assets.engines.cpu_compiled import compiler, kernels
from kinetics_assets_tests.engines.moving import moving_texture

needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, compiler.COMPILERS)), reason="no C++ compiler"
)
COUNTER = """#!{python}
import os, sys
with open({log!r}, "a") as log:
    log.write("x" if "-shared" in sys.argv else ".")
os.execv({real!r}, [{real!r}, *sys.argv[1:], *{more!r}])
"""


@pytest.fixture
def fresh_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Let the engine choose kernels as a new process does, and keep them in the test's folder."""
    monkeypatch.delenv(compiler.SWITCH, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NUMBA_CACHE_DIR", os.environ.get("NUMBA_CACHE_DIR", ""))
    if not os.environ["NUMBA_CACHE_DIR"]:
        monkeypatch.delenv("NUMBA_CACHE_DIR")
    cpu._compiled_kernels.cache_clear()
    yield
    cpu._compiled_kernels.cache_clear()


@pytest.fixture
def wrapped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[[list[str]], Callable[[], str]]:
    """Return what puts a g++ on the PATH that adds options, and tells how it was called."""
    real = next(filter(None, map(shutil.which, compiler.COMPILERS)))

    def wrap(more: list[str]) -> Callable[[], str]:
        log, program = tmp_path / "calls", tmp_path / "bin" / "g++"
        program.parent.mkdir(exist_ok=True)
        program.write_text(
            COUNTER.format(python=sys.executable, log=str(log), real=real, more=more)
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
        return lambda: log.read_text().replace(".", "")

    return wrap


def _program(folder: Path, text: str) -> None:
    """Write a shell script called g++ into `folder`."""
    folder.mkdir()
    (folder / "g++").write_text(f"#!/bin/sh\n{text}\n")
    (folder / "g++").chmod(0o755)


@pytest.mark.usefixtures("fresh_process")
@needs_compiler
def test_kernels_are_compiled_once(wrapped: Callable[[list[str]], Callable[[], str]]) -> None:
    """A second process, and any number of threads, find what the first one compiled."""
    calls = wrapped([])
    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(lambda _: CpuEngine(threads=1).versions(), range(8)))
    assert told[0]["compiled"].startswith("g++ ")
    assert told == [told[0]] * 8
    cpu._compiled_kernels.cache_clear()
    assert CpuEngine(threads=1).versions() == told[0]
    assert calls() == "x"
    kept = sorted(path.suffix for path in cache_folder("cpu").iterdir())
    assert kept == [".so"]


@pytest.mark.usefixtures("fresh_process")
@needs_compiler
def test_machine_code_that_is_not_the_oracles_is_refused(
    wrapped: Callable[[list[str]], Callable[[], str]],
) -> None:
    """A compiler that rounds otherwise is found out before its library is kept, and only once.

    Regression: to load what it made turned off subnormal numbers in the process that asked.
    """
    calls = wrapped(["-ffast-math", "-O1"])
    for _ in range(2):
        cpu._compiled_kernels.cache_clear()
        assert CpuEngine(threads=1).versions()["compiled"] == "no"
        assert sys.float_info.min / 2 > 0
    assert calls() == "x"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(compiler.SWITCH, "compiled")
        with pytest.raises(ToolMissing, match="does not compute what it should"):
            CpuEngine(threads=1).warm_up()


@needs_compiler
@pytest.mark.parametrize("lanes", [4, 16])
def test_any_width_of_vectors_gives_the_same_bits(lanes: int, tmp_path: Path) -> None:
    """Kernels for other CPUs, with SSE or with the vectors of AVX-512, are the oracle too."""
    real = next(filter(None, map(shutil.which, compiler.COMPILERS)))
    library = tmp_path / "kernels.so"
    options = [option for option in compiler.options() if option != "-march=native"]
    compiler._run(
        [
            *(real, *options, f"-DLANES={lanes}", "-O1", "-w", *compiler.INERT),
            *(str(compiler.SOURCE), "-o", str(library)),
        ]
    )
    compiled = kernels.CompiledKernels(library, "for this test")
    for width, height in [(61, 45), (16, 20), (1, 9)]:
        pair = moving_texture(1.4, 0.7, width_px=width, height_px=height)
        ours, oracle = cpu._solve_pair(compiled, *pair), reference.solve_pair(*pair)
        assert ours.flow.tobytes() == oracle.flow.tobytes()
        assert ours.iterations.tolist() == oracle.iterations.tolist()


def test_no_option_undoes_an_earlier_one() -> None:
    """Regression: after `-fno-fast-math`, errno counts again, and square roots are slow calls."""
    given = compiler.options()
    assert given.index("-fno-fast-math") < given.index("-fno-math-errno")
    assert "-ffp-contract=off" in given
    assert not {"-ffast-math", "-Ofast", "-funsafe-math-optimizations"} & set(given)


@pytest.mark.usefixtures("fresh_process")
@pytest.mark.parametrize(
    ("script", "problem"),
    [
        (None, "is on the PATH"),
        ("echo 'error: no such header' >&2; exit 1", "no such header"),
        ("kill -9 $$", "SIGKILL"),
        ('for last; do :; done; : > "$last"', "file too short|invalid ELF|cannot open"),
    ],
    ids=["none", "broken", "killed", "empty output"],
)
def test_without_a_working_compiler_numba_does_the_work(
    script: str | None, problem: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The step goes on with the same bits; only who insists on compiled kernels gets the error."""
    folder = tmp_path / "bin"
    if script is not None:
        _program(folder, script)
    monkeypatch.setenv("PATH", str(folder))
    told = CpuEngine(threads=1).versions()
    assert told["compiled"] == "no"
    assert "numba" in told
    frame = np.zeros((2, 20, 20), np.uint8)
    assert not CpuEngine(threads=1).flow(frame).any()
    monkeypatch.setenv(compiler.SWITCH, "compiled")
    with pytest.raises(ToolMissing, match=problem):
        CpuEngine(threads=1).flow(frame)


@pytest.mark.usefixtures("fresh_process")
def test_the_environment_switches_them_off(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """With `numba` no compiler is even looked for; an unknown word is an error with the words."""
    _program(tmp_path / "bin", f"touch {tmp_path}/called; exit 1")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv(compiler.SWITCH, "numba")
    assert CpuEngine(threads=1).versions()["compiled"] == "no"
    assert not (tmp_path / "called").exists()
    monkeypatch.setenv(compiler.SWITCH, "gcc")
    with pytest.raises(SettingsError, match="'gcc'") as caught:
        CpuEngine(threads=1).warm_up()
    assert "numba" in (caught.value.remedy or "")


@needs_compiler
def test_either_kind_of_kernels_is_one_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Revision, name and profile are the same, so no flow is made anew when a compiler comes."""
    signatures = set()
    for choice in ("numba", "compiled"):
        monkeypatch.setenv(compiler.SWITCH, choice)
        told = CpuEngine(threads=1).versions()
        signatures.add((told["cpu_kernels"], *registry.signature("cpu")))
    assert len(signatures) == 1
    assert kernels.REVISION == cpu_kernels.REVISION


@needs_compiler
def test_arrays_that_the_kernels_cannot_read_are_refused() -> None:
    """Another type or order of memory is an error, not wild reads."""
    found = cpu._compiled_kernels()
    assert isinstance(found, kernels.CompiledKernels), found
    for image in (np.zeros((8, 8)), np.zeros((8, 16), np.float32)[:, ::2]):
        with pytest.raises(Exception, match="array must have"):
            found.gradient_texture(image)  # type: ignore[arg-type]  # which is the point


@needs_compiler
@pytest.mark.usefixtures("fresh_process")
def test_what_a_library_is_compared_with_is_asked_again_when_it_changes(tmp_path: Path) -> None:
    """Bytes that were those of one release of an encoder need not be those of the next."""
    source = tmp_path / "one.cpp"
    source.write_text('extern "C" int one() { return 1; }')
    asked = []

    def is_right(library: Path, compiled_by: str) -> bool:
        asked.append((library, compiled_by))
        return True

    found = [
        compiler.library_file(is_right, sources=[source], compared_with=f"encoder {release}")[0]
        for release in (1, 1, 2, 1)
    ]
    assert len(asked) == 2
    assert found[0] == found[1] == found[3] != found[2]


@needs_compiler
@pytest.mark.usefixtures("fresh_process")
def test_what_the_cpu_cannot_run_is_not_compiled(
    wrapped: Callable[[list[str]], Callable[[], str]], tmp_path: Path
) -> None:
    """Each process would try again, and wait for the compiler to fail."""
    calls = wrapped([])
    source = tmp_path / "one.cpp"
    source.write_text('extern "C" int one() { return 1; }')
    for macros in (("__STDC__", "__NO_SUCH_CPU__"), ("__STDC__",)):
        found = None
        with contextlib.suppress(compiler.NotCompiled):
            found = compiler.library_file(lambda *_: True, sources=[source], needs_macros=macros)
        assert (found is None) == (len(macros) > 1)
    assert calls() == "x"
