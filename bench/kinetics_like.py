"""Inputs as Kinetics has them, of the pinned footage: ten seconds, three sizes, two codecs.

`from kinetics_like import INPUTS, made` in a bench. No clip is enlarged to make an input: what is
blown up is softer than camera footage and flatters whoever encodes it again.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import av
from footage import fetch

SECONDS: Final = 10
REVISION: Final = 2
"""Raised when the inputs are made in another way, so that cached ones are not taken for them."""
ENCODERS: Final[dict[str, tuple[str, dict[str, str]]]] = {
    # bytes depend on the number of threads, which else is that of the cores that may be used
    "h264": ("libx264", {"preset": "medium", "crf": "23", "threads": "2"}),
    "vp9": ("libvpx-vp9", {"crf": "33", "b": "0", "deadline": "good", "cpu-used": "5"}),
}
SOURCES: Final[dict[str, tuple[str, ...]]] = {
    "720p": ("sports2d", "cam01", "bigbuckbunny", "ocean_mp4"),
    "480p": ("sports2d", "cam01", "bigbuckbunny", "ocean_mp4", "face_noface"),
    "340x256": ("sports2d", "cam01", "ocean_mp4", "face_noface", "wolfgang", "bikes", "cap13_mp4"),
}
"""Clips of each size, all of them larger than it."""


@dataclass(frozen=True, slots=True)
class Input:
    """One clip, made to a size and a codec."""

    source: str
    size: str
    codec: str
    from_second: int = 0
    """Where in the source it begins; without sound then."""

    @property
    def name(self) -> str:
        """How it is called in tables and in the cache."""
        begin = f"-from{self.from_second}" if self.from_second else ""
        return f"{self.source}{begin}-{self.size}-{self.codec}"


INPUTS: Final = tuple(
    Input(source, size, codec)
    for size, sources in SOURCES.items()
    for source in sources
    for codec in ENCODERS
)

HELD_OUT: Final = tuple(
    Input(source, size, codec, begin)
    for size, source, begin in (
        ("720p", "cam03", 0),
        ("480p", "cam03", 0),
        ("480p", "cam02", 0),
        ("340x256", "cam02", 0),
        ("340x256", "bigbuckbunny", 0),
        ("340x256", "cam03", 0),
        ("340x256", "wolfgang", 10),
        ("340x256", "cap13_mp4", 10),
        ("340x256", "cap13_mp4", 20),
    )
    for codec in ENCODERS
)
"""Inputs of other cameras and other seconds, by which no setting was first chosen.

Those of 340x256 but for the first two were looked at when the settings for clips that keep their
size were fitted a second time; the first two, and all larger ones, no setting ever saw.
"""


def cache_folder() -> Path:
    """Return the folder, outside the repository, of what benches keep between runs."""
    base = os.environ.get("KINETICS_BENCH_CACHE")
    return Path(base) if base else Path.home() / ".cache" / "kinetics-assets-bench"


def made(one: Input) -> Path:
    """Return the path of an input, making it on the first call."""
    path = cache_folder() / f"inputs-{REVISION}" / f"{one.name}.mp4"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        half = path.with_suffix(".part")
        _make(one, fetch(one.source), half)
        half.replace(path)
    return path


def sides(width_px: int, height_px: int, size: str) -> tuple[int, int]:
    """Return the even width and height that a picture has at `size`."""
    if size == "340x256":
        return (340, 256) if width_px >= height_px else (256, 340)
    short = int(size.removesuffix("p"))
    scale = short / min(width_px, height_px)
    return round(width_px * scale / 2) * 2, round(height_px * scale / 2) * 2


def _make(one: Input, source: Path, target: Path) -> None:
    """Write ten seconds of `source` to `target`; if they are the first, with sound that is AAC."""
    encoder, options = ENCODERS[one.codec]
    end = one.from_second + SECONDS
    with (
        av.open(str(source), metadata_errors="replace") as given,
        av.open(str(target), "w", format="mp4") as out,
    ):
        video = given.streams.video[0]
        rate = video.average_rate
        stream: Any = out.add_stream(encoder, rate=rate, options=options)
        stream.width, stream.height = sides(video.width, video.height, one.size)
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = video.time_base
        sounds = () if one.from_second else given.streams.audio
        sound = next((s for s in sounds if s.codec_context.name == "aac"), None)
        copied = out.add_stream_from_template(sound) if sound is not None else None
        wanted = [s for s in (video, sound) if s is not None]
        for packet in given.demux(wanted):
            if packet.stream is sound:
                if packet.dts is not None and packet.pts * packet.time_base < SECONDS:
                    packet.stream = copied
                    out.mux(packet)
                continue
            for frame in packet.decode():
                if one.from_second <= frame.time < end:
                    picture = frame.reformat(
                        stream.width, stream.height, "yuv420p", interpolation="LANCZOS"
                    )
                    picture.pict_type = 0
                    picture.pts -= round(one.from_second / picture.time_base)
                    out.mux(stream.encode(picture))
        out.mux(stream.encode(None))


if __name__ == "__main__":
    for each in (*INPUTS, *HELD_OUT):
        print(each.name, made(each), flush=True)
