"""What an output depends on, as short digests.

A row keeps the digest of (input, recipe, tools); when it differs from what would be made now, the
output is stale: never reused, never mixed. Tools enter with their major version only, so that a
patch release of a decoder does not make terabytes stale; full versions are in the row's `tools`.
"""

from __future__ import annotations

from dataclasses import asdict, is_dataclass
from functools import lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING

from kinetics_assets.core.settings import digest
from kinetics_assets.core.stages import Stage

if TYPE_CHECKING:
    from kinetics_assets.core.settings import Settings

_REVISION = {
    Stage.VIDEOS: 1,
    Stage.RESIZED: 4,
    Stage.RAWFRAMES: 4,
    Stage.FLOW: 1,
    Stage.AUDIO: 1,
    Stage.AUDIO_FEATURES: 1,
    Stage.SHARDS: 1,
}
"""Raised by hand when our own code makes other bytes from the same input and recipe.

Of videos not where only rare clips change: all that were cut would be fetched anew, often in vain.
"""
_TOOLS = {
    Stage.VIDEOS: ("av",),
    Stage.RESIZED: ("av",),
    Stage.RAWFRAMES: ("av", "simplejpeg"),
    Stage.FLOW: ("av", "simplejpeg"),
    Stage.AUDIO: ("av",),
    Stage.AUDIO_FEATURES: ("av", "numpy"),
}


def recipe_digest(stage: Stage, settings: Settings, *extra: str) -> str:
    """Return the digest of everything but the input that decides a stage's output bytes.

    Args:
        stage: The stage.
        settings: Of the dataset.
        extra: What else decides the bytes: for flow, the resolved engine and its profile.
    """
    return _digest(stage, _recipe(stage, settings), extra)


def recipe_facts(stage: Stage, settings: Settings) -> dict[str, object]:
    """Return in plain values what `recipe_digest` digests, for people who trace an output."""
    parts = _recipe(stage, settings)
    values = [asdict(p) if is_dataclass(p) and not isinstance(p, type) else p for p in parts]
    return {
        "revision": _REVISION.get(stage, 1),
        "tools": {tool: version(tool).split(".")[0] for tool in _TOOLS.get(stage, ())},
        "settings": values,
    }


def output_digest(recipe: str, input_sha256: str) -> str:
    """Return the digest that an output of `recipe` made from this input has.

    The recipe's digest stays readable in front, so that a whole manifest can be checked for stale
    rows without its inputs.
    """
    return f"{recipe}.{input_sha256[:16]}"


def recipe_of(row_digest: str) -> str:
    """Return the recipe's digest in an output's digest."""
    return row_digest.partition(".")[0]


def _recipe(stage: Stage, settings: Settings) -> tuple[object, ...]:
    """Return the settings that decide the output bytes of `stage`."""
    frames, lists = settings.rawframes, settings.filelists
    size = (frames.size, frames.upscale, frames.start_index, frames.jpeg_quality)
    return {
        Stage.ANNOTATIONS: (),
        Stage.VIDEOS: (settings.videos,),
        Stage.RESIZED: (settings.resized.effective(),),
        Stage.RAWFRAMES: (*size, frames.scaling, frames.also_sizes),
        Stage.FLOW: (*size, settings.flow.bound_px),
        Stage.AUDIO: (settings.audio,),
        Stage.AUDIO_FEATURES: (settings.audio_features,),
        Stage.SHARDS: (settings.shards,),
        Stage.FILELISTS: (lists.videos_from, lists.shuffle, lists.seed),
    }[stage]


@lru_cache(maxsize=64)
def _digest(stage: Stage, recipe: tuple[object, ...], extra: tuple[str, ...]) -> str:
    """Return the digest of a recipe; it is asked for with every row, and versions are in files."""
    tools = [f"{tool} {version(tool).split('.')[0]}" for tool in _TOOLS.get(stage, ())]
    return digest(stage, _REVISION.get(stage, 1), tools, *recipe, *extra)
