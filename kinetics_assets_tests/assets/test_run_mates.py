"""Steps of one run: who decodes for whom, and who waits for it."""

from __future__ import annotations

import dagster as dg

from kinetics_assets.assets.partitions import asset_key
from kinetics_assets.assets.run_mates import PRIORITY_TAG, launch_order
from kinetics_assets.core.clips import Split
from kinetics_assets.core.settings import Settings
from kinetics_assets.core.stages import CLASS_STAGES, DECODERS, Stage
from kinetics_assets_tests.assets.conftest import Materialise
from kinetics_assets_tests.small_lists import EMPTY


def test_steps_are_launched_in_the_order_in_which_they_decode() -> None:
    """Whoever waits is launched behind the one it waits for; nothing is set for other stages."""
    orders = [int(launch_order(stage)[PRIORITY_TAG]) for stage in DECODERS]
    assert orders == sorted(orders, reverse=True)
    assert len(set(orders)) == len(orders)
    assert launch_order(Stage.VIDEOS) == {PRIORITY_TAG: "0"}


def test_the_steps_of_a_run_come_in_this_order(
    settings: Settings, materialise: Materialise
) -> None:
    """Frames and flow do not depend on resized, and still come after it."""
    materialise("annotations")
    result = materialise(*(f"train/{stage}" for stage in CLASS_STAGES), partition=EMPTY)
    assert result.success
    keys = {asset_key(settings.dataset, Split.TRAIN, stage): stage for stage in CLASS_STAGES}
    begun = [event.step_key for event in result.all_events if event.is_step_start]
    names = {key.to_python_identifier(): stage for key, stage in keys.items()}
    assert [names[step] for step in begun if step in names] == list(CLASS_STAGES)


def test_a_run_of_flow_alone_waits_for_nobody(
    instance: dg.DagsterInstance, materialise: Materialise
) -> None:
    """Nothing in its log says that it waited, and nothing is left of another run."""
    materialise("annotations")
    materialise("train/videos", "train/resized", partition=EMPTY)
    result = materialise("train/flow", partition=EMPTY)
    assert result.success
    said = [entry.message for entry in instance.all_logs(result.run_id) if entry.message]
    assert not [text for text in said if text.startswith("Waits for")]
