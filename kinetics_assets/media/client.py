"""Decoding and encoding for the rest of the package: every call runs in a sandboxed child."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Self

from kinetics_assets.io.sandbox import Sandbox
from kinetics_assets.io.sandboxes import Sandboxes
from kinetics_assets.media.facts import (
    CountedFrames,
    FeatureFacts,
    FrameFacts,
    MediaFacts,
    SoundFacts,
    length_from_record,
    suffix_from_record,
)
from kinetics_assets.media.libraries import compiled_libraries
from kinetics_assets.media.product_facts import Products, Wishes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

    from kinetics_assets.core.settings import (
        AudioFeatureRecipe,
        AudioRecipe,
        FrameRecipe,
        Limits,
        ResizeRecipe,
        VideoRecipe,
    )

__all__ = ["CountedFrames", "FrameFacts", "MediaFacts", "MediaWorker", "Products", "Wishes"]

_OPERATIONS = "kinetics_assets.media.worker"


class MediaWorker:
    """Child processes that read media, reused for many calls; can be shared between threads.

    Each method raises a `ClipError` for what is wrong with the clip (OverLimit and DecoderCrashed
    when the child had to be killed or died; the next call gets a new one), an `EnvironmentFault`
    for what is wrong with the machine, and OSError for a path that is no usable file.
    Targets are written under the given name as they grow: the caller renames them into place, and
    removes them after an error.
    """

    def __init__(
        self, limits: Limits, *, writable: Sequence[Path] | None = None, children: int = 1
    ) -> None:
        """Prepare a worker; its children start when they are needed.

        Args:
            limits: Caps on each call.
            writable: Existing folders below which targets lie (on another disk: the folder there);
                the kernel refuses all other writes. None means anywhere.
            children: Calls that run at a time, each in a child of its own; further ones wait.
        """
        self._sandbox = Sandboxes(
            lambda: Sandbox(_OPERATIONS, limits=limits, writable=writable), most=children
        )
        self._caps = {"max_side_px": limits.max_side_px, "max_frames": limits.max_frames}

    @property
    def degraded(self) -> tuple[str, ...]:
        """Protections that could not be had on this machine, one line each; show them."""
        return self._sandbox.degraded

    def verify(self, path: Path) -> MediaFacts:
        """Return the facts of a video, from decoding it to its last frame."""
        record = self._sandbox.call("verify", path=_absolute(path), caps=self._caps)
        return MediaFacts.from_record(record)

    def length_seconds(self, path: Path) -> float:
        """Return how long the header says a video is, in seconds; decoded only if it is silent."""
        record = self._sandbox.call("length", path=_absolute(path), caps=self._caps)
        return length_from_record(record)

    def trim(
        self,
        source: Path,
        target: Path,
        *,
        start_seconds: float,
        end_seconds: float,
        recipe: VideoRecipe,
    ) -> MediaFacts:
        """Write the span [start, end) of `source` as an MP4 and return the facts of the result.

        A source that is over before `end` gives a shorter result; the facts tell.
        """
        record = self._sandbox.call(
            "trim",
            source=_absolute(source),
            target=_absolute(target),
            start_seconds=start_seconds,
            end_seconds=end_seconds,
            recipe=asdict(recipe),
            caps=self._caps,
        )
        return MediaFacts.from_record(record)

    def join(self, video: Path, sound: Path, target: Path) -> str:
        """Write the pictures of one file and the sound of another; return the file's extension.

        Nothing is decoded, so that a long video costs little: verify what is kept of it.
        """
        record = self._sandbox.call(
            "join",
            video=_absolute(video),
            sound=_absolute(sound),
            target=_absolute(target),
            caps=self._caps,
        )
        return suffix_from_record(record)

    def resize(self, source: Path, target: Path, *, recipe: ResizeRecipe) -> MediaFacts:
        """Write `source`, resized, as an MP4 and return the facts of the result."""
        record = self._sandbox.call(
            "resize",
            source=_absolute(source),
            target=_absolute(target),
            recipe=asdict(recipe),
            caps=self._caps,
        )
        return MediaFacts.from_record(record)

    def rawframes(self, source: Path, folder: Path, *, recipe: FrameRecipe) -> FrameFacts:
        """Write each frame as ``img_%05d.jpg`` into the existing `folder`.

        Frames of further sizes go into folders below it, which have the names of the sizes.
        """
        _make_size_folders(folder, recipe)
        record = self._sandbox.call(
            "rawframes",
            source=_absolute(source),
            folder=_absolute(folder),
            recipe=asdict(recipe),
            libraries=asdict(compiled_libraries()),
            caps=self._caps,
        )
        return FrameFacts.from_record(record)

    def gray(self, source: Path, target: Path, *, recipe: FrameRecipe) -> FrameFacts:
        """Write grey frames as a .npy of uint8 (frames, height, width), sized as `rawframes`."""
        record = self._sandbox.call(
            "gray",
            source=_absolute(source),
            target=_absolute(target),
            recipe=asdict(recipe),
            libraries=asdict(compiled_libraries()),
            caps=self._caps,
        )
        return FrameFacts.from_record(record)

    def products(self, source: Path, wishes: Wishes) -> Products:
        """Make all that is wished of `source` in one decode; return what became of each product.

        Each is verified as its own method does, and has the bytes that its own method gives. A
        product that fails costs the others nothing; damage of the source is raised.
        """
        if wishes.rawframes is not None:
            _make_size_folders(*wishes.rawframes)
        record = self._sandbox.call(
            "products",
            source=_absolute(source),
            wishes=wishes.record(),
            libraries=asdict(compiled_libraries()),
            caps=self._caps,
        )
        return Products.from_record(record)

    def count_frames(self, source: Path, *, recipe: FrameRecipe) -> CountedFrames:
        """Return how many frames `source` has, all decoded, and their size as of `gray`."""
        record = self._sandbox.call(
            "count_frames", source=_absolute(source), recipe=asdict(recipe), caps=self._caps
        )
        return CountedFrames.from_record(record)

    def extract_audio(self, source: Path, target: Path, *, recipe: AudioRecipe) -> SoundFacts:
        """Write the sound of the video `source`; the name of `target` ends as the format is called.

        A video without sound raises `NoAudio`.
        """
        record = self._sandbox.call(
            "extract_audio",
            source=_absolute(source),
            target=_absolute(target),
            recipe=asdict(recipe),
            caps=self._caps,
        )
        return SoundFacts.from_record(record)

    def log_mel(self, source: Path, target: Path, *, recipe: AudioFeatureRecipe) -> FeatureFacts:
        """Write a .npy of float32 (steps, mels) from what `extract_audio` wrote."""
        record = self._sandbox.call(
            "log_mel",
            source=_absolute(source),
            target=_absolute(target),
            recipe=asdict(recipe),
            caps=self._caps,
        )
        return FeatureFacts.from_record(record)

    def write_canary(self, target: Path) -> FrameFacts:
        """Write a small video known to be good, for programs that are to show that they work."""
        record = self._sandbox.call("write_canary", target=_absolute(target), caps=self._caps)
        return FrameFacts.from_record(record)

    def check_pictures(self, folder: Path, names: Sequence[str]) -> FrameFacts:
        """Return number and size of the pictures `names` in `folder`, each decoded."""
        record = self._sandbox.call(
            "check_pictures", folder=_absolute(folder), names=list(names), caps=self._caps
        )
        return FrameFacts.from_record(record)

    def close(self) -> None:
        """End the children."""
        self._sandbox.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _make_size_folders(folder: Path, recipe: FrameRecipe) -> None:
    """Make the folders of further sizes in `folder`; a child is not allowed to."""
    for size in recipe.also_sizes:
        (folder / size).mkdir(exist_ok=True)


def _absolute(path: Path) -> str:
    """Return `path` as the child needs it: its working folder is another one."""
    return str(path.absolute())
