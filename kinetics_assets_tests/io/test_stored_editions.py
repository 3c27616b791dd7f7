"""Lists that were current once, found by the digits of their sha256."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from kinetics_assets.commands.prepare import prepare
from kinetics_assets.core.annotations import edition_sha256
from kinetics_assets.core.clips import Split
from kinetics_assets.core.errors import AnnotationError
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.settings import AnnotationSettings, Settings
from kinetics_assets.io.annotation_store import current_edition, load_class_rows
from kinetics_assets.io.stored_editions import has_older_editions, stored_edition
from kinetics_assets.stages.annotations import run_annotations

HEADER = "label,youtube_id,time_start,time_end,split\n"
LISTS = [f"{HEADER}zumba,{name * 11},1,11,train\n" for name in "AB"]
FIRST, SECOND = (edition_sha256(text.encode()) for text in LISTS)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a root that had two editions, one after the other."""
    source = tmp_path / "train.csv"
    made = Settings(
        root=tmp_path / "root",
        dataset="demo",
        annotations=AnnotationSettings(source=str(source)),
    )
    for text in LISTS:
        source.write_text(text)
        run_annotations(made)
    return made


def test_an_old_edition_becomes_current_again(settings: Settings) -> None:
    """Its stored list is a source like any other: same sha256, same rows."""
    layout = Layout.of(settings)
    assert current_edition(layout, Split.TRAIN) == SECOND
    path = stored_edition(layout, FIRST[:8])
    run_annotations(replace(settings, annotations=AnnotationSettings(source=str(path))))
    assert current_edition(layout, Split.TRAIN) == FIRST
    assert load_class_rows(layout, Split.TRAIN, "zumba").clips[0].id.youtube_id == "A" * 11


def test_one_list_of_each_split_is_no_older_edition(settings: Settings) -> None:
    """Only a list that is no longer current may have had a clip under another label."""
    layout = Layout.of(settings)
    assert has_older_editions(layout)
    shutil.rmtree(layout.edition(FIRST))
    assert not has_older_editions(layout)


@pytest.mark.parametrize("digits", ["", "ff", "0000", FIRST[:12] + "0" * 52, "../..", "*"])
def test_digits_of_no_edition_name_those_that_are_there(settings: Settings, digits: str) -> None:
    """Too few, of none, or no digits at all."""
    with pytest.raises(AnnotationError) as caught:
        stored_edition(Layout.of(settings), digits)
    assert caught.value.remedy


def test_a_damaged_list_is_not_taken_for_the_edition(settings: Settings) -> None:
    """What is in the folder must hash to its name."""
    layout = Layout.of(settings)
    stored_edition(layout, FIRST).write_text("something else")
    with pytest.raises(AnnotationError, match="missing or damaged"):
        stored_edition(layout, FIRST)


def test_an_edition_and_a_source_exclude_each_other(tmp_path: Path) -> None:
    """Which of the two was meant is not guessed."""
    words = ["demo", "--root", str(tmp_path), "--annotations", "official", "--edition", "abcd"]
    result = CliRunner().invoke(prepare, words)
    assert result.exit_code == 2
    assert "exclude each other" in result.output
