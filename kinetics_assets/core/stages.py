"""The stages of the graph; each name is also a module, a folder and an asset."""

from __future__ import annotations

from enum import StrEnum


class Stage(StrEnum):
    """One step of the way from a list to a training-ready dataset."""

    ANNOTATIONS = "annotations"
    VIDEOS = "videos"
    RESIZED = "resized"
    RAWFRAMES = "rawframes"
    FLOW = "flow"
    AUDIO = "audio"
    AUDIO_FEATURES = "audio_features"
    SHARDS = "shards"
    FILELISTS = "filelists"


CLASS_STAGES = (Stage.VIDEOS, Stage.RESIZED, Stage.RAWFRAMES, Stage.FLOW)
"""Stages that run per class and keep a manifest, in graph order: those made by default."""
SOUND_STAGES = (Stage.AUDIO, Stage.AUDIO_FEATURES)
"""What is made of sound."""
OPTIONAL_STAGES = (*SOUND_STAGES, Stage.SHARDS)
"""Stages that run per class, keep a manifest, and run only where they are named."""
ALL_CLASS_STAGES = (*CLASS_STAGES, *OPTIONAL_STAGES)


def input_of(stage: Stage, *, frames_from: Stage) -> Stage | None:
    """Return the class stage whose outputs `stage` reads, None for the first.

    Args:
        stage: One of `ALL_CLASS_STAGES`.
        frames_from: What frames and flow are made from, by the settings.
    """
    if stage in {Stage.RAWFRAMES, Stage.FLOW}:
        return frames_from
    return {
        Stage.RESIZED: Stage.VIDEOS,
        Stage.AUDIO: Stage.VIDEOS,  # never the resized ones: the original holds all its sound
        Stage.AUDIO_FEATURES: Stage.AUDIO,
        Stage.SHARDS: Stage.RAWFRAMES,
    }.get(stage)


DECODERS = (Stage.RESIZED, Stage.RAWFRAMES, Stage.FLOW)
"""Stages that decode the same videos. In one run the first does it for those behind it too."""


def earlier_decoders(stage: Stage) -> tuple[Stage, ...]:
    """Return the stages that may decode for `stage`."""
    return DECODERS[: DECODERS.index(stage)] if stage in DECODERS else ()


def later_decoders(stage: Stage) -> tuple[Stage, ...]:
    """Return the stages that `stage` may decode for."""
    return DECODERS[DECODERS.index(stage) + 1 :] if stage in DECODERS else ()
