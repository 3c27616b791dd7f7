"""Why a clip is not there: a closed list, each reason of exactly one kind.

The manifest stores a `Reason` beside every row that is not ``ok``; the kind decides what happens
next. Reasons of kind ``environment`` abort the step and never reach a row: a full disk is not the
clip's fault.
"""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """What can be done about a reason."""

    PERMANENT = "permanent"
    """No retry at this source will help."""
    RETRYABLE = "retryable"
    """May heal by itself; tried again after a delay."""
    CREDENTIALS = "credentials"
    """The user must log in, pay or prove an age."""
    ENVIRONMENT = "environment"
    """This machine or its network is at fault; the step fails, no row is written."""
    POLICY = "policy"
    """A rule of the user or of the graph, not a failure."""


class Reason(StrEnum):
    """Code of one leaf of the tree in `kinetics_assets.core.errors`, as stored in manifests."""

    # getting the bytes
    GONE = "gone"
    VIDEO_REMOVED = "video_removed"
    VIDEO_PRIVATE = "video_private"
    ACCOUNT_TERMINATED = "account_terminated"
    COPYRIGHT = "copyright"
    POLICY_REMOVED = "policy_removed"
    DRM_PROTECTED = "drm_protected"
    VIDEO_UNAVAILABLE = "video_unavailable"
    CONFIRMED_UNAVAILABLE = "confirmed_unavailable"
    GEO_BLOCKED = "geo_blocked"
    NOT_YET = "not_yet"
    LOGIN_REQUIRED = "login_required"
    AGE_RESTRICTED = "age_restricted"
    PAYMENT_REQUIRED = "payment_required"
    FORBIDDEN = "forbidden"
    SERVER_ERROR = "server_error"
    ADDRESS_REFUSED = "address_refused"
    NETWORK = "network"
    EMPTY_FILE = "empty_file"
    NOT_AT_SOURCE = "not_at_source"
    DOWNLOAD_FAILED = "download_failed"
    BAD_ARCHIVE = "bad_archive"
    POSTPROCESSING_FAILED = "postprocessing_failed"
    # the bytes themselves
    NOT_MEDIA = "not_media"
    TRUNCATED = "truncated"
    UNDECODABLE = "undecodable"
    NO_VIDEO_STREAM = "no_video_stream"
    NO_FRAMES = "no_frames"
    NO_AUDIO = "no_audio"
    OUT_OF_RANGE = "out_of_range"
    TOO_SHORT = "too_short"
    OVER_LIMIT = "over_limit"
    DECODER_CRASHED = "decoder_crashed"
    # making products from them
    ENCODE_FAILED = "encode_failed"
    # rules
    FILTERED = "filtered"
    UPSTREAM = "upstream"
    TAKEN_DOWN = "taken_down"
    # the machine
    DISK_FULL = "disk_full"
    DISK_FAILING = "disk_failing"
    PERMISSION_DENIED = "permission_denied"
    TOOL_MISSING = "tool_missing"
    NETWORK_DOWN = "network_down"
    RATE_LIMITED = "rate_limited"
    BOT_CHECK = "bot_check"
    EXTRACTOR_BROKEN = "extractor_broken"
    NETWORK_MISCONFIGURED = "network_misconfigured"
    SOURCE_PAUSED = "source_paused"
    MASS_FAILURE = "mass_failure"
    SANDBOX_UNUSABLE = "sandbox_unusable"
    DEVICE_LOST = "device_lost"
    LOCKED = "locked"

    @property
    def kind(self) -> Kind:
        """The one kind of this reason."""
        return _KINDS[self]

    @property
    def is_verdict(self) -> bool:
        """Whether a row may have it; reasons of the machine abort the step instead."""
        return self.kind is not Kind.ENVIRONMENT


_BY_KIND: dict[Kind, tuple[Reason, ...]] = {
    Kind.PERMANENT: (
        Reason.GONE,
        Reason.VIDEO_REMOVED,
        Reason.VIDEO_PRIVATE,
        Reason.ACCOUNT_TERMINATED,
        Reason.COPYRIGHT,
        Reason.POLICY_REMOVED,
        Reason.DRM_PROTECTED,
        Reason.CONFIRMED_UNAVAILABLE,
        Reason.UNDECODABLE,
        Reason.NO_VIDEO_STREAM,
        Reason.NO_FRAMES,
        Reason.NO_AUDIO,
        Reason.OUT_OF_RANGE,
        Reason.TOO_SHORT,
        Reason.OVER_LIMIT,
        Reason.DECODER_CRASHED,
        Reason.ENCODE_FAILED,
    ),
    Kind.RETRYABLE: (
        Reason.VIDEO_UNAVAILABLE,
        Reason.GEO_BLOCKED,
        Reason.NOT_YET,
        Reason.FORBIDDEN,
        Reason.SERVER_ERROR,
        Reason.ADDRESS_REFUSED,
        Reason.NETWORK,
        Reason.EMPTY_FILE,
        Reason.NOT_AT_SOURCE,
        Reason.DOWNLOAD_FAILED,
        Reason.BAD_ARCHIVE,
        Reason.POSTPROCESSING_FAILED,
        Reason.NOT_MEDIA,
        Reason.TRUNCATED,
    ),
    Kind.CREDENTIALS: (
        Reason.LOGIN_REQUIRED,
        Reason.AGE_RESTRICTED,
        Reason.PAYMENT_REQUIRED,
    ),
    Kind.POLICY: (Reason.FILTERED, Reason.UPSTREAM, Reason.TAKEN_DOWN),
    Kind.ENVIRONMENT: (
        Reason.DISK_FULL,
        Reason.DISK_FAILING,
        Reason.PERMISSION_DENIED,
        Reason.TOOL_MISSING,
        Reason.NETWORK_DOWN,
        Reason.RATE_LIMITED,
        Reason.BOT_CHECK,
        Reason.EXTRACTOR_BROKEN,
        Reason.NETWORK_MISCONFIGURED,
        Reason.SOURCE_PAUSED,
        Reason.MASS_FAILURE,
        Reason.SANDBOX_UNUSABLE,
        Reason.DEVICE_LOST,
        Reason.LOCKED,
    ),
}
_KINDS: dict[Reason, Kind] = {reason: kind for kind, group in _BY_KIND.items() for reason in group}
