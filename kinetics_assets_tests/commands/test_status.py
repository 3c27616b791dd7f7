"""`kinetics status` as a user meets it: reasons, what can be done, and filters."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from kinetics_assets import cli
from kinetics_assets.core.clips import Split
from kinetics_assets.core.manifest import Status
from kinetics_assets.core.reasons import Reason
from kinetics_assets.core.settings import Settings
from kinetics_assets_tests.stages.prepared import AGES_HOURS, CLASSES, fail, prepared

TRAIN, VAL = Split.TRAIN, Split.VAL
A, B, *_ = CLASSES
Say = Callable[..., str]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a tree with three failed clips."""
    made = prepared(tmp_path)
    (made.root / "kinetics.toml").write_text(
        f'[sources]\norder = ["local"]\nlocal_folders = ["{tmp_path / "local"}"]\n'
    )
    fail(made, TRAIN, A, Reason.NETWORK, Reason.DOWNLOAD_FAILED, hours=AGES_HOURS)
    fail(made, VAL, B, Reason.VIDEO_REMOVED, status=Status.UNAVAILABLE)
    return made


@pytest.fixture
def say(settings: Settings, capsys: pytest.CaptureFixture[str]) -> Say:
    """Return a function that runs the verb and returns what it says."""

    def run(*options: str) -> str:
        assert cli.run(["status", "demo", "--root", str(settings.root), *options]) == 0
        return capsys.readouterr().out

    return run


def lines_of(said: str, *words: str) -> list[str]:
    """Return the lines that hold all the words."""
    return [line for line in said.splitlines() if all(word in line for word in words)]


def test_reasons_come_with_kind_due_time_and_advice(say: Say) -> None:
    """A table says of each reason what it is, when it is due and what can be done."""
    said = say("--stage", "videos")
    (network,) = lines_of(said, "videos", "network", "retryable")
    assert "next " in network
    assert "kinetics backfill" in network
    (removed,) = lines_of(said, "videos", "video_removed", "permanent")
    assert "nothing" in removed
    assert lines_of(said, "1 x local: download_failed in words")
    assert not lines_of(said, "resized")


def test_a_reason_narrows_all_of_it(say: Say) -> None:
    """Only classes that hold such clips, only such clips, in words and as JSON."""
    said = say("--reason", "network")
    assert lines_of(said, A)
    assert not lines_of(said, B)
    found = json.loads(say("--reason", "network", "--json"))
    assert [line["reason"] for line in found["by_reason"]] == ["network"]
    assert {failure["class"] for failure in found["failures"]} == {A}
    held = {label for total in found["stages"] for label in total["classes"]}
    assert held == {A}
    whole = json.loads(say("--json"))
    assert len(whole["stages"]) == 8
    assert whole["unknown_texts"] == [
        {
            "text": "local: download_failed in words",
            "clip": whole["failures"][1]["clip"],
            "rows": 1,
        }
    ]
