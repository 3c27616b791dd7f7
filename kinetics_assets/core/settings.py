"""Everything a user can set, as frozen value objects.

A `Settings` belongs to one dataset: the defaults below, then the settings file's tables, then the
file's ``[datasets.<name>.<table>]``, then environment variables ``KINETICS_<TABLE>__<FIELD>``.
Reading the file is the business of `kinetics_assets.io.settings_file`.

Each table is one dataclass; the classes called *Recipe* decide output bytes, and their digest is
the code version of the asset.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from kinetics_assets.core.encodings import Encoding, fitted

Upstream = Literal["videos", "resized"]
Packing = Literal["none", "tar", "zip"]
DENSE_GOP = 16
"""Key-frame distance that the field calls dense."""


@dataclass(frozen=True, slots=True)
class AnnotationSettings:
    """Where the annotation lists come from."""

    source: str = "official"
    """``official`` tarball, ``official_delta`` (only what Kinetics-700-2020 added), ``backup``
    lists of MMAction2, ``crawler`` lists of ActivityNet, ``cvdf`` lists of the mirror, or a path or
    URL of the user's own."""
    fallback: str = ""
    """Another of these, asked while no list is here and `source` cannot be had; never in place of
    lists that are here, for it may hold other rows. Empty for none."""
    subset: Path | None = None
    """File of YouTube ids or clip names, or a folder of such files named by split: only these rows
    of the lists are used (a mini set)."""
    min_share: float = 0.8
    """A list from a server with less than this share of the lines of the one before is held for
    half uploaded, and refused; 0 takes any."""
    watch: bool = False
    """Whether the sensor that looks for new editions is running by default."""
    watch_hours: float = 12.0
    """Pause between two looks of that sensor."""
    automate: Literal["off", "filelists", "all"] = "off"
    """What Dagster makes again by itself when something under it changed: nothing, the file lists,
    or each stage of the classes that were made before."""
    official_url: str = "https://storage.googleapis.com/deepmind-media/Datasets/{dataset}.tar.gz"
    """Address of the official tarball; ``{dataset}`` is replaced."""
    backup_url: str = (
        "https://download.openmmlab.com/mmaction/dataset/{dataset}/annotations/kinetics_{split}.csv"
    )
    """Address of one backup list; ``{dataset}`` and ``{split}`` are replaced."""
    crawler_url: str = (
        "https://raw.githubusercontent.com/activitynet/ActivityNet/master/Crawler/Kinetics/data/"
        "kinetics-{version}_{split}.csv"
    )
    """Address of one list of the crawler; ``{version}`` is that of the dataset, such as 400."""
    cvdf_url: str = "https://s3.amazonaws.com/kinetics/{version}/annotations/{file}"
    """Address of one list of the mirror; ``{file}`` is ``train.csv`` or, where that one is not
    complete, ``train.txt``."""


@dataclass(frozen=True, slots=True)
class VideoRecipe:
    """How a clip is cut from a longer source."""

    trim_preset: str = "medium"
    """x264 preset of a cut clip; a source that is the clip already is kept byte for byte."""
    trim_crf: int = 23
    """x264 constant rate factor of a cut clip."""
    min_frames: int = 1
    """A clip with fewer decoded frames is `too_short`."""
    min_duration_share: float = 0.5
    """A clip shorter than this share of its annotated span is `too_short`."""


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """Where clips are looked for, and in which order."""

    order: tuple[str, ...] = ("siblings", "local", "mirror", "torrent", "youtube")
    """Names of sources, tried in this order; one that is not set up is passed over."""
    cc_only: bool = False
    """Take only clips whose list says that they are under a Creative Commons licence."""
    local_folders: tuple[Path, ...] = ()
    """Existing copies of the dataset; any layout seen in the wild."""
    adopt_folders: tuple[Path, ...] = ()
    """Existing MMAction2 trees whose videos, frames and flow are taken over after checking."""
    local_copy: bool = False
    """Copy local files instead of hard-linking them."""
    mirror_url: str = "https://s3.amazonaws.com/kinetics"
    """Address of the mirror of archives, laid out as CVDF's."""
    mirror_keep_archives: bool = False
    """Keep an archive after it was unpacked."""
    torrent_file: str = ""
    """Path of a torrent file, or a magnet link, instead of the dataset's published one."""
    torrent_seed_ratio: float = 1.0
    """Give back this many times what was taken before the torrent is closed; 0 gives nothing."""
    torrent_seed_minutes: float = 0.0
    """Longest time a step goes on giving back after it has what it wants."""
    torrent_upload_kib: int = 1024
    """Most KiB per second that are given, 0 for no limit."""
    torrent_download_kib: int = 0
    """Most KiB per second that are taken, 0 for no limit."""
    youtube_url: str = "https://www.youtube.com/watch?v={id}"
    """Address of a video; ``{id}`` is replaced. With ``{start}`` and ``{end}`` (six digits each) it
    is the address of the clip itself."""
    youtube_extractors: tuple[str, ...] = ("youtube",)
    """yt-dlp extractors that may be used."""
    youtube_format: str = ""
    """yt-dlp format; empty for pictures and sound of at most `youtube_height_px`, joined here
    without ffmpeg where the site has no file with both."""
    youtube_height_px: int = 480
    """Largest picture height asked for (of a portrait: width), as far as there is a choice."""
    youtube_interval_seconds: float = 15.0
    """Mean pause between two videos asked of one host, shared by all steps on this machine; a guest
    of YouTube is known to be stopped at about 300 videos an hour."""
    youtube_cookies: Path | None = None
    """Cookies of a login, in Netscape format; only ever read, each step works on a copy."""
    youtube_proxy: str = field(default="", repr=False)
    """``http://[user:password@]host:port`` of a proxy for this source."""
    youtube_canaries: tuple[str, ...] = ("jNQXAC9IVRw",)
    """Ids of videos known to be there; while none of them can be had, no clip is held for gone."""
    youtube_whole_minutes: float = 20.0
    """Of longer videos only the part with the clip is fetched, where the server allows it."""
    loopback_hosts: tuple[str, ...] = ()
    """``host:port`` on this machine that may be reached by http; empty means none."""
    retry_hours: float = 1.0
    """Pause before a retryable clip is asked for again; doubles with each attempt, up to a week."""
    timeout_seconds: float = 30.0
    """Longest silence on a connection."""
    max_wait_seconds: float = 300.0
    """Longest pause that a step sits out when a server asks for one; a longer one ends the step."""
    pause_minutes: float = 60.0
    """How long a source is left alone after a bot check, a rate limit or a mass failure."""
    mass_failure_share: float = 0.9
    """A source at which this share of a step's clips fails is stopped, unless its canary works."""
    mass_failure_least: int = 20
    """Clips asked for before `mass_failure_share` counts."""
    connections: int = 4
    """Videos that one step fetches and checks at a time."""
    max_source_bytes: int = 4 * 2**30
    """Largest file that is downloaded."""


@dataclass(frozen=True, slots=True)
class ResizeRecipe:
    """How a clip is made smaller."""

    recipe: Literal["default", "mmaction2"] = "default"
    """``mmaction2`` fixes codec settings, audio and upscaling to those of its resize script."""
    short_side_px: int = 256
    """Length of the shorter side of the upright picture."""
    gop: int = 16
    """Largest distance of key frames, in frames; 16 is what the field calls dense."""
    preset: str | None = None
    """x264 preset; by default one fitted to the clip's size and codec, with what follows."""
    crf: float | None = None
    """x264 constant rate factor; by default the fitted one, 21 beside a preset of your own."""
    x264_params: str | None = None
    """Further x264 parameters; by default the fitted ones, none beside a preset of your own."""
    keep_audio: bool = True
    """Copy the audio stream."""
    upscale: bool = False
    """Also enlarge clips that are smaller."""

    @property
    def folder_suffix(self) -> str:
        """What follows ``videos_<split>_`` in the folder's name, for example 256p_dense_cache."""
        dense = "_dense" if self.gop == DENSE_GOP else ""
        return f"{self.short_side_px}p{dense}_cache"

    def encoding(self, short_side_px: int, *, codec: str) -> Encoding:
        """Return how a clip of `codec` with this short side is encoded; settings win."""
        if self.preset is None:
            base = fitted(short_side_px, self.short_side_px, codec=codec)
        else:
            base = Encoding(self.preset, 21, "")
        return replace(
            base,
            crf=base.crf if self.crf is None else self.crf,
            x264_params=base.x264_params if self.x264_params is None else self.x264_params,
        )

    def effective(self) -> ResizeRecipe:
        """Return the recipe with a named recipe's fixed values put in."""
        if self.recipe == "default":
            return self
        return ResizeRecipe(
            recipe="mmaction2",
            short_side_px=self.short_side_px,
            gop=self.gop,
            preset="medium",
            crf=23,
            x264_params="",
            keep_audio=False,
            upscale=True,
        )


@dataclass(frozen=True, slots=True)
class FrameRecipe:
    """How frames are written; flow shares size and numbering."""

    size: str = "256"
    """New short side ("256", "320"), a fixed size ("340x256"), or "original"."""
    upscale: bool = False
    """Also enlarge clips that are smaller."""
    scaling: Literal["area", "bicubic", "denseflow"] = "area"
    """How frames are made smaller. ``area`` averages and does not alias, ``bicubic`` is sharper and
    dearer; ``denseflow`` gives the pictures that denseflow and OpenCV give, aliased as theirs, and
    takes about twice as long. Flow is scaled denseflow's way always."""
    also_sizes: tuple[str, ...] = ()
    """Further sizes of frames that are written in the same decode, beside the others in
    ``rawframes_<split>_<size>``; flow has the first size alone."""
    start_index: int = 1
    """Number of the first frame: 1 as MMAction2's readers assume, 0 as denseflow writes."""
    jpeg_quality: int = 95
    """JPEG quality of frames and of flow pictures."""
    frames_from: Upstream = "videos"
    """Take frames and flow from the original or from the resized videos."""


@dataclass(frozen=True, slots=True)
class FlowRecipe:
    """How optical flow is computed."""

    engine: str = "auto"
    """``auto`` or the name of an engine; auto is resolved once per dataset and split."""
    denseflow_path: Path | None = None
    """The program of the engine ``denseflow``; by default the one on the PATH, which alone ``auto``
    looks for."""
    opencv_cuda_python: Path | None = None
    """The Python whose cv2 was built with CUDA, for the engines ``opencv_cuda``; by default the one
    that this package runs in."""
    bound_px: float = 20.0
    """Displacement, in pixels, that the largest grey level stands for."""
    mixed: Literal["refuse", "engines", "profiles", "remake"] = "refuse"
    """Where a class has flow of another engine, or flow that was taken over, and clips to be made:
    ``refuse`` to make them; ``engines`` keeps flow of the same profile, ``profiles`` any flow;
    ``remake`` makes all of it with the present engine and takes nothing over."""


@dataclass(frozen=True, slots=True)
class AudioRecipe:
    """How a clip's sound is written; `kinetics prepare --stage audio` makes it."""

    format: Literal["wav", "flac"] = "wav"
    """``wav``, or ``flac``, which is about half the size and loses nothing; 16 bits both."""
    sample_rate_hz: int = 0
    """Samples per second; 0 keeps those of the source."""
    channels: int = 0
    """1 or 2; 0 keeps those of the source."""


@dataclass(frozen=True, slots=True)
class AudioFeatureRecipe:
    """How sound becomes log-mel; the defaults are those of MMAction2's audio models.

    docs/media-policies.md has the formula.
    """

    sample_rate_hz: int = 16_000
    """The sound is made mono and resampled to this."""
    fft_size: int = 512
    """Samples of one window."""
    hop_size: int = 256
    """Samples from a window to the next."""
    mels: int = 80
    """Bands."""
    lowest_hz: float = 125.0
    """Where the lowest band begins."""
    highest_hz: float = 7600.0
    """Where the highest band ends."""
    loudness: float = 0.1
    """Root mean square that a clip is scaled to before; 0 leaves it as loud as it is."""
    reference_db: float = 20.0
    """Level that becomes 1."""
    range_db: float = 100.0
    """Levels this far below `reference_db` and quieter become 0."""


@dataclass(frozen=True, slots=True)
class ShardRecipe:
    """How frames and flow are put into shards; `kinetics prepare --stage shards` makes them."""

    clips: int = 64
    """Most clips in one shard; at 256 pixels, 64 clips of 10 s with flow are about 1 GB."""
    flow: bool = True
    """Put a clip's flow beside its frames."""


@dataclass(frozen=True, slots=True)
class ListSettings:
    """How file lists are written."""

    videos_from: Upstream = "videos"
    """Which folder the ``videos`` list names; never a mix."""
    shuffle: bool = False
    """Shuffle lines as MMAction2's tool does, instead of sorting them."""
    seed: int | None = None
    """Seed of the shuffle; needed when `shuffle` is set."""
    min_share: float = 0.5
    """A list below this share of (rows - permanent losses) is refused."""
    exclude: tuple[str, ...] = ()
    """Clips that no list has (docs/editions.md): files with columns youtube_id, time_start and
    time_end, or DATASET/SPLIT for the annotation list of that split under the root."""
    exclude_by: Literal["video", "overlap"] = "video"
    """Leave out all clips of these videos, or only clips that overlap one of the clips in time."""
    exclude_from: tuple[Literal["train", "val", "test"], ...] = ("train",)
    """Splits whose lists leave them out."""
    sensor: bool = True
    """Whether the sensor that keeps lists fresh is running by default."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When a class counts as done."""

    min_completeness: float = 0.9
    """Smallest ok / (rows - permanent - skipped) with which a class materialises."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps on one clip and on this machine."""

    workers: int = 0
    """CPU slots that all steps on this machine share; 0 means one per core."""
    gpu_devices: tuple[str, ...] = ()
    """GPUs that steps may use: numbers as nvidia-smi counts them, or UUIDs; empty means all that
    CUDA_VISIBLE_DEVICES leaves."""
    gpu_slots: int = 2
    """Steps that share one GPU at a time."""
    clip_wall_seconds: float = 600.0
    """Longest time one operation on one clip may take."""
    clip_cpu_seconds: int = 600
    """Most CPU time one operation on one clip may take."""
    memory_bytes: int = 4 * 2**30
    """Address space of a sandboxed child."""
    max_output_bytes: int = 4 * 2**30
    """Largest file a sandboxed child may write."""
    max_side_px: int = 8192
    """Longest side of a picture that is decoded."""
    max_frames: int = 100_000
    """Most frames that are decoded from one clip."""
    min_free_bytes: int = 256 * 2**20
    """A step does not start with less free space under the root."""
    decode_once: bool = True
    """Whether steps of one run that read the same videos share one decode. Bytes do not depend on
    it."""
    ahead_bytes: int = 8 * 2**30
    """Most that a step makes of one class for later steps of its run; what is beyond that is
    decoded by these steps themselves."""


@dataclass(frozen=True, slots=True)
class StorageSettings:
    """Where the bulk goes."""

    rawframes_folder: Path | None = None
    """Folder on another disk that holds the frame folders; the dataset gets a link to it."""
    packing: Packing = "none"
    """``tar`` or ``zip`` keep a clip's frames in one uncompressed archive, and its flow in another,
    instead of hundreds of files. What is there is converted, not made again."""


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of one dataset."""

    root: Path
    """Folder that holds all datasets (KINETICS_ROOT)."""
    dataset: str
    """Name of the dataset these settings are for."""
    annotations: AnnotationSettings = field(default_factory=AnnotationSettings)
    videos: VideoRecipe = field(default_factory=VideoRecipe)
    sources: SourceSettings = field(default_factory=SourceSettings)
    resized: ResizeRecipe = field(default_factory=ResizeRecipe)
    rawframes: FrameRecipe = field(default_factory=FrameRecipe)
    flow: FlowRecipe = field(default_factory=FlowRecipe)
    audio: AudioRecipe = field(default_factory=AudioRecipe)
    audio_features: AudioFeatureRecipe = field(default_factory=AudioFeatureRecipe)
    shards: ShardRecipe = field(default_factory=ShardRecipe)
    filelists: ListSettings = field(default_factory=ListSettings)
    thresholds: Thresholds = field(default_factory=Thresholds)
    limits: Limits = field(default_factory=Limits)
    storage: StorageSettings = field(default_factory=StorageSettings)


def digest(*parts: Any) -> str:  # noqa: ANN401 - any JSON-able value or dataclass is digested
    """Return the first 16 hex digits of the sha256 of `parts` as canonical JSON."""
    plain = [asdict(part) if hasattr(part, "__dataclass_fields__") else part for part in parts]
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
