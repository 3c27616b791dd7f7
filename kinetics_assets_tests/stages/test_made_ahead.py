"""What a step makes for later ones costs it nothing, and nobody gets half of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from kinetics_assets.core.errors import EncodeFailed
from kinetics_assets.core.manifest import Status
from kinetics_assets.core.settings import StorageSettings
from kinetics_assets.core.stages import DECODERS, Stage
from kinetics_assets.media.client import MediaWorker, Wishes
from kinetics_assets.stages.decode_once import Ahead
from kinetics_assets.stages.made_ahead import ahead_digest, begin, content_of, remove_all, taken
from kinetics_assets.stages.order import ClassOrder
from kinetics_assets.stages.run import run_stage
from kinetics_assets_tests.stages.scripted import Changed
from kinetics_assets_tests.stages.test_decode_once import handed


def test_what_is_wrong_with_a_later_step_costs_resized_nothing(
    changed: Changed, tmp_path: Path
) -> None:
    """A frames folder in the place of the link, or a damaged manifest, fails its own step alone."""
    order = changed(storage=StorageSettings(rawframes_folder=tmp_path / "other disk"))
    order.layout.rawframes(order.split).mkdir(parents=True)
    damaged = order.layout.manifest(order.split, Stage.FLOW, order.label)
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(b"no manifest")
    run_stage(Stage.VIDEOS, order)
    resized = run_stage(Stage.RESIZED, order, beside=DECODERS)
    assert any(row.status is Status.OK for row in resized.rows)


def test_runs_beside_each_other_tear_no_hand_over(order: ClassOrder) -> None:
    """When one deletes what is left, it spares what another has taken or is making."""
    videos = run_stage(Stage.VIDEOS, order)
    run_stage(Stage.RESIZED, order, beside=[Stage.RAWFRAMES])
    row = next(row for row in videos.rows if row.status is Status.OK)
    digest = ahead_digest(Stage.RAWFRAMES, order.settings, row.sha256)
    growing = content_of(begin(order, Stage.RAWFRAMES, row.annotation), Stage.RAWFRAMES)
    with taken(order, Stage.RAWFRAMES, row.annotation, digest=digest) as found:
        remove_all(order, Stage.RAWFRAMES)
        assert found is not None
        assert len(list(found.content.iterdir())) == found.facts.frames
    assert handed(order, Stage.RAWFRAMES) == [growing.parent]


def test_a_step_that_fails_has_the_room_of_its_hand_overs(order: ClassOrder) -> None:
    """They are gone before it tries alone: perhaps they have filled the disk."""
    videos = run_stage(Stage.VIDEOS, order)
    row = next(row for row in videos.rows if row.status is Status.OK)
    made = Ahead(order, Stage.RESIZED, DECODERS).of(row.annotation, row)
    assert made is not None
    assert handed(order, Stage.FLOW)
    refused = replace(order.settings.resized, preset="no such preset")
    base = order.layout.base
    with MediaWorker(order.settings.limits) as worker:
        wishes = Wishes(resized=(base / "small.mp4", refused))
        assert isinstance(made.make(base / row.path, wishes, worker=worker).resized, EncodeFailed)
    assert not handed(order, Stage.FLOW)
    assert not handed(order, Stage.RAWFRAMES)


def test_hand_overs_do_not_keep_a_full_disk_full(order: ClassOrder) -> None:
    """Where the step's own product finds no space, those of clips before go, and no more come."""
    videos = run_stage(Stage.VIDEOS, order)
    run_stage(Stage.RESIZED, order, beside=[Stage.RAWFRAMES])
    row = next(row for row in videos.rows if row.status is Status.OK)
    ahead = Ahead(order, Stage.RESIZED, [Stage.RAWFRAMES])
    made = ahead.of(row.annotation, row)
    assert made is not None
    assert handed(order, Stage.RAWFRAMES)
    base = order.layout.base
    (base / "full.mp4").symlink_to("/dev/full")
    with MediaWorker(order.settings.limits) as worker:
        wishes = Wishes(resized=(base / "full.mp4", order.settings.resized))
        made.make(base / row.path, wishes, worker=worker)
    assert not handed(order, Stage.RAWFRAMES)
    assert ahead.of(row.annotation, row) is None


def test_flow_of_another_size_is_made_ahead_again(order: ClassOrder, changed: Changed) -> None:
    """Stale flow of the same engine is no mixture that its step would refuse."""
    videos = run_stage(Stage.VIDEOS, order)
    row = next(row for row in videos.rows if row.status is Status.OK)
    run_stage(Stage.FLOW, order)
    smaller = changed(rawframes=replace(order.settings.rawframes, size="32"))
    assert Ahead(order, Stage.RAWFRAMES, [Stage.FLOW]).of(row.annotation, row) is None
    assert Ahead(smaller, Stage.RAWFRAMES, [Stage.FLOW]).of(row.annotation, row) is not None
