"""The settings file and the environment: layers in order, nothing unknown taken in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from kinetics_assets.core.classes import DATASETS
from kinetics_assets.core.errors import RootError, SettingsError, UnknownDataset
from kinetics_assets.core.settings import Settings
from kinetics_assets.io.settings_file import (
    FILE_NAME,
    dataset_root,
    load_settings,
    shown_datasets,
)


def _load(root: Path, text: str = "", dataset: str = "kinetics400", **env: str) -> Settings:
    """Return the settings of `dataset` with `text` as the file and `env` as the environment."""
    (root / FILE_NAME).write_text(text, encoding="utf-8")
    return load_settings(dataset, root=root, env=env)


def test_no_file_means_the_defaults(tmp_path: Path) -> None:
    """Without a file and variables every field has its default; reading creates nothing."""
    root = tmp_path / "not-there"
    assert load_settings("kinetics400", root=root, env={}) == Settings(root, "kinetics400")
    assert not root.exists()


def test_layers_win_in_order(tmp_path: Path) -> None:
    """File over default, the dataset's table over the general one, the environment over both."""
    text = """
    [rawframes]
    jpeg_quality = 80
    size = "320"
    start_index = 0
    [datasets.kinetics400.rawframes]
    jpeg_quality = 85
    size = "340x256"
    [datasets.kinetics600.rawframes]
    jpeg_quality = 10
    """
    frames = _load(tmp_path, text, KINETICS_RAWFRAMES__JPEG_QUALITY="90").rawframes
    assert (frames.start_index, frames.size, frames.jpeg_quality) == (0, "340x256", 90)
    assert load_settings("kinetics600", root=tmp_path, env={}).rawframes.jpeg_quality == 10


def test_every_table_can_be_set(tmp_path: Path) -> None:
    """One field of each table, of each type there is."""
    text = """
    annotations.source = "backup"
    videos.min_duration_share = 1
    sources.order = ["local"]
    sources.local_folders = ["copies", "/mnt/copies"]
    resized.keep_audio = false
    rawframes.frames_from = "resized"
    flow.bound_px = 15
    filelists.seed = 7
    thresholds.min_completeness = 1
    limits.workers = 3
    storage.rawframes_folder = "../frames"
    """
    found = _load(tmp_path, text)
    assert found.annotations.source == "backup"
    assert found.sources.local_folders == (tmp_path / "copies", Path("/mnt/copies"))
    assert found.sources.order == ("local",)
    assert found.resized.keep_audio is False
    assert found.rawframes.frames_from == "resized"
    assert isinstance(found.flow.bound_px, float)
    assert found.filelists.seed == 7
    assert found.limits.workers == 3
    assert found.storage.rawframes_folder == tmp_path / "../frames"


def test_variables_can_set_lists_and_nothing(tmp_path: Path) -> None:
    """Commas separate a list; empty text is none."""
    found = _load(
        tmp_path,
        'storage.rawframes_folder = "x"',
        KINETICS_SOURCES__ORDER="local, youtube",
        KINETICS_STORAGE__RAWFRAMES_FOLDER="",
        KINETICS_RESIZED__UPSCALE="yes",
    )
    assert found.sources.order == ("local", "youtube")
    assert found.storage.rawframes_folder is None
    assert found.resized.upscale is True


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("[resize]\ncrf = 1", ["[resize]", "Did you mean 'resized'?"]),
        ("[resized]\nshortside = 1", ["[resized] shortside", "Did you mean 'short_side_px'?"]),
        ("[resized]\ngop = 'x'", ["[resized] gop is 'x'.", "Allowed: a whole number."]),
        ("[resized]\ngop = true", ["[resized] gop is True.", "Allowed: a whole number."]),
        ("[resized]\ncrf = 'x'", ["[resized] crf is 'x'.", "Allowed: a number."]),
        ("[resized]\ncrf = 99", ["resized.crf is 99.0.", "Allowed: 0 to 51."]),
        ("[rawframes]\nframes_from='x'", ["is 'x'", "one of 'videos', 'resized'"]),
        ("resized = 3", ["[resized] is 3.", "must be a table"]),
        ("datasets = 3", ["[datasets] is 3.", "must be a table"]),
        ("[datasets]\ndemo = 3", ["[datasets.demo] is 3.", "must be a table"]),
        ("[datasets.kinetic400]", ["'kinetic400'", "Did you mean 'kinetics400'?"]),
        ("[datasets.demo.flow]\nbound = 3", ["[datasets.demo.flow] bound", "'bound_px'"]),
        ("root = '/x'", ["[root]", "Allowed: annotations"]),
        ("[resized\n", ["line 1", "must be TOML"]),
    ],
)
def test_a_mistake_names_its_place_and_the_way_out(
    tmp_path: Path, text: str, parts: list[str]
) -> None:
    """File, key, what was got and what is allowed are in the message; nothing is ignored."""
    with pytest.raises(SettingsError) as caught:
        _load(tmp_path, text)
    for part in [str(tmp_path / FILE_NAME), *parts]:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value", "parts"),
    [
        ("KINETICS_RESIZE__CRF", "1", ["KINETICS_RESIZE__CRF", "Did you mean 'resized'?"]),
        ("KINETICS_RESIZED__CRFF", "1", ["KINETICS_RESIZED__CRFF", "Did you mean 'crf'?"]),
        ("KINETICS_RESIZED__GOP", "x", ["KINETICS_RESIZED__GOP is 'x'.", "a whole number"]),
        ("KINETICS_RESIZED__CRF", "99", ["resized.crf is 99.0.", "0 to 51"]),
        ("KINETICS_RESIZED__KEEP_AUDIO", "maybe", ["is 'maybe'.", "true or false"]),
    ],
)
def test_a_mistaken_variable_is_named(
    tmp_path: Path, variable: str, value: str, parts: list[str]
) -> None:
    """A variable is held to the same rules as the file."""
    with pytest.raises(SettingsError) as caught:
        _load(tmp_path, **{variable: value})
    for part in parts:
        assert part in str(caught.value)


def test_other_variables_are_left_alone(tmp_path: Path) -> None:
    """Variables without a double underscore have meanings of their own."""
    found = _load(tmp_path, KINETICS_REQUIRE_GPU="1", KINETICS_ROOT="/x", SOME__THING="1")
    assert found == Settings(tmp_path, "kinetics400")


def test_a_file_in_another_encoding_is_an_error(tmp_path: Path) -> None:
    """A file that is no UTF-8 says so instead of a traceback."""
    (tmp_path / FILE_NAME).write_bytes("# größe\n".encode("latin-1"))
    with pytest.raises(SettingsError, match="must be TOML in UTF-8"):
        load_settings("demo", root=tmp_path, env={})


def test_a_folder_in_place_of_the_file_is_an_error(tmp_path: Path) -> None:
    """What is there and cannot be read is never taken for a missing file."""
    (tmp_path / FILE_NAME).mkdir()
    with pytest.raises(SettingsError, match=FILE_NAME):
        load_settings("demo", root=tmp_path, env={})


def test_the_demo_has_values_of_its_own(tmp_path: Path) -> None:
    """The demo is small and takes its clips from nowhere else; the file still wins."""
    demo = _load(tmp_path, "[datasets.demo.resized]\nshort_side_px = 128", "demo")
    assert demo.resized.short_side_px == 128
    assert demo.rawframes.size == "64"
    assert demo.thresholds.min_completeness == 0.5
    assert demo.sources.order == ("youtube",)
    assert demo.sources.youtube_extractors == ("generic",)
    assert demo.sources.loopback_hosts == ()


def test_the_demo_mirror_is_the_only_host_opened(tmp_path: Path) -> None:
    """The mirror's address goes to the demo alone, and opens exactly that port."""
    env = {"KINETICS_DEMO_MIRROR": "http://127.0.0.1:4567/"}
    demo = load_settings("demo", root=tmp_path, env=env)
    assert demo.sources.youtube_url == "http://127.0.0.1:4567/videos/{id}.mp4"
    assert demo.sources.loopback_hosts == ("127.0.0.1:4567",)
    assert demo.annotations.official_url == "http://127.0.0.1:4567/demo.tar.gz"
    other = load_settings("kinetics400", root=tmp_path, env=env)
    assert other == load_settings("kinetics400", root=tmp_path, env={})


@pytest.mark.parametrize(
    "mirror", ["http://10.0.0.1:80", "https://127.0.0.1:80", "127.0.0.1:80", "http://127.0.0.1"]
)
def test_a_mirror_elsewhere_is_refused(tmp_path: Path, mirror: str) -> None:
    """The variable cannot send the demo, or anything else, to another machine."""
    with pytest.raises(SettingsError, match="an address of this machine"):
        load_settings("demo", root=tmp_path, env={"KINETICS_DEMO_MIRROR": mirror})


def test_the_root_is_argument_then_variable_then_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The root is absolute, whatever it was given as."""
    monkeypatch.chdir(tmp_path)
    assert dataset_root(Path("a"), env={"KINETICS_ROOT": "/b"}) == tmp_path / "a"
    assert dataset_root(env={"KINETICS_ROOT": "/b"}) == Path("/b")
    assert dataset_root(env={"KINETICS_ROOT": ""}) == dataset_root(env={}) == tmp_path / "data"


def test_a_root_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    """A file in place of the root is named before anything starts."""
    file = tmp_path / "x"
    file.touch()
    with pytest.raises(RootError, match="/x is no folder"):
        load_settings("demo", root=file, env={})
    with pytest.raises(RootError, match=r"/x/below cannot be made: .*/x is no folder"):
        load_settings("demo", root=file / "below", env={})


def test_an_unknown_dataset_is_named(tmp_path: Path) -> None:
    """A misspelt dataset stops here, not in the middle of a run."""
    with pytest.raises(UnknownDataset, match="kinetics400"):
        load_settings("kinetics4000", root=tmp_path, env={})


def test_shown_datasets_are_all_or_those_named() -> None:
    """KINETICS_DATASETS narrows what a deployment shows, in the usual order."""
    assert shown_datasets({}) == DATASETS
    assert shown_datasets({"KINETICS_DATASETS": " "}) == DATASETS
    assert shown_datasets({"KINETICS_DATASETS": "demo, kinetics400"}) == ("kinetics400", "demo")
    with pytest.raises(UnknownDataset):
        shown_datasets({"KINETICS_DATASETS": "demo,nope"})
