"""A class whose flow a CUDA OpenCV computes: clips that it fails on, and a machine that it does."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from kinetics_assets.core import errors
from kinetics_assets.core.manifest import Status
from kinetics_assets.core.reasons import Reason
from kinetics_assets.core.stages import Stage
from kinetics_assets.stages.frame_index import picture_names
from kinetics_assets.stages.job import now_utc
from kinetics_assets.stages.order import ClassOrder
from kinetics_assets.stages.run import needs_work, run_stage
from kinetics_assets_tests import opencvs
from kinetics_assets_tests.opencvs import OpenCv
from kinetics_assets_tests.resources import media
from kinetics_assets_tests.stages.flow_classes import by_id, class_of, with_flow

GOOD, ONE, POISON = (letter * 11 for letter in "ABC")
POISON_ROWS = 48


@pytest.fixture
def opencv(tmp_path: Path) -> OpenCv:
    """An interpreter with the stand-in, which misbehaves on the poison clip."""
    made = opencvs.install(tmp_path / "python")
    made.behave("crash", only=POISON_ROWS, version="4.5.2")
    return made


@pytest.fixture
def order(tmp_path: Path, opencv: OpenCv) -> ClassOrder:
    """Three clips whose frames are taken as they are."""
    clips = {
        GOOD: partial(media.plain, frames=5, width_px=96, height_px=64),
        ONE: partial(media.plain, frames=1, width_px=96, height_px=64),
        POISON: partial(media.plain, frames=4, width_px=96, height_px=POISON_ROWS),
    }
    folder = tmp_path / "class"
    folder.mkdir()
    order = class_of(folder, clips, size="original")
    return with_flow(order, engine="opencv_cuda", opencv_cuda_python=opencv.python)


def test_a_clip_that_kills_the_worker_is_lost_alone(order: ClassOrder, opencv: OpenCv) -> None:
    """The others have all pairs, and rows say what made them, a slow version included."""
    report = run_stage(Stage.FLOW, order)
    rows = by_id(report.rows)
    assert (rows[ONE].status, rows[ONE].reason) == (Status.CORRUPT, Reason.TOO_SHORT)
    assert (rows[POISON].status, rows[POISON].reason) == (Status.CORRUPT, Reason.ENCODE_FAILED)
    assert "opencv_cuda: it died of SIGSEGV" in (rows[POISON].reason_text or "")
    good = rows[GOOD]
    assert (good.status, good.frames_decoded) == (Status.OK, 4)
    assert (good.engine, good.profile) == ("opencv_cuda", "opencv4-cuda via opencv")
    assert "opencv 4.5.2 (its TV-L1 is several times slower" in good.tools
    folder = order.layout.base / good.path
    names = picture_names(Stage.FLOW, count=4, start_index=1)
    assert sorted(path.name for path in folder.iterdir()) == sorted([*names, "_flow.json"])
    assert len(opencv.pids) == 3
    assert not needs_work(Stage.FLOW, order, now=now_utc())


def test_a_machine_without_a_device_leaves_no_verdict(order: ClassOrder, opencv: OpenCv) -> None:
    """The step fails with the remedy; with a device again every clip is made."""
    opencv.behave("no_device")
    with pytest.raises(errors.DeviceLost, match="nvidia-smi"):
        run_stage(Stage.FLOW, order)
    opencv.behave("well")
    rows = by_id(run_stage(Stage.FLOW, order).rows)
    assert {name for name, row in rows.items() if row.status is Status.OK} == {GOOD, POISON}
    assert all(row.attempts == 1 for row in rows.values())
