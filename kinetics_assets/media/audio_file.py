"""Writing the sound of a video into a file of its own.

============  ======================================================================================
samples       16 bits, wav or flac; flac loses nothing
rate          that of the source, or resampled by libswresample to what is asked for
channels      those of the source, or mixed by libswresample to one or two
timestamps    not looked at: sample follows sample from the first on, as MMAction2's script has it
changes       of rate or channels on the way: the rest is made like the beginning
============  ======================================================================================
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from kinetics_assets.core.errors import EncodeFailed, NoAudio
from kinetics_assets.media.encode import encoding_faults, open_target
from kinetics_assets.media.facts import SoundFacts
from kinetics_assets.media.sound import SOUND_FORMATS, sound_of_file, sound_of_video

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from kinetics_assets.core.settings import AudioRecipe
    from kinetics_assets.media.probe import Caps

_SAMPLES = "s16"
_CODECS = {"wav": "pcm_s16le", "flac": "flac"}
_LAYOUTS = {1: "mono", 2: "stereo"}
_MOST_FLAC_CHANNELS = 8


def extract_audio(source: Path, target: Path, *, recipe: AudioRecipe, caps: Caps) -> SoundFacts:
    """Write the sound of the video at `source` to `target` and return the facts of the result.

    Raises:
        NoAudio: The video has none, or too little to be resampled.
        ClipError: The source is at fault.
        EncodeFailed: The result is not what was to be written.
        OSError: A file cannot be read or written.
    """
    with sound_of_video(source, caps) as frames:
        written = _write(frames, target, recipe=recipe)
    facts = sound_facts(target)
    if facts != written:
        raise EncodeFailed(f"{facts} came out of the file, {written} went in.")
    return facts


def sound_facts(path: Path) -> SoundFacts:
    """Return the facts of a sound file, from decoding it to its last sample.

    Raises:
        ClipError: It is damaged, or has no sample.
        OSError: It cannot be read.
    """
    samples = sample_rate_hz = channels = 0
    with sound_of_file(path) as frames:
        for frame in frames:
            samples += frame.samples
            sample_rate_hz, channels = frame.sample_rate, frame.layout.nb_channels
    return SoundFacts(samples, sample_rate_hz, channels)


def resampled(
    frames: Iterable[Any],
    *,
    sample_format: str,
    layout: str | None = None,
    sample_rate_hz: int = 0,
) -> Iterator[Any]:
    """Yield the sound of `frames` in one format, as PyAV's AudioFrame.

    Args:
        frames: PyAV's audio frames; those that differ from the first are made like it.
        sample_format: libav's name of the sample format.
        layout: libav's name of the channel layout; None for that of the first frame.
        sample_rate_hz: Samples per second; 0 for those of the first frame.
    """
    from av.audio.resampler import AudioResampler

    resampler, kind = None, None
    for frame in frames:
        layout = layout or frame.layout.name
        sample_rate_hz = sample_rate_hz or frame.sample_rate
        frame.pts = None  # else gaps between timestamps would be an error, or filled
        if kind != (frame.format.name, frame.layout.name, frame.sample_rate):
            kind = (frame.format.name, frame.layout.name, frame.sample_rate)
            if resampler is not None:
                yield from resampler.resample(None)
            resampler = AudioResampler(sample_format, layout, sample_rate_hz)
        yield from resampler.resample(frame)  # type: ignore[union-attr] # made with the first
    if resampler is not None:
        yield from resampler.resample(None)


def _write(frames: Iterable[Any], target: Path, *, recipe: AudioRecipe) -> SoundFacts:
    """Write `frames` to `target`; return what went in."""
    wanted = resampled(
        frames,
        sample_format=_SAMPLES,
        layout=_LAYOUTS.get(recipe.channels),
        sample_rate_hz=recipe.sample_rate_hz,
    )
    samples = 0
    with encoding_faults(target):
        first = next(wanted, None)
        if first is None:
            raise NoAudio("The sound is too short to be resampled.")
        channels = first.layout.nb_channels
        if recipe.format == "flac" and channels > _MOST_FLAC_CHANNELS:
            raise EncodeFailed(f"{channels} channels; a flac has {_MOST_FLAC_CHANNELS} at most.")
        with open_target(target, container=SOUND_FORMATS[f".{recipe.format}"]) as out:
            stream: Any = out.add_stream(_CODECS[recipe.format], rate=first.sample_rate)
            stream.codec_context.layout = first.layout.name
            stream.codec_context.format = _SAMPLES
            for frame in chain([first], wanted):
                frame.pts = samples
                samples += frame.samples
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
    return SoundFacts(samples, first.sample_rate, channels)
