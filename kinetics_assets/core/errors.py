"""Every error the package raises on purpose, as one tree.

::

    KineticsError                     message + remedy, shown to the user without a traceback
    ├── InputError                    what the user gave cannot be used
    │   ├── UnknownDataset, UnknownClass, UnknownEngine, UnknownSplit
    │   ├── SettingsError             the settings file or an environment variable
    │   ├── MixedFlow                 two engines would make the flow of one class
    │   ├── DamagedFile               a small file that the package keeps is not what it wrote
    │   ├── AnnotationError           a list as a whole cannot be read
    │   ├── ArchiveRefused            a tar file that is damaged or breaks the rules
    │   └── RootError                 KINETICS_ROOT is missing or no folder
    ├── EnvironmentFault              this machine or its network; fails the step, never a clip
    │   ├── DiskFull, DiskFailing, PermissionDenied, ToolMissing
    │   ├── NetworkDown, NetworkMisconfigured, RateLimited, BotCheck, ExtractorBroken
    │   ├── SourcePaused, MassFailure
    │   └── SandboxUnusable, DeviceLost, Locked, PortInUse
    ├── InternalError                 a promise of our own was broken (a bug)
    └── ClipError                     one clip; becomes the reason of its manifest row
        ├── Gone, VideoRemoved, VideoPrivate, AccountTerminated, Copyright, PolicyRemoved
        ├── DrmProtected, VideoUnavailable, ConfirmedUnavailable, GeoBlocked, NotYet
        ├── LoginRequired, AgeRestricted, PaymentRequired, Forbidden
        ├── ServerError, AddressRefused, NetworkFailure, EmptyFile, NotAtSource
        ├── DownloadFailed, BadArchive, PostprocessingFailed
        ├── NotMedia, Truncated, Undecodable, NoVideoStream, NoFrames, NoAudio
        ├── OutOfRange, TooShort, OverLimit, DecoderCrashed
        └── EncodeFailed

A leaf below `ClipError` or `EnvironmentFault` has the `Reason` of the same name; `clip_error`
rebuilds a leaf from a reason (a sandboxed child can only send the code).
"""

from __future__ import annotations

import errno
from difflib import get_close_matches
from typing import TYPE_CHECKING

from kinetics_assets.core.clip_errors import (
    AccountTerminated,
    AddressRefused,
    AgeRestricted,
    BadArchive,
    ConfirmedUnavailable,
    Copyright,
    DecoderCrashed,
    DownloadFailed,
    DrmProtected,
    EmptyFile,
    EncodeFailed,
    Forbidden,
    GeoBlocked,
    Gone,
    LoginRequired,
    NetworkFailure,
    NoAudio,
    NoFrames,
    NotAtSource,
    NotMedia,
    NotYet,
    NoVideoStream,
    OutOfRange,
    OverLimit,
    PaymentRequired,
    PolicyRemoved,
    PostprocessingFailed,
    ServerError,
    TooShort,
    Truncated,
    Undecodable,
    VideoPrivate,
    VideoRemoved,
    VideoUnavailable,
)
from kinetics_assets.core.error_bases import (
    ClipError,
    EnvironmentFault,
    InputError,
    InternalError,
    KineticsError,
    leaves,
)
from kinetics_assets.core.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "AccountTerminated",
    "AddressRefused",
    "AgeRestricted",
    "AnnotationError",
    "ArchiveRefused",
    "BadArchive",
    "BotCheck",
    "ClipError",
    "ConfirmedUnavailable",
    "Copyright",
    "DamagedFile",
    "DecoderCrashed",
    "DeviceLost",
    "DiskFailing",
    "DiskFull",
    "DownloadFailed",
    "DrmProtected",
    "EmptyFile",
    "EncodeFailed",
    "EnvironmentFault",
    "ExtractorBroken",
    "Forbidden",
    "GeoBlocked",
    "Gone",
    "InputError",
    "InternalError",
    "KineticsError",
    "Locked",
    "LoginRequired",
    "MassFailure",
    "MixedFlow",
    "NetworkDown",
    "NetworkFailure",
    "NetworkMisconfigured",
    "NoAudio",
    "NoFrames",
    "NoVideoStream",
    "NotAtSource",
    "NotMedia",
    "NotYet",
    "OutOfRange",
    "OverLimit",
    "PaymentRequired",
    "PermissionDenied",
    "PolicyRemoved",
    "PortInUse",
    "PostprocessingFailed",
    "RateLimited",
    "RootError",
    "SandboxUnusable",
    "ServerError",
    "SettingsError",
    "SourcePaused",
    "TooShort",
    "ToolMissing",
    "Truncated",
    "Undecodable",
    "UnknownClass",
    "UnknownDataset",
    "UnknownEngine",
    "UnknownSplit",
    "VideoPrivate",
    "VideoRemoved",
    "VideoUnavailable",
    "clip_error",
    "environment_fault",
    "leaves",
]


def _nearest(name: str, allowed: Iterable[str]) -> str:
    """Return a 'did you mean' hint for `name`, empty when nothing is near."""
    match = get_close_matches(name, list(allowed), n=1, cutoff=0.6)
    return f"Did you mean {match[0]!r}?" if match else ""


class UnknownDataset(InputError):
    """A dataset name that is not one of ours."""

    def __init__(self, name: str, allowed: Iterable[str]) -> None:
        """Name the dataset and list the `allowed` ones."""
        names = sorted(allowed)
        hint = _nearest(name, names)
        super().__init__(
            f"Unknown dataset {name!r}.", remedy=f"{hint} Use one of: {', '.join(names)}.".strip()
        )


class UnknownSplit(InputError):
    """A split that is not train, val or test."""

    def __init__(self, name: str, allowed: Iterable[str]) -> None:
        """Name the split and list the `allowed` ones."""
        super().__init__(f"Unknown split {name!r}.", remedy=f"Use one of: {', '.join(allowed)}.")


class UnknownClass(InputError):
    """A class name that the dataset does not have."""

    def __init__(self, name: str, dataset: str, allowed: Iterable[str]) -> None:
        """Name the class and the nearest known one."""
        hint = _nearest(name, allowed)
        super().__init__(
            f"{dataset} has no class {name!r}.",
            remedy=hint or f"`kinetics status {dataset}` lists the classes.",
        )


class UnknownEngine(InputError):
    """A flow engine that does not exist."""

    def __init__(self, name: str, allowed: Iterable[str]) -> None:
        """Name the engine and list the `allowed` ones."""
        super().__init__(
            f"Unknown flow engine {name!r}.", remedy=f"Use one of: {', '.join(allowed)}."
        )


class SettingsError(InputError):
    """The settings file or an environment variable cannot be used."""


class MixedFlow(InputError):
    """One class would have flow of two engines or profiles, which nobody asked for."""


class DamagedFile(InputError):
    """A small file that the package keeps, and cannot make anew by itself, is damaged."""


class AnnotationError(InputError):
    """An annotation list as a whole cannot be read; names the file and, if known, the line."""

    def __init__(
        self,
        name: str,
        problem: str,
        *,
        line: int | None = None,
        remedy: str = "",
        passes: bool = False,
    ) -> None:
        """Point at `name` (a file or URL) and the 1-based `line`; an outage `passes` by itself."""
        where = f"{name}, line {line}" if line is not None else name
        self.line, self.passes = line, passes
        super().__init__(
            problem if problem.startswith(where) else f"{where}: {problem}", remedy=remedy
        )


class ArchiveRefused(InputError):
    """A tar file that is damaged, or whose members break the rules; nothing of it is used."""


class RootError(InputError):
    """The dataset root cannot be used."""


class DiskFull(EnvironmentFault):
    """No space, no inodes or no quota left, or a file-size limit was hit."""

    reason = Reason.DISK_FULL


class DiskFailing(EnvironmentFault):
    """A disk, or the way to it, loses or alters bytes."""

    reason = Reason.DISK_FAILING

    def __init__(self, message: str, *, remedy: str = "") -> None:
        """Say what was met; the remedy is the same whatever it was."""
        text = (
            "The disk, its cable or the network storage is suspect, no clip is blamed: look into"
            " the kernel's log (dmesg), mend or change the disk, and run again."
        )
        super().__init__(message, remedy=remedy or text)


class PermissionDenied(EnvironmentFault):
    """A folder cannot be written or read."""

    reason = Reason.PERMISSION_DENIED


class ToolMissing(EnvironmentFault):
    """A program or library that a chosen option needs is not installed."""

    reason = Reason.TOOL_MISSING

    def __init__(self, tool: str, remedy: str) -> None:
        """Name the `tool` and the one command that mends it."""
        super().__init__(f"{tool} is not usable on this machine.", remedy=remedy)


class NetworkDown(EnvironmentFault):
    """The source cannot be reached at all."""

    reason = Reason.NETWORK_DOWN


class NetworkMisconfigured(EnvironmentFault):
    """The proxy or the certificates of this machine do not work."""

    reason = Reason.NETWORK_MISCONFIGURED


class RateLimited(EnvironmentFault):
    """The source asks for a pause."""

    reason = Reason.RATE_LIMITED

    def __init__(
        self, message: str, *, remedy: str = "", retry_after_seconds: float | None = None
    ) -> None:
        """Keep how long the source wants to be left alone, None if it did not say."""
        super().__init__(message, remedy=remedy)
        self.retry_after_seconds = retry_after_seconds


class BotCheck(EnvironmentFault):
    """The source wants proof of a human; the session is at fault, not the clip."""

    reason = Reason.BOT_CHECK


class ExtractorBroken(EnvironmentFault):
    """yt-dlp cannot read the site any more: an update, or a tool that it needs, is due."""

    reason = Reason.EXTRACTOR_BROKEN


class SourcePaused(EnvironmentFault):
    """The source's circuit breaker is open; it is not asked before a stated time."""

    reason = Reason.SOURCE_PAUSED


class MassFailure(EnvironmentFault):
    """Nearly everything fails at a source, so that no single failure can be believed."""

    reason = Reason.MASS_FAILURE


class SandboxUnusable(EnvironmentFault):
    """The child that decodes media cannot be started, or something else kills it."""

    reason = Reason.SANDBOX_UNUSABLE


class DeviceLost(EnvironmentFault):
    """A GPU is gone or was never there."""

    reason = Reason.DEVICE_LOST


class Locked(EnvironmentFault):
    """Another process works on the same class and stage."""

    reason = Reason.LOCKED


class PortInUse(EnvironmentFault):
    """The port of the web server is taken."""

    reason = Reason.LOCKED

    def __init__(self, host: str, port: int) -> None:
        """Name the address and the option that picks another."""
        super().__init__(
            f"{host}:{port} is already in use.", remedy="Stop that program or choose --port."
        )


def clip_error(reason: Reason, message: str) -> ClipError:
    """Return the `ClipError` leaf of `reason`.

    Raises:
        InternalError: `reason` belongs to no clip (it is of kind environment or policy).
    """
    for leaf in leaves(ClipError):
        if issubclass(leaf, ClipError) and leaf.reason is reason:
            return leaf(message)
    msg = f"{reason} is a reason of kind {reason.kind}, which no clip can have."
    raise InternalError(msg)


_DISK_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FAILING_ERRNOS = frozenset({errno.EIO, errno.EREMOTEIO, errno.ESTALE, errno.EUCLEAN})
_ACCESS_ERRNOS = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


def environment_fault(error: OSError, *, doing: str) -> EnvironmentFault | None:
    """Return the fault that `error` stands for, None when it may be the clip's own.

    Args:
        error: As raised by the operating system.
        doing: What was being done, for the message ("writing /data/x.mp4").
    """
    if error.errno in _DISK_ERRNOS:
        return DiskFull(
            f"No space left while {doing} ({error.strerror}).",
            remedy="Free space or inodes, or point KINETICS_ROOT at a larger disk, and run again.",
        )
    if error.errno in _FAILING_ERRNOS:
        return DiskFailing(f"The disk failed while {doing} ({error.strerror}).")
    if error.errno in _ACCESS_ERRNOS:
        return PermissionDenied(
            f"Not allowed while {doing} ({error.strerror}).",
            remedy="Make the folder writable for this user and run again.",
        )
    return None
