"""GPUs and what computes flow: what is there, what is wrong, and which engine is taken."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinetics_assets.core.clips import Split
from kinetics_assets.core.engine_devices import device_of
from kinetics_assets.core.errors import EnvironmentFault, KineticsError
from kinetics_assets.core.layout import Layout
from kinetics_assets.io.confined import clean_text
from kinetics_assets.io.leases import slot_states
from kinetics_assets.stages.doctor.check import Check, State, failed, lacking
from kinetics_assets.stages.doctor.gpu import gpu_check
from kinetics_assets.stages.doctor.probing import DIED, ask

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from kinetics_assets.core.settings import Settings

AUTO = "auto"
_CUDA_EXTRA = "Run `pip install 'kinetics-assets[cuda]'`."
_CPU = 'or set flow.engine = "cpu".'
_ASKED_BY_AUTO = {"gpu", "cupy", "opencv cuda", "denseflow"}
"""Findings that the choice of ``auto`` rests on."""
_HELP_SECONDS = 30.0
_COMPILING_SECONDS = 300.0
_NOT_STARTED = (126, 127)


def engines_of(settings: Settings, *, auto: str | None) -> dict[str, str | None]:
    """Return the engine of each split: as set, as it was begun with, or what ``auto`` is here.

    Args:
        settings: Of the dataset.
        auto: What ``auto`` stands for, None if nothing is usable.
    """
    wanted = settings.flow.engine
    if wanted != AUTO:
        return dict.fromkeys(Split, wanted)
    return {split: _begun_with(settings, split) or auto for split in Split}


def flow_checks(settings: Settings, *, answer: dict[str, Any]) -> Iterator[Check]:
    """Yield what is found of GPUs and engines.

    Args:
        settings: Which engine and devices are wanted.
        answer: Of the question ``gpu``.
    """
    auto = answer.get("auto", {}).get("is")
    engines = engines_of(settings, auto=auto)
    names = {name for name in engines.values() if name}
    wants_gpu = any(device_of(name) == "gpu" for name in names) or bool(settings.limits.gpu_devices)
    cupy = ask("cupy")
    cpu = ask("cpu", seconds=_COMPILING_SECONDS)
    opencv = ask("opencv")
    device = gpu_check(answer, oldest=_oldest(cupy), is_needed=wants_gpu)
    checks = [
        cpu_check(cpu, is_needed="cpu" in names),
        device,
        cupy_check(cupy, is_needed="cuda" in names),
        opencv_check(
            opencv,
            is_needed=any(name.startswith("preview-") for name in names),
            needs_contrib="opencv_cpu" in names,
        ),
        opencv_cuda_check(settings.flow.opencv_cuda_python, names=names),
        denseflow_check(settings.flow.denseflow_path, is_needed="denseflow" in names),
    ]
    yield from checks
    devices = devices_check(settings, answer.get("devices", {}), driver=device)
    if devices is not None:
        yield devices
    yield engine_check(settings, answer, checks=checks)


def cpu_check(answer: dict[str, Any], *, is_needed: bool) -> Check:
    """Return whether the CPU engine can run, and with which of its kernels."""
    name = "cpu flow"
    broken = lacking(is_needed=is_needed, otherwise="warning")
    if DIED in answer:
        says = f"The CPU engine cannot be loaded ({answer[DIED]})."
        return Check(name, broken, says, "Run `pip install --force-reinstall numba`.")
    if "fault" in answer:
        return Check(name, broken, answer["fault"], answer["remedy"])
    told, why_not = answer["is"]
    if not why_not:
        return Check(name, "ok", f"The CPU engine has C++ kernels ({told['compiled']}).")
    says = f"The CPU engine has numba's kernels (numba {told['numba']}): {why_not}."
    remedy = "Install g++ for kernels that compute the same in two thirds of the time."
    return Check(name, "off", says, remedy)


def cupy_check(answer: dict[str, Any], *, is_needed: bool) -> Check:
    """Return whether CuPy and CUDA's compiler can be loaded."""
    broken = lacking(is_needed=is_needed, otherwise="warning")
    if answer.get("absent"):
        says = "CuPy is not installed; the engine cuda runs with it."
        return Check("cupy", lacking(is_needed=is_needed), says, _CUDA_EXTRA)
    problem = answer.get(DIED) or answer.get("error")
    if problem:
        return Check("cupy", broken, f"CuPy cannot be loaded ({problem}).", _CUDA_EXTRA)
    if "nvrtc_error" in answer:
        says = f"CuPy {answer['version']} has no CUDA compiler ({answer['nvrtc_error']})."
        return Check("cupy", broken, says, _CUDA_EXTRA)
    return Check("cupy", "ok", f"CuPy {answer['version']}, NVRTC {answer['nvrtc']}.")


def opencv_check(answer: dict[str, Any], *, is_needed: bool, needs_contrib: bool = False) -> Check:
    """Return whether OpenCV can be loaded; previews of flow need it, and the engine opencv_cpu.

    Args:
        answer: Of the question ``opencv``.
        is_needed: Whether a preview is in use.
        needs_contrib: Whether OpenCV's own TV-L1 is in use.
    """
    if needs_contrib and not answer.get("tvl1"):
        from kinetics_assets.engines.opencv_cpu import CONTRIB_REMEDY

        says = "OpenCV is not there with contrib; the engine opencv_cpu is a part of that."
        return Check("opencv", "missing", says, CONTRIB_REMEDY)
    broken = lacking(is_needed=is_needed, otherwise="warning")
    if answer.get("absent"):
        says = "OpenCV is not installed; previews of flow need it."
        remedy = "Run `pip install opencv-python-headless`."
        return Check("opencv", lacking(is_needed=is_needed), says, remedy)
    problem = answer.get(DIED) or answer.get("error")
    if problem is None:
        return Check("opencv", "ok", f"OpenCV {answer['version']}.")
    if "libGL" in problem or "libgthread" in problem:
        return Check(
            "opencv",
            broken,
            f"OpenCV lacks a library of the system ({problem}).",
            "Run `apt-get install libgl1 libglib2.0-0`.",
        )
    remedy = "Run `pip install --force-reinstall opencv-python-headless`."
    return Check("opencv", broken, f"OpenCV cannot be loaded ({problem}).", remedy)


def opencv_cuda_check(chosen: Path | None, *, names: Collection[str]) -> Check:
    """Return whether the interpreter's OpenCV has CUDA, the methods in use, and a device.

    Args:
        chosen: The setting; None means the interpreter of this process.
        names: Engines in use.
    """
    from kinetics_assets.engines.opencv_cuda.engine import METHODS, look
    from kinetics_assets.engines.opencv_cuda.findings import slowness, trouble_in

    name = "opencv cuda"
    methods = [METHODS[one][0] for one in METHODS if one in names]
    # whoever names an interpreter wants it to be there
    is_needed = bool(methods) or chosen is not None
    try:
        found = look(chosen)
    except EnvironmentFault as error:
        return failed(name, error, state=lacking(is_needed=is_needed))
    python = found["python"]
    for method in methods or ["tvl1"]:
        trouble = trouble_in(found, method, python=python)
        if trouble is not None:
            says = f"{trouble.says[0].upper()}{trouble.says[1:]}."
            otherwise: State = "warning" if trouble.kind in {"class", "device"} else "off"
            state = lacking(is_needed=is_needed, otherwise=otherwise)
            return Check(name, state, says, f"{trouble.remedy}.")
    says = f"OpenCV {found['opencv']} of {python}, {found['devices']} devices"
    slow = slowness(found["opencv"], "tvl1")
    if slow:
        return Check(name, "warning", f"{says}; {slow}.", "Use OpenCV 4.5.5 or newer.")
    return Check(name, "ok", f"{says}.")


def denseflow_check(chosen: Path | None, *, is_needed: bool) -> Check:
    """Return whether the program denseflow starts.

    Args:
        chosen: The setting; None looks on the PATH.
        is_needed: Whether the flow of a split is computed with it.
    """
    name = str(chosen or "denseflow")
    # whoever names a program wants it to be there
    is_needed = is_needed or chosen is not None
    found = shutil.which(name)
    if found is None:
        return Check(
            "denseflow",
            lacking(is_needed=is_needed),
            f"There is no program {name}" + ("." if chosen else " on the PATH."),
            "Build it (https://github.com/open-mmlab/denseflow) and name it in"
            " flow.denseflow_path; the engine cuda does not need it.",
        )
    problem = _start_problem(found)
    if problem is None:
        return Check("denseflow", "ok", f"{found} starts.")
    return Check(
        "denseflow",
        lacking(is_needed=is_needed, otherwise="warning"),
        f"{found} does not start: {problem}.",
        f"Run `ldd '{found}'` and install the libraries that are not found.",
    )


def devices_check(settings: Settings, answer: dict[str, Any], *, driver: Check) -> Check | None:
    """Return which devices steps may use and who holds them; None where the driver is at fault."""
    if "is" not in answer:
        if not driver.is_ok or "fault" not in answer:
            return None  # one remedy per problem
        return Check("gpu devices", "missing", answer["fault"], answer["remedy"])
    slots = settings.limits.gpu_slots
    try:
        held = Counter(state.device for state in slot_states() if state.is_held)
    except EnvironmentFault as error:
        return Check("gpu devices", "warning", error.message, error.remedy or "See docs.")
    texts = [f"{name} ({held[name]} of {slots} slots taken)" for name in answer["is"]]
    return Check("gpu devices", "ok", ", ".join(texts) + ".")


def engine_check(settings: Settings, answer: dict[str, Any], *, checks: Iterable[Check]) -> Check:
    """Return which engine computes flow and why."""
    from kinetics_assets.engines.registry import resolve_engine

    name = "flow engine"
    wanted = settings.flow.engine
    if wanted != AUTO:
        try:
            return Check(name, "ok", f"{resolve_engine(wanted)}, as flow.engine says.")
        except KineticsError as error:
            return Check(name, "missing", error.message, error.remedy)
    auto = answer.get("auto", {DIED: answer.get(DIED, "gave no answer")})
    begun = {split: one for split in Split if (one := _begun_with(settings, split))}
    kept = "".join(f" {split} was begun with {one} and keeps it." for split, one in begun.items())
    if "is" in auto:
        return Check(name, "ok", f"auto is {auto['is']} here{_why(auto['is'], checks)}.{kept}")
    state: State = "missing" if set(begun) != set(Split) else "warning"
    says = auto.get("fault") or f"What auto stands for cannot be told: the process {auto[DIED]}."
    return Check(name, state, says + kept, auto.get("remedy") or f"Mend the GPU's driver, {_CPU}")


def _why(engine: str, checks: Iterable[Check]) -> str:
    """Return why no better engine is taken than this one."""
    if engine == "cuda":
        return ", the best one"
    asked = (one for one in checks if one.name in _ASKED_BY_AUTO and not one.is_ok)
    lacks = ", ".join(f"{one.name} is {one.state}" for one in asked)
    return f", as {lacks}" if lacks else ""


def _oldest(cupy: dict[str, Any]) -> int | None:
    """Return the oldest compute capability that CuPy's compiler takes, None without one."""
    known = cupy.get("architectures")
    return min(known) if known else None


def _begun_with(settings: Settings, split: Split) -> str | None:
    """Return the engine that ``auto`` was resolved to for a split, None if it was not yet."""
    try:
        text = Layout.of(settings).choices(split).read_text(encoding="utf-8")
        chosen = json.loads(text).get("flow_engine")
    except (OSError, ValueError, AttributeError):
        return None
    return chosen if isinstance(chosen, str) else None


def _start_problem(program: str) -> str | None:
    """Return why a program does not start, None if it prints its help."""
    with tempfile.TemporaryDirectory(prefix="kinetics-doctor-") as folder:
        try:
            done = subprocess.run(  # noqa: S603 - the user's own program
                [str(Path(program).absolute()), "-h"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_HELP_SECONDS,
                check=False,
                cwd=folder,
                # our settings may hold a password
                env={k: v for k, v in os.environ.items() if not k.startswith("KINETICS_")},
            )
        except subprocess.TimeoutExpired:
            return "no answer to -h in time"
        except OSError as error:
            return str(error.strerror)
    said = clean_text(done.stderr.strip() or done.stdout.strip())
    if done.returncode in _NOT_STARTED or done.returncode < 0:
        return said or f"it ended with status {done.returncode}"
    return None
