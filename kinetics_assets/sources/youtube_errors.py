"""What yt-dlp's failures mean: one table, searched from top to bottom.

yt-dlp reports everything as one error with a sentence; the sentence, the HTTP status and the
exception underneath are what can be told apart. To teach it something new, add a `Rule`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from kinetics_assets.core.errors import (
    AddressRefused,
    BotCheck,
    ClipError,
    DownloadFailed,
    EmptyFile,
    EnvironmentFault,
    Forbidden,
    Gone,
    KineticsError,
    LoginRequired,
    NetworkDown,
    NetworkFailure,
    NotMedia,
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

_MOST_TEXT = 600
_MOST_READ = 20_000
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


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
        remedy="Wait some hours, or use another network address, then run again.",
    ),
    Rule(
        RateLimited,
        statuses=frozenset({429}),
        sentence=r"http error 429|rate-limited|this content isn't available, try again later",
        remedy="Wait an hour, then run again.",
    ),
    Rule(VideoPrivate, sentence=r"private video|video is private"),
    Rule(
        VideoRemoved,
        sentence=(
            r"removed by the (uploader|user)|video has been removed|this video does not exist"
            r"|account.*terminated|closed their youtube account|copyright (claim|grounds)"
            r"|notifications of copyright|removed for violating|community guidelines"
        ),
    ),
    Rule(
        LoginRequired,
        sentence=(
            r"confirm your age|age-restricted|inappropriate for some users|\bsign in\b|\blog ?in\b"
            r"|join this channel|members-only|requires payment|premium"
        ),
    ),
    Rule(
        ToolMissing,
        sentence=(
            r"requested format is not available|only images are available"
            r"|n challenge solving failed|no supported javascript runtime|ffmpeg is not installed"
        ),
        remedy="Run `pip install 'kinetics-assets[youtube]'`; it brings the JavaScript runtime.",
    ),
    Rule(
        VideoUnavailable,
        sentence=(
            r"video unavailable|(video|content) (is unavailable|is not available|isn't available)"
            r"|not made this video available|not available from your location"
        ),
    ),
    Rule(Gone, statuses=frozenset({404, 410}), sentence=r"http error (404|410)"),
    Rule(Forbidden, statuses=frozenset({401, 403}), sentence=r"http error (401|403)"),
    Rule(ServerError, statuses=range(500, 600), sentence=r"http error 5\d\d"),
    Rule(AddressRefused, sentence=r"redirect loop|would lead to an infinite loop"),
    Rule(EmptyFile, sentence=r"did not get any data blocks|downloaded file is empty"),
    Rule(
        Truncated,
        causes=("ContentTooShortError", "IncompleteRead"),
        sentence=r"content too short|\d+ bytes read|downloaded \d+ bytes, expected \d+",
    ),
    Rule(
        NetworkDown,
        causes=("gaierror", "ConnectionRefusedError", "CertificateVerifyError"),
        sentence=r"name resolution|connection refused|network is unreachable",
        remedy="Check the network connection, or whether the server is running.",
    ),
    Rule(NotMedia, sentence=r"unsupported url|no suitable extractor|is not a valid url"),
    Rule(
        NetworkFailure,
        causes=("TimeoutError", "ConnectionError", "TransportError", "HTTPException"),
        sentence=r"timed out|connection reset|giving up after",
    ),
)
"""From the most telling to the most general."""


def kinetics_error(error: BaseException, *, warnings: tuple[str, ...] = ()) -> KineticsError:
    """Return the error of ours that a failure of yt-dlp stands for.

    Args:
        error: As raised by yt-dlp.
        warnings: What it had said before; kept in the message, since the cause is often there.
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
    text = clean(str(error))
    plain = text.lower().replace("\u2019", "'")
    names = {kind.__name__ for cause in chain for kind in type(cause).__mro__}
    statuses = {s for cause in chain if isinstance(s := getattr(cause, "status", None), int)}
    for rule in RULES:
        if (
            any(status in rule.statuses for status in statuses)
            or not names.isdisjoint(rule.causes)
            or (rule.sentence and re.search(rule.sentence, plain))
        ):
            return _leaf(rule, _with_warnings(text, warnings))
    return DownloadFailed(_with_warnings(text, warnings))


def clean(text: str) -> str:
    """Return a message of yt-dlp word for word, without colours, secrets and its ERROR prefix."""
    text = redact(_COLOUR.sub("", text[:_MOST_READ])).strip().removeprefix("ERROR:").strip()
    return text if len(text) <= _MOST_TEXT else text[: _MOST_TEXT - 3] + "..."


def _leaf(rule: Rule, text: str) -> KineticsError:
    """Return the error of a rule."""
    if rule.leaf is ToolMissing:
        return ToolMissing(f"What yt-dlp needs ({text})", rule.remedy)
    return rule.leaf(text, remedy=rule.remedy)


def _with_warnings(text: str, warnings: tuple[str, ...]) -> str:
    """Return `text` with the warnings before it, as far as there is room."""
    said = " ".join(clean(warning) for warning in dict.fromkeys(warnings))[:_MOST_TEXT]
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
