"""Our side of fetch.py: the videos stage, class by class, in this one process.

`python fetch_ours.py ROOT LIST ADDRESS [CLASSES]` with the settings a user would have for such a
site. Says one JSON line after each class, so that whoever reads knows how far it is.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from urllib.parse import urlsplit

from kinetics_assets.core.clips import Split
from kinetics_assets.core.manifest import Status
from kinetics_assets.core.settings import (
    AnnotationSettings,
    Settings,
    SourceSettings,
    VideoRecipe,
)
from kinetics_assets.core.stages import Stage
from kinetics_assets.io.annotation_store import annotated_labels
from kinetics_assets.stages.annotations import run_annotations
from kinetics_assets.stages.order import ClassOrder
from kinetics_assets.stages.run import run_stage


def settings_for(root: Path, the_list: Path, address: str) -> Settings:
    """Return the settings for a site at `address`, which has ``{id}``, ``{start}``, ``{end}``."""
    return Settings(
        root=root,
        dataset="kinetics400",
        annotations=AnnotationSettings(source=str(the_list)),
        videos=VideoRecipe(min_duration_share=0.0),  # its clips last a second
        sources=SourceSettings(
            order=("youtube",),
            youtube_url=address,
            youtube_extractors=("generic",),
            youtube_interval_seconds=0.0,
            loopback_hosts=(urlsplit(address).netloc,),
        ),
    )


def main() -> None:
    """Fetch every class of the list."""
    root, the_list, address = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    settings = settings_for(root, the_list, address)
    run_annotations(settings)
    for label in annotated_labels(ClassOrder(settings, Split.VAL, "").layout, Split.VAL):
        report = run_stage(Stage.VIDEOS, ClassOrder(settings, Split.VAL, label))
        counts = report.summary.counts
        line = {"rows": report.summary.rows, "ok": counts.get(Status.OK, 0)}
        if report.failures:
            line["why"] = report.failures[0].reason_text[:200]
        if report.degraded:
            line["degraded"] = list(report.degraded)
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
