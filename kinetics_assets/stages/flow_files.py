"""Flow by an engine that works from video files and is not to be believed.

Its pictures count, nothing else: there must be exactly as many pairs as our own decoder's count of
frames asks for, each must decode, all must have the size that our frames have. When they are not,
the clip is tried a second time (denseflow loses the end of a clip now and then, by a race). Then
the machine is looked at before the clip is blamed: there must be room on the disk, and the engine
must do a small video that is known to be good. A clip that fails alone is given up, the others go
on.
"""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from kinetics_assets.core.errors import ClipError, EncodeFailed, OverLimit, SettingsError, TooShort
from kinetics_assets.core.geometry import Size
from kinetics_assets.core.stages import Stage
from kinetics_assets.engines.base import FileResult, FileTask
from kinetics_assets.io.atomic import os_faults
from kinetics_assets.media.facts import FrameFacts
from kinetics_assets.stages.frame_index import picture_names

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from kinetics_assets.core.settings import Settings
    from kinetics_assets.engines.base import FileFlowEngine
    from kinetics_assets.media.client import MediaWorker

AT_A_TIME: Final = 2
"""Videos that one step works on: while one starts or writes, the other has the device."""
_ATTEMPTS: Final = 2
_ROOM_BYTES: Final = 1 << 20
_RUN, _CANARY = ".run", ".canary"


class FileFlow:
    """Makes the flow of one video after the other; can be shared between threads."""

    def __init__(self, engine: FileFlowEngine, settings: Settings) -> None:
        """Use `engine` under `settings`.

        Raises:
            SettingsError: They ask for what the engine cannot do.
        """
        self._engine = engine
        self._settings = settings
        quality, bound_px = settings.rawframes.jpeg_quality, settings.flow.bound_px
        if quality != engine.jpeg_quality:
            raise SettingsError(
                f"{engine.name} writes JPEGs of quality {engine.jpeg_quality} only,"
                f" rawframes.jpeg_quality is {quality}.",
                remedy="Change rawframes.jpeg_quality or flow.engine.",
            )
        if bound_px != int(bound_px):
            raise SettingsError(
                f"{engine.name} takes whole numbers of pixels only, flow.bound_px is {bound_px}.",
                remedy="Change flow.bound_px or flow.engine.",
            )

    def make(self, video: Path, folder: Path, *, worker: MediaWorker) -> FrameFacts:
        """Put the flow pictures of `video` into the empty `folder` and return the facts of pairs.

        Raises:
            ClipError: The clip has no flow, or the engine fails on it alone.
            EnvironmentFault: The machine is at fault.
        """
        counted = worker.count_frames(video, recipe=self._settings.rawframes)
        if counted.frames < 2:  # denseflow reads outside its memory then
            raise TooShort(f"{counted.frames} frame has no flow.")
        if not counted.is_upright:
            raise EncodeFailed(
                f"The frames are stored turned; whether {self._engine.name} turns them depends on"
                ' how it was built. With rawframes.frames_from = "resized" they are upright.'
            )
        task = FileTask(
            video=video,
            size=Size(counted.width_px, counted.height_px),
            pairs=counted.frames - 1,
            bound_px=self._settings.flow.bound_px,
        )
        for _ in range(_ATTEMPTS):
            with os_faults(f"working in {folder}"), _empty(folder / _RUN) as run:
                result = self._attempt(task, run, worker=worker)
                if result.pictures:
                    self._take(result, folder)
                    return FrameFacts(task.pairs, task.size.width_px, task.size.height_px)
                _check_room(run)
            if not result.in_time:
                break  # it has taken long enough
        self._check_engine(folder, worker=worker)
        error = EncodeFailed if result.in_time else OverLimit
        raise error(f"{self._engine.name}: {result.said}.")

    def _attempt(self, task: FileTask, run: Path, *, worker: MediaWorker) -> FileResult:
        """Return what became of one attempt, without pictures unless they are good."""
        result = self._engine.run(task, run, seconds=self._settings.limits.clip_wall_seconds)
        if not result.pictures:
            return result
        folder, names = result.pictures[0].parent, [path.name for path in result.pictures]
        try:
            facts = worker.check_pictures(folder, names)
        except ClipError as error:
            return FileResult((), f"{error.message} {result.said}", result.in_time)
        size = Size(facts.width_px, facts.height_px)
        if size != task.size:
            wrong = f"its pictures have {size} pixels, not {task.size}; {result.said}"
            return FileResult((), wrong, result.in_time)
        return result

    def _take(self, result: FileResult, folder: Path) -> None:
        """Move good pictures into `folder`, numbered as the settings say."""
        start = self._settings.rawframes.start_index
        names = picture_names(Stage.FLOW, count=len(result.pictures) // 2, start_index=start)
        for path, name in zip(result.pictures, names, strict=True):
            path.rename(folder / name)

    def _check_engine(self, folder: Path, *, worker: MediaWorker) -> None:
        """Raise the fault of the machine if the engine fails on a video known to be good."""
        with os_faults(f"working in {folder}"), _empty(folder / _CANARY) as run:
            video = folder / "canary.mp4"
            try:
                facts = worker.write_canary(video)
                size = Size(facts.width_px, facts.height_px)
                task = FileTask(video, size, facts.frames - 1, self._settings.flow.bound_px)
                result = self._attempt(task, run, worker=worker)
            finally:
                video.unlink(missing_ok=True)
            if not result.pictures:
                _check_room(run)
                raise self._engine.fault(result.said)


@contextmanager
def _empty(folder: Path) -> Iterator[Path]:
    """Yield a new folder that goes away after the block, with all that is in it."""
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check_room(folder: Path) -> None:
    """Raise OSError if nothing can be written to `folder`: not every program says so."""
    path = folder / "room"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        view = memoryview(bytes(_ROOM_BYTES))
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
        path.unlink()
