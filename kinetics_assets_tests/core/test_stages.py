"""Stages: their names, those that run per class, and what each reads."""

from __future__ import annotations

import pytest

from kinetics_assets.core.stages import (
    ALL_CLASS_STAGES,
    CLASS_STAGES,
    OPTIONAL_STAGES,
    Stage,
    input_of,
)


def test_the_stages_are_those_of_the_graph() -> None:
    """Names and order of the stages are fixed: they are folders, assets and manifests too."""
    assert [stage.value for stage in Stage] == [
        "annotations",
        "videos",
        "resized",
        "rawframes",
        "flow",
        "audio",
        "audio_features",
        "shards",
        "filelists",
    ]


def test_class_stages_are_in_graph_order() -> None:
    """The stages with manifests keep the order of the graph, the optional ones at the end."""
    assert list(ALL_CLASS_STAGES) == [stage for stage in Stage if stage in ALL_CLASS_STAGES]
    assert (len(CLASS_STAGES), ALL_CLASS_STAGES) == (4, CLASS_STAGES + OPTIONAL_STAGES)


@pytest.mark.parametrize("frames_from", [Stage.VIDEOS, Stage.RESIZED])
def test_sound_is_made_from_the_original_whatever_frames_are_made_from(frames_from: Stage) -> None:
    """Resized clips may have lost their sound, so no setting leads from them to it."""
    inputs = {stage: input_of(stage, frames_from=frames_from) for stage in ALL_CLASS_STAGES}
    assert inputs == {
        Stage.VIDEOS: None,
        Stage.RESIZED: Stage.VIDEOS,
        Stage.RAWFRAMES: frames_from,
        Stage.FLOW: frames_from,
        Stage.AUDIO: Stage.VIDEOS,
        Stage.AUDIO_FEATURES: Stage.AUDIO,
        Stage.SHARDS: Stage.RAWFRAMES,
    }
