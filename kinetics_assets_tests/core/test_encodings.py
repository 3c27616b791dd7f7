"""Which settings of x264 a clip gets."""

from __future__ import annotations

from kinetics_assets.core.encodings import SAME_SIZE, SAME_SIZE_OF_VP9, SMALLER, Encoding, fitted
from kinetics_assets.core.settings import ResizeRecipe


def test_settings_follow_how_much_smaller_a_clip_gets() -> None:
    """The usual forms of the field: 720p, 480p and 360p get smaller, 340x256 does not."""
    for codec in ("h264", "vp9", "libdav1d"):
        assert [fitted(px, 256, codec=codec) for px in (720, 480, 360)] == [SMALLER] * 3
        assert SMALLER not in {fitted(px, 256, codec=codec) for px in (320, 256, 240)}


def test_only_vp9_has_settings_of_its_own() -> None:
    """Those for VP9 are too coarse for what AV1 and H.264 leave in a picture."""
    for codec in ("vp9", "libvpx-vp9"):
        assert fitted(256, 256, codec=codec) == SAME_SIZE_OF_VP9
    for codec in ("h264", "libdav1d", "av1", "hevc", "mpeg4", "vp8"):
        assert fitted(256, 256, codec=codec) == SAME_SIZE


def test_what_is_set_wins() -> None:
    """Each setting alone; beside a preset of one's own nothing fitted is left."""
    assert ResizeRecipe().encoding(720, codec="vp9") == SMALLER
    only_crf = ResizeRecipe(crf=18).encoding(720, codec="vp9")
    assert (only_crf.crf, only_crf.preset) == (18, SMALLER.preset)
    assert only_crf.x264_params == SMALLER.x264_params
    assert ResizeRecipe(x264_params="").encoding(720, codec="vp9").x264_params == ""
    assert ResizeRecipe(preset="slow").encoding(720, codec="vp9") == Encoding("slow", 21, "")
    assert ResizeRecipe(preset="slow").encoding(256, codec="vp9") == Encoding("slow", 21, "")


def test_mmaction2s_recipe_is_never_fitted() -> None:
    """Its script takes medium and crf 23 for any clip."""
    recipe = ResizeRecipe(recipe="mmaction2", crf=1, x264_params="trellis=2").effective()
    for px in (1080, 256, 100):
        assert recipe.encoding(px, codec="vp9") == Encoding("medium", 23, "")
