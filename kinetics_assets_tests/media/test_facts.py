"""What a child says is believed only in form: anything odd is a crash of the child."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from kinetics_assets.core.errors import DecoderCrashed
from kinetics_assets.media.facts import FrameFacts, MediaFacts

GOOD = MediaFacts("mp4", "h264", 340, 256, 29.97, 10.0, 300, has_audio=True)


def test_facts_cross_unchanged() -> None:
    """A record made from facts gives the same facts."""
    assert MediaFacts.from_record(asdict(GOOD)) == GOOD
    assert FrameFacts.from_record({"frames": 3, "width_px": 4, "height_px": 5}) == FrameFacts(
        3, 4, 5
    )


@pytest.mark.parametrize(
    "change",
    [
        {"width_px": 0},
        {"height_px": -1},
        {"frames_decoded": 2**40},
        {"frames_decoded": "300"},
        {"frames_decoded": True},
        {"fps": float("nan")},
        {"fps": None},
        {"duration_seconds": float("inf")},
        {"duration_seconds": -1},
        {"codec": "x" * 1000},
        {"codec": "h264\x1b[2J"},
        {"container": None},
    ],
)
def test_nonsense_is_refused(change: dict[str, object]) -> None:
    """No number out of range and no control character gets into a manifest."""
    with pytest.raises(DecoderCrashed):
        MediaFacts.from_record(asdict(GOOD) | change)
