"""Shards: tar files of many clips, as WebDataset reads them, each with an index beside it.

A sample is what WebDataset takes for one: neighbouring members whose names are the same up to the
first dot. The index tells where each sample and each member begins, so that a shard can also be
read at random. An index is only ever beside the shard that it describes: it is deleted before the
shard is replaced, and written after.
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kinetics_assets.core.errors import DiskFailing
from kinetics_assets.io.atomic import os_faults, publish_file, sync, temp_path, write_file
from kinetics_assets.io.packing import BLOCK_BYTES, TarWriter

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

Parts = list[tuple[str, bytes]]
"""(extension, content) of each member of a sample, in order."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One clip in a shard."""

    key: str
    """Name of its members up to the first dot: that of the clip."""
    digest: str
    """Of what it was made from, as in the manifest."""
    sha256: str
    """Of the lines ``<extension> <sha256 of the member>``, as in the manifest."""
    offset: int
    """Where its first header is, in bytes from the start of the shard."""
    size_bytes: int
    """Headers and padding included, as in the manifest."""
    members: tuple[tuple[str, int, int], ...]
    """(extension, where the content begins, its size in bytes)."""


@dataclass(frozen=True, slots=True)
class ShardIndex:
    """What is in a shard."""

    size_bytes: int
    samples: dict[str, Sample]
    """By key, in the order of the shard."""


def index_path(shard: Path) -> Path:
    """Return the index file of a shard."""
    return shard.with_suffix(".json")


def read_shard_index(shard: Path) -> ShardIndex | None:
    """Return the index of a shard, None where there is none or it is of another shard."""
    try:
        said = json.loads(index_path(shard).read_bytes())
        samples = [
            Sample(**(one | {"members": tuple(map(tuple, one["members"]))}))
            for one in said["samples"]
        ]
        if shard.stat().st_size != said["size_bytes"]:
            return None
        return ShardIndex(said["size_bytes"], {sample.key: sample for sample in samples})
    except (OSError, ValueError, LookupError, TypeError):
        return None


def write_shard(
    shard: Path, samples: Iterable[tuple[str, str, Parts]], *, stage: str
) -> ShardIndex | None:
    """Replace `shard` by one of `samples`; without any there is none afterwards.

    The finished file is read with Python's own tarfile before it gets its name.

    Args:
        shard: Final path; its index stands beside it.
        samples: (key, digest, members) of each.
        stage: For the temporary name.

    Raises:
        DiskFailing: What is read back is not what was written.
    """
    temp = temp_path(shard, stage=stage)
    try:
        written: dict[str, Sample] = {}
        with TarWriter(temp) as writer:
            for key, digest, parts in samples:
                written[key] = _add(writer, key, digest, parts)
        with os_faults(f"publishing {shard}"):
            if not _holds(temp, written):
                msg = f"What is read back of {shard} are not the samples that were just written."
                raise DiskFailing(msg)
            index_path(shard).unlink(missing_ok=True)
            if not written:
                shard.unlink(missing_ok=True)
                sync(shard.parent)
                return None
            index = ShardIndex(temp.stat().st_size, written)
            publish_file(temp, shard)
            write_file(index_path(shard), _text(shard.name, index))
            return index
    finally:
        temp.unlink(missing_ok=True)


def drop_samples(folder: Path, unwanted: Collection[str], *, stage: str) -> int:
    """Take samples out of the shards in a class's `folder`; return how many there were.

    A shard without an index may hold anything, and is deleted.
    """
    dropped = 0
    for shard in shards_in(folder):
        index = read_shard_index(shard)
        if index is None:
            with os_faults(f"deleting {shard}"):
                index_path(shard).unlink(missing_ok=True)
                shard.unlink(missing_ok=True)
                sync(folder)
        elif not index.samples.keys().isdisjoint(unwanted):
            kept = [sample for key, sample in index.samples.items() if key not in unwanted]
            dropped += len(index.samples) - len(kept)
            write_shard(
                shard, ((one.key, one.digest, read_parts(shard, one)) for one in kept), stage=stage
            )
    return dropped


def shards_in(folder: Path) -> list[Path]:
    """Return the shards of a class in order, those without an index too."""
    if not folder.is_dir():
        return []
    names = {path.with_suffix(".tar") for path in folder.iterdir() if not path.name.startswith(".")}
    return sorted(path for path in names)


def read_parts(shard: Path, sample: Sample) -> Parts:
    """Return the members of a sample."""
    with os_faults(f"reading {shard}"), shard.open("rb") as file:
        return [
            (extension, os.pread(file.fileno(), size_bytes, place))
            for extension, place, size_bytes in sample.members
        ]


def sample_sha256(parts: Iterable[tuple[str, bytes]]) -> str:
    """Return the sha256 of the lines ``<extension> <sha256 of the member>``."""
    lines = (f"{extension} {hashlib.sha256(data).hexdigest()}\n" for extension, data in parts)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _add(writer: TarWriter, key: str, digest: str, parts: Parts) -> Sample:
    """Append one sample and return where it is."""
    places = [(ext, writer.add(f"{key}.{ext}", data), len(data)) for ext, data in parts]
    offset = places[0][1] - BLOCK_BYTES
    return Sample(
        key=key,
        digest=digest,
        sha256=sample_sha256(parts),
        offset=offset,
        size_bytes=writer.end - offset,
        members=tuple(places),
    )


def _holds(shard: Path, samples: dict[str, Sample]) -> bool:
    """Return whether the members in a finished file are those of `samples`."""
    wanted = [
        (f"{one.key}.{ext}", *where) for one in samples.values() for ext, *where in one.members
    ]
    try:
        with tarfile.open(shard, "r:") as archive:
            found = [(member.name, member.offset_data, member.size) for member in archive]
    except tarfile.TarError:
        return False
    return found == wanted and all(
        sample_sha256(read_parts(shard, sample)) == sample.sha256 for sample in samples.values()
    )


def _text(name: str, index: ShardIndex) -> bytes:
    """Return the bytes of an index file, one sample a line."""
    lines = [json.dumps(_plain(sample), separators=(",", ":")) for sample in index.samples.values()]
    start = json.dumps({"shard": name, "size_bytes": index.size_bytes})[:-1]
    samples = ",\n".join(lines)
    return f'{start}, "samples": [\n{samples}\n]}}\n'.encode()


def _plain(sample: Sample) -> dict[str, object]:
    return {name: getattr(sample, name) for name in sample.__slots__}


def keys_in(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield (shard, key) of every sample in a class's folder."""
    for shard in shards_in(folder):
        index = read_shard_index(shard)
        for key in index.samples if index is not None else ():
            yield shard, key
