"""Settings as values: frozen, described, digested, each in its range."""

from __future__ import annotations

import inspect
from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path
from typing import Any, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinetics_assets.core import settings as module
from kinetics_assets.core.errors import SettingsError
from kinetics_assets.core.setting_rules import _RULES, validate
from kinetics_assets.core.settings import (
    FrameRecipe,
    ListSettings,
    ResizeRecipe,
    Settings,
    StorageSettings,
    digest,
)

TABLES = {
    name: hint for name, hint in get_type_hints(Settings).items() if name not in {"root", "dataset"}
}
PLAIN = Settings(root=Path("/data"), dataset="demo")


def _with(table: str, **changes: Any) -> Settings:  # noqa: ANN401 - any field
    """Return plain settings with `changes` in one table."""
    return replace(PLAIN, **{table: replace(getattr(PLAIN, table), **changes)})


def test_the_defaults_are_valid() -> None:
    """Nobody has to write a settings file."""
    assert validate(PLAIN) is PLAIN


def test_every_number_has_a_range() -> None:
    """A number that is added without a range would be taken at any value."""
    numbers = {
        f"{table}.{name}"
        for table, hint in TABLES.items()
        for name, kind in get_type_hints(hint).items()
        if kind in {int, float}
    }
    assert numbers <= set(_RULES)


def test_every_rule_is_of_a_field() -> None:
    """A rule of a field that is gone would hold nothing."""
    known = {f"{table}.{f.name}" for table, hint in TABLES.items() for f in fields(hint)}
    assert set(_RULES) <= known


def test_every_field_is_described() -> None:
    """Each field of each table has a docstring under it."""
    source = inspect.getsource(module)
    for hint in TABLES.values():
        body = source.split(f"class {hint.__name__}:")[1].split("\n@dataclass")[0]
        lines = body.splitlines()
        for f in fields(hint):
            (start,) = (n for n, line in enumerate(lines) if line.startswith(f"    {f.name}:"))
            following = next(n for n in range(start, len(lines)) if '"""' in lines[n])
            assert all(
                not line.startswith("    ") or line.startswith("     ") or line == "    )"
                for line in lines[start + 1 : following]
            ), f"{hint.__name__}.{f.name} has no description"


@pytest.mark.parametrize(
    ("table", "field", "bad"),
    [
        ("limits", "workers", -1),
        ("resized", "crf", 52),
        ("resized", "crf", -1),
        ("resized", "short_side_px", 255),
        ("resized", "short_side_px", 0),
        ("resized", "preset", "fastest"),
        ("rawframes", "jpeg_quality", 0),
        ("rawframes", "jpeg_quality", 101),
        ("rawframes", "start_index", 2),
        ("rawframes", "size", "256p"),
        ("rawframes", "size", "340x"),
        ("audio", "sample_rate_hz", 1),
        ("audio", "channels", 3),
        ("audio_features", "fft_size", 511),
        ("audio_features", "loudness", -0.1),
        ("flow", "bound_px", 0.0),
        ("flow", "bound_px", float("nan")),
        ("flow", "bound_px", float("inf")),
        ("thresholds", "min_completeness", 1.01),
        ("thresholds", "min_completeness", float("nan")),
        ("sources", "youtube_url", "https://example.org/{name}"),
        ("sources", "youtube_url", "https://example.org/{id"),
        ("sources", "youtube_url", "https://example.org/"),
        ("sources", "loopback_hosts", ("10.0.0.1:80",)),
        ("sources", "order", ()),
        ("annotations", "official_url", "https://example.org/{split}"),
    ],
)
def test_a_value_out_of_range_is_named(table: str, field: str, bad: Any) -> None:  # noqa: ANN401 - any value
    """The message has the place, the value, and what is allowed."""
    with pytest.raises(SettingsError) as caught:
        validate(_with(table, **{field: bad}), where="kinetics.toml")
    assert f"kinetics.toml: {table}.{field} is {bad!r}." in caught.value.message
    assert caught.value.remedy.startswith("Allowed: ")


@pytest.mark.parametrize("size", ["original", "256", "340x256"])
def test_frame_sizes_have_three_forms(size: str) -> None:
    """A short side, a fixed size, or none."""
    assert validate(_with("rawframes", size=size)).rawframes.size == size


def test_a_shuffle_needs_a_seed() -> None:
    """An order that nobody can have again is refused."""
    with pytest.raises(SettingsError, match="without a seed"):
        validate(_with("filelists", shuffle=True))
    assert validate(_with("filelists", shuffle=True, seed=0)).filelists == ListSettings(
        shuffle=True, seed=0
    )


def test_further_sizes_are_loose_and_under_the_root() -> None:
    """What cannot be had is refused with the setting that stands against it."""
    more = _with("rawframes", also_sizes=("320", "340x256"))
    assert validate(more).rawframes.also_sizes == ("320", "340x256")
    for table in (StorageSettings(packing="tar"), StorageSettings(rawframes_folder=Path("/disk"))):
        with pytest.raises(SettingsError, match=r"also_sizes is set, and storage\."):
            validate(replace(more, storage=table))
    with pytest.raises(SettingsError, match="repeats"):
        validate(_with("rawframes", also_sizes=("256",)))
    for bad in (("320", "320"), ("0",), ("../x",)):
        with pytest.raises(SettingsError, match="each once"):
            validate(_with("rawframes", also_sizes=bad))


@pytest.mark.parametrize(
    "values",
    [
        {"hop_size": 513},
        {"highest_hz": 8001.0},
        {"lowest_hz": 300.0, "highest_hz": 300.0},
        {"sample_rate_hz": 8000},
    ],
)
def test_bands_and_windows_of_sound_must_fit_each_other(values: dict[str, Any]) -> None:
    """No band above what the sample rate can hold, no sample between two windows."""
    with pytest.raises(SettingsError, match="audio_features"):
        validate(_with("audio_features", **values))


def test_settings_are_frozen() -> None:
    """No step can change what another one reads."""
    with pytest.raises(FrozenInstanceError):
        PLAIN.flow.bound_px = 3.0  # type: ignore[misc] # what is tested


def test_the_named_recipe_fixes_its_values() -> None:
    """`mmaction2` keeps the size and takes everything else from that script."""
    mine = ResizeRecipe(recipe="mmaction2", short_side_px=320, crf=1, keep_audio=True)
    fixed = mine.effective()
    assert (fixed.short_side_px, fixed.crf, fixed.keep_audio, fixed.upscale) == (
        320,
        23,
        False,
        True,
    )
    assert ResizeRecipe(crf=1).effective() == ResizeRecipe(crf=1)
    assert fixed.effective() == fixed


def test_the_folder_tells_size_and_density() -> None:
    """The folder of resized clips says what is in it, as the field names it."""
    assert ResizeRecipe().folder_suffix == "256p_dense_cache"
    assert ResizeRecipe(short_side_px=320, gop=250).folder_suffix == "320p_cache"


def test_a_digest_is_stable_across_processes() -> None:
    """A code version must not change with the run, or everything is stale."""
    assert digest({"b": 1, "a": [2.5]}, "x") == "9f3feceeadfeb5d5"


@given(st.integers(1, 100), st.integers(1, 100))
def test_a_digest_tells_recipes_apart(one: int, other: int) -> None:
    """Equal recipes have equal digests, other recipes other ones."""
    same = digest(FrameRecipe(jpeg_quality=one)) == digest(FrameRecipe(jpeg_quality=other))
    assert same == (one == other)


def test_settings_hold_only_types_that_a_file_can_give() -> None:
    """Each field's type is one that the settings file knows how to read."""
    from kinetics_assets.core.setting_values import allowed

    for hint in TABLES.values():
        for kind in get_type_hints(hint).values():
            assert allowed(kind), get_origin(kind)
