"""All assets, checks, jobs, schedules and sensors of one dataset."""

from __future__ import annotations

import dagster as dg

from kinetics_assets.assets.annotations import annotations_asset, class_rows_asset
from kinetics_assets.assets.archives import archives_assets
from kinetics_assets.assets.audio import audio_assets
from kinetics_assets.assets.audio_features import audio_features_assets
from kinetics_assets.assets.automation import automated, automation_sensors
from kinetics_assets.assets.checks import lists_agree_check
from kinetics_assets.assets.exclusions import exclusions_assets
from kinetics_assets.assets.filelists import filelists_asset
from kinetics_assets.assets.flow import flow_assets
from kinetics_assets.assets.jobs import dataset_jobs
from kinetics_assets.assets.rawframes import rawframes_assets
from kinetics_assets.assets.refill import refill_job, refill_schedule
from kinetics_assets.assets.resized import resized_assets
from kinetics_assets.assets.sensors import filelists_sensor
from kinetics_assets.assets.sensors_changed import changed_classes_sensor
from kinetics_assets.assets.sensors_editions import editions_sensor
from kinetics_assets.assets.shards import shards_assets
from kinetics_assets.assets.videos import videos_assets
from kinetics_assets.core.clips import Split
from kinetics_assets.core.settings import Settings


def dataset_definitions(settings: Settings) -> dg.Definitions:
    """Return the definitions of one dataset, in flow order."""
    splits = tuple(Split)
    refill = refill_job(settings)
    jobs = dataset_jobs(settings.dataset)
    assets = [
        annotations_asset(settings),
        *(class_rows_asset(settings, split) for split in splits),
        *(asset for split in splits for asset in archives_assets(settings, split)),
        *videos_assets(settings, splits),
        *resized_assets(settings, splits),
        *rawframes_assets(settings, splits),
        *flow_assets(settings, splits),
        *audio_assets(settings, splits),
        *audio_features_assets(settings, splits),
        *shards_assets(settings, splits),
        *exclusions_assets(settings),
        *(filelists_asset(settings, split) for split in splits),
    ]
    return dg.Definitions(
        assets=automated(settings, assets),
        asset_checks=[lists_agree_check(settings, split) for split in splits],
        jobs=[*jobs, refill],
        schedules=[refill_schedule(settings, refill)],
        sensors=[
            filelists_sensor(settings),
            editions_sensor(settings),
            changed_classes_sensor(settings, jobs),
            *automation_sensors(settings),
        ],
    )
