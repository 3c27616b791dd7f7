"""Tests of log-mel: the numbers of the formula, and no other."""

from __future__ import annotations

import math
import resource
import wave
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from kinetics_assets.core import errors
from kinetics_assets.core.settings import AudioFeatureRecipe, AudioRecipe
from kinetics_assets.media.client import MediaWorker
from kinetics_assets.media.facts import FeatureFacts
from kinetics_assets.media.log_mel import features, log_mel, mel_filters, mono_sound, window
from kinetics_assets_tests.resources import media

DEFAULT = AudioFeatureRecipe()
BANDS = (0, 4, 5, 20, 43, 60, 79)
BY_LIBROSA = {
    0: (0.53778, 0.70004, 0.66955, 0.33842, 0.18826, 0.09169, 0.02043),
    3: (0.28922, 0.74647, 0.66124, 0.04077, 0.0, 0.0, 0.0),
    8: (0.28888, 0.74647, 0.66123, 0.02511, 0.09942, 0.0, 0.0),
    15: (0.50577, 0.74308, 0.67066, 0.23224, 0.28684, 0.22217, 0.1179),
}
"""Time step -> values at `BANDS` of `two_tones`: librosa 0.11's ``stft`` (its window and padding
given) and ``filters.mel``, then the levels of MMAction2's script."""


def two_tones() -> NDArray[np.float32]:
    """Return a quarter of a second: 300 Hz, and from 0.1 s on 2500 Hz too."""
    seconds = np.arange(4000) / 16_000
    low = 0.4 * np.sin(2 * np.pi * 300 * seconds)
    high = 0.2 * np.sin(2 * np.pi * 2500 * seconds) * (seconds > 0.1)
    return (low + high).astype(np.float32)


def test_the_values_are_those_of_the_libraries_that_the_models_were_trained_with() -> None:
    """Window, padding, filters and levels are MMAction2's, to the digits given."""
    made = features(two_tones(), DEFAULT)
    assert (made.shape, made.dtype) == ((17, 80), np.float32)
    for step, values in BY_LIBROSA.items():
        assert made[step, BANDS] == pytest.approx(values, abs=1e-4)
    assert float(made.mean()) == pytest.approx(0.150031, abs=1e-5)


def test_the_values_are_those_of_the_formula_written_out() -> None:
    """A transform by its sum and triangles by their corners give the same, for other settings."""
    recipe = AudioFeatureRecipe(
        sample_rate_hz=8_000, fft_size=64, hop_size=16, mels=6, lowest_hz=200, highest_hz=3_900
    )
    sound = np.random.default_rng(7).standard_normal(150) * 0.2
    scaled = sound * 0.1 / math.sqrt(sum(x * x for x in sound) / len(sound))
    padded = np.concatenate([np.zeros(48), scaled, np.zeros(64)])
    corners = [_hz(_mel(200) + k * (_mel(3_900) - _mel(200)) / 7) for k in range(8)]
    expected = np.empty((13, 6))
    for step in range(13):
        part = padded[step * 16 : step * 16 + 64]
        spectrum = [
            abs(sum(_weight(n) * part[n] * np.exp(-2j * np.pi * k * n / 64) for n in range(64)))
            for k in range(33)
        ]
        for band in range(6):
            low, centre, high = corners[band : band + 3]
            total = 0.0
            for k, magnitude in enumerate(spectrum):
                hz = k * 8_000 / 64
                slope = (
                    (hz - low) / (centre - low) if hz < centre else (high - hz) / (high - centre)
                )
                total += max(0.0, slope) * 2 / (high - low) * magnitude
            level_db = 20 * math.log10(max(1e-5, total)) - 20
            expected[step, band] = min(1.0, max(0.0, (level_db + 100) / 100))
    assert features(sound, recipe) == pytest.approx(expected, abs=1e-6)


def _weight(number: int) -> float:
    """Return the window of 64 samples, 16 apart: four overlap, whose Hann windows add up to 2."""
    return math.sin(math.pi * (number + 0.5) / 64) / math.sqrt(2)


def _mel(hz: float) -> float:
    """Return Slaney's mels: 15 up to 1 kHz, then 27 for each factor of 6.4."""
    return hz * 15 / 1000 if hz < 1000 else 15 + 27 * math.log(hz / 1000, 6.4)


def _hz(mel: float) -> float:
    """Return the inverse of `_mel`."""
    return mel * 1000 / 15 if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27)


def test_the_default_window_is_a_half_sine() -> None:
    """That is what lws makes of two windows that overlap by half."""
    assert window(512, 256) == pytest.approx(np.sin(np.pi * (np.arange(512) + 0.5) / 512))


def test_every_band_has_its_share_of_the_bins() -> None:
    """No band of the default recipe is empty, and none reaches out of its range."""
    filters = mel_filters(DEFAULT)
    bins_hz = np.arange(257) * 16_000 / 512
    assert filters.shape == (80, 257)
    assert (filters.max(axis=1) > 0).all()
    assert not filters[:, (bins_hz < 125) | (bins_hz > 7600)].any()


def test_loudness_does_not_matter_but_silence_stays_silent() -> None:
    """A clip half as loud has the same features; noise far below hearing is not blown up."""
    sound = two_tones()
    assert features(sound / 2, DEFAULT) == pytest.approx(features(sound, DEFAULT), abs=1e-5)
    assert not features(np.zeros(4000, np.float32), DEFAULT).any()
    assert features(sound * 1e-6, DEFAULT).max() < 0.5
    plain = replace(DEFAULT, loudness=0)
    assert features(sound / 2, plain).max() < features(sound, plain).max()


@pytest.mark.parametrize(("samples", "steps"), [(1, 2), (256, 2), (257, 3), (160_000, 626)])
def test_there_is_a_step_for_every_hop_and_one_more(samples: int, steps: int) -> None:
    """The last samples of a clip are in a window of their own if they fill none."""
    assert len(features(np.ones(samples, np.float32), DEFAULT)) == steps


def test_sound_is_made_mono_by_its_mean_and_keeps_its_length(
    worker: MediaWorker, tmp_path: Path
) -> None:
    """Two seconds at 48 kHz are two seconds at 16 kHz, rounded up, tone and all."""
    video = media.with_audio(tmp_path / "clip.mkv", codec="flac", container="matroska")
    facts = worker.extract_audio(video, tmp_path / "clip.wav", recipe=AudioRecipe())
    sound = mono_sound(tmp_path / "clip.wav", sample_rate_hz=16_000)
    assert (sound.dtype, len(sound)) == (np.float32, facts.samples // 3)
    tone = np.sin(np.arange(len(sound)) * 440 * 2 * np.pi / 16_000)
    assert np.abs(sound - tone)[200:-200].max() < 0.01


@pytest.mark.parametrize("channels", [1, 3, 6, 8])
def test_any_number_of_channels_has_a_mean(channels: int, tmp_path: Path) -> None:
    """Surround sound is mixed as librosa does, by the plain mean, also of eight channels."""
    values = np.arange(1, channels + 1) * 1000
    with wave.open(str(tmp_path / "clip.wav"), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(np.tile(values.astype("<i2"), 500).tobytes())
    sound = mono_sound(tmp_path / "clip.wav", sample_rate_hz=16_000)
    assert sound == pytest.approx(np.full(500, values.mean() / 32768), abs=1e-6)


def test_the_file_holds_what_was_computed(worker: MediaWorker, tmp_path: Path) -> None:
    """A .npy of float32 (steps, mels), loaded without pickle; equal input gives equal bytes."""
    video = media.with_audio(tmp_path / "clip.mp4")
    worker.extract_audio(video, tmp_path / "clip.flac", recipe=AudioRecipe(format="flac"))
    for name in ("one.npy", "two.npy"):
        facts = worker.log_mel(tmp_path / "clip.flac", tmp_path / name, recipe=DEFAULT)
    made = np.load(tmp_path / "one.npy", allow_pickle=False)
    assert facts == FeatureFacts(*made.shape)
    assert (made.dtype, made.shape[1]) == (np.float32, 80)
    assert made.max() <= 1
    assert made.min() >= 0
    assert int(made[60].argmax()) == 8  # of 440 Hz
    assert (tmp_path / "one.npy").read_bytes() == (tmp_path / "two.npy").read_bytes()


def test_a_disk_that_fills_up_is_the_machines_fault(worker: MediaWorker, tmp_path: Path) -> None:
    """The error tells its number and its file, also when the first bytes still found room.

    Cause: NumPy writes to a file by itself, and says "40000 requested and 1984 written" alone.
    """
    video = media.with_audio(tmp_path / "clip.mp4")
    sound, target = tmp_path / "clip.wav", tmp_path / "clip.npy"
    worker.extract_audio(video, sound, recipe=AudioRecipe())
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**11, before[1]))
    try:
        with pytest.raises(OSError, match=r"clip\.npy") as caught:
            log_mel(sound, target, recipe=DEFAULT)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert target.stat().st_size == 2**11
    assert isinstance(errors.environment_fault(caught.value, doing=""), errors.DiskFull)
