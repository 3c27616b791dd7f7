"""The facts of a video, each taken from decoding it to its last frame."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from kinetics_assets.core.errors import Truncated
from kinetics_assets.core.geometry import Size
from kinetics_assets.media.decode import frames, orientation
from kinetics_assets.media.facts import MediaFacts
from kinetics_assets.media.probe import Caps, open_video

if TYPE_CHECKING:
    from pathlib import Path

    from kinetics_assets.media.probe import OpenVideo

_SHARE_THAT_IS_ENOUGH = 0.9
_GRACE_SECONDS = 1.0


def verify(path: Path, caps: Caps, *, fast: bool = False) -> MediaFacts:
    """Return what decoding the video at `path` tells.

    Args:
        path: Absolute.
        caps: Limits.
        fast: Decode without the deblocking filter (see `open_video`).

    Raises:
        ClipError: The video is not whole, not sound or not within the caps.
        OSError: The file cannot be read.
    """
    with open_video(path, caps, fast=fast) as video:
        tally = Tally(video)
        for frame in frames(video):
            tally.add(frame)
        return tally.facts()


class Tally:
    """Gathers facts frame by frame."""

    def __init__(self, video: OpenVideo) -> None:
        """Begin at no frame of `video`."""
        self._video = video
        self._count = 0
        self._size = Size(0, 0)
        self._tick = Fraction(0)
        self._first: int | None = None
        self._last: int | None = None
        self._end = 0

    def add(self, frame: Any) -> None:  # noqa: ANN401 - PyAV's frame
        """Take the next frame into account."""
        if not self._count:
            self._size = orientation(frame).apply(Size(frame.width, frame.height))
        self._count += 1
        time = frame.pts
        if time is None:
            return
        if self._first is None:
            # in ticks, all of one size: fractions are slow
            self._first, self._tick = time, Fraction(frame.time_base)
        if self._last is None or time >= self._last:
            self._last = time
            self._end = time + max(0, frame.duration or 0)

    def facts(self) -> MediaFacts:
        """Return the facts of all frames so far, at least one.

        Raises:
            Truncated: They span far less time than the header promises.
        """
        video, span = self._video, self._span_seconds()
        if span < _SHARE_THAT_IS_ENOUGH * video.promised_seconds - _GRACE_SECONDS:
            raise Truncated(
                f"{float(span):.2f} seconds are there, "
                f"the header promises {video.promised_seconds:.2f}."
            )
        rate = video.frame_rate or (Fraction(self._count) / span if span else None)
        return MediaFacts(
            container=video.container.name,
            codec=video.codec,
            width_px=self._size.width_px,
            height_px=self._size.height_px,
            fps=float(rate or 0),
            duration_seconds=float(span),
            frames_decoded=self._count,
            has_audio=video.audio is not None,
        )

    def _span_seconds(self) -> Fraction:
        """Return the time from the first frame to the end of the last."""
        rate = self._video.frame_rate
        if self._first is None or self._last is None:
            return self._count / rate if rate else Fraction(0)
        if self._end > self._last:
            return (self._end - self._first) * self._tick
        return (self._last - self._first) * self._tick + (1 / rate if rate else 0)
