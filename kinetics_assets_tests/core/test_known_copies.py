"""The published counts: shipped, plausible, and of the datasets and splits there are."""

from __future__ import annotations

import csv
from importlib.resources import files

import pytest

from kinetics_assets.core.classes import DATASETS
from kinetics_assets.core.clips import Split
from kinetics_assets.core.known_copies import known_copies


def test_the_copies_people_trained_on_are_there() -> None:
    """MMAction2's copy of Kinetics-400 is 97.5 % of the original list, as published."""
    copies = {copy.name: copy for copy in known_copies("kinetics400", Split.TRAIN)}
    assert (copies["MMAction2"].clips, copies["Nonlocal"].clips) == (240_436, 234_643)
    assert copies["MMAction2"].share == pytest.approx(0.975265, abs=1e-6)
    assert copies["MMAction2"].expected_of(1000) == 975
    assert copies["original list"].share == 1


def test_a_list_that_is_not_known_gives_no_share() -> None:
    """Where the original list was never published, a copy's count is told and no share made up."""
    copies = {copy.name: copy for copy in known_copies("kinetics600", Split.TRAIN)}
    assert copies["MMAction2"].clips == 383_393
    assert copies["MMAction2"].share is None
    assert copies["MMAction2"].expected_of(1000) is None


def test_every_line_is_of_a_split_we_know_and_says_who_says_so() -> None:
    """No line is lost to a typing slip, and no share is above one."""
    text = (files("kinetics_assets.data") / "known_copies.csv").read_text()
    lines = list(csv.DictReader(text.splitlines()))
    found = [copy for d in DATASETS for split in Split for copy in known_copies(d, split)]
    assert len(found) == len(lines)
    assert all(copy.source and copy.name for copy in found)
    assert all(copy.share is None or 0.5 < copy.share <= 1 for copy in found)
    assert known_copies("demo", Split.TRAIN) == ()
