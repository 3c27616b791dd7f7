"""Ranges and forms of settings that a type cannot say."""

from __future__ import annotations

import math
import re
from string import Formatter
from typing import TYPE_CHECKING, Any

from kinetics_assets.core.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from kinetics_assets.core.settings import AudioFeatureRecipe, Settings

_PRESETS = (
    "ultrafast",
    "superfast",
    "veryfast",
    "faster",
    "fast",
    "medium",
    "slow",
    "slower",
    "veryslow",
)
_SIZE = re.compile(r"original|[1-9][0-9]{0,4}(x[1-9][0-9]{0,4})?", re.ASCII)
_PROXY = re.compile(r"https?://([^\s/@]+@)?[A-Za-z0-9.\[\]:-]+:[0-9]{1,5}/?", re.ASCII)
_SECRET = frozenset({"sources.youtube_proxy"})
_LOOPBACK = re.compile(r"(127\.0\.0\.1|localhost|\[::1\]):[0-9]{1,5}", re.ASCII)


def validate(settings: Settings, *, where: str = "settings") -> Settings:
    """Return `settings` if every value is in its range.

    Args:
        settings: As read.
        where: The file, for the message.

    Raises:
        SettingsError: names the first value that is not, and what is allowed.
    """
    for name, (is_good, allowed) in _RULES.items():
        table, field = name.split(".")
        value = getattr(getattr(settings, table), field)
        if not is_good(value):
            shown = "not usable (and not shown)" if name in _SECRET else repr(value)
            raise SettingsError(f"{where}: {name} is {shown}.", remedy=f"Allowed: {allowed}.")
    if settings.filelists.shuffle and settings.filelists.seed is None:
        raise SettingsError(
            f"{where}: filelists.shuffle is set without a seed.",
            remedy="Set filelists.seed to any whole number, so that the order can be had again.",
        )
    _check_sound(settings.audio_features, where=where)
    _check_sizes(settings, where=where)
    return settings


def _check_sizes(settings: Settings, *, where: str) -> None:
    """Raise `SettingsError` when frames of further sizes do not fit other settings."""
    recipe, storage = settings.rawframes, settings.storage
    if recipe.size in recipe.also_sizes:
        raise SettingsError(
            f"{where}: rawframes.also_sizes repeats rawframes.size, {recipe.size!r}.",
            remedy="Leave it out: frames of that size are made already.",
        )
    if recipe.also_sizes and storage.packing != "none":
        raise SettingsError(
            f"{where}: rawframes.also_sizes is set, and storage.packing is {storage.packing!r}.",
            remedy="Only loose frames can have several sizes: set storage.packing to none, or"
            " make each size in a dataset folder (KINETICS_ROOT) of its own.",
        )
    if recipe.also_sizes and storage.rawframes_folder is not None:
        raise SettingsError(
            f"{where}: rawframes.also_sizes is set, and storage.rawframes_folder too.",
            remedy="Frames of several sizes lie under the root: drop one of the two, or put the"
            " root on the other disk.",
        )


def _check_sound(recipe: AudioFeatureRecipe, *, where: str) -> None:
    """Raise `SettingsError` when values of the table do not fit each other."""
    if recipe.hop_size > recipe.fft_size:
        raise SettingsError(
            f"{where}: audio_features.hop_size {recipe.hop_size} is more than the"
            f" {recipe.fft_size} samples of a window.",
            remedy="Set it to fft_size or less, so that no sample is left out.",
        )
    half_hz = recipe.sample_rate_hz / 2
    if not recipe.lowest_hz < recipe.highest_hz <= half_hz:
        raise SettingsError(
            f"{where}: audio_features has bands from {recipe.lowest_hz:g} to"
            f" {recipe.highest_hz:g} Hz.",
            remedy=f"Allowed: lowest_hz below highest_hz, and that at most {half_hz:g},"
            " half of sample_rate_hz.",
        )


_Rule = tuple["Callable[[Any], bool]", str]


def _between(low: float, high: float) -> _Rule:
    """Return the rule low <= value <= high; nan is outside."""
    return (lambda value: low <= value <= high), f"{low:g} to {high:g}"


def _at_least(low: float) -> _Rule:
    """Return the rule low <= value, finite."""
    return (lambda value: low <= value < math.inf), f"{low:g} or more"


def _above_zero() -> _Rule:
    """Return the rule 0 < value, finite."""
    return (lambda value: 0 < value < math.inf), "more than 0"


def _one_of(*choices: object) -> _Rule:
    """Return the rule that the value is one of `choices`."""
    return (lambda value: value in choices), " or ".join(str(choice) for choice in choices)


def _if_set(rule: _Rule) -> _Rule:
    """Return the `rule` for a value that may also be None."""
    is_good, allowed = rule
    return (lambda value: value is None or is_good(value)), allowed


def _address(*needed: str, optional: tuple[str, ...] = ()) -> _Rule:
    """Return the rule that a text has the placeholders `needed` and no others but `optional`."""
    text = " and ".join(f"{{{name}}}" for name in (*needed, *optional)) or "none"

    def is_good(value: str) -> bool:
        try:
            found = {name for _, name, _, _ in Formatter().parse(value) if name is not None}
        except ValueError:
            return False
        return set(needed) <= found <= {*needed, *optional}

    return is_good, f"an address whose placeholders are {text}"


_RULES: dict[str, _Rule] = {
    "annotations.source": (
        bool,
        "official, official_delta, backup, crawler, cvdf, a path or a URL",
    ),
    "annotations.min_share": _between(0, 1),
    "annotations.watch_hours": _at_least(0.01),
    "annotations.official_url": _address(optional=("dataset",)),
    "annotations.backup_url": _address("split", optional=("dataset",)),
    "annotations.crawler_url": _address("split", optional=("version",)),
    "annotations.cvdf_url": _address("file", optional=("version",)),
    "videos.trim_preset": _one_of(*_PRESETS),
    "videos.trim_crf": _between(0, 51),
    "videos.min_frames": _at_least(1),
    "videos.min_duration_share": _between(0, 1),
    "sources.order": (bool, "at least one source"),
    "sources.youtube_url": _address("id", optional=("start", "end")),
    "sources.mirror_url": _address(),
    "sources.torrent_seed_ratio": _at_least(0),
    "sources.torrent_seed_minutes": _at_least(0),
    "sources.torrent_upload_kib": _at_least(0),
    "sources.torrent_download_kib": _at_least(0),
    "sources.youtube_height_px": _at_least(1),
    "sources.youtube_interval_seconds": _at_least(0),
    "sources.youtube_proxy": (
        lambda value: not value or bool(_PROXY.fullmatch(value)),
        "http://[user:password@]host:port",
    ),
    "sources.youtube_whole_minutes": _above_zero(),
    "sources.max_wait_seconds": _at_least(0),
    "sources.pause_minutes": _at_least(0),
    "sources.mass_failure_share": _between(0, 1),
    "sources.mass_failure_least": _at_least(1),
    "sources.loopback_hosts": (
        lambda hosts: all(_LOOPBACK.fullmatch(host) for host in hosts),
        "127.0.0.1:PORT, localhost:PORT or [::1]:PORT",
    ),
    "sources.retry_hours": _at_least(0),
    "sources.timeout_seconds": _above_zero(),
    "sources.connections": _at_least(1),
    "sources.max_source_bytes": _at_least(1),
    "resized.short_side_px": (
        lambda value: 2 <= value <= 8192 and value % 2 == 0,
        "an even number from 2 to 8192",
    ),
    "resized.gop": _at_least(1),
    "resized.preset": _if_set(_one_of(*_PRESETS)),
    "resized.crf": _if_set(_between(0, 51)),
    "rawframes.size": (
        lambda value: bool(_SIZE.fullmatch(value)),
        'a short side ("256"), a fixed size ("340x256") or "original"',
    ),
    "rawframes.also_sizes": (
        lambda sizes: all(map(_SIZE.fullmatch, sizes)) and len(set(sizes)) == len(sizes),
        'sizes like "320", "340x256" and "original", each once',
    ),
    "rawframes.start_index": _one_of(0, 1),
    "rawframes.jpeg_quality": _between(1, 100),
    "flow.engine": (bool, "auto or the name of an engine"),
    "flow.bound_px": _above_zero(),
    "audio.sample_rate_hz": (
        lambda value: value == 0 or 4_000 <= value <= 384_000,
        "0 (as the source) or 4000 to 384000",
    ),
    "audio.channels": _one_of(0, 1, 2),
    "audio_features.sample_rate_hz": _between(4_000, 384_000),
    "audio_features.fft_size": (
        lambda value: 16 <= value <= 65_536 and value % 2 == 0,
        "an even number from 16 to 65536",
    ),
    "audio_features.hop_size": _at_least(1),
    "audio_features.mels": _between(1, 1024),
    "audio_features.lowest_hz": _at_least(0),
    "audio_features.highest_hz": _above_zero(),
    "audio_features.loudness": _between(0, 1),
    "audio_features.reference_db": _between(-200, 200),
    "audio_features.range_db": _between(1, 400),
    "shards.clips": _between(1, 10_000),
    "filelists.min_share": _between(0, 1),
    "filelists.exclude": (all, "paths or DATASET/SPLIT, none of them empty"),
    "filelists.exclude_from": (bool, "one or more of train, val, test"),
    "thresholds.min_completeness": _between(0, 1),
    "limits.workers": _at_least(0),
    "limits.gpu_devices": (all, "names of GPUs, none of them empty"),
    "limits.gpu_slots": _at_least(1),
    "limits.clip_wall_seconds": _above_zero(),
    "limits.clip_cpu_seconds": _at_least(1),
    "limits.memory_bytes": _at_least(1),
    "limits.max_output_bytes": _at_least(1),
    "limits.max_side_px": _at_least(2),
    "limits.max_frames": _at_least(1),
    "limits.min_free_bytes": _at_least(0),
    "limits.ahead_bytes": _at_least(0),
}
