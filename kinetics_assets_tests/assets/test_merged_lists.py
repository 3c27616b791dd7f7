"""The asset of the merged lists: there when its three versions are, and in their lineage."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from kinetics_assets.assets.merged_lists import merged_definitions
from kinetics_assets.core.settings import Settings
from kinetics_assets_tests.merged_versions import three_versions

KEY = "kinetics710/filelists"


def parents(datasets: list[str], root: Path) -> set[str]:
    """Return the keys that the merged lists are made from; none if there is no such asset."""
    defs = merged_definitions([Settings(root, dataset) for dataset in datasets])
    nodes = {node.key.to_user_string(): node for node in defs.resolve_asset_graph().asset_nodes}
    return {key.to_user_string() for key in nodes[KEY].parent_keys} if KEY in nodes else set()


def test_merged_lists_hang_on_the_lists_of_three_versions(tmp_path: Path) -> None:
    """Lists of train and val of each version are its inputs; of two editions of 700, the first."""
    shown = ["kinetics400", "kinetics600", "kinetics700", "kinetics700_2020", "demo"]
    assert parents(shown, tmp_path) == {
        f"{dataset}/{split}/filelists" for dataset in shown[:3] for split in ("train", "val")
    }
    assert "kinetics700_2020/val/filelists" in parents([*shown[:2], *shown[3:]], tmp_path)


@pytest.mark.parametrize("datasets", [[], ["demo"], ["kinetics400", "kinetics700"]])
def test_without_all_three_there_is_no_asset(datasets: list[str], tmp_path: Path) -> None:
    """A deployment of fewer versions shows nothing that could never be made."""
    assert not parents(datasets, tmp_path)


def test_what_was_left_out_is_shown(tmp_path: Path) -> None:
    """Materialised, it tells for each list how many lines it has and why others are not in it."""
    defs = merged_definitions(three_versions(tmp_path))
    merged = defs.resolve_assets_def(dg.AssetKey(KEY.split("/")))
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize([merged], instance=instance)
        (event,) = result.get_asset_materialization_events()
    table = event.materialization.metadata["lists"]
    assert isinstance(table, dg.TableMetadataValue)
    shown = {record.data["list"]: record.data for record in table.records}
    assert shown["k700_train_list_videos.txt"] == {
        "list": "k700_train_list_videos.txt",
        "lines": 1,
        "held_out": 1,
        "repeated": 1,
        "excluded": 0,
    }
    assert len(shown) == 6
