"""Every path of a dataset on disk; the only module that joins them.

The layout is that of MMAction2's "Preparing Kinetics", plus `manifests`, `retired` and the editions
of the annotation lists. Temporary names begin with ``.tmp-`` and are no part of the dataset.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from kinetics_assets.core.classes import folder_name
from kinetics_assets.core.clips import ClipId, Split
from kinetics_assets.core.settings import Packing, Settings
from kinetics_assets.core.stages import Stage

TEMP_PREFIX = ".tmp-"
"""Beginning of every temporary name; readers skip these."""
AHEAD_PREFIX = f"{TEMP_PREFIX}ahead-"
"""Beginning of the names of what one step makes for a later one; only these two remove it."""
PARTIAL_PREFIX = ".part-"
"""Beginning of the name of a download that is not complete and may be gone on with."""
EDITION_DIGITS = 12
"""Hex digits of an edition's sha256 in its folder name."""
FRAMES_INDEX = "_rgb.json"
FLOW_INDEX = "_flow.json"
HISTORY_SUFFIX = ".history.json"
"""End of the file beside a list that says what it was made from."""
_PACKINGS: dict[str, Packing] = {".tar": "tar", ".zip": "zip"}


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths of one dataset."""

    root: Path
    dataset: str
    resized_suffix: str

    @classmethod
    def of(cls, settings: Settings) -> Layout:
        """Return the layout that `settings` describe."""
        return cls(settings.root, settings.dataset, settings.resized.effective().folder_suffix)

    @property
    def base(self) -> Path:
        """Folder of the dataset."""
        return self.root / self.dataset

    # annotations
    @property
    def annotations(self) -> Path:
        """Folder of the current lists."""
        return self.base / "annotations"

    def annotation_list(self, split: Split) -> Path:
        """Return the current list of a split, under the name MMAction2 gives it."""
        return self.annotations / f"kinetics_{split}.csv"

    @property
    def editions(self) -> Path:
        """Folder that keeps every edition of the lists, a folder each."""
        return self.annotations / "editions"

    def edition(self, sha256: str) -> Path:
        """Return the folder that keeps one edition of the lists, bytes untouched."""
        return self.editions / sha256[:EDITION_DIGITS]

    def edition_rows(self, sha256: str) -> Path:
        """Return the file of an edition's accepted rows, one row group per class."""
        return self.edition(sha256) / "rows.parquet"

    def edition_rejected(self, sha256: str) -> Path:
        """Return the file of an edition's rejected lines."""
        return self.edition(sha256) / "rejected.parquet"

    def edition_classes(self, sha256: str) -> Path:
        """Return the file of an edition's classes: rows, hash and row group of each."""
        return self.edition(sha256) / "classes.json"

    @property
    def current_edition(self) -> Path:
        """File that names the current edition of each split."""
        return self.annotations / "edition.json"

    @property
    def fetched_lists(self) -> Path:
        """File of what servers said of the lists that were fetched; no part of the dataset."""
        return self.annotations / ".fetched.json"

    @property
    def annotations_lock(self) -> Path:
        """Lock file of whoever replaces the lists."""
        return self.annotations / ".lock"

    # media
    def videos(self, split: Split) -> Path:
        """Return the folder of a split's clips."""
        return self.base / f"videos_{split}"

    def resized(self, split: Split) -> Path:
        """Return the folder of a split's resized clips."""
        return self.base / f"videos_{split}_{self.resized_suffix}"

    def rawframes(self, split: Split) -> Path:
        """Return the folder of a split's frames and flow."""
        return self.base / f"rawframes_{split}"

    def rawframes_of_size(self, split: Split, size: str) -> Path:
        """Return the folder of a split's frames of a further size; "*" is a pattern of all."""
        return self.base / f"rawframes_{split}_{size}"

    def audio(self, split: Split) -> Path:
        """Return the folder of a split's sound."""
        return self.base / f"audio_{split}"

    def audio_features(self, split: Split) -> Path:
        """Return the folder of a split's log-mel features."""
        return self.base / f"audio_features_{split}"

    def shards(self, split: Split) -> Path:
        """Return the folder of a split's shards."""
        return self.base / f"shards_{split}"

    def stage_root(self, split: Split, stage: Stage) -> Path:
        """Return the folder that the relative paths of a stage's file lists start from."""
        return {
            Stage.VIDEOS: self.videos,
            Stage.RESIZED: self.resized,
            Stage.RAWFRAMES: self.rawframes,
            Stage.FLOW: self.rawframes,
            Stage.AUDIO: self.audio,
            Stage.AUDIO_FEATURES: self.audio_features,
            Stage.SHARDS: self.shards,
        }[stage](split)

    def class_folder(self, split: Split, stage: Stage, label: str) -> Path:
        """Return the folder of one class in a stage."""
        return self.stage_root(split, stage) / folder_name(label)

    def video(self, split: Split, label: str, clip: ClipId, *, suffix: str = ".mp4") -> Path:
        """Return the file of a clip; `suffix` is the container's true extension."""
        return self.class_folder(split, Stage.VIDEOS, label) / f"{clip.name}{suffix}"

    def resized_video(self, split: Split, label: str, clip: ClipId) -> Path:
        """Return the file of a resized clip."""
        return self.class_folder(split, Stage.RESIZED, label) / f"{clip.name}.mp4"

    def sound(self, split: Split, label: str, clip: ClipId, *, suffix: str) -> Path:
        """Return the file of a clip's sound; `suffix` is .wav or .flac."""
        return self.class_folder(split, Stage.AUDIO, label) / f"{clip.name}{suffix}"

    def sound_features(self, split: Split, label: str, clip: ClipId) -> Path:
        """Return the file of a clip's log-mel features."""
        return self.class_folder(split, Stage.AUDIO_FEATURES, label) / f"{clip.name}.npy"

    def frames(self, split: Split, label: str, clip: ClipId) -> Path:
        """Return the folder of a clip's frames and flow."""
        return self.class_folder(split, Stage.RAWFRAMES, label) / clip.name

    def packed_pictures(
        self, split: Split, stage: Stage, label: str, clip: ClipId, *, packing: Packing
    ) -> Path:
        """Return the archive of a clip's frames or flow; the folder where they are not packed."""
        folder = self.frames(split, label, clip)
        if packing == "none":
            return folder
        return folder.with_name(f"{clip.name}.{stage}.{packing}")

    def made_ahead(self, split: Split, stage: Stage, label: str) -> Path:
        """Return the folder of what another step has made for a step of rawframes or flow.

        On the disk of the frames, and hidden, so that it is no part of the dataset.
        """
        return self.class_folder(split, Stage.RAWFRAMES, label) / f"{AHEAD_PREFIX}{stage}"

    def shard(self, split: Split, label: str, *, number: int) -> Path:
        """Return one shard of a class; its index is a ``.json`` beside it."""
        folder = self.class_folder(split, Stage.SHARDS, label)
        return folder / f"{folder.name}-{number:06d}.tar"

    # truth
    def manifest(self, split: Split, stage: Stage, label: str) -> Path:
        """Return the manifest of one class in a stage."""
        return self.manifests(split, stage) / f"{folder_name(label)}.parquet"

    def manifests(self, split: Split, stage: Stage) -> Path:
        """Return the folder of a stage's manifests."""
        return self.base / "manifests" / split / stage

    def journal(self, split: Split, stage: Stage, label: str) -> Path:
        """Return the journal that a running step appends to."""
        return self.manifests(split, stage) / f"{folder_name(label)}.journal"

    def lock(self, split: Split, stage: Stage, label: str) -> Path:
        """Return the lock file of one class in a stage."""
        return self.manifests(split, stage) / f".{folder_name(label)}.lock"

    def frames_lock(self, split: Split, label: str) -> Path:
        """Return the lock file that guards the frame folders of one class."""
        return self.manifests(split, Stage.RAWFRAMES) / f".{folder_name(label)}.folders.lock"

    def choices(self, split: Split) -> Path:
        """Return the file that keeps what was resolved once per split (the flow engine)."""
        return self.base / "manifests" / split / "choices.json"

    # lists
    def filelist(self, split: Split, kind: str, *, suffix: str = ".txt") -> Path:
        """Return a file list, under the name MMAction2 gives it."""
        return self.base / f"{self.dataset}_{split}_list_{kind}{suffix}"

    def list_parts(self, split: Split, kind: str, stage: Stage) -> Path:
        """Return the file that keeps a list's entries by class; it may be deleted at any time."""
        return self.base / "manifests" / split / f"{kind}-list-of-{stage}.parts"

    def class_entries(self, split: Split, stage: Stage, label: str) -> Path:
        """Return the file that keeps a class's list entries; it may be deleted at any time."""
        return self.manifests(split, stage) / f".{folder_name(label)}.parts"

    def retired(self, split: Split) -> Path:
        """Return the folder of files whose rows are no longer in the list."""
        return self.base / "retired" / split

    def retired_class(self, split: Split, stage: Stage, label: str) -> Path:
        """Return the folder of a class's retired files."""
        return self.retired(split) / stage / folder_name(label)

    def retired_manifest(self, split: Split, stage: Stage, label: str) -> Path:
        """Return the manifest of a class's retired rows."""
        return self.retired(split) / stage / f"{folder_name(label)}.parquet"

    # archives of a mirror
    @property
    def mirror(self) -> Path:
        """Folder of what came in archives of a mirror; no part of the dataset."""
        return self.base / "mirror"

    def mirror_files(self, split: Split, archive: str) -> Path:
        """Return the folder of the files that an archive held."""
        return self.mirror / "files" / split / archive

    def mirror_records(self, split: Split) -> Path:
        """Return the folder of the records of a split's archives."""
        return self.mirror / "index" / split

    def mirror_record(self, split: Split, archive: str) -> Path:
        """Return the record of an archive, written when its files are in place."""
        return self.mirror_records(split) / f"{archive}.json"

    def mirror_archive(self, split: Split, archive: str) -> Path:
        """Return the file of an archive while it is worked on, or if it is kept."""
        return self.mirror / "archives" / split / f"{archive}.tar.gz"

    def mirror_work(self, split: Split, archive: str) -> Path:
        """Return the folder of what is half done of an archive; of nobody but who has its lock."""
        return self.mirror / "work" / split / archive

    def mirror_lock(self, split: Split, archive: str) -> Path:
        """Return the lock file of whoever gets an archive."""
        return self.mirror / "archives" / split / f".{archive}.lock"

    def mirror_listed(self, split: Split) -> Path:
        """Return the file that keeps which archives the mirror's own list names."""
        return self.mirror_records(split) / ".listed.json"

    @property
    def mirror_observed_lock(self) -> Path:
        """Lock file of whoever tells Dagster which classes gained files."""
        return self.mirror / ".observed.lock"

    # scratch
    @property
    def torrents(self) -> Path:
        """Folder of what torrents are fetching; hidden, so that it is no part of the dataset."""
        return self.base / ".torrents"

    @property
    def scratch(self) -> Path:
        """Folder for temporary files that are not renamed into place."""
        return self.base / f"{TEMP_PREFIX}scratch"

    def relative(self, path: Path) -> str:
        """Return `path` as manifests store it: relative to the dataset, with forward slashes."""
        return path.relative_to(self.base).as_posix()


def packing_of(path: str) -> Packing:
    """Return in which form the pictures at a manifest row's `path` are."""
    return _PACKINGS.get(PurePosixPath(path).suffix, "none")
