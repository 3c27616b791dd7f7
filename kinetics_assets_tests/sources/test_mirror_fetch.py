"""Archives of the mirror when they are unpacked: names that members share."""

from __future__ import annotations

from collections.abc import Callable

from kinetics_assets.core.clips import Split
from kinetics_assets.core.layout import Layout
from kinetics_assets.sources.mirror_archives import part_archive
from kinetics_assets.sources.mirror_fetch import get_archive
from kinetics_assets_tests import mirrors
from kinetics_assets_tests.mirrors import OURS, Replica

TRAIN = Split.TRAIN


def test_two_files_of_one_name_are_both_kept(make: Callable[[str], Replica]) -> None:
    """The first one by path is the clip; the second is kept as a file of no clip."""
    made = make("kinetics400")
    name = f"{OURS[0].name}.mp4"
    made.put("400/train/part_0.tar.gz", mirrors.tar({f"b/{name}": b"2", f"a/{name}": b"11"}))
    record = get_archive(made.settings, part_archive(made.settings, TRAIN, part="part_0"))
    assert [(f.file, f.clip, f.size_bytes) for f in record.files] == [
        (name, OURS[0].name, 2),
        (f"_2_{name}", "", 1),
    ]


def test_two_files_of_one_long_name_are_both_kept(make: Callable[[str], Replica]) -> None:
    """A name as long as a name may be has no room for a mark; it is cut, not refused."""
    made = make("kinetics400")
    files = {f"{n}/{'é' * 125}.mp4": bytes([n]) for n in range(1, 13)}
    assert len(f"{'é' * 125}.mp4".encode()) == 254
    made.put("400/train/part_0.tar.gz", mirrors.tar(files | {f"13/{'x' * 255}": b"x"}))
    record = get_archive(made.settings, part_archive(made.settings, TRAIN, part="part_0"))
    assert not record.refused
    assert len({f.file for f in record.files}) == 13
    store = Layout.of(made.settings).mirror_files(TRAIN, "part_0")
    held = {(store / f.file).read_bytes() for f in record.files}
    assert held == {*files.values(), b"x"}


def test_a_second_file_takes_the_name_of_no_clip(make: Callable[[str], Replica]) -> None:
    """A double does not get a name that is another member's own."""
    made = make("kinetics400")
    names = ["a/x.mp4", "b/x.mp4", "c/_2_x.mp4", f"d/{OURS[0].name}.mp4"]
    made.put("400/train/part_0.tar.gz", mirrors.tar({name: name.encode() for name in names}))
    record = get_archive(made.settings, part_archive(made.settings, TRAIN, part="part_0"))
    store = Layout.of(made.settings).mirror_files(TRAIN, "part_0")
    assert {f.file: (store / f.file).read_text() for f in record.files} == {
        "x.mp4": "a/x.mp4",
        "_3_x.mp4": "b/x.mp4",
        "_2_x.mp4": "c/_2_x.mp4",
        f"{OURS[0].name}.mp4": f"d/{OURS[0].name}.mp4",
    }
