"""Stages: six names, and those that run per class."""

from __future__ import annotations

from kinetics_assets.core.stages import CLASS_STAGES, Stage


def test_the_stages_are_the_six_of_the_graph() -> None:
    """Names and order of the stages are fixed: they are folders, assets and manifests too."""
    assert [stage.value for stage in Stage] == [
        "annotations",
        "videos",
        "resized",
        "rawframes",
        "flow",
        "filelists",
    ]


def test_class_stages_are_in_graph_order() -> None:
    """The stages with manifests keep the order of the graph."""
    assert list(CLASS_STAGES) == [stage for stage in Stage if stage in CLASS_STAGES]
    assert len(CLASS_STAGES) == 4
