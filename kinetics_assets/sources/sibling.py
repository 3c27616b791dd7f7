"""Clips that are there already, for another dataset or elsewhere in the same one.

The lists of all datasets under the root say under which classes a clip may be; the manifests of
those classes say which file it is, and what it must hash to. Nothing is listed or searched.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from kinetics_assets.core.clips import ClipId, Split
from kinetics_assets.core.errors import ClipError, InputError, InternalError, NotAtSource
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.manifest import WHOLE, ManifestRow, Status, decode_manifest
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.annotation_store import load_class_rows
from kinetics_assets.io.atomic import link_or_copy, os_faults, sha256_of
from kinetics_assets.io.clip_labels import labels_of
from kinetics_assets.io.manifests import read_known
from kinetics_assets.sources.base import Found

_Signature = tuple[int, int]
_Rows = dict[ClipId, ManifestRow]


@dataclass
class SiblingSource:
    """Clips of the datasets under one root: same video, same start, same end.

    Looked at, for every class that any edition of any dataset's lists gives the clip, are the
    manifests of all splits, then the retired rows of all splits. A clip that got another label is
    therefore found whether its old class has retired it yet or not.

    A file is offered if its row is ok, it was taken whole or cut by today's recipe, and its sha256
    is the recorded one. It is handed out by a link of its own, so that it stays although the other
    class moves or deletes it at that moment. Within this dataset it keeps the source that its row
    names: a clip that got another label came from there, by whatever way.
    """

    layout: Layout
    split: Split
    cut_digest: str = ""
    """Recipe by which this dataset cuts clips; a clip cut by another one is not taken."""
    name: str = "siblings"
    may_heal: bool = False
    host: str = ""
    _labels: dict[ClipId, list[tuple[str, str]]] = field(default_factory=dict, repr=False)
    _classes_read: set[str] = field(default_factory=set, repr=False)
    _manifests: dict[Path, tuple[_Signature, _Rows]] = field(default_factory=dict, repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def state_of(self, clip: ClipId) -> str:
        """Return nothing: while another dataset is being filled its state changes all the time.

        Were it told, every clip that failed here would be due after each step there. A clip that
        failed is looked for again when its pause is over, or with `--retry-now`.
        """
        del clip
        return ""

    def is_alive(self) -> bool | None:
        """Return None: a folder does not throttle."""
        return None

    def fetch(
        self, clips: Sequence[ClipId], *, label: str, scratch: Path
    ) -> Mapping[ClipId, Found | ClipError]:
        """Return a link to the file of a sibling, or that there is none, for each of `clips`.

        Raises:
            PermissionDenied: A list, a manifest or a clip cannot be read.
        """
        self._read_labels(clips, label=label)
        return {clip: self._find(clip, label=label, scratch=scratch) for clip in clips}

    def _read_labels(self, clips: Sequence[ClipId], *, label: str) -> None:
        """Learn under which classes clips may be: of the whole class at once, as far as known."""
        with self._lock:
            unknown = {clip.youtube_id for clip in clips if clip not in self._labels}
            if not unknown:
                return
            if label not in self._classes_read:
                self._classes_read.add(label)
                unknown |= {clip.youtube_id for clip in self._listed(label)}
            self._labels.update({clip: [] for clip in clips})
            self._labels.update(labels_of(self.layout.root, unknown))

    def _listed(self, label: str) -> list[ClipId]:
        """Return the clips of a class of this dataset; none if it has no list yet."""
        try:
            rows = load_class_rows(self.layout, self.split, label)
        except InputError:
            return []
        return [clip.id for clip in rows.clips]

    def _find(self, clip: ClipId, *, label: str, scratch: Path) -> Found | ClipError:
        """Return the first good sibling of a clip, or why there is none."""
        words = []
        base = self.layout.base
        for path, row in self._candidates(clip, label):
            shown = path.relative_to(self.layout.root).as_posix()
            if row.status is not Status.OK:
                continue
            if row.digest not in {WHOLE, self.cut_digest}:
                words.append(f"{shown} was cut by another recipe")
                continue
            link = scratch / f"{secrets.token_hex(6)}-{clip.name}{path.suffix}"
            try:
                link_or_copy(path, link)
            except FileNotFoundError:
                continue  # moved or deleted since the row was written
            if sha256_of(link) != row.sha256:
                words.append(f"{shown} is not the file that was recorded")
                link.unlink()
                continue
            return Found(
                link,
                shown,
                is_whole_video=False,
                is_ours=False,
                cut_digest="" if row.digest == WHOLE else row.digest,
                sha256=row.sha256,
                source=row.source if path.is_relative_to(base) else "",
            )
        said = f" ({'; '.join(words)})" if words else ""
        return NotAtSource(f"No class of a dataset under the root has {clip.name}{said}.")

    def _candidates(self, clip: ClipId, label: str) -> Iterator[tuple[Path, ManifestRow]]:
        """Yield where the file of a clip may be, with its row; present rows before retired ones."""
        own = (self.layout.dataset, self.split, label)
        labels = self._labels[clip]
        for dataset, other in labels:
            layout = Layout(self.layout.root, dataset, "")
            for split in Split:
                if (dataset, split, other) == own:
                    continue
                row = self._known(layout, split, other).get(clip)
                if row is not None and row.path:
                    yield layout.base / row.path, row
        for dataset, other in labels:
            layout = Layout(self.layout.root, dataset, "")
            for split in Split:
                row = self._retired(layout, split, other).get(clip)
                if row is not None and row.path:
                    folder = layout.retired_class(split, Stage.VIDEOS, other)
                    yield folder / Path(row.path).name, row

    def _known(self, layout: Layout, split: Split, label: str) -> _Rows:
        """Return the rows of a class in the videos stage, a running step's included."""
        path = layout.manifest(split, Stage.VIDEOS, label)
        journal = layout.journal(split, Stage.VIDEOS, label)

        def read() -> _Rows:
            known = read_known(layout, split, Stage.VIDEOS, label)
            return {row.clip: row for row in known}

        return self._cached(path if path.exists() else journal, read)

    def _retired(self, layout: Layout, split: Split, label: str) -> _Rows:
        """Return the retired rows of a class in the videos stage."""
        path = layout.retired_manifest(split, Stage.VIDEOS, label)
        return self._cached(
            path, lambda: {row.clip: row for row in decode_manifest(path.read_bytes())}
        )

    def _cached(self, path: Path, read: Callable[[], _Rows]) -> _Rows:
        """Return what `read` gives, again only when the file at `path` is another one."""
        with self._lock, os_faults(f"reading {path}"):
            try:
                stat = path.stat()
            except FileNotFoundError:
                return {}
            signature = (stat.st_mtime_ns, stat.st_size)
            before = self._manifests.get(path)
            if before is not None and (before[0] == signature or path.suffix == ".journal"):
                return before[1]
            try:
                rows = read()
            except InternalError:
                rows = {}  # damaged: its own class says so, here the clip is got elsewhere
            self._manifests[path] = signature, rows
            return rows
