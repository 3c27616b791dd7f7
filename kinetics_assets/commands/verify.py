"""`kinetics verify`: every disagreement between disk, manifests and lists."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import click

from kinetics_assets.commands.choices import (
    chosen_labels,
    chosen_splits,
    class_option,
    existing_root,
    json_option,
    root_option,
    split_option,
)
from kinetics_assets.commands.display import size_text
from kinetics_assets.core.clips import Split
from kinetics_assets.core.layout import Layout
from kinetics_assets.io.atomic import os_faults
from kinetics_assets.io.settings_file import load_settings
from kinetics_assets.verify import Report, tree_digest, tree_lines, verify_dataset

_SHOWN_FINDINGS = 50


@click.command()
@click.argument("dataset")
@split_option
@class_option
@click.option("--quick", is_flag=True, help="Compare names, counts and sizes; read no content.")
@click.option("--digest", is_flag=True, help="Print the tree digest and do nothing else.")
@click.option("--digest-lines", is_flag=True, hidden=True, help="Print what the digest is made of.")
@json_option
@root_option
@click.pass_context
def verify(
    context: click.Context,
    dataset: str,
    *,
    splits: str,
    labels: tuple[str, ...],
    root: Path | None,
    quick: bool,
    digest: bool,
    digest_lines: bool,
    as_json: bool,
) -> None:
    """Report every disagreement of disk, manifests and lists."""
    settings = load_settings(dataset, root=root)
    wanted = chosen_labels(dataset, labels)
    chosen = chosen_splits(splits, default=tuple(Split))
    layout = Layout.of(settings)
    with os_faults(f"reading {existing_root(root)}"):
        if digest_lines:
            click.echo("".join(tree_lines(layout)), nl=False)
            return
        if digest:
            click.echo(tree_digest(layout))
            return
        report = verify_dataset(settings, splits=chosen, labels=wanted, hash_content=not quick)
    if as_json:
        click.echo(json.dumps(report.to_json(), indent=1, ensure_ascii=False))
    else:
        _print(report)
    context.exit(0 if report.is_clean else 1)


def _print(report: Report) -> None:
    """Print notes, findings and one line of summary; no wrapping, so that paths can be copied."""
    for note in report.notes:
        click.echo(f"note: {note}")
    for finding in report.findings[:_SHOWN_FINDINGS]:
        click.echo(f"{finding.problem}: {finding.where}: {finding.text}")
    if len(report.findings) > _SHOWN_FINDINGS:
        click.echo(f"... and {len(report.findings) - _SHOWN_FINDINGS} more (--json has all)")
    kinds = Counter(finding.problem for finding in report.findings)
    verdict = ", ".join(f"{count} {kind}" for kind, count in kinds.items()) or "all agree"
    click.echo(
        f"{report.dataset}: {report.rows} rows, {report.files} files,"
        f" {size_text(report.size_bytes)} read: {verdict}."
    )
