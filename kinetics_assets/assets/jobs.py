"""Jobs of a dataset: the lists, the class stages, the file lists."""

from __future__ import annotations

from typing import Any

import dagster as dg

from kinetics_assets.assets.partitions import ARCHIVES, annotations_key, asset_key
from kinetics_assets.core.clips import Split
from kinetics_assets.core.stages import ALL_CLASS_STAGES, CLASS_STAGES, Stage
from kinetics_assets.sources.mirror_archives import has_parts

LABELLED = (Split.TRAIN, Split.VAL)
"""Splits whose partitions are the classes and nothing else."""


def annotations_job_name(dataset: str) -> str:
    """Return the name of the job that gets the lists."""
    return f"{dataset}_annotations"


def prepare_job_name(dataset: str, split: Split) -> str:
    """Return the name of the job that runs the class stages of a split.

    Test has one of its own: its partitions are other ones, and a job has only one set of them.
    """
    return f"{dataset}_prepare" if split in LABELLED else f"{dataset}_prepare_{split}"


def whole_job_name(dataset: str, split: Split) -> str:
    """Return the name of the job that can also run the optional stages of a split."""
    return f"{prepare_job_name(dataset, split)}_whole"


def archives_job_name(dataset: str, split: Split) -> str:
    """Return the name of the job that gets the mirror's parts of a split; each has other parts."""
    return f"{dataset}_archives" if split is Split.TRAIN else f"{dataset}_archives_{split}"


def filelists_job_name(dataset: str) -> str:
    """Return the name of the job that writes the file lists."""
    return f"{dataset}_filelists"


def dataset_jobs(dataset: str) -> list[Any]:
    """Return the jobs of a dataset, of a type that Dagster does not export."""
    return [
        dg.define_asset_job(
            annotations_job_name(dataset),
            selection=[annotations_key(dataset)],
            description=(
                f"Fetches the lists of {dataset} and tells for each class whether its rows changed."
            ),
        ),
        *(_archives_job(dataset, split) for split in Split if has_parts(dataset, split)),
        _prepare_job(dataset, LABELLED),
        _prepare_job(dataset, (Split.TEST,)),
        _whole_job(dataset, LABELLED),
        _whole_job(dataset, (Split.TEST,)),
        dg.define_asset_job(
            filelists_job_name(dataset),
            selection=[asset_key(dataset, split, Stage.FILELISTS) for split in Split],
            description=f"Writes the file lists of all splits of {dataset} from the manifests.",
        ),
    ]


def _archives_job(dataset: str, split: Split) -> Any:  # noqa: ANN401 - Dagster does not export the type
    """Return the job of the mirror's parts of a split, one part per run."""
    return dg.define_asset_job(
        archives_job_name(dataset, split),
        selection=[asset_key(dataset, split, ARCHIVES)],
        description=(
            f"Fetches and unpacks the mirror's archives with {split} clips of {dataset} that mix"
            " classes. Launch it for many parts as a backfill."
        ),
    )


def _prepare_job(dataset: str, splits: tuple[Split, ...]) -> Any:  # noqa: ANN401 - Dagster does not export the type
    """Return the job of all class stages of `splits`, one class per run."""
    return dg.define_asset_job(
        prepare_job_name(dataset, splits[0]),
        selection=[asset_key(dataset, split, stage) for split in splits for stage in CLASS_STAGES],
        description=(
            f"Videos, resized videos, frames and flow of one class of {dataset},"
            f" {' and '.join(splits)}. Launch it for many classes as a backfill."
        ),
    )


def _whole_job(dataset: str, splits: tuple[Split, ...]) -> Any:  # noqa: ANN401 - Dagster does not export the type
    """Return the job of all class stages of `splits`, optional ones too, one class per run."""
    return dg.define_asset_job(
        whole_job_name(dataset, splits[0]),
        selection=[
            asset_key(dataset, split, stage) for split in splits for stage in ALL_CLASS_STAGES
        ],
        description=(
            f"As {prepare_job_name(dataset, splits[0])}, and what else there is: sound, its log-mel"
            " features, shards. Select the assets that you want."
        ),
    )
