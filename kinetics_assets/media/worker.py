"""What the sandboxed child can do: names to functions of JSON-able keywords.

Loaded by `kinetics_assets.io.sandbox_child` after it has confined itself; never by the parent. Each
operation loads what it needs when it is first asked for: a child that only verifies, as most of the
videos stage's do, is ready in half the time.
"""

from __future__ import annotations

import ctypes
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kinetics_assets.media.probe import Caps

if TYPE_CHECKING:
    from collections.abc import Callable

Record = dict[str, Any]
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_MIB = 1 << 20


@cache
def _keep_pages() -> None:
    """Let the memory of one picture be that of the next, instead of going back to the system.

    Glibc gives large blocks back at once; their page faults are 2 to 3 % of a 720p clip's CPU.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(_M_MMAP_THRESHOLD, 32 * _MIB)
        libc.mallopt(_M_TRIM_THRESHOLD, 64 * _MIB)


def _verify(*, path: str, caps: Record) -> Record:
    from kinetics_assets.media.verify import verify

    return asdict(verify(Path(path), Caps(**caps)))


def _length(*, path: str, caps: Record) -> Record:
    from kinetics_assets.media.length import length_seconds

    return {"length_seconds": length_seconds(Path(path), Caps(**caps))}


def _trim(  # the keywords of `trim`, as JSON
    *,
    source: str,
    target: str,
    start_seconds: float,
    end_seconds: float,
    recipe: Record,
    caps: Record,
) -> Record:
    from kinetics_assets.core.settings import VideoRecipe
    from kinetics_assets.media.trim import trim

    facts = trim(
        Path(source),
        Path(target),
        start_seconds=start_seconds,
        end_seconds=end_seconds,
        recipe=VideoRecipe(**recipe),
        caps=Caps(**caps),
    )
    return asdict(facts)


def _join(*, video: str, sound: str, target: str, caps: Record) -> Record:
    from kinetics_assets.media.join import join

    return {"suffix": join(Path(video), Path(sound), Path(target), caps=Caps(**caps))}


def _resize(*, source: str, target: str, recipe: Record, caps: Record) -> Record:
    from kinetics_assets.core.settings import ResizeRecipe
    from kinetics_assets.media.resize import resize

    _keep_pages()
    made = resize(Path(source), Path(target), recipe=ResizeRecipe(**recipe), caps=Caps(**caps))
    return asdict(made)


def _rawframes(
    *, source: str, folder: str, recipe: Record, libraries: Record, caps: Record
) -> Record:
    from kinetics_assets.core.settings import FrameRecipe
    from kinetics_assets.media.rawframes import rawframes

    _keep_pages()
    made = rawframes(
        Path(source),
        Path(folder),
        recipe=FrameRecipe(**recipe),
        caps=Caps(**caps),
        library=libraries["frames"],
    )
    return asdict(made)


def _gray(*, source: str, target: str, recipe: Record, libraries: Record, caps: Record) -> Record:
    from kinetics_assets.core.settings import FrameRecipe
    from kinetics_assets.media.gray import gray

    _keep_pages()
    made = gray(
        Path(source),
        Path(target),
        recipe=FrameRecipe(**recipe),
        caps=Caps(**caps),
        library=libraries["gray"],
    )
    return asdict(made)


def _products(*, source: str, wishes: Record, libraries: Record, caps: Record) -> Record:
    from kinetics_assets.media.libraries import Libraries
    from kinetics_assets.media.product_facts import Wishes
    from kinetics_assets.media.products import make_products

    _keep_pages()
    return make_products(
        Path(source), Wishes.from_record(wishes), Caps(**caps), libraries=Libraries(**libraries)
    )


def _count_frames(*, source: str, recipe: Record, caps: Record) -> Record:
    from kinetics_assets.core.settings import FrameRecipe
    from kinetics_assets.media.count import count_frames

    return asdict(count_frames(Path(source), recipe=FrameRecipe(**recipe), caps=Caps(**caps)))


def _extract_audio(*, source: str, target: str, recipe: Record, caps: Record) -> Record:
    from kinetics_assets.core.settings import AudioRecipe
    from kinetics_assets.media.audio_file import extract_audio

    made = extract_audio(
        Path(source), Path(target), recipe=AudioRecipe(**recipe), caps=Caps(**caps)
    )
    return asdict(made)


def _log_mel(*, source: str, target: str, recipe: Record, caps: Record) -> Record:
    from kinetics_assets.core.settings import AudioFeatureRecipe
    from kinetics_assets.media.log_mel import log_mel

    del caps  # they are on pictures
    return asdict(log_mel(Path(source), Path(target), recipe=AudioFeatureRecipe(**recipe)))


def _write_canary(*, target: str, caps: Record) -> Record:
    from kinetics_assets.media.canary import write_canary

    del caps  # it is ours
    return asdict(write_canary(Path(target)))


def _check_pictures(*, folder: str, names: list[str], caps: Record) -> Record:
    from kinetics_assets.media.pictures import check_pictures

    return asdict(check_pictures(Path(folder), names, caps=Caps(**caps)))


OPERATIONS: dict[str, Callable[..., Record]] = {
    "verify": _verify,
    "length": _length,
    "trim": _trim,
    "join": _join,
    "resize": _resize,
    "rawframes": _rawframes,
    "gray": _gray,
    "products": _products,
    "count_frames": _count_frames,
    "extract_audio": _extract_audio,
    "log_mel": _log_mel,
    "write_canary": _write_canary,
    "check_pictures": _check_pictures,
}
"""All that a parent can ask for."""
