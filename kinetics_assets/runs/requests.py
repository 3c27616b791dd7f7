"""What a run is asked to do, how it ended, and the Dagster job that does it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kinetics_assets.assets.jobs import (
    annotations_job_name,
    archives_job_name,
    filelists_job_name,
    prepare_job_name,
    whole_job_name,
)
from kinetics_assets.assets.partitions import ARCHIVES, annotations_key, asset_key, partition_of
from kinetics_assets.core.clips import Split
from kinetics_assets.core.errors import InternalError
from kinetics_assets.core.stages import ALL_CLASS_STAGES, OPTIONAL_STAGES, Stage
from kinetics_assets.runs.worker import WorkOrder

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Any

    import dagster as dg

REQUEST_TAG = ".dagster/kinetics_request"
"""Tag of a run, hidden in the UI: the request it came from."""
_REPOSITORY_TAG = {".dagster/repository": "__repository__@kinetics_assets"}
"""Ties a run to the jobs of workspace.yaml's code location in the UI."""


@dataclass(frozen=True, slots=True)
class RunRequest:
    """One run: stages of one class, or a stage that knows no classes."""

    dataset: str
    label: str | None
    """Class; empty for unlabelled test rows; None for annotations, archives and file lists."""
    targets: tuple[tuple[Split, Stage | str], ...]
    """What to materialise; the split of annotations does not matter."""
    retry_now: bool = False
    """Also try clips that failed for good or whose pause is not over."""
    part: str | None = None
    """Archive, for a run of archives that are partitioned."""


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """How a run ended."""

    request: RunRequest
    run_id: str | None
    """None when the worker ended before it made a run."""
    succeeded: bool
    failure: str = ""
    """Why it did not succeed, for a person; one paragraph per failed step."""


def parts_of(request: RunRequest) -> list[RunRequest]:
    """Return `request` as requests that each fit one job."""
    by_job: dict[str, list[tuple[Split, Stage | str]]] = {}
    for split, stage in request.targets:
        job = _job_of(request.dataset, ((split, stage),))
        if stage in ALL_CLASS_STAGES:  # optional ones do not part them, they read the others
            job = prepare_job_name(request.dataset, split)
        by_job.setdefault(job, []).append((split, stage))
    return [replace(request, targets=tuple(targets)) for targets in by_job.values()]


def order_of(request: RunRequest, *, home: Path, token: str) -> WorkOrder:
    """Return what the worker of a request has to do.

    Raises:
        InternalError: The request names a class for a stage that knows none, or the reverse.
    """
    by_class = {stage in ALL_CLASS_STAGES for _, stage in request.targets}
    if by_class != {request.label is not None}:
        raise InternalError(f"{request} mixes stages with and without classes.")
    keys = [target_key(request.dataset, split, stage) for split, stage in request.targets]
    tags = {REQUEST_TAG: token, **_REPOSITORY_TAG}
    if request.label is not None:
        tags["dagster/partition"] = partition_of(request.label)
    if request.part is not None:
        tags["dagster/partition"] = request.part
    config: dict[str, Any] = {}
    if request.retry_now and request.label is not None:
        options = {"config": {"retry_now": True}}
        config = {"ops": {key.to_python_identifier(): options for key in keys}}
    return WorkOrder(
        home=str(home),
        job=_job_of(request.dataset, request.targets),
        keys=[list(key.path) for key in keys],
        tags=tags,
        run_config=config,
    )


def target_key(dataset: str, split: Split, stage: Stage | str) -> dg.AssetKey:
    """Return the asset of a target; annotations have no split."""
    if stage is Stage.ANNOTATIONS:
        return annotations_key(dataset)
    return asset_key(dataset, split, stage)


def _job_of(dataset: str, targets: Sequence[tuple[Split, Stage | str]]) -> str:
    """Return the name of the job that makes `targets`, which fit one."""
    split, stage = targets[0]
    if any(stage in OPTIONAL_STAGES for _, stage in targets):
        return whole_job_name(dataset, split)
    if stage is Stage.ANNOTATIONS:
        return annotations_job_name(dataset)
    if stage == ARCHIVES:
        return archives_job_name(dataset, split)
    if stage is Stage.FILELISTS:
        return filelists_job_name(dataset)
    return prepare_job_name(dataset, split)
