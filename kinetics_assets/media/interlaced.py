"""Interlaced pictures, whose lines belong to two moments in turn.

Where a frame is marked as interlaced, libswscale scales the lines of each moment by themselves, and
a small picture becomes a comb of both. Without the mark it blends them, as ffmpeg's own `scale` and
OpenCV do.
"""

from __future__ import annotations

from typing import Any


class Unmarked:
    """Takes the mark off frames; their pixels stay where they are in memory."""

    def __init__(self) -> None:
        """Begin without having met an interlaced frame."""
        self._graph: Any = None
        self._shape: tuple[object, ...] = ()

    def __call__(self, frame: Any) -> Any:  # noqa: ANN401 - PyAV's frames
        """Return `frame`, not marked as interlaced, with its time, tags and side data."""
        if not frame.interlaced_frame:
            return frame
        shape = (frame.width, frame.height, frame.format.name, frame.time_base)
        if shape != self._shape:
            self._graph, self._shape = _graph(frame), shape
        self._graph.push(frame)
        return self._graph.pull()


def _graph(frame: Any) -> Any:  # noqa: ANN401 - PyAV's objects
    """Return a filter graph for frames like `frame`; PyAV has no other way to that mark."""
    from av.filter import Graph

    graph = Graph()
    graph.threads = 1
    first = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
    )
    graph.link_nodes(first, graph.add("setfield", "mode=prog"), graph.add("buffersink"))
    graph.configure()
    return graph
