"""Which settings of x264 a clip gets."""

from __future__ import annotations

from kinetics_assets.core.encodings import SAME_SIZE, SMALLER, Encoding, fitted
from kinetics_assets.core.settings import ResizeRecipe


def test_settings_follow_how_much_smaller_a_clip_gets() -> None:
    """The usual forms of the field: 720p, 480p and 360p get smaller, 340x256 does not."""
    assert [fitted(px, 256) for px in (720, 480, 360)] == [SMALLER] * 3
    assert [fitted(px, 256) for px in (320, 256, 240)] == [SAME_SIZE] * 3


def test_what_is_set_wins() -> None:
    """Each setting alone; beside a preset of one's own nothing fitted is left."""
    assert ResizeRecipe().encoding(720) == SMALLER
    only_crf = ResizeRecipe(crf=18).encoding(720)
    assert (only_crf.crf, only_crf.preset) == (18, SMALLER.preset)
    assert only_crf.x264_params == SMALLER.x264_params
    assert ResizeRecipe(x264_params="").encoding(720).x264_params == ""
    assert ResizeRecipe(preset="slow").encoding(720) == Encoding("slow", 21, "")
    assert ResizeRecipe(preset="slow").encoding(256) == Encoding("slow", 21, "")


def test_mmaction2s_recipe_is_never_fitted() -> None:
    """Its script takes medium and crf 23 for any clip."""
    recipe = ResizeRecipe(recipe="mmaction2", crf=1, x264_params="trellis=2").effective()
    for px in (1080, 256, 100):
        assert recipe.encoding(px) == Encoding("medium", 23, "")
