"""What a class shows in Dagster beyond counts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from kinetics_assets.assets.class_tables import class_tables
from kinetics_assets.core.clips import Split
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.manifest import summarise
from kinetics_assets.core.reasons import Reason
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.manifests import read_manifest
from kinetics_assets.stages.order import ClassOrder
from kinetics_assets.stages.report import StageReport
from kinetics_assets_tests.stages.prepared import CLASSES, NOW, fail, prepared

TRAIN = Split.TRAIN
A, E = CLASSES[0], CLASSES[-1]


def report_of(folder: Path, *, dataset: str = "demo") -> StageReport:
    """Return the report of a class: two ok clips, one that waits, one whose words are new."""
    settings = prepared(folder, splits=(TRAIN,), dataset=dataset)
    fail(settings, TRAIN, A, Reason.NETWORK, Reason.DOWNLOAD_FAILED, hours=1)
    Layout.of(settings).manifest(TRAIN, Stage.VIDEOS, E).unlink()
    rows = tuple(read_manifest(Layout.of(settings), TRAIN, Stage.VIDEOS, A))
    return StageReport(
        stage=Stage.VIDEOS,
        order=ClassOrder(settings, TRAIN, A),
        edition="e",
        rows=rows,
        summary=summarise(rows),
        data_version="v",
        changed=4,
        retired=0,
        returned=0,
        relabelled=0,
        degraded=(),
        elapsed_seconds=2.0,
    )


def records(value: dg.MetadataValue) -> list[dict[str, object]]:
    """Return the rows of a table, after a look that the table fits its schema."""
    assert isinstance(value, dg.TableMetadataValue)
    names = {column.name for column in value.schema.columns}
    assert all(set(record.data) == names for record in value.records)
    return [dict(record.data) for record in value.records]


def test_reasons_sources_and_the_rest_are_shown(tmp_path: Path) -> None:
    """Reasons are a table with kind and example, bytes are per source, the rest has its hours."""
    shown = class_tables(report_of(tmp_path), now=NOW)
    reasons = {record["reason"]: record for record in records(shown["reasons"])}
    assert set(reasons) == {"network", "download_failed"}
    assert reasons["network"]["kind"] == "retryable"
    assert reasons["network"]["next_due"] == "2020-11-22 13:00"
    assert reasons["network"]["example"] == "local: network in words"
    (local,) = records(shown["sources"])
    assert (local["source"], local["clips"]) == ("local", 2)
    assert shown["share_of_list"].value == 0.5
    assert shown["split_clips_untried"].value == 4
    assert shown["split_hours_left_at_this_pace"].value == pytest.approx(2 / 3600, abs=1e-3)
    assert shown["split_hours_left_at_last_hours_pace"].value == pytest.approx(4 / 16)
    assert "known_copies" not in shown  # nobody publishes counts of the demo


def test_known_copies_are_said_to_be_averages(tmp_path: Path) -> None:
    """A copy's share of the split is applied to the class, and its column says so."""
    shown = class_tables(report_of(tmp_path, dataset="kinetics400"), now=NOW)
    table = shown["known_copies"]
    copies = {str(record["copy"]): record for record in records(table)}
    assert copies["MMAction2"]["average_share"] == "97.5%"
    assert copies["MMAction2"]["would_have"] == "4 of 4"
    assert copies["current list"]["split_clips"] == 219_782
    assert isinstance(table, dg.TableMetadataValue)
    (column,) = [c for c in table.schema.columns if c.name == "average_share"]
    assert "not of this class" in str(column.description)


def test_a_class_without_rows_has_no_empty_tables(tmp_path: Path) -> None:
    """Nothing is shown where there is nothing to show."""
    empty = replace(report_of(tmp_path), rows=(), summary=summarise(()), changed=0)
    assert set(class_tables(empty, now=NOW)) <= {
        *("split_clips_untried", "split_clips_last_hour"),
        "split_hours_left_at_last_hours_pace",
    }
