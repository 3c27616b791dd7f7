"""The kernels as machine code of one device: compiled by NVRTC on first use, kept for the next."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from kinetics_assets.core.errors import ToolMissing
from kinetics_assets.engines.cache_folders import cache_folder
from kinetics_assets.engines.cuda.plan import EXACT, SOURCE, macros

if TYPE_CHECKING:
    from types import ModuleType


def options(architecture: str) -> tuple[str, ...]:
    """Return all options of NVRTC for an architecture like ``sm_90``.

    CuPy's own compilation is not used: it always adds ``-ftz=true``, which is not exact.
    """
    definitions = (f"-D{name}={value}" for name, value in macros().items())
    return (f"-arch={architecture}", "-std=c++17", *EXACT, *definitions)


def kernels_file(nvrtc: ModuleType, capability: int) -> Path:
    """Return the file of the compiled kernels, for a device of compute capability 90 for 9.0.

    Args:
        nvrtc: ``cupy.cuda.nvrtc``.
        capability: Of the device. One that is newer than the compiler gets intermediate code, which
            the driver translates.

    Raises:
        ToolMissing: NVRTC is not installed, or too new or too old for the device.
    """
    try:
        known = sorted(nvrtc.getSupportedArchs())
        version = nvrtc.getVersion()
    except Exception as error:  # CuPy has no one class for a library that cannot be loaded
        raise _missing(error) from error
    if capability < known[0]:
        raise _missing(f"it knows sm_{known[0]} to sm_{known[-1]}, the device is sm_{capability}")
    is_known = capability in known
    newest = max(number for number in known if number <= capability)
    architecture = f"sm_{capability}" if is_known else f"compute_{newest}"
    key = repr((SOURCE.read_bytes(), options(architecture), version))
    name = hashlib.sha256(key.encode()).hexdigest()[:24]
    path = cache_folder("cuda") / f"{name}.{'cubin' if is_known else 'ptx'}"
    if not path.exists():
        code = _compiled(nvrtc, architecture, to_machine_code=is_known)
        partial = path.with_suffix(f".{os.getpid()}")
        partial.write_bytes(code)
        partial.replace(path)
    return path


def _compiled(nvrtc: ModuleType, architecture: str, *, to_machine_code: bool) -> bytes:
    """Return the kernels as machine code, or as intermediate code.

    Raises:
        ToolMissing: the compiler does not take our source: too old or too new.
    """
    program = nvrtc.createProgram(SOURCE.read_text(encoding="utf-8"), SOURCE.name, (), ())
    try:
        nvrtc.compileProgram(program, options(architecture))
        code = nvrtc.getCUBIN(program) if to_machine_code else nvrtc.getPTX(program)
    except nvrtc.NVRTCError as error:
        raise _missing(f"{error}: {nvrtc.getProgramLog(program)[:500]}") from error
    finally:
        nvrtc.destroyProgram(program)
    return code if isinstance(code, bytes) else code.encode()


def _missing(problem: object) -> ToolMissing:
    """Return the error that says how to get a compiler that fits."""
    remedy = f"Run `pip install -U 'kinetics-assets[cuda]'`. It said: {problem}"
    return ToolMissing("NVRTC, CUDA's run-time compiler,", remedy)
