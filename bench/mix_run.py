"""One run of bench/mix.py's clips through the stages, in this process and its children.

`python mix_run.py ROOT POOL LIST {stages,once,dagster}` with the package first on PYTHONPATH that
is to be measured, today's or an older one: only what both have is used. ``once`` lets one decode
serve several stages; ``dagster`` has Dagster call them, all in this process. The last line is one
JSON object: what was used.
"""

from __future__ import annotations

import inspect
import json
import sys
import time
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
from typing import Any, Final

import kinetics_assets
from kinetics_assets.core.clips import Split
from kinetics_assets.core.manifest import Status
from kinetics_assets.core.settings import (
    AnnotationSettings,
    Limits,
    Settings,
    SourceSettings,
    VideoRecipe,
)
from kinetics_assets.core.stages import Stage
from kinetics_assets.stages.annotations import run_annotations
from kinetics_assets.stages.order import ClassOrder
from kinetics_assets.stages.run import run_stage

STAGES: Final = (Stage.VIDEOS, Stage.RESIZED, Stage.RAWFRAMES)
LABEL: Final = "abseiling"


def settings_for(root: Path, pool: Path, the_list: Path) -> Settings:
    """Return the defaults, with the clips of `pool` and both cores."""
    return Settings(
        root=root,
        dataset="demo",
        annotations=AnnotationSettings(source=str(the_list)),
        videos=VideoRecipe(min_duration_share=0.0),  # some clips are shorter than ten seconds
        sources=SourceSettings(order=("local",), local_folders=(pool,), connections=2),
        limits=Limits(workers=2, min_free_bytes=0),
    )


def cpu_seconds(whose: int) -> float:
    """Return user and system seconds of this process, or of its children that have ended."""
    used = getrusage(whose)
    return used.ru_utime + used.ru_stime


def timed(stage: Stage, order: ClassOrder, **how: Any) -> dict[str, float]:  # noqa: ANN401 - of run_stage
    """Return what a stage took; its children end with it."""
    own, theirs, began = cpu_seconds(RUSAGE_SELF), cpu_seconds(RUSAGE_CHILDREN), time.perf_counter()
    report = run_stage(stage, order, **how)
    assert {row.status for row in report.rows} == {Status.OK}, report.rows
    return {
        "wall_s": time.perf_counter() - began,
        "own_cpu_s": cpu_seconds(RUSAGE_SELF) - own,
        "children_cpu_s": cpu_seconds(RUSAGE_CHILDREN) - theirs,
    }


def through_dagster(settings: Settings) -> None:
    """Materialise the annotations and the stages of the one class."""
    import dagster as dg

    from kinetics_assets.assets.datasets import dataset_definitions

    job = dataset_definitions(settings).resolve_implicit_global_asset_job_def()
    keys = [dg.AssetKey([settings.dataset, str(Split.TRAIN), str(stage)]) for stage in STAGES]
    with dg.DagsterInstance.ephemeral() as instance:
        lists = [dg.AssetKey([settings.dataset, "annotations"])]
        job.execute_in_process(instance=instance, asset_selection=lists)
        job.execute_in_process(instance=instance, asset_selection=keys, partition_key=LABEL)


def main() -> None:
    """Run all stages on the one class."""
    root, pool, the_list, way = sys.argv[1:]
    settings = settings_for(Path(root), Path(pool), Path(the_list))
    settings.root.mkdir()
    run_annotations(settings)
    order = ClassOrder(settings, Split.TRAIN, LABEL)
    if way == "dagster":
        through_dagster(settings)
        print(json.dumps({"package": kinetics_assets.__file__, "own_cpu_s": time.process_time()}))
        return
    how: dict[str, Any] = {}
    if way == "once":
        if "beside" not in inspect.signature(run_stage).parameters:
            raise SystemExit("This version decodes once for each stage.")
        how = {"beside": STAGES}
    took: dict[str, Any] = {str(stage): timed(stage, order, **how) for stage in STAGES}
    own = {"package": kinetics_assets.__file__, "own_cpu_s": time.process_time()}
    print(json.dumps(own | {"stages": took}))


if __name__ == "__main__":
    main()
