"""The demo's mirror: what it generates, keeps and answers."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING

import pytest

from kinetics_assets.demo import clips, mirror

if TYPE_CHECKING:
    from pathlib import Path

CLASSES = clips.chosen_classes(1)
ROWS = clips.plan(CLASSES)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a root with the generated files of one class."""
    root = tmp_path_factory.mktemp("demo")
    mirror.generate(root, classes=CLASSES)
    return root


def _get(
    served: mirror.Mirror, path: str, *, method: str = "GET", byte_range: str = ""
) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body of one request."""
    connection = http.client.HTTPConnection(served.address.removeprefix("http://"), timeout=120)
    try:
        connection.request(method, path, headers={"Range": byte_range} if byte_range else {})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def _id_of(fault: clips.Fault | None) -> str:
    """Return the id of a source with `fault`."""
    return next(row.source.youtube_id for row in ROWS if row.source.fault is fault)


def _tree(folder: Path) -> dict[str, tuple[int, int]]:
    """Return modification time and inode of every file."""
    return {p.name: (p.stat().st_mtime_ns, p.stat().st_ino) for p in folder.iterdir()}


def test_generating_again_touches_nothing(root: Path) -> None:
    """The second call keeps every file, down to its inode."""
    before = _tree(mirror.cache_folder(root))
    mirror.generate(root, classes=CLASSES)
    assert _tree(mirror.cache_folder(root)) == before


def test_a_lost_file_and_a_dead_writers_rest_are_mended(root: Path) -> None:
    """After an interrupted call the missing file is made, equal to before, and the rest swept."""
    folder = mirror.cache_folder(root)
    victim = mirror.video_path(folder, _id_of(None))
    wanted = victim.read_bytes()
    victim.unlink()
    rest = folder / ".tmp-demo-999999999-00.mp4"
    rest.write_bytes(b"half")
    mirror.generate(root, classes=CLASSES)
    assert victim.read_bytes() == wanted
    assert not rest.exists()


def test_files_of_another_generator_are_replaced(tmp_path: Path) -> None:
    """A folder whose stamp names another version is emptied before it is filled."""
    folder = mirror.cache_folder(tmp_path)
    folder.mkdir()
    (folder / "generator.txt").write_text("0\n")
    foreign = mirror.video_path(folder, _id_of(None))
    foreign.write_bytes(b"old")
    mirror.generate(tmp_path, classes=CLASSES)
    assert foreign.read_bytes()[4:8] == b"ftyp"


def test_videos_lists_and_the_three_faults_are_served(root: Path) -> None:
    """A good file comes whole; a dead link is 404; a page comes as video; a cut file is short."""
    folder = mirror.cache_folder(root)
    with mirror.Mirror(folder) as served:
        good = _get(served, f"/videos/{_id_of(None)}.mp4")
        dead = _get(served, f"/videos/{_id_of(clips.Fault.DEAD_LINK)}.mp4")
        page = _get(served, f"/videos/{_id_of(clips.Fault.HTML)}.mp4")
        lists = _get(served, "/demo.tar.gz")
        escape = _get(served, "/videos/../generator.txt")
    assert (good[0], good[2]) == (200, mirror.video_path(folder, _id_of(None)).read_bytes())
    assert dead[0] == 404
    assert (page[0], page[1]["Content-Type"]) == (200, "video/mp4")
    assert page[2].startswith(b"<!DOCTYPE html")
    assert lists[2] == clips.tarball(ROWS)
    assert escape[0] == 404
    assert [request.status for request in served.requests] == [200, 404, 200, 200, 404]


@pytest.mark.parametrize(
    ("byte_range", "status", "part"),
    [
        ("bytes=0-9", 206, slice(0, 10)),
        ("bytes=100-", 206, slice(100, None)),
        ("bytes=-7", 206, slice(-7, None)),
        ("bytes=99999999-", 416, slice(0, 0)),
    ],
)
def test_byte_ranges(root: Path, byte_range: str, status: int, part: slice) -> None:
    """A range gives exactly these bytes, or 416 when the file does not have them."""
    folder = mirror.cache_folder(root)
    with mirror.Mirror(folder) as served:
        answer = _get(served, f"/videos/{_id_of(None)}.mp4", byte_range=byte_range)
    whole = mirror.video_path(folder, _id_of(None)).read_bytes()
    assert (answer[0], answer[2]) == (status, whole[part])


def test_head_has_no_body_and_the_port_is_free_afterwards(root: Path) -> None:
    """HEAD tells the size; after leaving the context nothing answers."""
    with mirror.Mirror(mirror.cache_folder(root)) as served:
        status, headers, body = _get(served, f"/videos/{_id_of(None)}.mp4", method="HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) > 1000
    with pytest.raises(ConnectionRefusedError):
        _get(served, "/demo.tar.gz")
