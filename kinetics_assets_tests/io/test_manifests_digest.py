"""The digest of a split's manifests: another one exactly when a manifest changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from kinetics_assets.core.clips import Split
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.manifest import Status
from kinetics_assets.core.settings import Settings
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.manifests import write_manifest
from kinetics_assets.io.manifests_digest import manifests_digest
from kinetics_assets_tests.core.rows import row

TRAIN_VIDEOS = (Split.TRAIN, Stage.VIDEOS, "zumba")


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Return a layout below a new folder."""
    return Layout.of(Settings(root=tmp_path, dataset="demo"))


def test_no_manifest_has_no_digest(layout: Layout) -> None:
    """A split that was never begun does not look like one that changed."""
    assert manifests_digest(layout, Split.TRAIN) == ""


def test_the_digest_changes_with_the_rows(layout: Layout) -> None:
    """New rows change it; writing the same rows, locks and journals do not."""
    write_manifest(layout, *TRAIN_VIDEOS, rows=[row(0)])
    before = manifests_digest(layout, Split.TRAIN)
    assert len(before) == 16
    write_manifest(layout, *TRAIN_VIDEOS, rows=[row(0)])
    layout.lock(*TRAIN_VIDEOS).touch()
    layout.journal(*TRAIN_VIDEOS).touch()
    assert manifests_digest(layout, Split.TRAIN) == before
    write_manifest(layout, *TRAIN_VIDEOS, rows=[row(0, Status.PENDING)])
    assert manifests_digest(layout, Split.TRAIN) != before


def test_a_new_class_or_stage_changes_the_digest(layout: Layout) -> None:
    """Every manifest of the split counts, and those of other splits do not."""
    write_manifest(layout, *TRAIN_VIDEOS, rows=[row(0)])
    seen = {manifests_digest(layout, Split.TRAIN)}
    write_manifest(layout, Split.TRAIN, Stage.VIDEOS, "yoga", rows=[row(0)])
    seen.add(manifests_digest(layout, Split.TRAIN))
    write_manifest(layout, Split.TRAIN, Stage.FLOW, "zumba", rows=[row(0)])
    seen.add(manifests_digest(layout, Split.TRAIN))
    write_manifest(layout, Split.VAL, Stage.VIDEOS, "zumba", rows=[row(0)])
    assert manifests_digest(layout, Split.TRAIN) in seen
    assert len(seen) == 3
