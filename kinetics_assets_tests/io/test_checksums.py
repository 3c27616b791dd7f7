"""Which checksums of a server are believed."""

from __future__ import annotations

import hashlib
from email.message import Message
from pathlib import Path

import pytest

from kinetics_assets.io.checksums import broken_promise, digests_of, stated_checksums

MD5 = hashlib.md5(b"x", usedforsecurity=False).hexdigest()
IN_BASE64 = "nd0bYf0Td1hxz05lB8f4uA=="


def _headers(*pairs: tuple[str, str]) -> Message:
    message = Message()
    for name, value in pairs:
        message[name] = value
    return message


@pytest.mark.parametrize(
    "pairs",
    [
        [("ETag", f'"{MD5}"')],
        [("ETag", f'"{MD5}-12"'), ("Server", "AmazonS3")],
        [("ETag", f'W/"{MD5}"'), ("Server", "AmazonS3")],
        [("ETag", f'"{MD5}"'), ("Server", "AmazonS3"), ("x-amz-server-side-encryption", "aws:kms")],
        [("Content-MD5", "no base64!")],
        [("Content-MD5", "AAAA")],
        [("x-goog-hash", "crc32c=AAAAAA==")],
        [("x-amz-checksum-sha256", IN_BASE64 + "-3")],
        [],
    ],
)
def test_what_is_no_digest_of_the_file_is_not_taken_for_one(pairs: list[tuple[str, str]]) -> None:
    """An ETag of another server, of parts or of an encrypted file, and junk, promise nothing."""
    assert stated_checksums(_headers(*pairs)) == {}


def test_an_etag_of_s3_is_an_md5(tmp_path: Path) -> None:
    """S3's ETag of a file in one piece is compared with the bytes that came."""
    stated = stated_checksums(_headers(("ETag", f'"{MD5}"'), ("x-amz-request-id", "1")))
    assert stated == {"md5": MD5}
    (tmp_path / "f").write_bytes(b"x")
    got = digests_of(tmp_path / "f", md5=True)
    assert got.sha256 == hashlib.sha256(b"x").hexdigest()
    assert broken_promise(stated, got) == ""
    (tmp_path / "f").write_bytes(b"y")
    assert MD5 in broken_promise(stated, digests_of(tmp_path / "f", md5=True))
