"""The optical flow of each clip as pairs of JPEG pictures."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kinetics_assets.assets.class_stage import ClassStage, class_stage_asset
from kinetics_assets.core.stages import Stage
from kinetics_assets.executors.devices import GPU_POOL, flow_needs_gpu, gpu_step_tags

if TYPE_CHECKING:
    from collections.abc import Iterable

    import dagster as dg

    from kinetics_assets.core.clips import Split
    from kinetics_assets.core.settings import Settings


def flow_assets(settings: Settings, splits: Iterable[Split]) -> list[dg.AssetsDefinition]:
    """Return the flow asset of each split.

    The engine as set is part of the code version; what `auto` became is in the manifest's rows.
    Where the engine works on a GPU, the executor is told to lease one for each step.
    """
    recipe, flow = settings.rawframes, settings.flow
    what = ClassStage(
        stage=Stage.FLOW,
        upstream=Stage(recipe.frames_from),
        kinds=frozenset({"video", "jpeg"}),
        recipe=(flow.engine,),
        description=(
            "TV-L1 optical flow between neighbouring frames as `flow_x_%05d.jpg` and"
            f" `flow_y_%05d.jpg`, numbered from {recipe.start_index}, beside the frames. Grey 128"
            f" is no motion, black and white are {flow.bound_px:g} px. Engine: {flow.engine}, the"
            " same for a whole split."
        ),
    )
    on_gpu = replace(what, pool=GPU_POOL, step_tags=gpu_step_tags(settings.dataset))
    return [
        class_stage_asset(settings, split, on_gpu if flow_needs_gpu(settings, split) else what)
        for split in splits
    ]
