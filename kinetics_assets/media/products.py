"""One decode for many products: resized video, frames and grey frames of a source together.

Decoding is a large part of what each product costs. Here each decoded frame goes to every writer
that is wanted, and each writer does with it what it does alone, so that bytes are the same. A
product that fails drops out, the others go on; damage of the source ends them all.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from kinetics_assets.core.errors import ClipError, EncodeFailed
from kinetics_assets.media.decode import batches, frames
from kinetics_assets.media.gray import GrayWriter
from kinetics_assets.media.libraries import Libraries
from kinetics_assets.media.probe import open_video
from kinetics_assets.media.product_facts import GRAY, RAWFRAMES, RESIZED, Wishes, failure_record
from kinetics_assets.media.rawframes import FramesWriter
from kinetics_assets.media.resize import ResizeWriter, checked
from kinetics_assets.media.verify import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from kinetics_assets.media.facts import MediaFacts
    from kinetics_assets.media.probe import Caps, OpenVideo

Record = dict[str, dict[str, Any]]
NONE: Final = Libraries()


def make_products(
    source: Path, wishes: Wishes, caps: Caps, *, libraries: Libraries = NONE
) -> Record:
    """Make what is wished of the video at `source`.

    Args:
        source: Absolute.
        wishes: At least one.
        caps: Limits.
        libraries: Compiled code that makes the same bytes faster.

    Returns:
        For each product its ``facts``, or its error as `failure_record` gives it.

    Raises:
        ClipError: The source is at fault; no product is whole then.
        OSError: The source cannot be read.
    """
    if not wishes.from_resized:
        record, written = _pass(source, wishes, caps, libraries=libraries)
        return _with_checked(record, wishes, caps, written=written)
    record, written = _pass(source, replace(wishes, rawframes=None, gray=None), caps)
    if not written or wishes.resized is None:
        return record
    rest = replace(wishes, resized=None)
    try:
        tally: list[MediaFacts] = []
        small = wishes.resized[0]
        further, _ = _pass(small, rest, caps, libraries=libraries, tell=tally.append)
        _refuse_loss(tally[0].frames_decoded, written)
    except (ClipError, OSError) as error:
        return record | {RESIZED: failure_record(error)}
    return record | further | {RESIZED: {"facts": asdict(tally[0])}}


class _Product:
    """One product that grows, or why it does not any more."""

    def __init__(self, name: str, begin: Callable[[], Any]) -> None:
        """Begin to write; an error is kept, not raised."""
        self.name = name
        self.error: Exception | None = None
        self.writer: Any = None
        self._open = ExitStack()
        try:
            self.writer = self._open.enter_context(begin())
        except (ClipError, OSError) as error:
            self.error = error

    def add(self, frame: Any) -> None:  # noqa: ANN401 - PyAV's frame
        """Write the next frame unless the product has failed."""
        if self.error is None:
            try:
                self.writer.add(frame)
            except (ClipError, OSError) as error:
                self.end(error)

    def end(self, error: BaseException | None = None) -> None:
        """Complete the product, or give it up because of `error`."""
        if self.error is not None:
            return
        self.error = error if isinstance(error, Exception) else None
        try:
            self._open.__exit__(type(error) if error else None, error, None)
        except (ClipError, OSError) as late:
            self.error = self.error or late


def _pass(
    source: Path,
    wishes: Wishes,
    caps: Caps,
    *,
    libraries: Libraries = NONE,
    tell: Callable[[MediaFacts], None] | None = None,
) -> tuple[Record, int]:
    """Decode `source` once for all `wishes`; return a record and the frames of the resized video.

    Args:
        source: Absolute.
        wishes: Of products; `from_resized` does not count here.
        caps: Limits.
        libraries: As of `make_products`.
        tell: Is told the facts of the source, if somebody wants them.
    """
    with open_video(source, caps) as video:
        pictures = frames(video)
        first = next(pictures)
        products = _begun(video, first, wishes, libraries=libraries)
        tally = Tally(video) if tell is not None else None
        adders = [adder.add for adder in (tally, *products) if adder is not None]
        with _ended(products):
            for batch in batches(chain([first], pictures)):
                for add in adders:
                    for frame in batch:
                        add(frame)
        if tally is not None and tell is not None:
            tell(tally.facts())
    return _told(products)


@contextmanager
def _ended(products: list[_Product]) -> Iterator[None]:
    """Complete the products after the block, or give all of them up when it fails."""
    try:
        yield
    except BaseException as error:
        for product in products:
            product.end(error)
        raise
    for product in products:
        product.end()


def _told(products: list[_Product]) -> tuple[Record, int]:
    """Return what became of products; of the resized one, which is not checked yet, its frames."""
    record: Record = {}
    written = 0
    for product in products:
        if product.error is not None:
            record[product.name] = failure_record(product.error)
        elif product.name == RESIZED:
            written = product.writer.frames
        else:
            record[product.name] = {"facts": asdict(product.writer.facts)}
    return record, written


def _begun(
    video: OpenVideo,
    first: Any,  # noqa: ANN401 - PyAV's frame
    wishes: Wishes,
    *,
    libraries: Libraries,
) -> list[_Product]:
    """Return the products that are wished, begun; the resized one last.

    Its writer may change timestamps of frames that need no scaling, which the others do not read.
    """
    begun = []
    if wishes.rawframes is not None:
        folder, recipe = wishes.rawframes
        begun.append(
            _Product(
                RAWFRAMES,
                lambda: FramesWriter(video, first, folder, recipe=recipe, library=libraries.frames),
            )
        )
    if wishes.gray is not None:
        file, look = wishes.gray
        begun.append(
            _Product(
                GRAY, lambda: GrayWriter(video, first, file, recipe=look, library=libraries.gray)
            )
        )
    if wishes.resized is not None:
        target, small = wishes.resized
        begun.append(_Product(RESIZED, lambda: ResizeWriter(video, first, target, recipe=small)))
    return begun


def _with_checked(record: Record, wishes: Wishes, caps: Caps, *, written: int) -> Record:
    """Return `record` with the verdict on the resized video, if one was written."""
    if not written or wishes.resized is None:
        return record
    try:
        facts = checked(wishes.resized[0], caps, frames_written=written)
    except (ClipError, OSError) as error:
        return record | {RESIZED: failure_record(error)}
    return record | {RESIZED: {"facts": asdict(facts)}}


def _refuse_loss(found: int, written: int) -> None:
    """Raise EncodeFailed unless all frames written were found again."""
    if found != written:
        raise EncodeFailed(f"{found} of {written} frames were encoded.")
