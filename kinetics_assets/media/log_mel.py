"""Log-mel features of a clip's sound, by the formula that MMAction2's audio models were trained on.

With the default recipe, for mono sound x at 16 kHz (its ``build_audio_features.py``, which takes
the transform of lws and the filters of librosa):

1. loudness: x * 0.1 / max(1e-4, rms(x))
2. transform: windows of 512 samples, one each 256, the first with 256 zeros in front, the last
   filled up with zeros; window ``sin(pi (n + 1/2) / 512)``; magnitudes of the FFT, not scaled. For
   other hops the window is the root of Hann's over the sum of all that overlap (lws with
   ``perfectrec``). Time steps: ceil(samples / 256) + 1
3. filters: 80 triangles between 125 and 7600 Hz on Slaney's mel scale, each of area 1 (librosa)
4. level: clip((20 log10(max(1e-5, m)) - 20 + 100) / 100, 0, 1)

Sound is resampled by libswresample where MMAction2 had librosa's resampler of the day. NumPy alone
gives the values of lws and librosa to seven digits: lws comes as source only, and librosa is 20
packages whose first transform takes a new process many seconds.
"""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any

from kinetics_assets.core.errors import EncodeFailed, NoAudio
from kinetics_assets.media.audio_file import resampled
from kinetics_assets.media.facts import FeatureFacts
from kinetics_assets.media.naming import naming
from kinetics_assets.media.sound import sound_of_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from kinetics_assets.core.settings import AudioFeatureRecipe

    Floats = npt.NDArray[np.floating[Any]]

_SILENCE_RMS = 1e-4
"""Quieter sound is not amplified further."""
_LINEAR_BELOW_HZ = 1000.0
_HZ_PER_MEL = 200.0 / 3.0
_LOG_STEP = math.log(6.4) / 27.0
_WINDOWS_AT_A_TIME = 1024


def log_mel(source: Path, target: Path, *, recipe: AudioFeatureRecipe) -> FeatureFacts:
    """Write the features of the sound file at `source` as a .npy; return what is in it.

    Raises:
        ClipError: The source is at fault.
        EncodeFailed: The result is not what was to be written.
        OSError: A file cannot be read or written.
    """
    import numpy as np

    made = features(mono_sound(source, sample_rate_hz=recipe.sample_rate_hz), recipe)
    data = io.BytesIO()  # to a file NumPy writes by itself, and loses the number of an error
    np.save(data, made, allow_pickle=False)
    with naming(target), target.open("wb") as file:
        file.write(data.getbuffer())
    there = np.load(target, allow_pickle=False)
    if there.dtype != np.float32 or not np.array_equal(there, made):
        raise EncodeFailed("What is in the file is not what was written.")
    steps, mels = there.shape
    return FeatureFacts(steps, mels)


def mono_sound(path: Path, *, sample_rate_hz: int) -> Floats:
    """Return the mean of all channels of a sound file, resampled: float32, -1 to 1.

    Its length is that of the file times the ratio of the rates, rounded up.

    Raises:
        ClipError: The file is damaged, or holds too little to be resampled.
        OSError: It cannot be read.
    """
    import numpy as np

    length = [0.0]

    def counted(frames: Iterator[Any]) -> Iterator[Any]:
        for frame in frames:
            length[0] += frame.samples * sample_rate_hz / frame.sample_rate
            yield frame

    with sound_of_file(path) as frames:
        parts = [
            frame.to_ndarray().reshape(-1, frame.layout.nb_channels).mean(axis=1, dtype=np.float32)
            for frame in resampled(
                counted(frames),
                sample_format="flt",  # channels side by side: PyAV has no planes of more than seven
                sample_rate_hz=sample_rate_hz,
            )
        ]
    if not parts:
        raise NoAudio("The sound is too short to be resampled.")
    sound = np.concatenate(parts)
    samples = math.ceil(length[0] - 1e-6)
    return np.pad(sound[:samples], (0, max(0, samples - len(sound))))


def features(sound: Floats, recipe: AudioFeatureRecipe) -> Floats:
    """Return the log-mel features of mono `sound`: float32, (time steps, mels), 0 to 1.

    Raises:
        EncodeFailed: A value is not a number.
    """
    import numpy as np

    if recipe.loudness:
        rms = math.sqrt(float(np.mean(np.square(sound, dtype=np.float64))))
        sound = sound * (recipe.loudness / max(_SILENCE_RMS, rms))
    weights = window(recipe.fft_size, recipe.hop_size)
    filters = mel_filters(recipe).T
    windows = _windows(sound, recipe.fft_size, recipe.hop_size)
    made = np.empty((len(windows), recipe.mels), np.float32)
    floor = 10 ** (-recipe.range_db / 20)
    for start in range(0, len(windows), _WINDOWS_AT_A_TIME):
        part = slice(start, start + _WINDOWS_AT_A_TIME)
        magnitudes = np.abs(np.fft.rfft(windows[part] * weights))
        level_db = 20 * np.log10(np.maximum(floor, magnitudes @ filters)) - recipe.reference_db
        made[part] = np.clip((level_db + recipe.range_db) / recipe.range_db, 0, 1)
    if not np.isfinite(made).all():
        raise EncodeFailed("The sound has samples that are no numbers.")
    return made


def window(size: int, hop: int) -> Floats:
    """Return the root of Hann's window over the sum of those that overlap, `hop` apart."""
    import numpy as np

    hann = 0.5 * (1 - np.cos(2 * np.pi * (np.arange(size) + 0.5) / size))
    rows = -(-size // hop)
    overlap = np.pad(hann, (0, rows * hop - size)).reshape(rows, hop).sum(axis=0)
    return np.sqrt(hann / np.tile(overlap, rows)[:size])


def mel_filters(recipe: AudioFeatureRecipe) -> Floats:
    """Return the weight of each FFT bin in each band, (mels, bins)."""
    import numpy as np

    bins_hz = np.fft.rfftfreq(recipe.fft_size, 1 / recipe.sample_rate_hz)
    ends = _mel(recipe.lowest_hz), _mel(recipe.highest_hz)
    corners_hz = np.array([_hz(mel) for mel in np.linspace(*ends, recipe.mels + 2)])
    low, centre, high = (corners_hz[k : k + recipe.mels, None] for k in range(3))
    rising, falling = (bins_hz - low) / (centre - low), (high - bins_hz) / (high - centre)
    return np.maximum(0, np.minimum(rising, falling)) * (2 / (high - low))


def _windows(sound: Floats, size: int, hop: int) -> Floats:
    """Return overlapping windows of `sound`, (windows, size), each with a part of it."""
    import numpy as np

    lead = size - (size % hop or hop)
    steps = -(-(lead + len(sound)) // hop)
    padded = np.pad(sound, (lead, (steps - 1) * hop + size - lead - len(sound)))
    return np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]


def _mel(hz: float) -> float:
    """Return a frequency on Slaney's mel scale: linear below 1 kHz, logarithmic above."""
    if hz < _LINEAR_BELOW_HZ:
        return hz / _HZ_PER_MEL
    return _LINEAR_BELOW_HZ / _HZ_PER_MEL + math.log(hz / _LINEAR_BELOW_HZ) / _LOG_STEP


def _hz(mel: float) -> float:
    """Return the frequency of a point on Slaney's mel scale."""
    bend = _LINEAR_BELOW_HZ / _HZ_PER_MEL
    if mel < bend:
        return mel * _HZ_PER_MEL
    return _LINEAR_BELOW_HZ * math.exp(_LOG_STEP * (mel - bend))
