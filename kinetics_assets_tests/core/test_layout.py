"""Paths: those of MMAction2, inside the dataset, one a thing."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from kinetics_assets.core.clips import ClipId, Split
from kinetics_assets.core.layout import TEMP_PREFIX, Layout
from kinetics_assets.core.settings import ResizeRecipe, Settings
from kinetics_assets.core.stages import ALL_CLASS_STAGES, Stage

LABEL = "massaging person's head"
FOLDER = "massaging_person's_head"
CLIP = ClipId("-0IErS_cisg", 7, 17)


@pytest.fixture
def layout() -> Layout:
    """Return the layout of kinetics400 below /data."""
    return Layout.of(Settings(root=Path("/data"), dataset="kinetics400"))


def test_paths_are_those_of_mmaction2(layout: Layout) -> None:
    """A tree that MMAction2's readers know: their folders, their file names, their list names."""
    base = Path("/data/kinetics400")
    assert layout.annotation_list(Split.VAL) == base / "annotations/kinetics_val.csv"
    assert layout.video(Split.TRAIN, LABEL, CLIP) == (
        base / "videos_train" / FOLDER / "-0IErS_cisg_000007_000017.mp4"
    )
    assert layout.frames(Split.TRAIN, LABEL, CLIP) == (
        base / "rawframes_train" / FOLDER / "-0IErS_cisg_000007_000017"
    )
    assert layout.filelist(Split.VAL, "videos") == base / "kinetics400_val_list_videos.txt"
    assert layout.resized_video(Split.VAL, LABEL, CLIP) == (
        base / "videos_val_256p_dense_cache" / FOLDER / "-0IErS_cisg_000007_000017.mp4"
    )


def test_a_clip_keeps_its_container(layout: Layout) -> None:
    """A source that is no mp4 keeps its true extension."""
    assert layout.video(Split.VAL, LABEL, CLIP, suffix=".webm").suffix == ".webm"


def test_another_size_is_another_folder() -> None:
    """Clips of two sizes or two key-frame distances never share a folder."""
    recipes = [
        ResizeRecipe(),
        ResizeRecipe(short_side_px=320),
        ResizeRecipe(gop=250),
        ResizeRecipe(short_side_px=320, gop=250),
    ]
    folders = {
        Layout.of(Settings(Path("/data"), "demo", resized=recipe)).resized(Split.TRAIN)
        for recipe in recipes
    }
    assert len(folders) == 4


@pytest.mark.parametrize("stage", ALL_CLASS_STAGES)
@pytest.mark.parametrize("split", Split)
def test_every_path_is_inside_the_dataset(layout: Layout, split: Split, stage: Stage) -> None:
    """No path of a class leaves the dataset's folder, whatever the label."""
    paths = [
        layout.class_folder(split, stage, LABEL),
        layout.manifest(split, stage, LABEL),
        layout.journal(split, stage, LABEL),
        layout.lock(split, stage, LABEL),
        layout.frames_lock(split, LABEL),
        layout.choices(split),
        layout.retired(split),
        layout.edition("ab" * 32),
        layout.current_edition,
        layout.scratch,
    ]
    assert len(set(paths)) == len(paths)
    for path in paths:
        assert path.is_relative_to(layout.base)


def test_frames_and_flow_share_a_folder(layout: Layout) -> None:
    """Flow is written beside the frames, as MMAction2's readers expect."""
    assert layout.class_folder(Split.VAL, Stage.FLOW, LABEL) == layout.class_folder(
        Split.VAL, Stage.RAWFRAMES, LABEL
    )


def test_sound_keeps_class_folders_and_names(layout: Layout) -> None:
    """Of a clip there is one name; only folder and extension tell what of it is there."""
    sound = layout.sound(Split.VAL, LABEL, CLIP, suffix=".flac")
    features = layout.sound_features(Split.VAL, LABEL, CLIP)
    parts = [layout.relative(path).split("/") for path in (sound, features)]
    assert [part[0] for part in parts] == ["audio_val", "audio_features_val"]
    assert {(part[1], part[2].split(".")[0]) for part in parts} == {
        (layout.class_folder(Split.VAL, Stage.VIDEOS, LABEL).name, CLIP.name)
    }


def test_unlabelled_rows_have_a_folder(layout: Layout) -> None:
    """A row without a label is kept in a folder of its own, never in the split's."""
    assert layout.class_folder(Split.TEST, Stage.VIDEOS, "").name == "unlabelled"


def test_an_edition_is_named_by_its_hash(layout: Layout) -> None:
    """Twelve digits of the sha256 name an edition's folder."""
    assert layout.edition("0123456789abcdef" * 4).name == "0123456789ab"


def test_relative_paths_have_forward_slashes(layout: Layout) -> None:
    """Manifests hold paths from the dataset's folder on, so that a root can be moved."""
    stored = layout.relative(layout.video(Split.VAL, LABEL, CLIP))
    assert PurePosixPath(stored).parts[0] == "videos_val"
    with pytest.raises(ValueError, match="not in the subpath"):
        layout.relative(Path("/elsewhere/x.mp4"))


def test_scratch_is_a_temporary_name(layout: Layout) -> None:
    """The scratch folder has the prefix that readers skip."""
    assert layout.scratch.name.startswith(TEMP_PREFIX)
