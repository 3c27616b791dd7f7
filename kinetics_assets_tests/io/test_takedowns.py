"""Tests of the record of what was taken down."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from kinetics_assets.core.clips import ClipId
from kinetics_assets.core.errors import InputError, SettingsError
from kinetics_assets.io.takedowns import (
    FILE_NAME,
    Takedowns,
    change_takedowns,
    parse_what,
    read_takedowns,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CLIP = ClipId("-BCDEFGHIJ_", 5, 15)
OTHER_CLIP = ClipId("-BCDEFGHIJ_", 20, 30)


def known(*what: str, dataset: str = "", reason: str = "") -> Takedowns:
    """Return a record with these entries."""
    return Takedowns().added(what, dataset=dataset, reason=reason, now=NOW)


def test_a_clip_is_that_clip_and_a_video_is_all_of_its_clips() -> None:
    """By its full name a clip is alone; by the id every clip is meant, in every dataset."""
    by_name, by_id = known(CLIP.name), known(CLIP.youtube_id)
    assert by_name.entry_of("kinetics600", CLIP)
    assert not by_name.entry_of("kinetics600", OTHER_CLIP)
    assert by_id.entry_of("kinetics400", CLIP)
    assert by_id.entry_of("kinetics600", OTHER_CLIP)
    assert not by_id.entry_of("kinetics400", ClipId("ABCDEFGHIJ_", 5, 15))


def test_an_entry_may_hold_for_one_dataset() -> None:
    """It is widened by a later one for all, and never narrowed again."""
    one = known(CLIP.name, dataset="kinetics400")
    assert one.entry_of("kinetics400", CLIP)
    assert not one.entry_of("kinetics600", CLIP)
    every = one.added([CLIP.name], dataset="", reason="", now=NOW)
    assert every.entry_of("kinetics600", CLIP)
    assert every.added([CLIP.name], dataset="demo", reason="", now=NOW) == every


def test_recording_again_keeps_the_time_and_takes_the_new_reason() -> None:
    """The date is that of the first order; an empty reason takes none away."""
    once = known(CLIP.name, reason="by letter")
    again = once.added([CLIP.name], dataset="", reason="", now=NOW + timedelta(days=9))
    assert again == once
    (entry,) = once.added([CLIP.name], dataset="", reason="by court", now=NOW).entries
    assert (entry.at, entry.reason) == (NOW, "by court")
    assert entry.text == "the clip was taken down on 2026-01-02: by court"


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    """Reasons in any script, ids with leading hyphens."""
    change_takedowns(
        tmp_path,
        lambda before: before.added(
            [CLIP.name, CLIP.youtube_id], dataset="demo", reason='„bitte" löschen 請', now=NOW
        ),
    )
    entries = read_takedowns(tmp_path).entries
    assert [entry.what for entry in entries] == sorted([CLIP.name, CLIP.youtube_id])
    assert entries[0].reason == '„bitte" löschen 請'
    assert entries[0].at == NOW


def test_no_record_means_nothing_taken_down(tmp_path: Path) -> None:
    """And reading makes none."""
    assert read_takedowns(tmp_path) == Takedowns()
    assert not list(tmp_path.iterdir())


def test_changes_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    """Each is made on top of the one before."""
    names = [f"{number:011d}" for number in range(24)]

    def add(name: str) -> None:
        change_takedowns(
            tmp_path, lambda before: before.added([name], dataset="", reason="", now=NOW)
        )

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, names))
    assert [entry.what for entry in read_takedowns(tmp_path).entries] == names


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"version": 2, "takedowns": []}',
        '{"version": 1, "takedowns": {}, "x": ',
        '{"version": 1, "takedowns": [{"what": "../x", "dataset": "", "reason": "", "at": ""}]}',
        '{"version": 1, "takedowns": [{"what": "AAAAAAAAAAA", "at": ""}]}',
        '{"version": 1, "takedowns": [{"what": 5, "dataset": "", "reason": "", "at": ""}]}',
    ],
)
def test_a_damaged_record_is_refused_and_never_written_over(tmp_path: Path, text: str) -> None:
    """What it said must not be lost: it is the only thing that keeps clips away."""
    (tmp_path / FILE_NAME).write_text(text)
    with pytest.raises(SettingsError, match="cannot be understood"):
        read_takedowns(tmp_path)
    with pytest.raises(SettingsError):
        change_takedowns(tmp_path, lambda before: before)
    assert (tmp_path / FILE_NAME).read_text() == text


def test_what_is_not_recorded_cannot_be_taken_back(tmp_path: Path) -> None:
    """The message says what is recorded instead."""
    record = known(CLIP.youtube_id)
    assert record.without([CLIP.youtube_id], dataset="") == Takedowns()
    with pytest.raises(InputError, match="not recorded") as caught:
        record.without([CLIP.name], dataset="")
    assert CLIP.youtube_id in caught.value.remedy
    with pytest.raises(InputError) as caught:
        record.without([CLIP.youtube_id], dataset="demo")
    assert "--dataset" in caught.value.remedy
    both = record.added(["AAAAAAAAAAA"], dataset="demo", reason="", now=NOW)
    assert both.without(["AAAAAAAAAAA"], dataset="demo") == record


@pytest.mark.parametrize("text", [CLIP.name, CLIP.youtube_id, "--nQbRBEz2s"])
def test_clips_and_videos_are_understood(text: str) -> None:
    """As they are called in the files' names."""
    assert parse_what(text) == text


@pytest.mark.parametrize(
    "text", ["", "abseiling", "../../etc/pw", "AAAAAAAAAAA_5_15", f"{CLIP.name}.mp4", "AAAAAAAAAA%"]
)
def test_anything_else_is_refused(text: str) -> None:
    """Nothing else ever reaches a path."""
    with pytest.raises(InputError, match="neither a clip nor a video"):
        parse_what(text)


def test_the_record_can_be_read_by_people(tmp_path: Path) -> None:
    """It is indented JSON with the time in ISO form, one object an entry."""
    change_takedowns(
        tmp_path, lambda before: before.added([CLIP.name], dataset="", reason="asked", now=NOW)
    )
    record = json.loads((tmp_path / FILE_NAME).read_text())
    assert record["takedowns"] == [
        {"what": CLIP.name, "dataset": "", "reason": "asked", "at": "2026-01-02T03:04:05+00:00"}
    ]
