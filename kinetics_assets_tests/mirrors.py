"""Replicas of the mirror in its three layouts, of small generated clips; good and bad archives."""

from __future__ import annotations

import gzip
import io
import tarfile
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from kinetics_assets.core.clips import ClipId, Split
from kinetics_assets.core.settings import (
    AnnotationSettings,
    Limits,
    Settings,
    SourceSettings,
)
from kinetics_assets.stages.annotations import run_annotations
from kinetics_assets_tests.range_server import RangeServer
from kinetics_assets_tests.resources import media

PLAIN = "abseiling"
HEAD = "massaging person's head"
BOXING = "punching person (boxing)"
FOOTBALL = "passing American football (in game)"
LABELS = (PLAIN, HEAD, BOXING, FOOTBALL)
"""An easy class name and three awkward ones; all datasets have them."""
_HEADER = "label,youtube_id,time_start,time_end,split"


def clip(number: int) -> ClipId:
    """Return a clip of one second; every other id begins with a hyphen."""
    return ClipId(f"{'-' if number % 2 else 'A'}{number:010d}", number, number + 1)


OURS = [clip(1), clip(2)]
"""Two clips of a class."""


@cache
def _video() -> bytes:
    """Return a video of one second."""
    with TemporaryDirectory() as folder:
        return media.plain(
            Path(folder) / "a.mp4", frames=25, width_px=64, height_px=64
        ).read_bytes()


def video(which: ClipId | str) -> bytes:
    """Return a playable file that differs for each clip: a `free` box behind it has its name."""
    text = (which if isinstance(which, str) else which.name).encode()
    return _video() + (8 + len(text)).to_bytes(4, "big") + b"free" + text


def tar(
    files: dict[str, bytes], *extra: tarfile.TarInfo, packed: bool = True, junk: bool = False
) -> bytes:
    """Return an archive of files and of members without content; gzipped unless told otherwise."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as archive:
        for name, data in files.items():
            if junk:
                _add(archive, f"{name.rpartition('/')[0]}/._{name.rpartition('/')[2]}", b"junk")
            _add(archive, name, data)
        for entry in extra:
            archive.addfile(entry)
    return gzip.compress(sink.getvalue(), 1) if packed else sink.getvalue()


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name.removeprefix("/"))
    entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data))


def clips_tar(clips: list[ClipId], *extra: tarfile.TarInfo, folder: str = "", **how: bool) -> bytes:
    """Return an archive of the files of clips."""
    return tar({f"{folder}{c.name}.mp4": video(c) for c in clips}, *extra, **how)


def link(name: str, target: str) -> tarfile.TarInfo:
    """Return a member that is a symbolic link."""
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = tarfile.SYMTYPE, target
    return entry


def cut_at_a_member(clips: list[ClipId]) -> bytes:
    """Return a plain archive that ends, without its end mark, where its last member begins."""
    whole = clips_tar(clips, packed=False)
    with tarfile.open(fileobj=io.BytesIO(whole)) as archive:
        last = archive.getmembers()[-1]
    return whole[: last.offset]


def bomb(clips: list[ClipId]) -> bytes:
    """Return an archive whose last member is 40 MB of zeros."""
    return tar({f"{c.name}.mp4": video(c) for c in clips} | {"zeros.mp4": bytes(40_000_000)})


@dataclass
class Replica:
    """A root whose lists are in place, and a server with archives."""

    server: RangeServer
    settings: Settings
    rows: dict[tuple[Split, str], list[ClipId]] = field(default_factory=dict)

    def put(self, path: str, body: bytes) -> None:
        """Serve an archive under `path` of the mirror."""
        self.server.files[f"/kinetics/{path}"] = body

    def asked(self, path: str) -> int:
        """Return how often an archive was asked for."""
        return len(self.server.asked(f"/kinetics/{path}"))

    def changed(self, **sources: Any) -> Settings:  # noqa: ANN401 - fields of SourceSettings
        """Return the settings with other sources."""
        return replace(self.settings, sources=replace(self.settings.sources, **sources))


def replica(
    server: RangeServer,
    folder: Path,
    dataset: str,
    rows: dict[tuple[Split, str], list[ClipId]],
    *,
    stored: bool = True,
) -> Replica:
    """Return a replica of an empty mirror, and a root with the lists of `rows`.

    Args:
        server: A running server.
        folder: Where the root goes.
        dataset: Whose layout it has.
        rows: Clips by split and class; an empty class is a row without label.
        stored: Run the annotations stage.
    """
    lists, root = folder / "lists", folder / "root"
    lists.mkdir()
    root.mkdir()
    for split in dict.fromkeys([Split.TRAIN, Split.VAL, *(split for split, _ in rows)]):
        lines = [
            f"{label},{c.youtube_id},{c.start_seconds},{c.end_seconds},{split}"
            for (of_split, label), clips in rows.items()
            for c in clips
            if of_split is split
        ]
        if not lines:
            lines = [f"{PLAIN},zzzzzzzzzzz,0,1,{split}"]
        (lists / f"{split}.csv").write_text("\n".join([_HEADER, *lines, ""]))
    settings = Settings(
        root=root,
        dataset=dataset,
        annotations=AnnotationSettings(source=str(lists)),
        sources=SourceSettings(
            order=("mirror",),
            mirror_url=server.url("/kinetics"),
            loopback_hosts=(server.host,),
            connections=2,
            timeout_seconds=120,
        ),
        limits=Limits(min_free_bytes=0, workers=1),
    )
    (root / "kinetics.toml").write_text(
        f'[annotations]\nsource = "{lists}"\n[sources]\norder = ["mirror"]\n'
        f'mirror_url = "{server.url("/kinetics")}"\nloopback_hosts = ["{server.host}"]\n'
        "connections = 2\n[limits]\nmin_free_bytes = 0\nworkers = 1\n"
    )
    if stored:
        run_annotations(settings)
    return Replica(server, settings, rows)
