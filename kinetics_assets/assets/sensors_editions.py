"""The sensor that notices when the lists at their source are another edition than those here.

It is off by default: a new edition changes what the dataset is (rows vanish, labels move), and
nobody expects a program to ask servers by itself.
"""

from __future__ import annotations

import dagster as dg

from kinetics_assets.assets.jobs import annotations_job_name
from kinetics_assets.assets.partitions import annotations_key
from kinetics_assets.core.errors import AnnotationError, KineticsError, RateLimited
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.settings import Settings, digest

UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def editions_sensor(settings: Settings) -> dg.SensorDefinition:
    """Return the sensor that has the lists fetched when their source has another edition.

    A tick asks the source whether its files changed, by the ETag and the time that it gave; it
    compares the sha256 of what a server without these sends. The run that is then asked for makes
    the new edition current and observes the rows of each class whose hash changed.
    """
    hours = settings.annotations.watch_hours

    @dg.sensor(
        name=f"{settings.dataset}_editions",
        job_name=annotations_job_name(settings.dataset),
        minimum_interval_seconds=int(hours * 3600),
        default_status=(
            dg.DefaultSensorStatus.RUNNING
            if settings.annotations.watch
            else dg.DefaultSensorStatus.STOPPED
        ),
        description=(
            f"Asks every {hours:g} hours whether the lists of {settings.dataset} changed at their"
            " source, and has them fetched if so; classes whose rows changed then show as"
            " unsynced. A list that did not change costs one request. Off by default, since a new"
            " edition changes the dataset; switch it on here, or for good with `watch = true`"
            " below [annotations] in kinetics.toml."
        ),
    )
    def editions(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        from kinetics_assets.io.annotation_store import splits_present
        from kinetics_assets.stages.annotations import look_for_edition

        try:
            if not splits_present(Layout.of(settings)):
                return dg.SkipReason(
                    f"There are no lists yet: materialise {settings.dataset}/annotations first."
                )
            busy = _run_of_lists(context.instance, settings)
            if busy:
                return dg.SkipReason(f"Waiting for run {busy[:8]}, which fetches the lists.")
            found = look_for_edition(settings)
        except KineticsError as error:
            # an outage, half an upload, a full disk: nothing was changed, and the next look tells
            return dg.SkipReason(_told(error, hours=hours))
        if not found.splits:
            said = ", ".join(found.not_changed) or "the source"
            return dg.SkipReason(f"No new edition: {said} has what is here.")
        edition = digest({split.value: sha256 for split, sha256 in found.splits.items()})
        number, _, asked = (context.cursor or "").partition(" ")
        if asked == edition:
            return dg.SkipReason(
                "The new edition was asked for already, and its run did not make it current: see"
                f" the runs of {annotations_job_name(settings.dataset)}."
            )
        count = int(number) if number.isdecimal() else 0  # the user may write anything there
        names = ", ".join(f"{split} {sha256[:12]}" for split, sha256 in found.splits.items())
        context.log.info("New edition: %s.", names)
        # numbered, since a run key is used once: a source may go back to an edition that it had
        request = dg.RunRequest(
            run_key=f"{settings.dataset}-{count}-{edition}",
            asset_selection=[annotations_key(settings.dataset)],
        )
        return dg.SensorResult(run_requests=[request], cursor=f"{count + 1} {edition}")

    return editions


def _told(error: KineticsError, *, hours: float) -> str:
    """Return why nothing is known of the source, and what comes next: the user need do nothing."""
    passes = isinstance(error, RateLimited) or (isinstance(error, AnnotationError) and error.passes)
    said = [
        f"The lists cannot be had: {error.message}",
        f"The next look is in {hours:g} hours.",
        "" if passes else error.remedy,
    ]
    return " ".join(filter(None, said))


def _run_of_lists(instance: dg.DagsterInstance, settings: Settings) -> str | None:
    """Return the id of a run that fetches the lists, or will."""
    key = annotations_key(settings.dataset)
    for run in instance.get_runs(filters=dg.RunsFilter(statuses=UNDER_WAY)):
        chosen = run.asset_selection
        if run.job_name == annotations_job_name(settings.dataset) or (chosen and key in chosen):
            return run.run_id
    return None
