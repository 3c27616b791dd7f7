"""Taking clips down: no byte of them stays under the root, what is known of them does.

The record is written first; from then on no step fetches or makes them. Then, class by class and
under the class's locks, rows are kept, files deleted and manifests rewritten; then everything else
that holds their bytes. After a crash the same call does what is left.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from kinetics_assets.core.classes import class_names, folder_name
from kinetics_assets.core.clips import Split
from kinetics_assets.core.errors import InputError, Locked
from kinetics_assets.core.layout import TEMP_PREFIX, Layout
from kinetics_assets.core.manifest import ManifestRow, Status
from kinetics_assets.core.reasons import Reason
from kinetics_assets.core.settings import Settings
from kinetics_assets.core.stages import ALL_CLASS_STAGES, Stage
from kinetics_assets.io.annotation_store import load_class_rows
from kinetics_assets.io.atomic import os_faults, sweep_temps, sync, temp_path
from kinetics_assets.io.clip_files import FoundFile, Search, Wanted, named_in, search
from kinetics_assets.io.clip_labels import labels_of
from kinetics_assets.io.journal import Journal, read_journal
from kinetics_assets.io.locks import exclusive
from kinetics_assets.io.manifests import read_known, read_manifest, write_manifest
from kinetics_assets.io.takedowns import Takedowns, change_takedowns
from kinetics_assets.stages.job import now_utc
from kinetics_assets.stages.retire import keep_rows, read_retired, taken_down_row
from kinetics_assets.stages.ruled_out import Ruling, ruled_row
from kinetics_assets.stages.shard_files import drop_samples, keys_in
from kinetics_assets.stages.takedown_lists import shorten_lists, shorten_merged

Tell = Callable[[str], None]
"""Called with what the user should know while it happens."""


@dataclass(frozen=True, order=True, slots=True)
class ClassOfDataset:
    """A class that has a row of the clips, now or in an older list."""

    dataset: str
    split: Split
    label: str


@dataclass
class Scope:
    """What is to be taken down, and where."""

    root: Path
    settings: Sequence[Settings]
    """Of every dataset under the root that is concerned."""
    what: frozenset[str]
    """Clip names and ids of videos."""
    dataset: str = ""
    """The only dataset concerned; empty for all under the root."""
    wanted: Wanted = field(init=False)

    def __post_init__(self) -> None:
        """Make the names ready to be looked for."""
        self.wanted = Wanted(self.what)

    @property
    def layouts(self) -> list[Layout]:
        """Paths of the datasets; one that stands behind a link is not gone into."""
        layouts = [Layout.of(settings) for settings in self.settings]
        return [layout for layout in layouts if not layout.base.is_symlink()]

    def search(self) -> Search:
        """Return what is there of the clips."""
        rawframes = [layout.rawframes(split) for layout in self.layouts for split in Split]
        passed_over = [self.root / ".dagster"]
        passed_over += [layout.annotations for layout in self.layouts]
        passed_over += [layout.base / "manifests" for layout in self.layouts]
        passed_over += [layout.shards(split) for layout in self.layouts for split in Split]
        return search(
            self.root / self.dataset,
            self.wanted,
            followed={path for path in rawframes if path.is_symlink()},
            passed_over=set(passed_over),
        )

    def classes(self, present: Search) -> list[ClassOfDataset]:
        """Return the classes that have a row of the clips: by the lists and by what is there."""
        layouts = {layout.dataset: layout for layout in self.layouts}
        found = labels_of(self.root, self.wanted.youtube_ids)
        labels = {
            pair
            for clip, pairs in found.items()
            if {clip.name, clip.youtube_id} & self.what
            for pair in pairs
        }
        labels.update(self._folders_of(present))
        return sorted(
            ClassOfDataset(dataset, split, label)
            for dataset, label in labels
            if dataset in layouts
            for split in Split
            if self._has_class(layouts[dataset], split, label)
        )

    def _folders_of(self, present: Search) -> Iterator[tuple[str, str]]:
        """Yield (dataset, label) of the class folders in which something was found."""
        for layout in self.layouts:
            labels = {folder_name(name): name for name in (*class_names(layout.dataset), "")}
            for item in present.found:
                folder = item.path.parent.name
                if item.path.is_relative_to(layout.base) and folder in labels:
                    yield layout.dataset, labels[folder]

    def includes(self, row: ManifestRow) -> bool:
        """Return whether a row is of one of the clips."""
        return row.clip.name in self.what or row.clip.youtube_id in self.what

    def is_temporary(self, path: Path) -> bool:
        """Return whether a step may be at work on a file, which then goes with the step."""
        return any(part.startswith(TEMP_PREFIX) for part in path.relative_to(self.root).parts)

    def _has_class(self, layout: Layout, split: Split, label: str) -> bool:
        """Return whether a list or a manifest of the split has one of the clips in this class."""
        for stage in ALL_CLASS_STAGES:
            rows = read_known(layout, split, stage, label)
            rows += read_retired(layout.retired_manifest(split, stage, label))
            if any(map(self.includes, rows)):
                return True
        try:
            clips = load_class_rows(layout, split, label).clips
        except InputError:
            return False  # the split has no list
        return any({clip.id.name, clip.id.youtube_id} & self.what for clip in clips)


@dataclass
class Outcome:
    """What was done."""

    deleted: list[FoundFile] = field(default_factory=list)
    rows: int = 0
    """Manifest rows that say so now and did not before."""
    lines: int = 0
    """Lines taken out of file lists."""
    merged_lines: int = 0
    """Lines taken out of the lists of Kinetics-710."""
    elsewhere: dict[Path, int] = field(default_factory=dict)
    """A name that a deleted file had -> names outside of what was searched, which it keeps."""
    at_work: list[str] = field(default_factory=list)
    """Archives that are being fetched or unpacked; the clips may come with them once more."""
    left: Search = field(default_factory=Search)
    """What could not be deleted; empty if all is well."""


def take_down(scope: Scope, *, reason: str, tell: Tell) -> Outcome:
    """Return what was done to take the clips of `scope` down and record it for later runs.

    Steps at work on a class concerned are waited for. A second call at once changes no byte.

    Raises:
        EnvironmentFault: A file cannot be deleted; the same call goes on later.
        SettingsError: The record of takedowns is damaged.
    """
    takedowns = change_takedowns(
        scope.root,
        lambda known: known.added(scope.what, dataset=scope.dataset, reason=reason, now=now_utc()),
    )
    outcome = Outcome()
    present = scope.search()
    outcome.elsewhere = present.elsewhere
    # Other names go first: once a clip's own name is gone they could not be found after a crash.
    for item in present.found:
        is_named = scope.wanted.includes(item.path.name, is_folder=item.is_folder)
        if not is_named and not scope.is_temporary(item.path):
            _delete(item, outcome)
    for one in scope.classes(present):
        layout = next(lay for lay in scope.layouts if lay.dataset == one.dataset)
        with _locked(layout, one, tell):
            _ClassTakedown(scope, layout, one, takedowns, outcome).run()
    for layout in scope.layouts:
        sweep_temps(layout.scratch)
        outcome.at_work += _archives_at_work(layout)
    for item in scope.search().found:
        if scope.is_temporary(item.path):
            _sweep_around(item.path)
        else:
            _delete(item, outcome)
    for settings in scope.settings:
        outcome.lines += shorten_lists(settings, scope.wanted)
    outcome.merged_lines = shorten_merged(scope.root, scope.wanted, dataset=scope.dataset)
    outcome.left = scope.search()
    return outcome


def restore(root: Path, what: Sequence[str], *, dataset: str) -> Takedowns:
    """Return the record without `what`; the next runs fetch and make the clips again.

    Raises:
        InputError: One of them is not recorded.
    """
    return change_takedowns(root, lambda known: known.without(what, dataset=dataset))


@dataclass
class _ClassTakedown:
    """One class, under its locks."""

    scope: Scope
    layout: Layout
    one: ClassOfDataset
    takedowns: Takedowns
    outcome: Outcome

    def run(self) -> None:
        """Keep the rows, delete the files, rewrite the manifests: in this order."""
        known = {stage: self._known(stage) for stage in ALL_CLASS_STAGES}
        for stage, rows in known.items():
            self._keep(stage, rows)
        for folder in self._folders():
            self._empty(folder)
        self._drop_samples()
        for stage in known:
            self._rewrite(stage)

    def _known(self, stage: Stage) -> list[ManifestRow]:
        rows = read_known(self.layout, self.one.split, stage, self.one.label)
        return [row for row in rows if self.scope.includes(row)]

    def _text(self, row: ManifestRow) -> str:
        entry = self.takedowns.entry_of(self.one.dataset, row.clip)
        return entry.text if entry is not None else ""

    def _keep(self, stage: Stage, rows: Sequence[ManifestRow]) -> None:
        """Write what is known of the clips into the retired manifest: the best that there is."""
        path = self.layout.retired_manifest(self.one.split, stage, self.one.label)
        kept = {row.clip: row for row in read_retired(path) if self.scope.includes(row)}
        for row in rows:
            if row.status is Status.OK or row.clip not in kept:
                kept[row.clip] = row
        if kept:
            keep_rows(path, [taken_down_row(row, self._text(row)) for row in kept.values()])

    def _folders(self) -> Iterator[Path]:
        """Yield the folders that the class has in each stage, retired ones included."""
        split, label = self.one.split, self.one.label
        yield from dict.fromkeys(
            self.layout.class_folder(split, stage, label) for stage in ALL_CLASS_STAGES
        )
        for stage in ALL_CLASS_STAGES:
            yield self.layout.retired_class(split, stage, label)

    def _empty(self, folder: Path) -> None:
        """Delete the clips in one folder, and what dead steps left there: nobody else is here."""
        if not folder.is_dir():
            return
        with os_faults(f"emptying {folder}"):
            temps = [path for path in folder.iterdir() if path.name.startswith(TEMP_PREFIX)]
            for path in temps:
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
            for path, is_folder in named_in(folder, self.scope.wanted).items():
                seen = Search()
                seen.add(path, is_folder=is_folder)
                _delete(seen.found[0], self.outcome)

    def _drop_samples(self) -> None:
        """Write the shards anew that hold one of the clips, without it."""
        folder = self.layout.class_folder(self.one.split, Stage.SHARDS, self.one.label)
        wanted = self.scope.wanted
        keys = {key for _, key in keys_in(folder) if wanted.includes(key, is_folder=True)}
        drop_samples(folder, keys, stage="takedown")

    def _rewrite(self, stage: Stage) -> None:
        """Make the rows say that the clips were taken down."""
        split, label = self.one.split, self.one.label
        journal = self.layout.journal(split, stage, label)
        # a killed step's verdicts are newer than the manifest, and the last line counts
        written = [self._ruled(row) for row in read_journal(journal) if self.scope.includes(row)]
        if written:
            with Journal(journal) as lines:
                for row in {row.clip: row for row in written}.values():
                    lines.append(row)
        before = read_manifest(self.layout, split, stage, label)
        after = [self._ruled(row) if self.scope.includes(row) else row for row in before]
        if after != before:
            self.outcome.rows += sum(a != b for a, b in zip(after, before, strict=True))
            write_manifest(self.layout, split, stage, label, rows=after)

    def _ruled(self, row: ManifestRow) -> ManifestRow:
        return ruled_row(row, Ruling(Reason.TAKEN_DOWN, self._text(row)))


@contextmanager
def _locked(layout: Layout, one: ClassOfDataset, tell: Tell) -> Iterator[None]:
    """Hold all locks of a class; say so where a step has to be waited for."""
    paths = [layout.lock(one.split, stage, one.label) for stage in ALL_CLASS_STAGES]
    paths.append(layout.frames_lock(one.split, one.label))
    what = f"{one.label or 'unlabelled'!r} in {one.dataset} {one.split}"
    with ExitStack() as stack:
        for path in paths:
            try:
                stack.enter_context(exclusive(path, wait=False, what=what))
            except Locked as busy:
                tell(f"waiting: {busy.message}")
                stack.enter_context(exclusive(path, wait=True, what=what))
        yield


def _archives_at_work(layout: Layout) -> Iterator[str]:
    """Yield the archives of a mirror that another process has in hand.

    A process that began before the record was written does not know of it. To wait for it could
    take hours.
    """
    for path in sorted(layout.mirror.glob("archives/*/.*.lock")):
        try:
            with exclusive(path, wait=False):
                pass
        except Locked as busy:
            yield f"{path.parent.name} {path.stem.removeprefix('.')}: {busy.message}"


def _sweep_around(path: Path) -> None:
    """Delete what dead processes left in the folder of a temporary name that `path` is below."""
    for folder in (path, *path.parents):
        if folder.name.startswith(TEMP_PREFIX):
            sweep_temps(folder.parent)


def _delete(item: FoundFile, outcome: Outcome) -> None:
    """Delete a file or a folder for good; a folder's public name goes in one step."""
    with os_faults(f"deleting {item.path}"):
        try:
            if item.is_folder:
                aside = temp_path(item.path, stage="takedown")
                item.path.rename(aside)
                shutil.rmtree(aside)
            else:
                item.path.unlink()
        except FileNotFoundError:
            return
        sync(item.path.parent)
    outcome.deleted.append(item)
