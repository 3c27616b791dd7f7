"""Tests of lists of sound, and that a takedown takes sound too."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kinetics_assets.core.clips import Split
from kinetics_assets.core.filelists import REQUIRED_KINDS, ListKind
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.manifest import Status
from kinetics_assets.core.reasons import Reason
from kinetics_assets.core.settings import AudioRecipe, Settings
from kinetics_assets.core.stages import SOUND_STAGES, Stage
from kinetics_assets.stages.filelists import run_filelists
from kinetics_assets.stages.run import run_stage
from kinetics_assets.verify import verify_dataset
from kinetics_assets_tests.stages.taken_down import left_of, ok_clip, order_of, rows_of, taken

TRAIN = Split.TRAIN
SOUND = (ListKind.AUDIO, ListKind.AUDIO_FEATURES, ListKind.AUDIO_FEATURE)


@pytest.fixture
def with_sound(datasets: list[Settings]) -> Settings:
    """Settings of a dataset whose sound was made."""
    for stage in SOUND_STAGES:
        run_stage(stage, order_of(datasets[0]))
    return datasets[0]


def lines_of(settings: Settings, kind: ListKind) -> list[str]:
    """Return the lines of a list."""
    return Layout.of(settings).filelist(TRAIN, kind).read_text(encoding="ascii").splitlines()


def test_there_are_lists_of_sound_only_where_there_is_sound(with_sound: Settings) -> None:
    """Each reader has its own: with extension, or without; all count the frames of the video."""
    layout = Layout.of(with_sound)
    assert not any(layout.filelist(TRAIN, kind).exists() for kind in SOUND)
    report = run_filelists(with_sound, TRAIN)
    assert set(report.lines) == {*REQUIRED_KINDS, *SOUND}
    frames = {
        row.clip.name: row.frames_decoded for row in rows_of(with_sound, Stage.VIDEOS).values()
    }
    for kind, root in (
        (ListKind.AUDIO, layout.audio(TRAIN)),
        (ListKind.AUDIO_FEATURES, layout.audio_features(TRAIN)),
    ):
        lines = lines_of(with_sound, kind)
        assert len(lines) == report.lines[ListKind.VIDEOS] > 0
        for path, count, label in (line.split(" ") for line in lines):
            assert (root / path).is_file()
            assert (int(count), label) == (frames[(root / path).stem], "0")
        assert not layout.filelist(TRAIN, kind, suffix=".json").exists()
    explicit = lines_of(with_sound, ListKind.AUDIO_FEATURES)
    implicit = lines_of(with_sound, ListKind.AUDIO_FEATURE)
    assert implicit == [line.replace(".npy ", " ") for line in explicit]
    checked = verify_dataset(with_sound)
    assert checked.is_clean
    assert not [note for note in checked.notes if "not looked at" in note]
    layout.filelist(TRAIN, ListKind.AUDIO_FEATURE).write_text(f"{explicit[0]}\n", encoding="ascii")
    assert {f.where for f in verify_dataset(with_sound).findings} == {
        "demo_train_list_audio_feature.txt"
    }


def test_a_list_of_sound_that_is_refused_stops_no_other(with_sound: Settings) -> None:
    """Sound of yesterday's recipe is not listed, and everything else is."""
    other = replace(with_sound, audio=AudioRecipe(format="flac"))
    report = run_filelists(other, TRAIN)
    assert list(report.refused) == [ListKind.AUDIO]
    assert "other settings than today's" in report.refused[ListKind.AUDIO]
    assert set(report.lines) == {*REQUIRED_KINDS, *SOUND} - {ListKind.AUDIO}
    assert not Layout.of(other).filelist(TRAIN, ListKind.AUDIO).exists()


def test_a_takedown_takes_the_sound_too(with_sound: Settings) -> None:
    """Voices are as personal as faces: no file stays, rows do, lists are shorter."""
    before = run_filelists(with_sound, TRAIN).lines
    clip = ok_clip(with_sound)
    assert {path.suffix for path in left_of(with_sound.root, clip)} >= {".mp4", ".wav", ".npy"}
    taken([with_sound], clip.name)
    assert not left_of(with_sound.root, clip)
    for stage in SOUND_STAGES:
        row = rows_of(with_sound, stage)[clip]
        assert (row.status, row.reason) == (Status.SKIPPED, Reason.TAKEN_DOWN)
    after = {kind: len(lines_of(with_sound, kind)) for kind in before}
    assert after == {kind: count - 1 for kind, count in before.items()}
    assert verify_dataset(with_sound).is_clean
