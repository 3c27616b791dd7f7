"""Checksums that a server states for a file, as far as they can be trusted to be that."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from pathlib import Path

from kinetics_assets.io.atomic import os_faults

_BLOCK_BYTES = 1 << 20
_MD5_BYTES, _SHA256_BYTES = 16, 32
_S3_ETAG = re.compile(r'"([0-9a-f]{32})"', re.ASCII)


@dataclass(frozen=True, slots=True)
class Digests:
    """Digests of a file's bytes, as hex digits."""

    sha256: str
    md5: str
    """Empty if it was not asked for."""


def stated_checksums(headers: Message) -> dict[str, str]:
    """Return algorithm (``md5``, ``sha256``) -> hex digits that the headers of a whole file state.

    An ETag counts only where it is an MD5: at S3, for a file that was uploaded in one piece and is
    not encrypted with a key of its owner.
    """
    stated: dict[str, str] = {}
    for text in headers.get_all("Content-MD5", []):
        _add(stated, "md5", text, length=_MD5_BYTES)
    for text in headers.get_all("x-goog-hash", []):
        for item in text.split(","):
            name, _, value = item.strip().partition("=")
            if name == "md5":
                _add(stated, "md5", value, length=_MD5_BYTES)
    for text in headers.get_all("x-amz-checksum-sha256", []):
        # of a file uploaded in parts it is "<digest of digests>-<parts>", which is no base64
        _add(stated, "sha256", text, length=_SHA256_BYTES)
    match = _S3_ETAG.fullmatch(headers.get("ETag", ""))
    if match and _etag_is_md5(headers):
        stated.setdefault("md5", match[1])
    return stated


def digests_of(path: Path, *, md5: bool) -> Digests:
    """Return the digests of a file, read once."""
    sha256 = hashlib.sha256()
    second = hashlib.md5(usedforsecurity=False) if md5 else None
    with os_faults(f"reading {path}"), path.open("rb", buffering=0) as file:
        while block := file.read(_BLOCK_BYTES):
            sha256.update(block)
            if second:
                second.update(block)
    return Digests(sha256.hexdigest(), second.hexdigest() if second else "")


def broken_promise(stated: Mapping[str, str], got: Digests) -> str:
    """Return which stated checksum a file does not have, for a message; empty if it has all."""
    have = {"sha256": got.sha256, "md5": got.md5}
    for name, wanted in stated.items():
        if have[name] != wanted:
            return f"its {name} is {have[name]}, stated was {wanted}"
    return ""


def _add(stated: dict[str, str], name: str, text: str, *, length: int) -> None:
    """Note a checksum in base64; what is none is passed over."""
    try:
        raw = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        return
    if len(raw) == length:
        stated.setdefault(name, raw.hex())


def _etag_is_md5(headers: Message) -> bool:
    """Return whether the server is S3 and the file's ETag the MD5 of its bytes."""
    is_s3 = headers.get("Server") == "AmazonS3" or "x-amz-request-id" in headers
    encryption = headers.get("x-amz-server-side-encryption", "AES256")
    own_key = "x-amz-server-side-encryption-customer-algorithm" in headers
    return is_s3 and encryption == "AES256" and not own_key
