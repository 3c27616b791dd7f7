"""The lists and manifests of orchestration.py: Kinetics-700-2020 in its true size, ids made up.

Everything is written by the package's own functions, in two editions: in the second one, one row of
each class and split is another cut of its video, so that all classes changed, which is the worst
that a new edition can do. `python bench/orchestration_lists.py FOLDER PORT` serves a folder with
ETags.
"""

from __future__ import annotations

import hashlib
import io
import json
import random
import shutil
import string
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

from filelists_dataset import video_row
from kinetics_like import cache_folder

from kinetics_assets.core.classes import class_names
from kinetics_assets.core.clips import Split
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.list_checks import KNOWN_ROWS
from kinetics_assets.core.settings import Settings, digest
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.annotation_store import EditionInfo, load_class_rows, splits_present
from kinetics_assets.io.manifests import write_manifest
from kinetics_assets.io.settings_file import load_settings
from kinetics_assets.stages.annotations import run_annotations
from kinetics_assets.stages.digests import recipe_digest

REVISION: Final = 1
DATASET: Final = "kinetics700_2020"
ARCHIVE: Final = f"{DATASET}.tar.gz"
_NAME = string.ascii_letters + string.digits + "-_"


def row_count() -> int:
    """Return the number of rows of all splits."""
    return sum(counts[0] for counts in KNOWN_ROWS[DATASET].values())


@dataclass(frozen=True, slots=True)
class Editions:
    """Two editions of the lists, and the manifests of a dataset that was made from the first."""

    folder: Path
    infos: tuple[dict[Split, EditionInfo], dict[Split, EditionInfo]]
    """What to make current to have either."""

    @property
    def root(self) -> Path:
        """KINETICS_ROOT, with settings that name the bench's own server."""
        return self.folder / "root"

    @property
    def served(self) -> Path:
        """The folder that the server is to serve."""
        return self.folder / "served"

    def archive(self, edition: int) -> Path:
        """Return the archive of an edition."""
        return self.folder / f"edition-{edition}" / ARCHIVE


def made(port: int) -> Editions:
    """Return the lists and manifests, which are made on the first call and kept.

    Args:
        port: Where `serving` answers; settings and what is noted of fetched files have it.
    """
    key = digest(REVISION, port, recipe_digest(Stage.VIDEOS, Settings(Path(), DATASET)))
    editions = Editions(cache_folder() / f"orchestration-{key}", ({}, {}))
    if not (editions.folder / "ready").exists():
        shutil.rmtree(editions.folder, ignore_errors=True)
        _make(editions, port)
        (editions.folder / "ready").touch()
    texts = [(editions.folder / f"edition-{n}" / "infos.json").read_text() for n in (0, 1)]
    first, second = ({Split(k): EditionInfo(**v) for k, v in json.loads(t).items()} for t in texts)
    return replace(editions, infos=(first, second))


def _make(editions: Editions, port: int) -> None:
    """Make both editions and the manifests of the first."""
    host = f"127.0.0.1:{port}"
    editions.root.mkdir(parents=True)
    (editions.root / "kinetics.toml").write_text(
        f'[annotations]\nsource = "http://{host}/{ARCHIVE}"\n'
        f'[sources]\nloopback_hosts = ["{host}"]\ntimeout_seconds = 300\n'
    )
    settings = load_settings(DATASET, root=editions.root)
    editions.served.mkdir()
    with serving(editions.served, port):
        for number in (1, 0):
            write_archive(editions.archive(number), edition=number)
            shutil.copyfile(editions.archive(number), editions.served / ARCHIVE)
            infos = run_annotations(settings).editions
            text = json.dumps({split.value: asdict(info) for split, info in infos.items()})
            (editions.archive(number).parent / "infos.json").write_text(text)
    write_manifests(settings)


@contextmanager
def serving(folder: Path, port: int) -> Iterator[None]:
    """Serve a folder from a process of its own, which is not counted."""
    argv = [sys.executable, __file__, str(folder), str(port)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        try:
            if process.stdout is None or not process.stdout.readline():
                raise OSError(f"Port {port} of 127.0.0.1 cannot be had; give another one (--port).")
            yield
        finally:
            process.terminate()


def write_archive(path: Path, *, edition: int) -> None:
    """Write the archive of an edition, 0 or 1, in the form of the official one."""
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for split in Split:
            name = "validate" if split is Split.VAL else split.value
            data = "".join(_lines(split, edition)).encode()
            member = tarfile.TarInfo(f"{DATASET}/{name}.csv")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def _lines(split: Split, edition: int) -> Iterator[str]:
    """Yield the list of a split, evenly over the classes."""
    generator, labels = random.Random(f"{DATASET}/{split}"), class_names(DATASET)
    yield "label,youtube_id,time_start,time_end,split\n"
    for number in range(KNOWN_ROWS[DATASET][split][0]):
        label = labels[number % len(labels)]
        start = generator.randrange(300) + (edition if number < len(labels) else 0)
        name = "".join(generator.choices(_NAME, k=11))
        yield f'"{label}",{name},{start},{start + 10},{split}\n'


def write_manifests(settings: Settings) -> int:
    """Return the number of classes whose videos were made, as a manifest says, from current rows.

    Verdicts are made up as for filelists.py: most clips are there, some are lost.
    """
    layout, written = Layout.of(settings), 0
    for split in splits_present(layout):
        for label in class_names(settings.dataset):
            rows = load_class_rows(layout, split, label)
            generator = random.Random(label)
            videos = [video_row(clip, rows.edition, generator) for clip in rows.clips]
            written += write_manifest(layout, split, Stage.VIDEOS, label, rows=videos)
    return written


class _Handler(BaseHTTPRequestHandler):
    """Answers with files of a folder, or that they have not changed."""

    protocol_version = "HTTP/1.1"
    folder: Path

    def do_GET(self) -> None:
        data = (self.folder / Path(self.path).name).read_bytes()
        tag = f'"{hashlib.sha256(data).hexdigest()[:16]}"'
        is_known = self.headers.get("If-None-Match") == tag
        self.send_response(304 if is_known else 200)
        self.send_header("ETag", tag)
        if not is_known:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if not is_known:
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Say nothing: the bench's last line is its finding."""


def main() -> None:
    """Serve the folder and the port that the command line names until the process is ended."""
    folder, port = sys.argv[1:]
    handler = type("Handler", (_Handler,), {"folder": Path(folder)})
    with ThreadingHTTPServer(("127.0.0.1", int(port)), handler) as server:
        print("serving", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
