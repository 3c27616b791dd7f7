"""What ``auto`` stands for is decided once per split, and by who makes flow alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kinetics_assets.core.clips import Split
from kinetics_assets.core.errors import DamagedFile, MixedFlow
from kinetics_assets.core.manifest import Status
from kinetics_assets.core.settings import Settings
from kinetics_assets.core.stages import Stage
from kinetics_assets.stages.choices import settle_engine, settled_engine
from kinetics_assets.stages.filelists import ListsRefused, run_filelists
from kinetics_assets.stages.flow import FlowJob
from kinetics_assets.stages.job import now_utc
from kinetics_assets.stages.order import ClassOrder
from kinetics_assets.stages.run import outlook, run_stage
from kinetics_assets_tests.resources import media
from kinetics_assets_tests.stages.flow_classes import class_of, with_flow


def test_who_makes_no_flow_does_not_choose_its_engine(tmp_path: Path) -> None:
    """A step of lists sees no device, so ``auto`` would be ``cpu`` for good if it decided."""
    order = class_of(tmp_path, {"AAAAAAAAAAA": lambda path: media.plain(path, frames=3)})
    order = with_flow(order, engine="auto")
    run_stage(Stage.RAWFRAMES, order)
    assert len(outlook(Stage.FLOW, order, now=now_utc()).due) == 1
    with pytest.raises(ListsRefused, match="flow list"):
        run_filelists(order.settings, order.split)
    assert settled_engine(order) is None
    run_stage(Stage.FLOW, order)
    assert settled_engine(order) == "cpu"


def test_threads_share_what_was_made_before_them(tmp_path: Path) -> None:
    """Threads that each made their own would encode more at a time than there are cores.

    Regression: `cached_property` has no lock since Python 3.12.
    """
    order = ClassOrder(Settings(root=tmp_path, dataset="demo"), Split.TRAIN, "")
    job = FlowJob(with_flow(order, engine="cpu"))
    job.groups([])
    assert {"_engine", "_pipeline"} <= vars(job).keys()
    job = FlowJob(with_flow(order, engine="denseflow"))
    job.groups([])
    assert "_file_engine" in vars(job)


def test_two_machines_do_not_choose_differently(tmp_path: Path) -> None:
    """Of two that begin a split at the same time the later one stops; a set engine is free."""
    order = ClassOrder(Settings(root=tmp_path, dataset="demo"), Split.TRAIN, "")
    settle_engine(order, "cuda")
    settle_engine(order, "cuda")
    with pytest.raises(MixedFlow, match="cuda was chosen"):
        settle_engine(order, "cpu")
    settle_engine(with_flow(order, engine="cpu"), "cpu")
    assert settled_engine(order) == "cuda"
    assert settled_engine(replace(order, split=Split.VAL)) is None


@pytest.mark.parametrize("text", ["{", "[]", '{"flow_engine": 3}', "\udcff"])
def test_a_damaged_choice_is_named_and_not_guessed(text: str, tmp_path: Path) -> None:
    """Who needs it hears of the file and of the way out, and nobody writes over it."""
    order = ClassOrder(Settings(root=tmp_path, dataset="demo"), Split.TRAIN, "")
    path = order.layout.choices(order.split)
    path.parent.mkdir(parents=True)
    path.write_bytes(text.encode(errors="surrogateescape"))
    for ask in (settled_engine, lambda order: settle_engine(order, "cpu")):
        with pytest.raises(DamagedFile, match=r"choices\.json .* Delete it .*flow\.engine"):
            ask(order)
    assert path.read_bytes() == text.encode(errors="surrogateescape")
    assert settled_engine(with_flow(order, engine="cuda")) == "cuda"


def test_a_damaged_choice_stops_flow_alone(tmp_path: Path) -> None:
    """Frames, which would decode for flow too, are made; the step of flow says what is wrong."""
    order = class_of(tmp_path, {"AAAAAAAAAAA": lambda path: media.plain(path, frames=3)})
    order = with_flow(order, engine="auto")
    order.layout.choices(order.split).write_text("{")
    report = run_stage(Stage.RAWFRAMES, order, beside=[Stage.FLOW])
    assert [row.status for row in report.rows] == [Status.OK]
    with pytest.raises(DamagedFile):
        run_stage(Stage.FLOW, order)
