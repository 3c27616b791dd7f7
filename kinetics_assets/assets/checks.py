"""Checks: nothing is lost between a list and a manifest, or between manifests and file lists."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import dagster as dg

from kinetics_assets.assets.beta import accepted_betas
from kinetics_assets.assets.faults import as_failures
from kinetics_assets.assets.partitions import asset_key
from kinetics_assets.core.clips import Split
from kinetics_assets.core.settings import Settings
from kinetics_assets.core.stages import Stage

if TYPE_CHECKING:
    from kinetics_assets.stages.report import StageReport

COMPLETE = "complete"
LISTS_AGREE = "lists_agree"
_MOST_SHOWN = 20


def complete_spec(
    key: dg.AssetKey, stage: Stage, partitions: dg.StaticPartitionsDefinition
) -> dg.AssetCheckSpec:
    """Return the check that every annotation row of a class has exactly one manifest row.

    It runs inside the step of its asset: a process of its own would take longer than the look.
    """
    with accepted_betas():
        return dg.AssetCheckSpec(
            COMPLETE,
            asset=key,
            partitions_def=partitions,
            description=(
                f"Reads the annotation list and the {stage} manifest of the class again: each row"
                " of the list must have exactly one row in the manifest. Warns while clips that"
                " can be had are missing; clips that are gone for good do not count."
            ),
        )


def complete_result(report: StageReport) -> dg.AssetCheckResult:
    """Return the verdict of `complete_spec` on a class, from what is on the disk now."""
    from kinetics_assets.io.annotation_store import load_class_rows
    from kinetics_assets.io.manifests import read_manifest

    order = report.order
    annotated = load_class_rows(order.layout, order.split, order.label, edition=report.edition)
    wanted = set(annotated.clips)
    rows = Counter(
        row.annotation
        for row in read_manifest(order.layout, order.split, report.stage, order.label)
    )
    lost = sorted(wanted - rows.keys())
    strange = sorted(rows.keys() - wanted)
    twice = sorted(clip for clip, count in rows.items() if count > 1)
    completeness = report.summary.completeness
    agrees = not (lost or strange or twice)
    return dg.AssetCheckResult(
        check_name=COMPLETE,
        passed=agrees and completeness >= 1,
        severity=dg.AssetCheckSeverity.WARN if agrees else dg.AssetCheckSeverity.ERROR,
        description=(
            f"{completeness:.1%} of the clips that can be had are there."
            if agrees
            else "The manifest does not hold exactly the rows of the list."
        ),
        metadata={
            "completeness": dg.MetadataValue.float(round(completeness, 4)),
            "annotation_rows": dg.MetadataValue.int(len(wanted)),
            "manifest_rows": dg.MetadataValue.int(rows.total()),
            **{
                name: dg.MetadataValue.text(", ".join(c.id.name for c in clips[:_MOST_SHOWN]))
                for name, clips in {"lost": lost, "strange": strange, "twice": twice}.items()
                if clips
            },
        },
    )


def lists_agree_check(settings: Settings, split: Split) -> dg.AssetChecksDefinition:
    """Return the check that file lists and manifests say the same, line by line."""

    @dg.asset_check(
        asset=asset_key(settings.dataset, split, Stage.FILELISTS),
        name=LISTS_AGREE,
        description=(
            "Compares each line of the lists with the manifests, by"
            " other code than wrote them. Run it alone to see whether the lists are up to date."
        ),
    )
    def lists_agree() -> dg.AssetCheckResult:
        from kinetics_assets.core.layout import Layout
        from kinetics_assets.verify.annotated import read_annotated
        from kinetics_assets.verify.findings import Report
        from kinetics_assets.verify.lists import check_lists
        from kinetics_assets.verify.rows import read_rows

        layout, report = Layout.of(settings), Report(settings.dataset)
        upstream = Stage(settings.rawframes.frames_from)
        with as_failures():
            annotated = read_annotated(layout, split, report)
            if annotated is not None:
                rows = read_rows(layout, annotated, report, labels=None, frames_from=upstream)
                check_lists(layout, annotated, rows, report, lists=settings.filelists)
        shown = [f"{f.problem}: {f.where}: {f.text}" for f in report.findings[:_MOST_SHOWN]]
        return dg.AssetCheckResult(
            passed=annotated is not None and report.is_clean,
            description="; ".join(shown[:3]) or "Lists and manifests agree.",
            metadata={
                "findings": dg.MetadataValue.int(len(report.findings)),
                "rows": dg.MetadataValue.int(report.rows),
                **({"first_findings": dg.MetadataValue.json(shown)} if shown else {}),
            },
        )

    return lists_agree
