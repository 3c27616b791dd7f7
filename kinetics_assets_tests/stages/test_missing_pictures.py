"""Frames and flow that were altered are seen, on real clips, and mended by the run."""

from __future__ import annotations

from kinetics_assets.core.needs import Need
from kinetics_assets.core.stages import Stage
from kinetics_assets.stages.job import now_utc
from kinetics_assets.stages.missing import select_classes
from kinetics_assets.stages.order import ClassOrder
from kinetics_assets.stages.run import run_stage
from kinetics_assets.stages.selection import Choice


def test_pictures_that_were_altered_are_seen(order: ClassOrder) -> None:
    """An altered, a lost and an extra picture each make the class damaged; the run mends them."""
    stages = (Stage.VIDEOS, Stage.RAWFRAMES)
    for stage in stages:
        report = run_stage(stage, order)
    folders = [order.layout.base / row.path for row in report.rows if row.path]
    (folders[0] / "img_00001.jpg").write_bytes((folders[0] / "img_00002.jpg").read_bytes())
    (folders[1] / "img_00002.jpg").unlink()
    (folders[2] / "img_99999.jpg").write_bytes(b"")
    choice = Choice(stages=stages, splits=(order.split,), labels=(order.label,))
    selection = select_classes(order.settings, choice, now=now_utc())
    (pictures,) = [one for one in selection.chosen if one.stage is Stage.RAWFRAMES]
    assert pictures.needs[Need.DAMAGED] == 3
    assert selection.must_check_files
    assert run_stage(Stage.RAWFRAMES, order, check_files=True).changed == 3
    assert not [
        one
        for one in select_classes(order.settings, choice, now=now_utc()).chosen
        if Need.DAMAGED in one.needs
    ]
