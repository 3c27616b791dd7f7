"""The errors of one clip: each becomes the reason of its manifest row."""

from __future__ import annotations

from kinetics_assets.core.error_bases import ClipError
from kinetics_assets.core.reasons import Reason


class Gone(ClipError):
    """The address answers 404 or 410."""

    reason = Reason.GONE


class VideoRemoved(ClipError):
    """The site says that the video or its account was removed."""

    reason = Reason.VIDEO_REMOVED


class VideoPrivate(ClipError):
    """The site says that the video is private."""

    reason = Reason.VIDEO_PRIVATE


class AccountTerminated(ClipError):
    """The site says that the account which had the video was closed."""

    reason = Reason.ACCOUNT_TERMINATED


class Copyright(ClipError):
    """The site took the video down after a copyright claim."""

    reason = Reason.COPYRIGHT


class PolicyRemoved(ClipError):
    """The site removed the video under its own rules."""

    reason = Reason.POLICY_REMOVED


class DrmProtected(ClipError):
    """The video is encrypted."""

    reason = Reason.DRM_PROTECTED


class VideoUnavailable(ClipError):
    """The site says 'unavailable' without a cause; also used by throttling."""

    reason = Reason.VIDEO_UNAVAILABLE


class ConfirmedUnavailable(ClipError):
    """'Unavailable' without a cause, twice, a day or more apart, while the source worked."""

    reason = Reason.CONFIRMED_UNAVAILABLE


class GeoBlocked(ClipError):
    """The video is not shown in this country; another proxy may see it."""

    reason = Reason.GEO_BLOCKED


class NotYet(ClipError):
    """The video is announced for later."""

    reason = Reason.NOT_YET


class LoginRequired(ClipError):
    """The site wants a login."""

    reason = Reason.LOGIN_REQUIRED


class AgeRestricted(ClipError):
    """The site wants a login that proves an age."""

    reason = Reason.AGE_RESTRICTED


class PaymentRequired(ClipError):
    """The site wants a membership or a payment."""

    reason = Reason.PAYMENT_REQUIRED


class Forbidden(ClipError):
    """The address answers 403."""

    reason = Reason.FORBIDDEN


class ServerError(ClipError):
    """The address answers 5xx."""

    reason = Reason.SERVER_ERROR


class AddressRefused(ClipError):
    """The address leads to a host that the source may not be asked at."""

    reason = Reason.ADDRESS_REFUSED


class NetworkFailure(ClipError):
    """The connection broke or timed out for this clip."""

    reason = Reason.NETWORK


class EmptyFile(ClipError):
    """The answer has no bytes."""

    reason = Reason.EMPTY_FILE


class NotAtSource(ClipError):
    """No configured source has the clip."""

    reason = Reason.NOT_AT_SOURCE


class DownloadFailed(ClipError):
    """The downloader failed in a way we do not know; its text is kept word for word."""

    reason = Reason.DOWNLOAD_FAILED


class BadArchive(ClipError):
    """The archive that should hold the clip is damaged or breaks the rules."""

    reason = Reason.BAD_ARCHIVE


class PostprocessingFailed(ClipError):
    """A program that works on a finished download failed."""

    reason = Reason.POSTPROCESSING_FAILED


class NotMedia(ClipError):
    """The bytes are no video container (a web page, JSON, an image)."""

    reason = Reason.NOT_MEDIA


class Truncated(ClipError):
    """The file ends before its own header says."""

    reason = Reason.TRUNCATED


class Undecodable(ClipError):
    """A video container whose content cannot be decoded."""

    reason = Reason.UNDECODABLE


class NoVideoStream(ClipError):
    """A media file without a video stream."""

    reason = Reason.NO_VIDEO_STREAM


class NoFrames(ClipError):
    """A video stream that yields no frame."""

    reason = Reason.NO_FRAMES


class NoAudio(ClipError):
    """A good video without sound; only what is made of the sound is lacking."""

    reason = Reason.NO_AUDIO


class OutOfRange(ClipError):
    """The source is over before the clip begins."""

    reason = Reason.OUT_OF_RANGE


class TooShort(ClipError):
    """Fewer frames or seconds than the settings demand."""

    reason = Reason.TOO_SHORT


class OverLimit(ClipError):
    """Larger, longer or slower to decode than the limits allow."""

    reason = Reason.OVER_LIMIT


class DecoderCrashed(ClipError):
    """The sandboxed child died on this file."""

    reason = Reason.DECODER_CRASHED


class EncodeFailed(ClipError):
    """A product could not be encoded from a good input."""

    reason = Reason.ENCODE_FAILED
