"""Decoding a video to its last frame, strictly: damage is an error, never a shorter clip.

libav goes on after damage and simply returns fewer or patched frames. Here the first failed packet,
the first frame marked corrupt and a count far below the header's promise all end the decoding.
Damage with sound frames after it makes a clip undecodable; damage up to the end, truncated.

An AVI has no times but the numbers of its chunks, in the order of decoding, and an empty chunk is a
moment without a new frame. So its frames, which come out in the order shown, get the numbers of the
chunks that they came out at: those of their own chunks, which libav gives, are in another order
where there are B-frames.
"""

from __future__ import annotations

import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from kinetics_assets.core.errors import NoFrames, OverLimit, Truncated, Undecodable
from kinetics_assets.core.geometry import UPRIGHT, Orientation, orientation_of
from kinetics_assets.media.edits import shown_share
from kinetics_assets.media.probe import OpenVideo, blame, check_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_SHARE_THAT_IS_ENOUGH = 0.9
_SHARE_OF_PACKETS = 0.5
_PACKETS_LOOKED_AT = 1000
_MATRIX = struct.Struct("<9i")
_MOST_TOGETHER = 16
_MOST_TOGETHER_PX = 8_000_000


@dataclass(slots=True)
class _Progress:
    """How far decoding has come."""

    packets: int = 0
    to_show: int = 0
    """Packets that the file does not want to be left out."""
    last_chunk: int = -1
    """In an AVI: number of the last chunk that was not empty."""
    most_between: int = 0
    """In an AVI: largest distance of two such chunks."""
    frames: int = 0

    @property
    def chunks(self) -> int:
        """Chunks of an AVI, empty ones too; less than 1 for other containers."""
        return self.last_chunk + self.most_between


def frames(video: OpenVideo, *, whole: bool = True) -> Iterator[Any]:
    """Yield all frames of `video` in the order shown, as PyAV's VideoFrame.

    Args:
        video: Open, at its beginning.
        whole: Compare the count with the header's promise; not after seeking.

    Raises:
        Truncated: Frames are missing at the end.
        Undecodable: Frames are damaged, or none can be decoded.
        NoFrames: The stream is empty.
        OverLimit: A frame is too large, or there are too many.
    """
    progress = _Progress()
    pictures = _decoded(video, progress)
    for frame in _timed_by_chunks(pictures) if _is_avi(video) else pictures:
        progress.frames += 1
        if progress.frames > video.caps.max_frames:
            raise OverLimit(f"More than {video.caps.max_frames} frames.")
        check_size(frame.width, frame.height, video.caps)
        if frame.is_corrupt:
            _raise_damage(video, progress, after_pts=frame.pts, error=None)
        yield frame
    if whole:
        _check_counts(video, progress)


def batches(pictures: Iterable[Any]) -> Iterator[Sequence[Any]]:
    """Yield the frames of `pictures` a few at a time; a batch is good until the next.

    A decoder and what is done with its frames share the near caches of a core, so taking turns
    less often makes both cheaper (bench/README.md). More than 8 megapixels would leave the far
    cache before their turn comes.

    Raises:
        ClipError: As `pictures` does, at once: sound frames before the damage are not yielded.
    """
    batch: list[Any] = []
    pixels = 0
    for frame in pictures:
        batch.append(frame)
        pixels += frame.width * frame.height
        if len(batch) == _MOST_TOGETHER or pixels >= _MOST_TOGETHER_PX:
            yield batch
            batch.clear()  # the decoder takes their memory for the next
            pixels = 0
    if batch:
        yield batch


def try_seek(video: OpenVideo, ticks: int) -> None:
    """Move `video` to a key frame not behind `ticks` if its container can; else leave it."""
    import av

    # without an index decoding begins where it stands, or ends at once, which the caller sees
    with suppress(av.error.FFmpegError):
        video.input.seek(ticks, stream=video.stream)


def orientation(frame: Any) -> Orientation:  # noqa: ANN401 - PyAV's frame
    """Return how the pixels of `frame` become upright."""
    matrix = display_matrix(frame)
    return UPRIGHT if matrix is None else orientation_of(matrix)


def display_matrix(frame: Any) -> tuple[int, ...] | None:  # noqa: ANN401 - PyAV's frame
    """Return the nine numbers of the frame's display matrix, None if it has none."""
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None or len(bytes(data)) != _MATRIX.size:
        return None
    return _MATRIX.unpack(bytes(data))


def _decoded(video: OpenVideo, progress: _Progress) -> Iterator[Any]:
    """Yield frames and count packets; turn every error into a verdict."""
    import av

    packets = video.input.demux(video.stream)
    while True:
        packet = None
        try:
            packet = next(packets, None)
            if packet is None:
                return
            _count(packet, progress, video)
            if packet.is_corrupt:
                _raise_damage(video, progress, after_pts=packet.pts, error=None)
            batch = packet.decode()
        except av.error.FFmpegError as error:
            after = None if packet is None else packet.pts
            _raise_damage(video, progress, after_pts=after, error=error)
        yield from batch


def _is_avi(video: OpenVideo) -> bool:
    return video.container.demuxer == "avi"


def _timed_by_chunks(pictures: Iterable[Any]) -> Iterator[Any]:
    """Yield the frames of an AVI with the times that they are shown at."""
    now, step = None, None
    for frame in pictures:
        time = frame.dts
        if now is None:
            now = time
        elif time is not None and time > now:
            step = min(step or time - now, time - now)
            now = time
        else:
            now += step or 1  # it waited in the decoder until the end
        frame.pts = now
        yield frame


def _count(packet: Any, progress: _Progress, video: OpenVideo) -> None:  # noqa: ANN401 - PyAV's
    """Count `packet`, which may be empty."""
    progress.packets += bool(packet.size)
    # an MP4 that was cut without encoding begins at a key frame, and wants its first frames unseen
    progress.to_show += bool(packet.size) and not packet.is_discard
    if _is_avi(video) and packet.dts is not None:
        # how many empty ones follow the last is not known, but seldom more than elsewhere
        progress.most_between = max(progress.most_between, packet.dts - progress.last_chunk)
        progress.last_chunk = packet.dts


def _raise_damage(
    video: OpenVideo, progress: _Progress, *, after_pts: int | None, error: Exception | None
) -> NoReturn:
    """Raise the verdict on damage at `after_pts`."""
    where = f"Decoding broke after {progress.frames} frames"
    if video.promised_frames:
        where += f" of {video.promised_frames}"
    if isinstance(error, (MemoryError, OSError)):
        blame(error, video.path, saying=where)
    if progress.frames and not _goes_on(video, after_pts):
        raise Truncated(f"{where} and nothing follows.") from error
    raise Undecodable(f"{where}: {getattr(error, 'strerror', None) or 'damaged frame'}.") from error


def _goes_on(video: OpenVideo, after_pts: int | None) -> bool:
    """Return whether sound frames follow the damage at `after_pts`."""
    import av

    packets = video.input.demux(video.stream)
    for _ in range(_PACKETS_LOOKED_AT):
        try:
            packet = next(packets, None)
            if packet is None:
                return False
            batch = packet.decode()
        except av.error.EOFError:
            return False
        except av.error.FFmpegError:
            continue
        # frames that were only waiting for their turn do not count
        late = [f for f in batch if after_pts is None or f.pts is None or f.pts > after_pts]
        if any(not frame.is_corrupt for frame in late):
            return True
    return False


def _is_edited(video: OpenVideo, progress: _Progress) -> bool:
    """Return whether frames are missing because the file wants them left out."""
    if video.container.demuxer != "mov":
        return False
    shown = shown_share(video.path) * video.promised_frames
    return progress.packets >= _SHARE_THAT_IS_ENOUGH * shown - 1


def _check_counts(video: OpenVideo, progress: _Progress) -> None:
    """Raise unless as much was decoded as the header promised."""
    promised, there = video.promised_frames, max(progress.packets, progress.chunks)
    if not progress.packets and not promised:
        raise NoFrames("The video stream is empty.")
    if there < _SHARE_THAT_IS_ENOUGH * promised - 1 and not _is_edited(video, progress):
        raise Truncated(f"{there} of {promised} promised frames are there.")
    if not progress.frames:
        raise Undecodable(f"None of {progress.packets} packets gave a frame.")
    if progress.frames < _SHARE_OF_PACKETS * progress.to_show:
        raise Undecodable(f"{progress.to_show} packets gave only {progress.frames} frames.")
