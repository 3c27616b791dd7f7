"""Clips from replicas of the mirror: what of its archives is used."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kinetics_assets.core.clips import ClipId, Split
from kinetics_assets.core.errors import (
    ArchiveRefused,
    BadArchive,
    ClipError,
    NotAtSource,
    SettingsError,
)
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.settings import Settings
from kinetics_assets.io.takedowns import change_takedowns
from kinetics_assets.sources.base import Found
from kinetics_assets.sources.mirror import MirrorSource, mirror_source
from kinetics_assets.sources.mirror_archives import (
    part_archive,
)
from kinetics_assets.sources.mirror_fetch import get_archive
from kinetics_assets.sources.mirror_store import read_record
from kinetics_assets_tests import mirrors
from kinetics_assets_tests.mirrors import HEAD, LABELS, OURS, Replica, clip
from kinetics_assets_tests.range_server import RangeServer, Spoilt

TRAIN = Split.TRAIN
ALIEN = clip(99)


def _source(settings: Settings, split: Split = TRAIN) -> MirrorSource:
    source = mirror_source(settings, split)
    assert source is not None
    return source


def _ask(
    source: MirrorSource, clips: list[ClipId], tmp_path: Path, label: str = HEAD
) -> list[Found | ClipError]:
    answers = source.fetch(clips, label=label, scratch=tmp_path)
    return [answers[c] for c in clips]


def _stands(root: Path) -> set[str]:
    """Return the files below the mirror's store that anybody may read."""
    store = root / "mirror" / "files"
    paths = [p for p in store.rglob("*") if p.is_file()]
    return {p.relative_to(store).as_posix() for p in paths}


def test_datasets_without_a_copy_have_no_source(tmp_path: Path, server: RangeServer) -> None:
    """Kinetics-700 of 2019 and the demo are not mirrored."""
    made = mirrors.replica(server, tmp_path, "kinetics600", {}, stored=False)
    for dataset in ("kinetics700", "demo"):
        assert mirror_source(replace(made.settings, dataset=dataset), TRAIN) is None
    with pytest.raises(SettingsError, match="mirror_url"):
        mirror_source(made.changed(mirror_url="elsewhere"), TRAIN)


@pytest.mark.parametrize(
    ("dataset", "path"),
    [
        ("kinetics600", f"600/train/{HEAD}.tar.gz"),
        ("kinetics700_2020", "700_2020/train/k700_train_328.tar.gz"),
    ],
)
def test_a_class_is_fetched_when_it_is_first_wanted(
    make: Callable[[str], Replica], tmp_path: Path, dataset: str, path: str
) -> None:
    """One request serves all clips and later steps; files of no clip are kept, junk is not."""
    made = make(dataset)
    files = {f"{HEAD}/{c.name}.mp4": mirrors.video(c) for c in [*OURS, ALIEN]}
    made.put(path, mirrors.tar(files | {f"{HEAD}/readme.txt": b"hello"}, junk=True))
    source = _source(made.settings)
    found, _ = _ask(source, OURS, tmp_path)
    assert isinstance(found, Found)
    assert found.path.read_bytes() == mirrors.video(OURS[0])
    assert (found.is_whole_video, found.is_ours) == (False, False)
    assert found.address.endswith(f"#{OURS[0].name}.mp4")
    (absent,) = _ask(source, [clip(5)], tmp_path)
    assert isinstance(absent, NotAtSource)
    assert _ask(_source(made.settings), OURS, tmp_path)[0] == found
    assert made.asked(path) == 1
    names = {Path(name).name for name in _stands(made.settings.root / dataset)}
    assert names == {*(f"{c.name}.mp4" for c in [*OURS, ALIEN]), "readme.txt"}
    archives = made.settings.root / dataset / "mirror" / "archives" / "train"
    assert [p for p in archives.iterdir() if p.suffix != ".lock"] == []


def test_a_plain_tar_with_the_wrong_name_is_read(
    make: Callable[[str], Replica], tmp_path: Path
) -> None:
    """An archive is what its bytes say, whatever its address ends in."""
    made = make("kinetics600")
    made.put(f"600/train/{HEAD}.tar.gz", mirrors.clips_tar(OURS, packed=False))
    assert all(isinstance(a, Found) for a in _ask(_source(made.settings), OURS, tmp_path))


BAD: dict[str, Callable[[], bytes]] = {
    "corrupt": lambda: mirrors.clips_tar(OURS)[:-40] + bytes(40),
    "cut at a member": lambda: mirrors.cut_at_a_member([*OURS, ALIEN]),
    "bomb": lambda: mirrors.bomb(OURS),
    "climbing": lambda: mirrors.clips_tar(OURS, tarfile.TarInfo("../../evil.mp4")),
    "absolute": lambda: mirrors.clips_tar(OURS, tarfile.TarInfo("/tmp/evil.mp4")),
    "link": lambda: mirrors.clips_tar(OURS, mirrors.link("l.mp4", "/etc/passwd")),
    "page": lambda: b"<html>no such archive</html>",
}


@pytest.mark.parametrize("name", BAD)
def test_a_refused_archive_gives_nothing_and_heals(
    make: Callable[[str], Replica], tmp_path: Path, name: str
) -> None:
    """Nothing of it is used or left, it is fetched once a step, and a mended one is taken later."""
    made = make("kinetics600")
    path = f"600/train/{HEAD}.tar.gz"
    made.put(path, BAD[name]())
    before = {p for p in tmp_path.rglob("*") if p.is_file() and "root" not in p.parts}
    source = _source(made.settings)
    for _ in range(3):
        for answer in _ask(source, OURS, tmp_path):
            assert isinstance(answer, BadArchive)
            assert answer.source_works
            assert "refused" in answer.message or "no tar archive" in answer.message
    assert made.asked(path) == 1
    assert _stands(made.settings.root / "kinetics600") == set()
    assert before == {p for p in tmp_path.rglob("*") if p.is_file() and "root" not in p.parts}
    record = read_record(Layout.of(made.settings), TRAIN, "massaging_person's_head")
    assert record is not None
    assert record.refused
    made.put(path, mirrors.clips_tar(OURS))
    assert all(isinstance(a, Found) for a in _ask(_source(made.settings), OURS, tmp_path))


def test_an_absent_archive_is_asked_for_once_a_step(
    make: Callable[[str], Replica], tmp_path: Path
) -> None:
    """A 404 means that the mirror does not have the class, and is no verdict for good."""
    made = make("kinetics600")
    source = _source(made.settings)
    for _ in range(3):
        assert isinstance(_ask(source, OURS, tmp_path)[0], NotAtSource)
    assert made.asked(f"600/train/{HEAD}.tar.gz") == 1


def test_a_deleted_file_makes_its_archive_due(
    make: Callable[[str], Replica], tmp_path: Path
) -> None:
    """A file that is gone from the store is had again, with one request; the others stay."""
    made = make("kinetics600")
    path = f"600/train/{HEAD}.tar.gz"
    made.put(path, mirrors.clips_tar(OURS))
    first, second = _ask(_source(made.settings), OURS, tmp_path)
    assert isinstance(first, Found)
    first.path.unlink()
    assert _ask(_source(made.settings), OURS[1:], tmp_path) == [second]
    assert made.asked(path) == 1
    assert _ask(_source(made.settings), OURS, tmp_path) == [first, second]
    assert first.path.exists()
    assert made.asked(path) == 2


def test_a_kept_archive_is_unpacked_again_without_asking(
    make: Callable[[str], Replica], tmp_path: Path
) -> None:
    """With `mirror_keep_archives` a lost file costs no download."""
    made = make("kinetics600")
    path = f"600/train/{HEAD}.tar.gz"
    made.put(path, mirrors.clips_tar(OURS))
    settings = made.changed(mirror_keep_archives=True)
    first, _ = _ask(_source(settings), OURS, tmp_path)
    assert isinstance(first, Found)
    first.path.unlink()
    assert _ask(_source(settings), OURS, tmp_path)[0] == first
    assert first.path.exists()
    assert made.asked(path) == 1


def test_of_mixed_parts_only_what_has_arrived_is_known(
    make: Callable[[str], Replica], tmp_path: Path
) -> None:
    """The source asks for no part itself; one that arrives changes the state of its clips."""
    made = make("kinetics400")
    made.put("400/train/part_3.tar.gz", mirrors.clips_tar(OURS[:1], folder="part_3/"))
    source = _source(made.settings)
    assert [type(a) for a in _ask(source, OURS, tmp_path)] == [NotAtSource, NotAtSource]
    assert [source.state_of(c) for c in OURS] == ["", ""]
    assert made.server.served == []
    get_archive(made.settings, part_archive(made.settings, TRAIN, part="part_3"))
    assert [type(a) for a in _ask(source, OURS, tmp_path)] == [Found, NotAtSource]
    assert source.state_of(OURS[0]).startswith("train/part_3 ")
    assert source.state_of(OURS[1]) == ""


def test_a_replacement_wins_over_the_part(make: Callable[[str], Replica], tmp_path: Path) -> None:
    """A clip that is in both comes from the replacement archive, in whatever order they arrive."""
    made = make("kinetics400")
    good = {f"replacement_for_corrupted_k400/{OURS[0].name}.mp4": b"good" * 200}
    made.put("400/replacement_for_corrupted_k400.tgz", mirrors.tar(good))
    made.put("400/train/part_0.tar.gz", mirrors.clips_tar(OURS))
    for part in ("replacement", "part_0"):
        get_archive(made.settings, part_archive(made.settings, TRAIN, part=part))
    first, second = _ask(_source(made.settings), OURS, tmp_path)
    assert isinstance(first, Found)
    assert isinstance(second, Found)
    assert first.path.read_bytes() == b"good" * 200
    assert second.path.parent.name == "part_0"


def test_clips_of_a_refused_part_are_named(make: Callable[[str], Replica], tmp_path: Path) -> None:
    """A clip that was seen in a refused part says so, unless a sound part has it too."""
    made = make("kinetics400")
    made.put("400/train/part_0.tar.gz", mirrors.cut_at_a_member([*OURS, ALIEN]))
    record = get_archive(made.settings, part_archive(made.settings, TRAIN, part="part_0"))
    assert "end mark is missing" in record.refused
    assert [type(a) for a in _ask(_source(made.settings), OURS, tmp_path)] == [BadArchive] * 2
    made.put("400/train/part_1.tar.gz", mirrors.clips_tar(OURS[:1]))
    get_archive(made.settings, part_archive(made.settings, TRAIN, part="part_1"))
    assert [type(a) for a in _ask(_source(made.settings), OURS, tmp_path)] == [Found, BadArchive]


def test_a_worse_archive_does_not_replace_a_sound_one(
    make: Callable[[str], Replica], tmp_path: Path
) -> None:
    """Fetched again and refused, the files of before stay in use."""
    made = make("kinetics400")
    part = part_archive(made.settings, TRAIN, part="part_0")
    made.put("400/train/part_0.tar.gz", mirrors.clips_tar(OURS))
    get_archive(made.settings, part)
    made.put("400/train/part_0.tar.gz", BAD["corrupt"]())
    with pytest.raises(ArchiveRefused, match="stay in use"):
        get_archive(made.settings, part, again=True)
    assert [type(a) for a in _ask(_source(made.settings), OURS, tmp_path)] == [Found] * 2


def test_what_was_taken_down_does_not_come_back(
    make: Callable[[str], Replica], tmp_path: Path
) -> None:
    """An archive is unpacked without such clips, and their absence does not make it due."""
    made = make("kinetics400")
    made.put("400/train/part_0.tar.gz", mirrors.clips_tar(OURS))
    change_takedowns(
        made.settings.root,
        lambda before: before.added([OURS[0].name], dataset="", reason="", now=datetime.now(UTC)),
    )
    part = part_archive(made.settings, TRAIN, part="part_0")
    for _ in range(2):
        assert [f.clip for f in get_archive(made.settings, part).files] == [OURS[1].name]
    assert _stands(made.settings.root / "kinetics400") == {f"train/part_0/{OURS[1].name}.mp4"}
    change_takedowns(
        made.settings.root,
        lambda before: before.added([OURS[1].name], dataset="", reason="", now=datetime.now(UTC)),
    )
    (made.settings.root / "kinetics400/mirror/files/train/part_0" / f"{OURS[1].name}.mp4").unlink()
    get_archive(made.settings, part)
    assert made.asked("400/train/part_0.tar.gz") == 1
    assert [type(a) for a in _ask(_source(made.settings), OURS, tmp_path)] == [NotAtSource] * 2


def test_an_interrupted_class_goes_on(make: Callable[[str], Replica], tmp_path: Path) -> None:
    """A line that breaks in the middle costs the rest of the archive, not all of it."""
    made = make("kinetics600")
    path = f"600/train/{HEAD}.tar.gz"
    made.put(path, mirrors.clips_tar(OURS, packed=False))
    made.server.spoilt[f"/kinetics/{path}"] = [Spoilt(headers={"ETag": '"x"'}, cut_after=3000)]
    made.server.headers = {"ETag": '"x"'}
    assert all(isinstance(a, Found) for a in _ask(_source(made.settings), OURS, tmp_path))
    first, second = made.server.asked(f"/kinetics/{path}")
    assert (first.status, second.status) == (200, 206)
    assert second.if_range == '"x"'


def test_every_awkward_class_is_a_folder_of_its_own(tmp_path: Path, server: RangeServer) -> None:
    """No class name leads out of the store or into another's folder."""
    rows = {(TRAIN, label): [clip(n)] for n, label in enumerate(LABELS)}
    made = mirrors.replica(server, tmp_path, "kinetics600", rows)
    for (_, label), clips in rows.items():
        made.put(f"600/train/{label}.tar.gz", mirrors.clips_tar(clips))
        assert isinstance(_ask(_source(made.settings), clips, tmp_path, label)[0], Found)
    folders = {name.split("/")[1] for name in _stands(made.settings.root / "kinetics600")}
    assert folders == {label.replace(" ", "_") for label in LABELS}
