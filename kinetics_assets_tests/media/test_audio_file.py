"""Tests of writing a clip's sound: every sample is there, at the pitch it had, or there is none."""

from __future__ import annotations

import wave
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from kinetics_assets.core.errors import NoAudio, OverLimit, Undecodable
from kinetics_assets.core.settings import AudioFeatureRecipe, AudioRecipe
from kinetics_assets.media.audio_file import extract_audio, resampled
from kinetics_assets.media.client import MediaWorker
from kinetics_assets.media.facts import SoundFacts
from kinetics_assets.media.probe import Caps
from kinetics_assets_tests.resources import media

SECONDS = 2
RATE_HZ = 48_000
TONE_HZ = 440


def with_a_click(path: Path) -> Path:
    """Write a video with twelve samples of sound, fewer than resampling to a third looks at."""
    one = {"frames": 1, "rate": Fraction(4000), "container": "matroska"}
    return media.plain(path, audio_codec="pcm_s16le", **one)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of pictures with a stereo tone that loses nothing."""
    folder = tmp_path_factory.mktemp("sound")
    return media.with_audio(folder / "clip.mkv", codec="flac", container="matroska")


def samples_of(path: Path) -> np.ndarray[Any, np.dtype[np.int16]]:
    """Return the samples of a wav, (samples, channels), read by Python's own module."""
    with wave.open(str(path)) as file:
        data = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        return data.reshape(-1, file.getnchannels())


def pitch_hz(sound: np.ndarray[Any, Any], *, rate_hz: int) -> float:
    """Return the strongest frequency of a sound."""
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    return float(np.argmax(spectrum) * rate_hz / len(sound))


def test_a_wav_keeps_rate_channels_and_every_sample(
    video: Path, worker: MediaWorker, tmp_path: Path
) -> None:
    """By default nothing is resampled or mixed: 16 bits of what was there, in a plain wav."""
    facts = worker.extract_audio(video, tmp_path / "clip.wav", recipe=AudioRecipe())
    assert facts == SoundFacts(SECONDS * RATE_HZ, RATE_HZ, 2)
    sound = samples_of(tmp_path / "clip.wav")
    assert sound.shape == (facts.samples, 2)
    tone = np.sin(np.arange(facts.samples) * TONE_HZ * 2 * np.pi / RATE_HZ) * 32767
    assert np.abs(sound - tone[:, None]).max() <= 2


def test_a_flac_holds_the_samples_of_the_wav(
    video: Path, worker: MediaWorker, tmp_path: Path
) -> None:
    """The smaller format loses nothing, and equal input gives equal bytes."""
    worker.extract_audio(video, tmp_path / "clip.wav", recipe=AudioRecipe())
    recipe = AudioRecipe(format="flac")
    worker.extract_audio(video, tmp_path / "clip.flac", recipe=recipe)
    worker.extract_audio(video, tmp_path / "again.flac", recipe=recipe)
    with av.open(str(tmp_path / "clip.flac")) as file:
        parts = [frame.to_ndarray().reshape(-1, 2) for frame in file.decode(audio=0)]
    assert np.array_equal(np.concatenate(parts), samples_of(tmp_path / "clip.wav"))
    assert (tmp_path / "clip.flac").read_bytes() == (tmp_path / "again.flac").read_bytes()
    assert (tmp_path / "clip.flac").stat().st_size < (tmp_path / "clip.wav").stat().st_size / 2


def test_another_rate_and_one_channel_keep_length_and_pitch(
    video: Path, worker: MediaWorker, tmp_path: Path
) -> None:
    """Resampled and mixed sound lasts as long, sounds as high, and is as loud."""
    recipe = AudioRecipe(sample_rate_hz=16_000, channels=1)
    facts = worker.extract_audio(video, tmp_path / "clip.wav", recipe=recipe)
    assert (facts.sample_rate_hz, facts.channels) == (16_000, 1)
    assert abs(facts.samples - SECONDS * 16_000) <= 1
    sound = samples_of(tmp_path / "clip.wav")[:, 0]
    assert pitch_hz(sound, rate_hz=16_000) == pytest.approx(TONE_HZ, abs=1)
    assert np.abs(sound).max() == pytest.approx(32767, rel=0.02)


@pytest.mark.parametrize("codec", ["aac", "mp3"])
def test_coded_sound_is_decoded_to_its_end(codec: str, worker: MediaWorker, tmp_path: Path) -> None:
    """What coders put in front is left out; at the end at most a coder's frame more is there."""
    source = media.with_audio(tmp_path / "clip.mp4", codec=codec)
    facts = worker.extract_audio(source, tmp_path / "clip.wav", recipe=AudioRecipe())
    assert 0 <= facts.samples - SECONDS * RATE_HZ < 1152


def test_a_clip_without_sound_is_no_audio(worker: MediaWorker, tmp_path: Path) -> None:
    """It is told as such: the clip itself is fine, and nothing is written for it."""
    source = media.plain(tmp_path / "clip.mp4")
    with pytest.raises(NoAudio, match="no audio stream"):
        worker.extract_audio(source, tmp_path / "clip.wav", recipe=AudioRecipe())
    assert not (tmp_path / "clip.wav").exists()


def test_damaged_sound_is_an_error_and_never_a_shorter_sound(
    worker: MediaWorker, tmp_path: Path
) -> None:
    """A packet that cannot be decoded ends it, however much was good before."""
    whole = media.with_audio(tmp_path / "whole.mp4")
    damaged = tmp_path / "damaged.mp4"
    with av.open(str(whole)) as source, av.open(str(damaged), "w") as out:
        streams = {s: out.add_stream_from_template(s) for s in source.streams}
        for number, packet in enumerate(source.demux()):
            if packet.dts is None:
                continue
            stream, kept = streams[packet.stream], packet
            if packet.stream.type == "audio" and number > 40:
                kept = av.Packet(b"\xff" * packet.size)
                kept.pts, kept.dts, kept.time_base = packet.pts, packet.dts, packet.time_base
            kept.stream = stream
            out.mux(kept)
    worker.verify(damaged)  # the pictures are fine
    with pytest.raises(Undecodable, match=r"sound cannot be decoded after [1-9]"):
        worker.extract_audio(damaged, tmp_path / "clip.wav", recipe=AudioRecipe())


def test_sound_that_goes_on_and_on_is_over_the_limit(video: Path, tmp_path: Path) -> None:
    """A few kilobytes may hold days of silence; the limit on frames is one on sound too."""
    with pytest.raises(OverLimit, match="longer than 1 seconds"):
        extract_audio(video, tmp_path / "clip.wav", recipe=AudioRecipe(), caps=Caps(8192, 25))


def test_a_change_of_rate_on_the_way_is_made_like_the_beginning() -> None:
    """Broadcasts change rate and channels between programmes; the sound goes on at one rate."""

    def tone(rate_hz: int, layout: str) -> av.AudioFrame:
        channels = {"mono": 1, "stereo": 2}[layout]
        sine = np.sin(np.arange(rate_hz) * TONE_HZ * 2 * np.pi / rate_hz).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(np.tile(sine, (channels, 1)), "fltp", layout)
        frame.sample_rate, frame.time_base, frame.pts = rate_hz, Fraction(1, rate_hz), 5
        return frame

    made = list(resampled([tone(44_100, "stereo"), tone(48_000, "mono")], sample_format="s16"))
    assert {(one.sample_rate, one.layout.name) for one in made} == {(44_100, "stereo")}
    sound = np.concatenate([one.to_ndarray().reshape(-1, 2) for one in made])
    assert abs(len(sound) - 2 * 44_100) <= 1
    for half in (sound[:44_100, 0], sound[44_100:, 1]):
        assert pitch_hz(half, rate_hz=44_100) == pytest.approx(TONE_HZ, abs=1)


@pytest.mark.parametrize("name", ["clip.wav", "clip.flac"])
def test_sound_too_short_to_be_resampled_is_none(
    name: str, worker: MediaWorker, tmp_path: Path
) -> None:
    """Regression: such a clip ended as a bug of the package, and stopped its whole class."""
    source, target = with_a_click(tmp_path / "clip.mkv"), tmp_path / name
    recipe = AudioRecipe(format="flac" if target.suffix == ".flac" else "wav")
    assert worker.extract_audio(source, target, recipe=recipe).samples == 12
    with pytest.raises(NoAudio, match="too short"):
        worker.log_mel(target, tmp_path / "clip.npy", recipe=AudioFeatureRecipe())
    target.unlink()
    with pytest.raises(NoAudio, match="too short"):
        worker.extract_audio(source, target, recipe=replace(recipe, sample_rate_hz=16_000))
    assert not (tmp_path / "clip.npy").exists()
