"""What yt-dlp's failures mean: one table, searched from top to bottom.

yt-dlp reports everything as one error with a sentence; the sentence, the HTTP status and the
exception underneath are what can be told apart. To teach it something new, add a `Rule`. Sentences
of the site come from its pages and change, so the patterns are loose.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from kinetics_assets.core.errors import (
    AccountTerminated,
    AddressRefused,
    AgeRestricted,
    BotCheck,
    ClipError,
    Copyright,
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
    environment_fault,
)
from kinetics_assets.io.egress import redact
from kinetics_assets.io.waits import retry_after_seconds

_MOST_TEXT = 600
_MOST_READ = 20_000
_LEAST_SECRET = 4
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_TOOLS = "Run `pip install 'kinetics-assets[youtube]'`; it brings the JavaScript runtime."


@dataclass(frozen=True, slots=True)
class Rule:
    """One cause: it applies if the status, the exception or the sentence fits."""

    leaf: type[ClipError | EnvironmentFault]
    statuses: range | frozenset[int] = frozenset()
    """HTTP statuses."""
    causes: tuple[str, ...] = ()
    """Names of exception classes, anywhere in the chain of causes."""
    sentence: str = ""
    """Pattern, matched in lower case with plain apostrophes."""
    remedy: str = ""


RULES = (
    Rule(
        BotCheck,
        sentence=r"confirm you're not a bot|captcha challenge",
        remedy="Wait some hours, set sources.youtube_cookies to a login's, or use another network"
        " address; then run again.",
    ),
    Rule(
        RateLimited,
        statuses=frozenset({429}),
        sentence=r"http error 429|rate-limited|this content isn't available, try again later",
        remedy="Wait an hour, then run again; a larger sources.youtube_interval_seconds avoids it.",
    ),
    Rule(VideoPrivate, sentence=r"private video|video is private"),
    Rule(
        GeoBlocked,
        causes=("GeoRestrictedError",),
        sentence=r"in your country|not available from your location",
    ),
    Rule(
        AccountTerminated,
        sentence=r"account.*terminated|closed their youtube account",
    ),
    Rule(Copyright, sentence=r"copyright (claim|grounds)|notifications of copyright"),
    Rule(
        PolicyRemoved,
        sentence=(
            r"removed for violating|policy on (hate speech|spam|nudity|harassment|harmful)"
            r"|community guidelines|terms of service|duplicate of a previously uploaded video"
        ),
    ),
    Rule(
        VideoRemoved,
        sentence=r"removed by the (uploader|user)|video has been removed|video does not exist",
    ),
    Rule(
        NotYet,
        causes=("UserNotLive",),
        sentence=r"premieres? (in|will begin)|live event will begin|is not currently live",
    ),
    Rule(AgeRestricted, sentence=r"confirm your age|age-restricted|inappropriate"),
    Rule(
        PaymentRequired,
        sentence=r"join this channel|members-only|requires payment|\bpremium\b",
    ),
    Rule(DrmProtected, sentence=r"drm protected"),
    Rule(
        ToolMissing,
        sentence=r"no supported javascript runtime|ffmpeg is not installed|ffmpeg not found",
        remedy=_TOOLS,
    ),
    Rule(
        NetworkMisconfigured,
        causes=("ProxyError", "CertificateVerifyError"),
        sentence=(
            r"proxy error|connect to (the )?proxy|tunnel connection failed|proxy authentication"
            r"|certificate verify failed|certificate has expired"
        ),
        remedy="Check sources.youtube_proxy, this machine's clock and its CA certificates.",
    ),
    Rule(
        PostprocessingFailed,
        causes=("PostProcessingError",),
        sentence=r"ffmpeg exited with code|conversion failed|postprocessing:",
    ),
    Rule(LoginRequired, sentence=r"\bsign in\b|\blog ?in\b|login details are needed"),
    Rule(
        ExtractorBroken,
        causes=("RegexNotFoundError",),
        sentence=(
            r"requested format is not available|only images are available|\bn challenge"
            r"|unable to extract|please report this issue"
        ),
        remedy=f"Upgrade yt-dlp with `pip install -U yt-dlp yt-dlp-ejs`. {_TOOLS}",
    ),
    Rule(
        VideoUnavailable,
        sentence=(
            r"video unavailable|(video|content) (is unavailable|is not available|isn't available)"
            r"|video is no longer available"
        ),
    ),
    Rule(Gone, statuses=frozenset({404, 410}), sentence=r"http error (404|410)"),
    Rule(Forbidden, statuses=frozenset({401, 403}), sentence=r"http error (401|403)"),
    Rule(ServerError, statuses=range(500, 600), sentence=r"http error 5\d\d"),
    Rule(
        AddressRefused,
        causes=("UnsupportedRequest", "NoSupportingHandlers"),
        sentence=r"redirect loop|would lead to an infinite loop",
    ),
    Rule(EmptyFile, sentence=r"did not get any data blocks|downloaded file is empty"),
    Rule(
        Truncated,
        causes=("ContentTooShortError", "IncompleteRead"),
        sentence=r"content too short|incompleteread|\d+ bytes read|\d+ bytes, expected \d+",
    ),
    Rule(
        NetworkDown,
        causes=("gaierror", "ConnectionRefusedError"),
        sentence=r"connection refused|network is unreachable",
        remedy="Check the network connection, or whether the server is running.",
    ),
    Rule(
        NotMedia,
        causes=("UnsupportedError", "_UnsafeExtensionError"),
        sentence=r"unsupported url|no suitable extractor|is not a valid url",
    ),
    Rule(
        NetworkFailure,
        causes=("TimeoutError", "ConnectionError", "TransportError", "HTTPException"),
        sentence=r"timed out|connection reset|giving up after|failure in name resolution",
    ),
)
"""From the most telling to the most general."""

TOLD_BY_SENTENCE = frozenset(
    {
        "DownloadError",
        "EntryNotInPlaylist",
        "ExtractorError",
        "HTTPError",
        "ReExtractInfo",
        "RequestError",
        "SSLError",
        "ThrottledDownload",
        "UnavailableVideoError",
        "YoutubeDLError",
        "_RequiredError",
        "compat_HTMLParseError",
    }
)
"""Exceptions of yt-dlp that mean many things; sentence, status or cause decide."""
NEVER_RAISED = frozenset(
    {
        "DownloadCancelled",
        "ExistingVideoReached",
        "LockingUnsupportedError",
        "MaxDownloadsReached",
        "RejectedVideoReached",
        "SameFileError",
        "UnsafeExecExpansionError",
        "XAttrMetadataError",
        "XAttrUnavailableError",
    }
)
"""Exceptions of yt-dlp that belong to options which are not used here."""


def kinetics_error(
    error: BaseException, *, warnings: Sequence[str] = (), secrets: Sequence[str] = ()
) -> KineticsError:
    """Return the error of ours that a failure of yt-dlp stands for.

    It has no trace of the failure itself, whose text may hold what is secret.

    Args:
        error: As raised by yt-dlp.
        warnings: What it had said before; kept in the message, since the cause is often there.
        secrets: Texts that must not appear in the message.
    """
    chain = list(_chain(error))
    for cause in chain:
        if isinstance(cause, KineticsError):
            return cause
    for cause in chain:
        if isinstance(cause, OSError):
            fault = environment_fault(cause, doing="storing a download")
            if fault:
                return fault
    message = _with_warnings(clean(str(error), secrets=secrets), warnings, secrets=secrets)
    rule = _rule(chain, str(error)[:_MOST_READ], heard=warnings)
    if rule is None:
        return DownloadFailed(message)
    pause = asked_pause(error)
    if rule.leaf is RateLimited or (rule.leaf is ServerError and pause is not None):
        remedy = rule.remedy or "Wait as long as it asks, then run again."
        return RateLimited(message, remedy=remedy, retry_after_seconds=pause)
    if rule.leaf is ToolMissing:
        return ToolMissing(f"What yt-dlp needs ({message})", rule.remedy)
    return rule.leaf(message, remedy=rule.remedy)


def asked_pause(error: BaseException) -> float | None:
    """Return the pause in seconds that a server asks for with a 429 or 503, None for none."""
    for cause in _chain(error):
        response: Any = getattr(cause, "response", None)
        if getattr(response, "status", None) in {429, 503}:
            asked = response.headers.get("Retry-After", "")
            return retry_after_seconds(str(asked)[:200], now=datetime.now(UTC))
    return None


def clean(text: str, *, secrets: Sequence[str] = ()) -> str:
    """Return a message of yt-dlp word for word, without colours, secrets and its ERROR prefix."""
    text = hide(_COLOUR.sub("", text[:_MOST_READ]), secrets)
    text = redact(text).strip().removeprefix("ERROR:").strip()
    return text if len(text) <= _MOST_TEXT else text[: _MOST_TEXT - 3] + "..."


def hide(text: str, secrets: Sequence[str]) -> str:
    """Return `text` without `secrets`; one of a few letters says nothing and stays."""
    for secret in sorted(set(secrets), key=len, reverse=True):
        if len(secret) >= _LEAST_SECRET:
            text = text.replace(secret, "...")
    return text


def _rule(chain: Sequence[BaseException], text: str, *, heard: Sequence[str]) -> Rule | None:
    """Return the first rule that applies, None for an unknown failure."""
    plain = _plain(text)
    names = {kind.__name__ for cause in chain for kind in type(cause).__mro__}
    statuses = {s for cause in chain if isinstance(s := getattr(cause, "status", None), int)}
    for rule in RULES:
        if (
            any(status in rule.statuses for status in statuses)
            or not names.isdisjoint(rule.causes)
            or (rule.sentence and re.search(rule.sentence, plain))
        ):
            if rule.leaf is ExtractorBroken:
                return _why_broken(heard) or rule
            return rule
    return None


def _why_broken(heard: Sequence[str]) -> Rule | None:
    """Return the rule of a tool that yt-dlp warned about, None if it did not.

    Without a JavaScript runtime it warns, finds fewer formats, and fails for want of a format.
    """
    said = _plain(" ".join(heard))
    return next(
        (rule for rule in RULES if rule.leaf is ToolMissing and re.search(rule.sentence, said)),
        None,
    )


def _plain(text: str) -> str:
    """Return `text` in lower case with plain apostrophes and spaces."""
    return " ".join(text.lower().replace("\u2019", "'").split())


def _with_warnings(text: str, warnings: Sequence[str], *, secrets: Sequence[str]) -> str:
    """Return `text` with the warnings after it, as far as there is room."""
    unlike = dict.fromkeys(clean(warning, secrets=secrets) for warning in warnings)
    said = " ".join(unlike)[:_MOST_TEXT]
    return f"{text} yt-dlp also said: {said}" if said else text


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield `error` and every exception behind it, wherever yt-dlp put it."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        cause = waiting.pop(0)
        if not isinstance(cause, BaseException) or id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        info = getattr(cause, "exc_info", None)
        waiting += [
            info[1] if isinstance(info, tuple) and len(info) > 1 else None,
            getattr(cause, "cause", None),
            getattr(cause, "reason", None),
            cause.__cause__,
            cause.__context__,
        ]
