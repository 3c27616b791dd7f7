"""The flow engines that a CUDA build of OpenCV has, run by the interpreter it was built for."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from kinetics_assets.core.errors import EncodeFailed, OverLimit
from kinetics_assets.engines import tvl1
from kinetics_assets.engines.base import (
    Device,
    FlowField,
    FlowLevels,
    GrayFrames,
    checked_frames,
    flow_shape,
)
from kinetics_assets.engines.opencv_cuda.findings import (
    is_out_of_memory,
    slowness,
    trouble_in,
    trouble_of,
)
from kinetics_assets.engines.opencv_cuda.session import PairsFailedError, Session, found_by
from kinetics_assets.engines.quantise import positive_bound, quantise

METHODS: Final = {
    "opencv_cuda": ("tvl1", f"{tvl1.PROFILE} via opencv"),
    "opencv_cuda-farneback": ("farneback", "opencv-cuda-farneback"),
    "opencv_cuda-brox": ("brox", "opencv-cuda-brox"),
    "opencv_cuda-nvof": ("nvof", "opencv-cuda-nvof"),
}
"""Name of an engine -> method of the worker, profile."""
CLIP_SECONDS: Final = 600.0
_Sample = TypeVar("_Sample", np.uint8, np.float32)
_ATTEMPTS: Final = 2
_PART_BYTES: Final = 64 << 20
"""Memory shared with the worker, unless one pair needs more."""


class OpenCvCudaEngine:
    """Has a worker process compute; started when needed, kept for many clips, killed with this.

    Threads take turns. A clip on which the worker fails is tried again by a new one; then the
    machine is blamed if a pair known to be good fails too, else the clip.
    """

    device: Device = "cuda"

    def __init__(
        self, name: str, *, python: Path | None = None, clip_seconds: float = CLIP_SECONDS
    ) -> None:
        """Use the interpreter `python`, by default our own.

        Args:
            name: One of `METHODS`.
            python: Has cv2, built with CUDA.
            clip_seconds: A worker that needs longer for the flow of one clip is killed.
        """
        self.name: str = name
        self._method, self.profile = METHODS[name]
        self._chosen = python
        self._clip_seconds = clip_seconds
        self._session: Session | None = None
        self._versions: dict[str, str] = {}
        self._turn = threading.Lock()

    def versions(self) -> dict[str, str]:
        """Return the version of OpenCV, with a warning if it is slow, and of the hardware's API.

        Raises:
            EnvironmentFault: It cannot be used.
        """
        if not self._versions:  # else nobody waits for the clips of others only to be told
            with self._turn:
                self._ready()
        return dict(self._versions)

    def flow(self, frames: GrayFrames) -> FlowField:
        """Return the flow in pixels, (T - 1, 2, H, W); see `FlowEngine.flow`.

        Raises:
            EncodeFailed: OpenCV fails on these frames, and does others.
            OverLimit: As `EncodeFailed`, for want of time.
            EnvironmentFault: OpenCV, the device or its memory cannot be used.
        """
        frames = checked_frames(frames)
        field = np.empty(flow_shape(frames), np.float32)
        self._solve(frames, field, lambda flow: flow)
        return field

    def flow_u8(self, frames: GrayFrames, *, bound_px: float) -> FlowLevels:
        """Return the flow as grey levels, (T - 1, 2, H, W); see `FlowEngine.flow_u8`.

        Raises:
            as `flow`.
        """
        frames, bound_px = checked_frames(frames), positive_bound(bound_px)
        levels = np.empty(flow_shape(frames), np.uint8)
        self._solve(frames, levels, lambda flow: quantise(flow, bound_px=bound_px))
        return levels

    def close(self) -> None:
        """Kill the worker, so that the device is free of it; the next call starts another."""
        with self._turn:
            self._drop()

    def _solve(
        self,
        frames: GrayFrames,
        result: NDArray[_Sample],
        finish: Callable[[FlowField], NDArray[_Sample]],
    ) -> None:
        """Put what `finish` makes of the flow into `result`, part by part."""
        pairs = len(result)
        pair_bytes = 9 * frames[:1].size
        step = max(1, _PART_BYTES // max(pair_bytes, 1))
        with self._turn:
            left = self._clip_seconds
            for first in range(0, pairs, step):
                self._ready()
                began = time.monotonic()
                flow = self._part(frames[first : first + step + 1], seconds=left)
                left -= time.monotonic() - began
                result[first : first + step] = finish(flow)

    def _part(self, frames: GrayFrames, *, seconds: float) -> FlowField:
        """Return the flow of a few frames, or say who is to blame that there is none."""
        for _ in range(_ATTEMPTS):
            session = self._ready()
            try:
                return session.flow(frames, seconds=seconds)
            except PairsFailedError as error:
                failure = error
            except BaseException:
                self._drop()  # its answer may still come
                raise
            self._drop()
            if not failure.in_time:
                break  # it has taken long enough
        if is_out_of_memory(str(failure)):
            raise trouble_of(str(failure), python=self._python()).fault()
        self._ready()
        error_class = EncodeFailed if failure.in_time else OverLimit
        raise error_class(f"{self.name}: {failure}.")

    def _ready(self) -> Session:
        """Return a worker that has done a pair known to be good."""
        if self._session is None:
            python = self._python()
            session = Session(python, self._method)
            self._versions = _versions(session.found, self._method)
            self._session = session
        return self._session

    def _drop(self) -> None:
        """Kill the worker, if there is one."""
        session, self._session = self._session, None
        if session is not None:
            session.end()

    def _python(self) -> str:
        """Return the absolute path of the interpreter."""
        path, found = interpreter(self._chosen)
        trouble = trouble_in(found, self._method, python=path) if found else None
        if trouble is not None:
            raise trouble.fault()
        return path


def interpreter(chosen: Path | None) -> tuple[str, dict[str, Any]]:
    """Return the absolute path of the interpreter, and what is found if there is none."""
    found = shutil.which(chosen or sys.executable)
    # not resolved: a virtual environment is known by the link in it
    return (str(Path(found).absolute()), {}) if found else (str(chosen), {"missing": True})


def look(python: Path | None) -> dict[str, Any]:
    """Return what is found in an interpreter, by default our own; see `findings.trouble_in`.

    The key ``python`` is its path. Takes as long as loading OpenCV and starting CUDA.
    """
    path, found = interpreter(python)
    return {"python": path, **(found or found_by(path))}


def is_usable(python: Path | None) -> bool:
    """Return whether TV-L1 can be computed by OpenCV on a device in an interpreter."""
    found = look(python)
    return trouble_in(found, "tvl1", python=found["python"]) is None


def _versions(found: dict[str, Any], method: str) -> dict[str, str]:
    """Return what a manifest is to tell of the tools."""
    opencv = str(found["opencv"])
    slow = slowness(opencv, method)
    told = {"opencv": f"{opencv} ({slow})" if slow else opencv}
    if method == "nvof":
        told["nvof"] = str(found["classes"]["nvof"]).partition("_")[2].replace("_", ".")
    return told
