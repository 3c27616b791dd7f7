"""The process that fetches a torrent: it ends with its step, takes turns and gives back."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kinetics_assets.core.errors import DiskFull, ToolMissing
from kinetics_assets.sources import torrent_child
from kinetics_assets.sources.base import Found
from kinetics_assets.sources.torrent import TorrentSource
from kinetics_assets.sources.torrent_session import TorrentOptions
from kinetics_assets_tests.processes import until
from kinetics_assets_tests.swarms import (
    CLIPS,
    FILES,
    FOLDER,
    LABEL,
    Seeder,
    answer_of,
    bytes_of,
    noise,
    put_archive,
    put_files,
    torrent_of,
)

_STEP = """
import sys
from pathlib import Path
from kinetics_assets.core.clips import Split, parse_clip_name
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.settings import SourceSettings
from kinetics_assets.sources.torrent import TorrentSource
root, link, name = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
source = TorrentSource(
    link, Layout(root, "kinetics400", ""), Split.TRAIN, SourceSettings(), only_loopback=True
)
source._started()
print(source._client._process.pid, flush=True)
source.fetch([parse_clip_name(name)], label="", scratch=root)
"""


def test_a_killed_step_is_gone_on_with(tmp_path: Path) -> None:
    """After a SIGKILL its torrent process is gone too, and what had come is not fetched again."""
    clip, size, came = CLIPS[0], 12_000_000, 400_000
    content = put_files(tmp_path / "s" / "t", {f"{clip.name}.mp4": noise(size), "b.mp4": b"b"})
    with Seeder(content, upload_bytes=came) as swarm:  # half a minute for all of it
        second = torrent_of(tmp_path, swarm)
        part = second.folder / "content" / "t" / f"{clip.name}.mp4"
        argv = [sys.executable, "-c", _STEP, str(tmp_path), swarm.magnet, clip.name]
        step = subprocess.Popen(argv, stdout=subprocess.PIPE)
        assert step.stdout is not None
        child = Path("/proc") / step.stdout.readline().decode().strip()
        until(lambda: part.exists() and part.stat().st_blocks * 512 > came, "some of the clip")
        step.kill()
        step.communicate()
        until(lambda: not child.exists(), "the end of the torrent process")
        given = swarm.given_bytes
        swarm.handle.set_upload_limit(-1)
        assert bytes_of(second, clip, tmp_path) == noise(size)
        assert swarm.given_bytes - given < size - came // 2
        second.close()


def test_a_crash_of_the_process_costs_the_source_only(tmp_path: Path, seeder: Seeder) -> None:
    """What waits for it gets a fault with words; no clip is blamed."""
    source = torrent_of(tmp_path, seeder)
    bytes_of(source, CLIPS[0], tmp_path)
    os.kill(_process(source), signal.SIGSEGV)
    with pytest.raises(ToolMissing, match="status -11"):
        answer_of(source, CLIPS[1], tmp_path)
    source.close()


def test_the_process_dies_with_its_source(tmp_path: Path, seeder: Seeder) -> None:
    """A step that fails leaves no process behind, though nobody closed the source."""
    source = torrent_of(tmp_path, seeder)
    bytes_of(source, CLIPS[0], tmp_path)
    process = Path("/proc") / str(_process(source))
    assert process.exists()
    del source
    assert not process.exists()


def test_a_full_disk_is_no_verdict(tmp_path: Path, seeder: Seeder) -> None:
    """When the torrent cannot be written the step fails, and says for want of what."""
    source = torrent_of(tmp_path, seeder)
    source._started()
    resource.prlimit(_process(source), resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
    with pytest.raises(DiskFull):
        answer_of(source, CLIPS[0], tmp_path)
    source.close()


def test_steps_take_turns(tmp_path: Path, seeder: Seeder) -> None:
    """A step that fetches nothing for a while lets the next one at the torrent, and comes back."""
    first, second = torrent_of(tmp_path, seeder), torrent_of(tmp_path, seeder)
    first.idle_seconds = second.idle_seconds = 0.3
    for source, clip in ((first, CLIPS[0]), (second, CLIPS[1]), (first, CLIPS[2])):
        assert isinstance(answer_of(source, clip, tmp_path), Found)
    first.close()
    second.close()


def test_a_step_waits_for_another(tmp_path: Path, seeder: Seeder) -> None:
    """Two steps that want the same torrent at once both get their clips."""
    first, second = torrent_of(tmp_path, seeder), torrent_of(tmp_path, seeder)
    first.idle_seconds = 3600
    assert bytes_of(first, CLIPS[0], tmp_path)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(bytes_of, second, CLIPS[1], tmp_path)
        until(lambda: second._client is not None and second._client._open, "the second request")
        holder = first.folder / ".lock"
        assert holder.read_text(encoding="ascii") == str(_process(first))
        assert not waiting.done()
        first.close()
        assert waiting.result() == FILES[f"train_256/{FOLDER}/{CLIPS[1].name}.mkv"]
        assert holder.read_text(encoding="ascii") == str(_process(second))
    second.close()


@pytest.mark.parametrize(("ratio", "minutes"), [(1.0, 0.02), (0.0, 5.0), (1.0, 0.0)])
def test_giving_back_ends(tmp_path: Path, seeder: Seeder, ratio: float, minutes: float) -> None:
    """With nobody to give to, a step ends when its minutes are over; at once without a ratio."""
    source = torrent_of(tmp_path, seeder, torrent_seed_ratio=ratio, torrent_seed_minutes=minutes)
    bytes_of(source, CLIPS[0], tmp_path)
    process = Path("/proc") / str(_process(source))
    source.close()
    assert not process.exists()


def test_giving_back_ends_at_the_ratio(tmp_path: Path, seeder: Seeder) -> None:
    """Another peer gets what was taken, and the step ends long before its minutes are over."""
    source = torrent_of(tmp_path, seeder, torrent_seed_ratio=0.5, torrent_seed_minutes=60)
    bytes_of(source, CLIPS[0], tmp_path)
    assert source._client is not None
    process = source._client._process
    with ThreadPoolExecutor(1) as pool:
        ending = pool.submit(source.close)
        other = torrent_of(tmp_path / "other", seeder)
        other.peers, other.torrent = (_listening(process.pid),), str(seeder.torrent)
        (tmp_path / "other").mkdir()
        given = seeder.given_bytes
        assert (
            bytes_of(other, CLIPS[0], tmp_path) == FILES[f"train_256/{FOLDER}/{CLIPS[0].name}.mp4"]
        )
        ending.result()
        other.close()
    assert seeder.given_bytes == given


def test_an_archive_is_taken_once(tmp_path: Path) -> None:
    """What is to be given back counts each file once, however many clips are in it.

    With each clip of an archive its bytes were counted again, so that no ratio was ever reached.
    """
    content = tmp_path / "s" / "t" / "train"
    content.mkdir(parents=True)
    put_archive(tmp_path / "a.tar", {f"{clip.name}.mp4": noise(30_000) for clip in CLIPS})
    (tmp_path / "a.tar").rename(content / f"{FOLDER}.tar")
    with Seeder(content.parent) as swarm:
        options = TorrentOptions(str(swarm.torrent), peers=(swarm.peer,), only_loopback=True)
        step = torrent_child._Step(
            options,
            tmp_path,
            patience_seconds=120,
            most_bytes=10**9,
            seed_ratio=1,
            idle_seconds=120,
        )
        names = [clip.name for clip in CLIPS]
        asked = {"clips": names, "label": LABEL, "split": "train", "scratch": str(tmp_path)}
        for request in range(2):
            step.ask({"request": request} | asked)
        assert len(step.waiting) == 2 * len(CLIPS)
        assert step.taken_bytes == (content / f"{FOLDER}.tar").stat().st_size
        step.clear()


def _process(source: TorrentSource) -> int:
    """Return the id of the torrent process."""
    assert source._client is not None
    return source._client._process.pid


def _listening(pid: int) -> str:
    """Return the address at which a process listens on loopback."""
    sockets = {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()}
    for line in Path(f"/proc/{pid}/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
            assert fields[1].startswith("0100007F")
            return f"127.0.0.1:{int(fields[1].rpartition(':')[2], 16)}"
    raise AssertionError("it does not listen")
