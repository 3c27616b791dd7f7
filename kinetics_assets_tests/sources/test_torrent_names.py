"""Which file of a torrent a clip is, by name alone."""

from __future__ import annotations

import pytest

from kinetics_assets.core.clips import ClipId, Split
from kinetics_assets.sources.torrent_names import TorrentFile, TorrentNames

CLIP = ClipId("-aaaaaaaaaa", 104, 114)
NAME = "-aaaaaaaaaa_000104_000114"
LABEL = "massaging person's head"
FOLDER = "massaging_person's_head"


def _names(*paths: str) -> TorrentNames:
    """Return the names of a torrent that holds `paths`."""
    return TorrentNames.of(TorrentFile(index, path, 9) for index, path in enumerate(paths))


def test_the_documented_order_decides() -> None:
    """As better files are there, each wins over those below it."""
    order = [
        "k/other/-aaaaaaaaaa.mp4",
        f"k/{LABEL}/-aaaaaaaaaa.webm",
        f"k/{NAME}.flv",
        f"k/{FOLDER}/{NAME}.mkv",
        f"k/{FOLDER}/{NAME}.mp4",
        f"k/train_256/other/{NAME}.mp4",
        f"k/Train/{LABEL}/{NAME}.webm",
        f"k/videos_train/{FOLDER}/{NAME}.mp4",
    ]
    for count in range(1, len(order) + 1):
        found = _names(*order[:count]).clip(CLIP, label=LABEL, split=Split.TRAIN)
        assert found is not None
        assert found.path == order[count - 1]


@pytest.mark.parametrize(
    "path",
    [
        "k/-aaaaaaaaaa_000104_000115.mp4",
        "k/-aaaaaaaaaa_104_114.mp4",
        f"k/{NAME}.txt",
        f"k/{NAME}.mp4.part",
        f"k/x{NAME}.mp4",
        f"k/{NAME}/readme",
    ],
)
def test_what_is_another_thing_is_not_taken(path: str) -> None:
    """Another span, another suffix, a part, a folder of that name."""
    assert _names(path).clip(CLIP, label=LABEL, split=Split.TRAIN) is None


def test_an_archive_is_a_class_by_its_name() -> None:
    """With spaces or underscores, in one's own split; one of another split never is."""
    names = _names(
        f"k/val/{LABEL}.tar.gz", f"k/train_256/{FOLDER}.tgz", "k/part_0.tar", "k/all.zip", "k/a.mp4"
    )
    assert names.archives == 4
    train = names.archive(label=LABEL, split=Split.TRAIN)
    assert [file.path for file in train] == [f"k/train_256/{FOLDER}.tgz"]
    assert not names.archive(label=LABEL, split=Split.TEST)
    assert not names.archive(label="zumba", split=Split.TRAIN)
    flat = _names(f"k/{FOLDER}.tar")
    assert len(flat.archive(label=LABEL, split=Split.TEST)) == 1
