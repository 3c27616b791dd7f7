"""What yt-dlp's sentences and exceptions mean."""

from __future__ import annotations

import errno
import importlib
import inspect
import io
import pkgutil
from collections.abc import Iterator
from types import ModuleType

import pytest
import yt_dlp.networking
import yt_dlp.utils
from yt_dlp.networking import Response
from yt_dlp.networking.exceptions import (
    CertificateVerifyError,
    HTTPError,
    IncompleteRead,
    NoSupportingHandlers,
    ProxyError,
    SSLError,
    TransportError,
)
from yt_dlp.utils import (
    ContentTooShortError,
    DownloadError,
    ExtractorError,
    GeoRestrictedError,
    PostProcessingError,
    RegexNotFoundError,
    UnsupportedError,
    UserNotLive,
)

from kinetics_assets.core.errors import (
    AccountTerminated,
    AddressRefused,
    AgeRestricted,
    BotCheck,
    ClipError,
    Copyright,
    DiskFull,
    DownloadFailed,
    DrmProtected,
    EmptyFile,
    EnvironmentFault,
    ExtractorBroken,
    Forbidden,
    GeoBlocked,
    Gone,
    KineticsError,
    LoginRequired,
    NetworkDown,
    NetworkFailure,
    NetworkMisconfigured,
    NotMedia,
    NotYet,
    PaymentRequired,
    PolicyRemoved,
    PostprocessingFailed,
    RateLimited,
    ServerError,
    ToolMissing,
    Truncated,
    VideoPrivate,
    VideoRemoved,
    VideoUnavailable,
)
from kinetics_assets.core.reasons import Kind
from kinetics_assets.sources.youtube_errors import (
    NEVER_RAISED,
    RULES,
    TOLD_BY_SENTENCE,
    kinetics_error,
)

P, R, C, E = Kind.PERMANENT, Kind.RETRYABLE, Kind.CREDENTIALS, Kind.ENVIRONMENT
A_SENTENCE_EACH: list[tuple[str, type[ClipError | EnvironmentFault], Kind]] = [
    ("Private video. Sign in if you\u2019ve been granted access to this video", VideoPrivate, P),
    ("This video is private", VideoPrivate, P),
    ("This video has been removed by the uploader", VideoRemoved, P),
    ("This video has been removed by the user", VideoRemoved, P),
    ("This video does not exist.", VideoRemoved, P),
    (
        (
            "This video is no longer available because the YouTube account associated with this"
            " video has been terminated."
        ),
        AccountTerminated,
        P,
    ),
    (
        (
            "Video unavailable. This video is no longer available because the uploader has closed"
            " their YouTube account."
        ),
        AccountTerminated,
        P,
    ),
    ("This video is no longer available due to a copyright claim by Studio", Copyright, P),
    (
        "Video unavailable. It has content from X, who has blocked it on copyright grounds",
        Copyright,
        P,
    ),
    ("Removed: multiple third-party notifications of copyright infringement", Copyright, P),
    (
        (
            "This video contains content from X, who has blocked it in your country on copyright"
            " grounds"
        ),
        GeoBlocked,
        R,
    ),
    ("This video has been removed for violating YouTube\u2019s Terms of Service", PolicyRemoved, P),
    ("Removed for violating YouTube's policy on hate speech.", PolicyRemoved, P),
    ("It goes against our policy on spam, deceptive practices, and scams", PolicyRemoved, P),
    ("It goes against our policy on nudity or sexual content", PolicyRemoved, P),
    ("It goes against our policy on harassment and bullying", PolicyRemoved, P),
    ("It goes against our policy on harmful or dangerous content", PolicyRemoved, P),
    ("This video violates YouTube's Community Guidelines", PolicyRemoved, P),
    ("This video is a violation of YouTube's Terms of Service", PolicyRemoved, P),
    ("It is a duplicate of a previously uploaded video", PolicyRemoved, P),
    ("The uploader has not made this video available in your country", GeoBlocked, R),
    ("This video is not available from your location due to geo restriction", GeoBlocked, R),
    ("Sign in to confirm your age. This video may be inappropriate", AgeRestricted, C),
    ("This video is age-restricted and only available on YouTube", AgeRestricted, C),
    ("This video may be inappropriate for some users.", AgeRestricted, C),
    ("Join this channel to get access to perks", PaymentRequired, C),
    ("Video unavailable. This is members-only content", PaymentRequired, C),
    ("This video requires payment to watch", PaymentRequired, C),
    ("This video is only available to Music Premium members", PaymentRequired, C),
    ("Sign in to confirm you\u2019re not a bot. Use --cookies-from-browser", BotCheck, E),
    ("Sign in to confirm you're not a bot. See also the FAQ", BotCheck, E),
    ("Please sign in. Use --cookies for the authentication", LoginRequired, C),
    ("Login details are needed to download this content", LoginRequired, C),
    ("Video unavailable. This content isn\u2019t available, try again later.", RateLimited, E),
    ("The session has been rate-limited by YouTube for up to an hour", RateLimited, E),
    ("YouTube is requiring a captcha challenge before playback", BotCheck, E),
    ("Unable to download webpage: HTTP Error 429: Too Many Requests", RateLimited, E),
    ("unable to download video data: HTTP Error 403: Forbidden", Forbidden, R),
    ("Unable to download API page: HTTP Error 500: Internal Server Error", ServerError, R),
    ("Unable to download API page: HTTP Error 503: Service Unavailable", ServerError, R),
    ("Unable to download webpage: The read operation timed out", NetworkFailure, R),
    ("[Errno 104] Connection reset by peer", NetworkFailure, R),
    ("[Errno -3] Temporary failure in name resolution", NetworkFailure, R),
    ("IncompleteRead(10 bytes read)", Truncated, R),
    ("Did not get any data blocks", EmptyFile, R),
    ("giving up after 10 retries", NetworkFailure, R),
    ("content too short (expected 10 bytes and served 5)", Truncated, R),
    ("unable to download video data: HTTP Error 404: Not Found", Gone, P),
    ("unable to download video data: HTTP Error 410: Gone", Gone, P),
    ("The downloaded file is empty", EmptyFile, R),
    ("Requested format is not available. Use --list-formats for a list", ExtractorBroken, E),
    ("Only images are available for download. use --list-formats to see them", ExtractorBroken, E),
    ("n challenge solving failed: Some formats may be missing", ExtractorBroken, E),
    ("No supported JavaScript runtime could be found", ToolMissing, E),
    (
        "You have requested downloading the video partially, but ffmpeg is not installed. Aborting",
        ToolMissing,
        E,
    ),
    ("ffmpeg not found. Please install or provide the path", ToolMissing, E),
    ("ffmpeg exited with code 183", PostprocessingFailed, R),
    ("Postprocessing: Conversion failed!", PostprocessingFailed, R),
    ("This video is DRM protected", DrmProtected, P),
    ("Premieres in 3 hours", NotYet, R),
    ("This live event will begin in 2 days.", NotYet, R),
    ("Video unavailable", VideoUnavailable, R),
    ("This video is not available", VideoUnavailable, R),
    ("This video is unavailable", VideoUnavailable, R),
    ("Unable to extract yt initial data", ExtractorBroken, E),
    (
        "Something odd; please report this issue on https://github.com/yt-dlp/yt-dlp",
        ExtractorBroken,
        E,
    ),
    ("Unable to connect to proxy", NetworkMisconfigured, E),
    (
        "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate has expired",
        NetworkMisconfigured,
        E,
    ),
    ("would lead to an infinite loop. The last 30x error message was: Found", AddressRefused, R),
    ("No suitable extractor found for URL", NotMedia, R),
]


@pytest.mark.parametrize(("sentence", "leaf", "kind"), A_SENTENCE_EACH)
def test_a_sentence_has_one_meaning(
    sentence: str, leaf: type[ClipError | EnvironmentFault], kind: Kind
) -> None:
    """Each sentence that is known ends as one reason of the stated kind; a fault has a remedy."""
    got = kinetics_error(DownloadError(f"ERROR: [youtube] 0wR5jVB-WPk: {sentence}"))
    assert type(got) is leaf
    assert leaf.reason.kind is kind
    assert sentence.rstrip(".").split("https://")[0] in got.message
    if isinstance(got, EnvironmentFault):
        assert got.remedy


def test_every_rule_is_tried() -> None:
    """Each reason of the rules is met by some row above, and no row is there twice."""
    plain = [row[0].lower().replace("\u2019", "'") for row in A_SENTENCE_EACH]
    met = {row[1] for row in A_SENTENCE_EACH}
    assert len(plain) == len(set(plain))
    assert {rule.leaf for rule in RULES} - met == {NetworkDown}  # by its causes, below


A_CAUSE_EACH: list[tuple[BaseException, type[KineticsError]]] = [
    (OSError(errno.ENOSPC, "No space left on device"), DiskFull),
    (ConnectionRefusedError("no"), NetworkDown),
    (TransportError("odd"), NetworkFailure),
    (TimeoutError("odd"), NetworkFailure),
    (SSLError("odd"), NetworkFailure),
    (CertificateVerifyError("odd"), NetworkMisconfigured),
    (ProxyError("odd"), NetworkMisconfigured),
    (IncompleteRead(partial=1, expected=2), Truncated),
    (ContentTooShortError(1, 2), Truncated),
    (GeoRestrictedError("odd", countries=["DE"]), GeoBlocked),
    (UserNotLive("odd"), NotYet),
    (RegexNotFoundError("odd"), ExtractorBroken),
    (UnsupportedError("https://example.org"), NotMedia),
    (PostProcessingError("odd"), PostprocessingFailed),
    (NoSupportingHandlers([], []), AddressRefused),
    (VideoPrivate("x"), VideoPrivate),
]


@pytest.mark.parametrize(("cause", "leaf"), A_CAUSE_EACH, ids=lambda x: type(x).__name__)
def test_the_cause_is_found_behind_the_wrapping(
    cause: BaseException, leaf: type[KineticsError]
) -> None:
    """What matters is the innermost exception, wherever yt-dlp put it, whatever it says."""
    inner = ExtractorError("It went wrong", cause=cause, expected=True)
    got = kinetics_error(DownloadError("ERROR: it went wrong", (type(inner), inner, None)))
    assert type(got) is leaf
    assert not isinstance(cause, KineticsError) or got is cause


def _modules() -> Iterator[ModuleType]:
    """Yield the modules of yt-dlp in which exceptions that reach us are defined."""
    for package in (yt_dlp.utils, yt_dlp.networking):
        yield package
        for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            if not found.name.rpartition(".")[2].startswith(("_curl", "_requests", "_websockets")):
                yield importlib.import_module(found.name)


def test_every_exception_of_yt_dlp_is_known() -> None:
    """A new class of exception in yt-dlp must be given a meaning before it is met.

    Regression to come: when this fails after an upgrade, look the class up and put it in a rule's
    causes, or in one of the two lists.
    """
    theirs = {
        kind.__name__
        for module in _modules()
        for kind in vars(module).values()
        if inspect.isclass(kind)
        and issubclass(kind, Exception)
        and kind.__module__.startswith("yt_dlp")
    }
    in_rules = {name for rule in RULES for name in rule.causes}
    assert {"DownloadError", "HTTPError", "GeoRestrictedError"} <= theirs
    assert theirs - in_rules - TOLD_BY_SENTENCE - NEVER_RAISED == set()
    assert not in_rules & TOLD_BY_SENTENCE
    assert not (in_rules | TOLD_BY_SENTENCE) & NEVER_RAISED


@pytest.mark.parametrize(
    ("status", "header", "leaf", "seconds"),
    [
        (429, "120", RateLimited, 120),
        (429, None, RateLimited, None),
        (503, "5", RateLimited, 5),
        (503, None, ServerError, None),
        (503, "soon", ServerError, None),
        (429, "soon", RateLimited, None),
    ],
)
def test_the_pause_is_read_from_the_answer(
    status: int, header: str | None, leaf: type[KineticsError], seconds: float | None
) -> None:
    """Retry-After of a 429 or a 503 comes along, also from within the wrapping."""
    response = Response(
        io.BytesIO(), "https://example.org", {"Retry-After": header} if header else {}, status
    )
    inner = ExtractorError("Unable to download webpage", cause=HTTPError(response))
    got = kinetics_error(DownloadError("ERROR: no", (type(inner), inner, None)))
    assert type(got) is leaf
    assert getattr(got, "retry_after_seconds", None) == seconds


def test_a_missing_tool_is_found_in_the_warnings() -> None:
    """Without a JavaScript runtime yt-dlp warns, and then fails for want of a format."""
    error = DownloadError("ERROR: [youtube] x: Requested format is not available")
    said = ["No supported JavaScript runtime could be found. Only deno is enabled by default"]
    assert type(kinetics_error(error, warnings=said)) is ToolMissing
    assert type(kinetics_error(DownloadError("Private video"), warnings=said)) is VideoPrivate


def test_an_unknown_failure_keeps_its_words_without_secrets() -> None:
    """The text is kept as it came, save colours, secrets and the prefix; warnings are added."""
    url = "https://r1.googlevideo.com/videoplayback?sig=hunter2"
    text = f"\x1b[0;31mERROR:\x1b[0m [x] odd thing at {url} for SID-value-hunter3"
    got = kinetics_error(
        DownloadError(text),
        warnings=("cookies: hunter1 Cookie: hunter2", "hunter3 again", "hunter3 again"),
        secrets=("hunter3", "x"),
    )
    assert type(got) is DownloadFailed
    assert got.message.startswith(
        "[x] odd thing at https://r1.googlevideo.com/videoplayback?sig=... for SID-value-..."
    )
    assert got.message.count("again") == 1
    assert "yt-dlp also said" in got.message
    assert "hunter2" not in str(got)
    assert "hunter3" not in str(got)


def test_a_very_long_text_is_cut() -> None:
    """A page in an error message does not end up in the manifest, nor takes minutes to redact.

    Regression: the search for addresses was quadratic in the length of the text.
    """
    assert len(kinetics_error(DownloadError("x" * 100_000)).message) < 1000


def test_every_rule_can_apply() -> None:
    """Each rule has something to match by, and an environment fault says what to do."""
    for rule in RULES:
        assert rule.statuses or rule.causes or rule.sentence
        if issubclass(rule.leaf, EnvironmentFault):
            assert rule.remedy
