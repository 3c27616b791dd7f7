"""What yt-dlp's sentences mean."""

from __future__ import annotations

import errno

import pytest
from yt_dlp.networking.exceptions import TransportError
from yt_dlp.utils import DownloadError, ExtractorError

from kinetics_assets.core.errors import (
    BotCheck,
    DiskFull,
    DownloadFailed,
    EnvironmentFault,
    KineticsError,
    LoginRequired,
    NetworkDown,
    NetworkFailure,
    RateLimited,
    ToolMissing,
    VideoPrivate,
    VideoRemoved,
    VideoUnavailable,
)
from kinetics_assets.sources.youtube_errors import RULES, kinetics_error

A_SENTENCE_EACH = [
    ("Sign in to confirm you\u2019re not a bot. Use --cookies-from-browser", BotCheck),
    ("The session has been rate-limited by YouTube for up to an hour", RateLimited),
    ("This content isn't available, try again later.", RateLimited),
    ("Private video. Sign in if you've been granted access to this video", VideoPrivate),
    ("This video has been removed by the uploader", VideoRemoved),
    ("Video unavailable. The account associated with this video was terminated.", VideoRemoved),
    ("Video unavailable. X has blocked it on copyright grounds", VideoRemoved),
    ("Sign in to confirm your age. This video may be inappropriate for some users.", LoginRequired),
    ("Join this channel to get access to members-only content", LoginRequired),
    ("Requested format is not available. Use --list-formats", ToolMissing),
    ("Only images are available for download", ToolMissing),
    ("Video unavailable", VideoUnavailable),
    ("This video is not available", VideoUnavailable),
    ("The uploader has not made this video available in your country", VideoUnavailable),
    ("Unable to extract something; please report this issue", DownloadFailed),
]


@pytest.mark.parametrize(("sentence", "leaf"), A_SENTENCE_EACH)
def test_a_sentence_of_the_site_has_its_reason(sentence: str, leaf: type[KineticsError]) -> None:
    """A specific sentence wins over a general one in the same text."""
    error = DownloadError(f"ERROR: [youtube] 0wR5jVB-WPk: {sentence}")
    got = kinetics_error(error)
    assert type(got) is leaf
    if isinstance(got, EnvironmentFault):
        assert got.remedy


def test_an_unknown_failure_keeps_its_words_without_secrets() -> None:
    """The text is kept as it came, save colours, secrets and the prefix; warnings are added."""
    url = "https://r1.googlevideo.com/videoplayback?sig=hunter2"
    text = f"\x1b[0;31mERROR:\x1b[0m [x] odd thing at {url}"
    got = kinetics_error(DownloadError(text), warnings=("cookies: hunter1 Cookie: hunter2",))
    assert type(got) is DownloadFailed
    assert got.message.startswith(
        "[x] odd thing at https://r1.googlevideo.com/videoplayback?sig=..."
    )
    assert "yt-dlp also said" in got.message
    assert "hunter2" not in got.message


def test_a_very_long_text_is_cut() -> None:
    """A page in an error message does not end up in the manifest, nor takes minutes to redact.

    Regression: the search for addresses was quadratic in the length of the text.
    """
    assert len(kinetics_error(DownloadError("x" * 100_000)).message) < 1000


def test_the_cause_is_found_behind_the_wrapping() -> None:
    """What matters is the innermost exception, wherever yt-dlp put it."""
    full = OSError(errno.ENOSPC, "No space left on device")
    assert type(kinetics_error(_wrapped(full))) is DiskFull
    assert type(kinetics_error(_wrapped(ConnectionRefusedError("no")))) is NetworkDown
    assert type(kinetics_error(_wrapped(TransportError("odd")))) is NetworkFailure
    assert kinetics_error(_wrapped(ours := VideoPrivate("x"))) is ours


def test_every_rule_can_apply() -> None:
    """Each rule has something to match by, and an environment fault says what to do."""
    for rule in RULES:
        assert rule.statuses or rule.causes or rule.sentence
        if issubclass(rule.leaf, EnvironmentFault):
            assert rule.remedy


def _wrapped(cause: BaseException) -> DownloadError:
    """Return `cause` as yt-dlp hands it out: in an ExtractorError in a DownloadError."""
    inner = ExtractorError("Unable to download", cause=cause)
    return DownloadError("ERROR: unable to download", (type(inner), inner, None))
