"""What Dagster loads: every dataset that KINETICS_DATASETS shows, and our executor.

Settings are read here, once: a recipe that changes afterwards needs a reload of the code location,
which is also when Dagster sees the new code versions.
"""

from __future__ import annotations

import dagster as dg

from kinetics_assets.assets.datasets import dataset_definitions
from kinetics_assets.assets.merged_lists import merged_definitions
from kinetics_assets.executors.gpu import kinetics_executor
from kinetics_assets.io.settings_file import load_settings, shown_datasets

_shown = [load_settings(dataset) for dataset in shown_datasets()]
defs = dg.Definitions.merge(
    *(dataset_definitions(settings) for settings in _shown),
    merged_definitions(_shown),
    dg.Definitions(executor=kinetics_executor),
)
