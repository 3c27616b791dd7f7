"""A disk that alters what is written to it is named, and no clip is blamed for it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from kinetics_assets.core.errors import DiskFailing
from kinetics_assets.core.manifest import Status
from kinetics_assets.core.settings import StorageSettings
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.manifests import read_manifest
from kinetics_assets.io.packing import TarWriter
from kinetics_assets.stages import frame_archives, shard_files
from kinetics_assets.stages.rawframes import RawframesJob
from kinetics_assets.stages.run import run_stage
from kinetics_assets_tests.stages.taken_down import order_of
from kinetics_assets_tests.trees import public_files

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from kinetics_assets.core.clips import Clip
    from kinetics_assets.core.manifest import ManifestRow
    from kinetics_assets.core.settings import Settings
    from kinetics_assets.stages.job import Desk
    from kinetics_assets.stages.pictures_job import Made


def alter(path: Path, *, at: int) -> None:
    """Change one bit of a file."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


class AlteringWriter(TarWriter):
    """An archive one bit of which is not what was written."""

    at = -1600
    """Within the last picture; 150 is in a header, 600 in what an archive says of itself."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, trace)
        alter(self._path, at=self.at)


def test_frames_that_a_disk_altered(
    datasets: list[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clip's folder and the remedy are named; the next run makes what is missing."""
    order = order_of(datasets[0])
    produce = RawframesJob.produce
    for path in (order.layout.rawframes(order.split) / order.label).iterdir():
        if path.is_dir():
            (path / "_rgb.json").unlink()
    order.layout.manifest(order.split, Stage.RAWFRAMES, order.label).unlink()

    def altered(
        self: RawframesJob, clip: Clip, source: ManifestRow, folder: Path, desk: Desk
    ) -> Made:
        made = produce(self, clip, source, folder, desk)
        alter(folder / "img_00002.jpg", at=300)
        return made

    with monkeypatch.context() as patched:
        patched.setattr(RawframesJob, "produce", altered)
        with pytest.raises(DiskFailing, match="cable") as caught:
            run_stage(Stage.RAWFRAMES, order)
    assert str(order.layout.rawframes(order.split) / order.label) in caught.value.message
    rows = read_manifest(order.layout, order.split, Stage.RAWFRAMES, order.label)
    assert all(row.reason is None or row.status is Status.BLOCKED for row in rows)
    again = run_stage(Stage.RAWFRAMES, order)
    assert sum(row.status is Status.OK for row in again.rows) > 1, again.rows


@pytest.mark.parametrize("at", [-1600, 600])
def test_archives_that_a_disk_altered(
    at: int, datasets: list[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An archive that reads back as something else is the disk's fault; pictures stay as were."""
    first = order_of(datasets[0])
    order = replace(first, settings=replace(first.settings, storage=StorageSettings(packing="tar")))
    monkeypatch.setattr(AlteringWriter, "at", at)
    monkeypatch.setattr(frame_archives, "TarWriter", AlteringWriter)
    before = public_files(order.layout.base)
    with pytest.raises(DiskFailing, match=r"read back .*\.tar .*cable"):
        run_stage(Stage.RAWFRAMES, order)
    assert public_files(order.layout.base) == before


@pytest.mark.parametrize("at", [150, -1600])
def test_shards_that_a_disk_altered(
    at: int, datasets: list[Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a header or in a sample: no shard is public, no clip has a verdict."""
    order = order_of(datasets[0])
    monkeypatch.setattr(AlteringWriter, "at", at)
    monkeypatch.setattr(shard_files, "TarWriter", AlteringWriter)
    with pytest.raises(DiskFailing, match=r"read back .*\.tar .*cable"):
        run_stage(Stage.SHARDS, order)
    rows = read_manifest(order.layout, order.split, Stage.SHARDS, order.label)
    assert all(row.reason is None or row.status is Status.BLOCKED for row in rows)
    folder = order.layout.class_folder(order.split, Stage.SHARDS, order.label)
    assert not list(folder.glob("[!.]*"))
