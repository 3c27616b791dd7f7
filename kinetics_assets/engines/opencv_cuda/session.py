"""One running worker, the memory that it shares with us, and the pair that it must do first."""

from __future__ import annotations

import mmap
import os
import weakref
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from kinetics_assets.engines.opencv_cuda import worker
from kinetics_assets.engines.opencv_cuda.findings import trouble_in, trouble_of
from kinetics_assets.io.companions import Companion, CompanionLostError
from kinetics_assets.io.programs import clean_environment

if TYPE_CHECKING:
    from kinetics_assets.engines.base import FlowField, GrayFrames

_LOOK_SECONDS: Final = 120.0
"""For loading OpenCV from a cold disk and starting CUDA on all devices."""
_KNOWN_SECONDS: Final = 600.0
"""For the known pair: kernels that were not built for this GPU are compiled for it first."""
_KNOWN_PX: Final = (3.0, -2.0)
_FAR_PX: Final = 1.5
"""How wrong the motion of the known pair may be; a build for another GPU gives zeros or noise."""
_BORDER_PX: Final = 32


class PairsFailedError(Exception):
    """A worker gave no flow; `str` tells why, for people."""

    def __init__(self, words: str, *, in_time: bool = True) -> None:
        """Keep what happened, and whether it did before the time was up."""
        super().__init__(words)
        self.in_time = in_time


class Session:
    """A worker that has done the known pair right; not to be shared between threads.

    Nothing of it is left when this object or this process goes away: the memory has no name.
    """

    def __init__(self, python: str, method: str) -> None:
        """Start a worker of the interpreter `python` for one method.

        Args:
            python: Absolute path.
            method: See `kinetics_assets.engines.opencv_cuda.worker`.

        Raises:
            EnvironmentFault: It cannot do the known pair.
        """
        self._method = method
        self._descriptor = os.memfd_create("kinetics-flow", os.MFD_CLOEXEC)
        weakref.finalize(self, os.close, self._descriptor)
        self._map: mmap.mmap | None = None
        self._companion = _started(python, self._descriptor)
        try:
            self.found = self._look(python)
            _check_known(self.flow(known_pair(), seconds=_KNOWN_SECONDS))
        except PairsFailedError as error:
            self.end()
            raise trouble_of(str(error), python=python).fault() from error
        except BaseException:
            self.end()
            raise

    def flow(self, frames: GrayFrames, *, seconds: float) -> FlowField:
        """Return the flow of at least two frames; it is overwritten by the next call.

        Raises:
            PairsFailedError: There is none; this session is then to be ended.
        """
        count, height, width = frames.shape
        offset = worker.flow_offset(count, height, width)
        pixels, samples = frames.size, 2 * (count - 1) * height * width
        size = offset + 4 * samples
        if self._map is None or len(self._map) < size:
            os.ftruncate(self._descriptor, size)
            self._map = mmap.mmap(self._descriptor, size)
        np.frombuffer(self._map, np.uint8, pixels)[:] = frames.reshape(-1)
        sizes = {"frames": count, "height": height, "width": width}
        try:
            answer = self._companion.ask({"method": self._method, **sizes}, seconds=seconds)
        except CompanionLostError as error:
            raise PairsFailedError(str(error), in_time=error.in_time) from error
        if answer.get("pairs") != count - 1:
            raise PairsFailedError(str(answer.get("error", "it answered nonsense")))
        flow = np.frombuffer(self._map, np.float32, samples, offset)
        if not np.isfinite(flow).all():
            raise PairsFailedError("its flow is not finite")
        return flow.reshape(count - 1, 2, height, width)

    def end(self) -> None:
        """Kill the worker."""
        self._companion.end()

    def _look(self, python: str) -> dict[str, Any]:
        """Return what the worker found; it is enough for the method."""
        try:
            found = self._companion.ask(None, seconds=_LOOK_SECONDS)
        except CompanionLostError as error:
            found = {"died": str(error)}
        trouble = trouble_in(found, self._method, python=python)
        if trouble is not None:
            raise trouble.fault()
        return found


def found_by(python: str) -> dict[str, Any]:
    """Return what a worker of the interpreter `python` finds, ``{"died": words}`` if nothing.

    Raises:
        ToolMissing: No process can be started.
    """
    companion = _started(python, None)
    try:
        return companion.ask(None, seconds=_LOOK_SECONDS)
    except CompanionLostError as error:
        return {"died": str(error)}
    finally:
        companion.end()


@cache
def known_pair() -> GrayFrames:
    """Return two frames of a texture without a period that moves by 3 and -2 pixels."""
    y, x = np.mgrid[0:240, 0:320].astype(np.float64)
    frames = []
    for moved in (0.0, 1.0):
        there_x, there_y = x - moved * _KNOWN_PX[0], y - moved * _KNOWN_PX[1]
        texture = np.zeros_like(x)
        for number in range(1, 13):
            turn = 2.399963 * number  # the golden angle: no two waves run alike
            pace = 0.06 + 0.035 * number
            along = there_x * np.cos(turn) + there_y * np.sin(turn)
            texture += np.sin(pace * along + number * number)
        frames.append(127.5 + 14.0 * texture)
    return np.clip(np.rint(np.stack(frames)), 0, 255).astype(np.uint8)


def _check_known(flow: FlowField) -> None:
    """Raise PairsFailedError unless this is, on the whole, the motion of the known pair."""
    inner = flow[0, :, _BORDER_PX:-_BORDER_PX, _BORDER_PX:-_BORDER_PX]
    for plane, right_px in zip(inner, _KNOWN_PX, strict=True):
        moved_px = float(np.median(plane))
        if abs(moved_px - right_px) > _FAR_PX:
            raise PairsFailedError(f"wrong flow: {moved_px:.2f} pixels instead of {right_px:.0f}")


def _started(python: str, descriptor: int | None) -> Companion:
    """Return a started worker that has not said anything yet."""
    # isolated: no folder of ours, variable or user's packages gets into a foreign interpreter
    argv = [python, "-I", "-B", str(Path(worker.__file__).resolve())]
    shared = [] if descriptor is None else [descriptor]
    return Companion([*argv, *map(str, shared)], env=clean_environment(os.environ), keep=shared)
