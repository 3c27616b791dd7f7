"""NVRTC without CuPy and without a GPU."""

from __future__ import annotations

from typing import Any, cast

import pytest


class Nvrtc:
    """The real NVRTC, without CuPy, behind the functions of ``cupy.cuda.nvrtc`` that we call."""

    class NVRTCError(Exception):
        """What a failed compilation raises."""

    def __init__(self) -> None:
        """Load it, or skip the test."""
        self._library = pytest.importorskip("cuda.bindings.nvrtc", reason="it is in the extra dev")
        self.compilations = 0
        self.oldest = 0

    def getSupportedArchs(self) -> list[int]:  # noqa: N802  # NVRTC's name, as those below
        """Return the compute capabilities, from `oldest` on."""
        known = self._library.nvrtcGetSupportedArchs()[1]
        return [number for number in known if number >= self.oldest]

    def getVersion(self) -> tuple[int, int]:  # noqa: N802
        """Return major and minor version."""
        return cast("tuple[int, int]", self._library.nvrtcVersion()[1:])

    def createProgram(self, source: str, name: str, *_: object) -> Any:  # noqa: ANN401, N802
        """Return a program."""
        return self._library.nvrtcCreateProgram(source.encode(), name.encode(), 0, [], [])[1]

    def compileProgram(self, program: object, options: tuple[str, ...]) -> None:  # noqa: N802
        """Compile it."""
        self.compilations += 1
        given = [option.encode() for option in options]
        if int(self._library.nvrtcCompileProgram(program, len(given), given)[0]):
            raise self.NVRTCError

    def getCUBIN(self, program: object) -> bytes:  # noqa: N802
        """Return its machine code."""
        return self._read("CUBIN", program)

    def getPTX(self, program: object) -> bytes:  # noqa: N802
        """Return its intermediate code."""
        return self._read("PTX", program)

    def getProgramLog(self, program: object) -> str:  # noqa: N802
        """Return what the compiler said."""
        return self._read("ProgramLog", program).decode()

    def destroyProgram(self, program: object) -> None:  # noqa: N802
        """Forget it."""
        self._library.nvrtcDestroyProgram(program)

    def _read(self, what: str, program: object) -> bytes:
        """Return one product of a program."""
        buffer = b" " * getattr(self._library, f"nvrtcGet{what}Size")(program)[1]
        getattr(self._library, f"nvrtcGet{what}")(program, buffer)
        return buffer
