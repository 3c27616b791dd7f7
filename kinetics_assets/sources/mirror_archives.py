"""Which archives the mirror of CVDF has, and where.

Kinetics-600 and 700-2020 have one archive per class of train and val. All of Kinetics-400 and the
test splits are in numbered parts, each with clips of many classes. Kinetics-700 (2019) has no copy.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from kinetics_assets.core.classes import class_indices, folder_name
from kinetics_assets.core.clips import Split
from kinetics_assets.core.errors import DownloadFailed, SettingsError
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.settings import Settings
from kinetics_assets.io.atomic import os_faults, temp_path
from kinetics_assets.io.egress import Egress, redact_url
from kinetics_assets.io.fetch import FetchLimits, fetch
from kinetics_assets.io.host_pace import HostPace

REPLACEMENT = "replacement"
"""Part with good copies of clips that are damaged in the other parts of Kinetics-400."""
_FOLDERS = {"kinetics400": "400", "kinetics600": "600", "kinetics700_2020": "700_2020"}
_PARTS = {("kinetics400", Split.TRAIN): 242, ("kinetics400", Split.VAL): 20}
_TEST_LISTS = {
    "kinetics400": "k400_test_path.txt",
    "kinetics600": "k600_test_path.txt",
    "kinetics700_2020": "k700_2020_test_path.txt",
}
_MAX_LIST_BYTES = 2**20
_FILE_NAME = re.compile(r"([A-Za-z0-9_]{1,80})\.(tar\.gz|tgz|tar)", re.ASCII)


@dataclass(frozen=True, slots=True)
class MirrorArchive:
    """One archive of the mirror."""

    split: Split
    name: str
    """Of its record and its folder in the store."""
    url: str


def is_mirrored(dataset: str) -> bool:
    """Return whether the mirror has a copy of `dataset`."""
    return dataset in _FOLDERS


def has_parts(dataset: str, split: Split) -> bool:
    """Return whether the clips of a split are in parts that mix classes."""
    return is_mirrored(dataset) and (dataset == "kinetics400" or split is Split.TEST)


def known_parts(dataset: str, split: Split) -> tuple[str, ...]:
    """Return the parts of a split whose number is established; none for a test split."""
    parts = tuple(f"part_{number}" for number in range(_PARTS.get((dataset, split), 0)))
    return (*parts, REPLACEMENT) if (dataset, split) == ("kinetics400", Split.TRAIN) else parts


def class_archive(settings: Settings, split: Split, *, label: str) -> MirrorArchive | None:
    """Return the archive of a class, None where archives are not by class."""
    dataset = settings.dataset
    if not is_mirrored(dataset) or has_parts(dataset, split) or not label:
        return None
    if dataset == "kinetics600":
        file = quote(f"{label}.tar.gz", safe="'(),")
        return MirrorArchive(split, folder_name(label), _url(settings, f"{split}/{file}"))
    name = f"k700_{split}_{class_indices(dataset)[label] + 1:03d}"
    return MirrorArchive(split, name, _url(settings, f"{split}/{name}.tar.gz"))


def part_archive(settings: Settings, split: Split, *, part: str) -> MirrorArchive:
    """Return a part of `known_parts`."""
    if part == REPLACEMENT:
        return MirrorArchive(split, part, _url(settings, "replacement_for_corrupted_k400.tgz"))
    return MirrorArchive(split, part, _url(settings, f"{split}/{part}.tar.gz"))


def listed_test_parts(settings: Settings) -> tuple[MirrorArchive, ...]:
    """Return the parts of the test split that the mirror's own list names.

    Only the file names of the list are believed: what it says of hosts and folders is not.

    Raises:
        ClipError, EnvironmentFault: The list cannot be had.
        SourcePaused: The mirror is left alone for now.
        DownloadFailed: It names no archive.
    """
    url = _url(settings, f"test/{_TEST_LISTS[settings.dataset]}")
    folder = temp_path(Layout.of(settings).scratch / "lists", stage="archives")
    with os_faults(f"creating {folder}"):
        folder.mkdir()
    limits = FetchLimits(settings.sources.timeout_seconds, max_bytes=_MAX_LIST_BYTES)
    try:
        egress = mirror_egress(settings)
        HostPace(mirror_host(settings)).take_turn()
        text = fetch(url, folder / "list.txt", egress=egress, limits=limits).path.read_text("utf-8")
    except UnicodeDecodeError:
        text = ""
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    files = [line.strip().rpartition("/")[2] for line in text.splitlines()]
    names = {match[1]: file for file in files if (match := _FILE_NAME.fullmatch(file))}
    if not names:
        raise DownloadFailed(f"{redact_url(url)} names no archive.")
    return tuple(
        MirrorArchive(Split.TEST, name, _url(settings, f"test/{file}"))
        for name, file in names.items()
    )


def mirror_egress(settings: Settings) -> Egress:
    """Return the rules for the mirror: its own host and nothing else.

    Raises:
        SettingsError: `sources.mirror_url` is no address.
    """
    parts, local = urlsplit(settings.sources.mirror_url), settings.sources.loopback_hosts
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise SettingsError(
            f"sources.mirror_url is {redact_url(settings.sources.mirror_url)!r}, no address.",
            remedy="Give the address of the folder that holds 400, 600 and 700_2020.",
        )
    return Egress(() if parts.netloc in local else (parts.hostname,), local)


def mirror_host(settings: Settings) -> str:
    """Return the mirror's host, with its port if it names one."""
    return urlsplit(settings.sources.mirror_url).netloc.rpartition("@")[2]


def _url(settings: Settings, path: str) -> str:
    """Return the address of a file of the dataset at the mirror."""
    base = settings.sources.mirror_url.rstrip("/")
    return f"{base}/{_FOLDERS[settings.dataset]}/{path}"
