"""Which job does which stage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kinetics_assets.core.stages import Stage
from kinetics_assets.stages.audio import AudioJob
from kinetics_assets.stages.audio_features import AudioFeaturesJob
from kinetics_assets.stages.flow import FlowJob
from kinetics_assets.stages.rawframes import RawframesJob
from kinetics_assets.stages.resized import ResizedJob
from kinetics_assets.stages.shards import ShardsJob
from kinetics_assets.stages.videos import VideosJob

if TYPE_CHECKING:
    from collections.abc import Callable

    from kinetics_assets.stages.job import StageJob
    from kinetics_assets.stages.order import ClassOrder

_JOBS: dict[Stage, Callable[[ClassOrder], StageJob]] = {
    Stage.VIDEOS: VideosJob,
    Stage.RESIZED: ResizedJob,
    Stage.RAWFRAMES: RawframesJob,
    Stage.FLOW: FlowJob,
    Stage.AUDIO: AudioJob,
    Stage.AUDIO_FEATURES: AudioFeaturesJob,
    Stage.SHARDS: ShardsJob,
}


def job_for(stage: Stage, order: ClassOrder) -> StageJob:
    """Return the job that does a class stage."""
    return _JOBS[stage](order)
