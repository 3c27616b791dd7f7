"""The lists of Kinetics-710, for a deployment that shows the three versions it is merged from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from kinetics_assets.assets.faults import CRASH_RETRIES, as_failures
from kinetics_assets.assets.partitions import asset_key
from kinetics_assets.core.label_bridges import MERGED
from kinetics_assets.core.merged_lists import LISTED, VERSIONS
from kinetics_assets.core.stages import Stage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kinetics_assets.core.settings import Settings
    from kinetics_assets.stages.merged_lists import MergedReport

_COLUMNS = [
    dg.TableColumn("list", "string"),
    dg.TableColumn("lines", "int"),
    dg.TableColumn("held_out", "int", description="left out: a version validates with the video"),
    dg.TableColumn("repeated", "int", description="left out: an earlier version has the video"),
    dg.TableColumn("excluded", "int", description="left out: its own list still had them"),
]


def merged_definitions(datasets: Sequence[Settings]) -> dg.Definitions:
    """Return the asset of the merged lists; nothing unless 400, 600 and one 700 are shown.

    Of two editions of 700 the first that is shown is taken.
    """
    by_prefix = {VERSIONS[s.dataset]: s for s in reversed(datasets) if s.dataset in VERSIONS}
    if set(by_prefix) != set(VERSIONS.values()):
        return dg.Definitions()
    return dg.Definitions(assets=[_merged_lists_asset([by_prefix[p] for p in sorted(by_prefix)])])


def _merged_lists_asset(versions: Sequence[Settings]) -> dg.AssetsDefinition:
    """Return the asset of the merged lists of `versions`."""
    names = ", ".join(settings.dataset for settings in versions)

    @dg.asset(
        key=[MERGED, Stage.FILELISTS.value],
        deps=[
            asset_key(settings.dataset, split, Stage.FILELISTS)
            for settings in versions
            for split in LISTED
        ],
        description=(
            f"One training set of {names} with the 710 merged classes: each video once, none that"
            " one of them validates or tests with. The lists name clips in the folders of their"
            " own datasets; nothing is copied."
        ),
        group_name=MERGED,
        kinds={"text"},
        retry_policy=CRASH_RETRIES,
    )
    def merged_lists() -> dg.MaterializeResult:
        from kinetics_assets.stages.merged_lists import run_merged_lists

        with as_failures():
            report = run_merged_lists(versions)
        return dg.MaterializeResult(
            metadata=_metadata(report), data_version=dg.DataVersion(report.data_version)
        )

    return merged_lists


def _metadata(report: MergedReport) -> dict[str, dg.MetadataValue]:
    """Return what the UI shows of the merged lists."""
    records = [
        dg.TableRecord(
            {
                "list": report.paths[key].name,
                "lines": len(one.lines),
                "held_out": one.held_out,
                "repeated": one.repeated,
                "excluded": one.excluded,
            }
        )
        for key, one in report.lists.items()
    ]
    folder = next(iter(report.paths.values())).parent
    return {
        "lists": dg.MetadataValue.table(records, schema=dg.TableSchema(_COLUMNS)),
        "held_out_videos": dg.MetadataValue.int(report.held_out),
        "folder": dg.MetadataValue.path(folder),
    }
