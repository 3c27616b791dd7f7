"""Which flow steps are for a GPU: told when definitions load, from the engine that is meant."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from kinetics_assets.assets.datasets import dataset_definitions
from kinetics_assets.core.clips import Split
from kinetics_assets.core.errors import DeviceLost
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.settings import FlowRecipe, Limits, Settings
from kinetics_assets.executors import devices
from kinetics_assets.executors.devices import (
    FAULT_VARIABLE,
    LeaseOrder,
    flow_needs_gpu,
    gpu_places,
    refuse_lost_device,
)
from kinetics_assets.executors.leased_step import lease_environment
from kinetics_assets.io.leases import held_lease

TOP = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hide the machine's own GPUs, and forget what was found out about them."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    devices._best_engine.cache_clear()
    yield
    devices._best_engine.cache_clear()


def _settings(root: Path, engine: str, *listed: str, slots: int = 1) -> Settings:
    """Return settings with this engine and these devices."""
    limits = Limits(gpu_devices=listed, gpu_slots=slots)
    return Settings(root=root, dataset="demo", flow=FlowRecipe(engine=engine), limits=limits)


def _resolve_to(engine: str, root: Path) -> None:
    """Write down that ``auto`` became this engine for the train split."""
    path = Layout.of(_settings(root, "auto")).choices(Split.TRAIN)
    path.parent.mkdir(parents=True)
    path.write_text(f'{{"flow_engine": "{engine}"}}')


def test_an_engine_that_is_set_decides(tmp_path: Path) -> None:
    """A GPU engine wants a GPU even where there is none, so that the step can say so."""
    assert flow_needs_gpu(_settings(tmp_path, "cuda"), Split.TRAIN)
    assert not flow_needs_gpu(_settings(tmp_path, "cpu", "left"), Split.TRAIN)


def test_auto_stays_what_the_split_was_begun_with(tmp_path: Path) -> None:
    """What was written down decides, for that split alone, whatever the machine has now."""
    _resolve_to("cuda", tmp_path)
    assert flow_needs_gpu(_settings(tmp_path, "auto"), Split.TRAIN)
    assert not flow_needs_gpu(_settings(tmp_path, "auto"), Split.VAL)


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_damaged_choice_is_the_steps_to_name(text: str, tmp_path: Path) -> None:
    """Who leases devices goes on as if nothing was decided; the step itself names the file."""
    _resolve_to("cuda", tmp_path)
    settings = _settings(tmp_path, "auto")
    Layout.of(settings).choices(Split.TRAIN).write_text(text)
    assert not flow_needs_gpu(settings, Split.TRAIN)


def test_auto_is_asked_for_where_there_is_a_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The registry answers in another process; an answer that cannot be had means no GPU."""
    settings = _settings(tmp_path, "auto", "left")
    monkeypatch.setattr(devices, "_RESOLVE", "print('cuda')")
    assert flow_needs_gpu(settings, Split.TRAIN)
    assert not flow_needs_gpu(_settings(tmp_path, "auto"), Split.TRAIN)
    devices._best_engine.cache_clear()
    monkeypatch.setattr(devices, "_RESOLVE", "raise SystemExit(1)")
    assert not flow_needs_gpu(settings, Split.TRAIN)


def test_the_question_to_the_registry_has_an_answer() -> None:
    """What is asked for ``auto`` is a program that works, and names an engine."""
    for arguments in ([], ["/nowhere/python"]):
        done = subprocess.run(
            [sys.executable, "-c", devices._RESOLVE, *arguments],
            cwd=TOP,
            env={**os.environ, "PYTHONPATH": str(TOP)},
            capture_output=True,
            check=True,
        )
        python = Path(arguments[0]) if arguments else None
        assert done.stdout.decode().strip() == devices._best_engine(python) != ""


def test_flow_assets_ask_for_a_gpu_split_by_split(tmp_path: Path) -> None:
    """Steps of a GPU engine have the tag and the pool; those of a CPU engine have neither."""
    _resolve_to("cuda", tmp_path)
    repository = dataset_definitions(_settings(tmp_path, "auto")).get_repository_def()
    assets = repository.assets_defs_by_key
    told = {
        split: (node.op.tags.get("kinetics/device"), node.op.tags.get("kinetics/dataset"))
        for split in Split
        for node in [assets[dg.AssetKey(["demo", split, "flow"])]]
    }
    nothing = (None, None)
    assert told == {Split.TRAIN: ("gpu", "demo"), Split.VAL: nothing, Split.TEST: nothing}
    pools = {s: repository.asset_graph.get(dg.AssetKey(["demo", s, "flow"])).pools for s in Split}
    assert pools == {Split.TRAIN: {"gpu"}, Split.VAL: set(), Split.TEST: set()}


def test_places_are_devices_times_slots(tmp_path: Path) -> None:
    """Datasets that use the same device share its places; a CPU engine needs none."""
    one = _settings(tmp_path, "auto", "left", slots=2)
    both = _settings(tmp_path, "cuda", "left", "right")
    assert gpu_places([one]) == 2
    assert gpu_places([one, both]) == 3
    assert gpu_places([_settings(tmp_path, "cpu", "left"), _settings(tmp_path, "cuda")]) == 0


@pytest.mark.parametrize(
    ("engine", "began_with", "refused"),
    [
        ("cuda", None, True),
        ("cpu", None, False),
        ("auto", "cuda", True),
        ("auto", "cpu", False),
        ("auto", None, True),
    ],
)
def test_a_lost_device_never_becomes_work_on_the_cpu(
    engine: str,
    began_with: str | None,
    refused: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without its device only a step goes on whose engine is known to be one for the CPU."""
    if began_with is not None:
        _resolve_to(began_with, tmp_path)
    settings = _settings(tmp_path, engine)
    refuse_lost_device(settings, Split.TRAIN)  # nothing was lost
    monkeypatch.setenv(FAULT_VARIABLE, "The driver is gone. Bring it back.")
    if refused:
        with pytest.raises(DeviceLost, match="Bring it back"):
            refuse_lost_device(settings, Split.TRAIN)
    else:
        refuse_lost_device(settings, Split.TRAIN)


def test_the_environment_of_a_step_is_its_lease_or_the_reason_why_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A leased device is the only one seen; without any the cause is passed on, and none is."""
    order = LeaseOrder("demo", "the test")
    lost = lease_environment(order)
    assert lost["CUDA_VISIBLE_DEVICES"] == ""
    assert "leaves no GPU" in lost[FAULT_VARIABLE]
    monkeypatch.setenv("KINETICS_LIMITS__GPU_DEVICES", "left")
    assert lease_environment(order) == {"CUDA_VISIBLE_DEVICES": "left"}
    lease = held_lease()
    assert lease is not None
    lease.release()
    assert held_lease() is None
