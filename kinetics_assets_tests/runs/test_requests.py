"""Which job does what is asked for: the usual one, unless an optional stage is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from kinetics_assets.assets.jobs import dataset_jobs
from kinetics_assets.core.clips import Split
from kinetics_assets.core.stages import CLASS_STAGES, OPTIONAL_STAGES, Stage
from kinetics_assets.runs.requests import RunRequest, order_of, parts_of

TRAIN, VAL, TEST = Split.TRAIN, Split.VAL, Split.TEST


@pytest.mark.parametrize(
    ("targets", "jobs"),
    [
        ([(TRAIN, stage) for stage in CLASS_STAGES], ["demo_prepare"]),
        ([(TRAIN, Stage.VIDEOS), (VAL, Stage.AUDIO)], ["demo_prepare_whole"]),
        (
            [(TRAIN, Stage.VIDEOS), (TEST, Stage.AUDIO_FEATURES)],
            ["demo_prepare", "demo_prepare_test_whole"],
        ),
    ],
)
def test_a_run_with_sound_is_one_run_of_the_job_that_has_it(
    targets: list[tuple[Split, Stage]], jobs: list[str], tmp_path: Path
) -> None:
    """What is read is made in the run that reads it, and only other partitions part a request."""
    request = RunRequest("demo", "abseiling", tuple(targets))
    parts = parts_of(request)
    assert [order_of(part, home=tmp_path, token="x").job for part in parts] == jobs
    assert [target for part in parts for target in part.targets] == targets


def test_the_usual_job_never_has_an_optional_stage() -> None:
    """Whoever launches it in the UI gets what the command line makes by default."""
    jobs = {job.name: str(job.selection) for job in dataset_jobs("demo")}
    for name in ("demo_prepare", "demo_prepare_test"):
        for stage in OPTIONAL_STAGES:
            assert f"/{stage}" not in jobs[name]
            assert f"/{stage}" in jobs[f"{name}_whole"]
