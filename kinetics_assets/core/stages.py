"""The six stages of the graph; each name is also a module, a folder and an asset."""

from __future__ import annotations

from enum import StrEnum


class Stage(StrEnum):
    """One step of the way from a list to a training-ready dataset."""

    ANNOTATIONS = "annotations"
    VIDEOS = "videos"
    RESIZED = "resized"
    RAWFRAMES = "rawframes"
    FLOW = "flow"
    FILELISTS = "filelists"


CLASS_STAGES = (Stage.VIDEOS, Stage.RESIZED, Stage.RAWFRAMES, Stage.FLOW)
"""Stages that run per class and keep a manifest, in graph order."""
