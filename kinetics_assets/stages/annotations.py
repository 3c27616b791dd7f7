"""Gets the annotation lists and makes them the current edition."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from kinetics_assets.core.annotations import ParsedList, edition_sha256, parse_list
from kinetics_assets.core.clips import Split
from kinetics_assets.core.edition_diff import EditionDiff
from kinetics_assets.core.errors import AnnotationError
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.list_checks import remarks
from kinetics_assets.core.settings import Settings
from kinetics_assets.io.annotation_store import (
    EditionInfo,
    read_current,
    set_current,
    splits_present,
    store_list,
    write_if_changed,
)
from kinetics_assets.io.atomic import sweep_temps
from kinetics_assets.io.edition_changes import edition_changes, relicensed
from kinetics_assets.io.list_notes import read_notes, write_notes
from kinetics_assets.io.locks import exclusive
from kinetics_assets.sources.list_places import is_named
from kinetics_assets.sources.lists import AnnotationList, GotLists, get_lists, read_list

_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,99}\.csv", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class AnnotationsReport:
    """The current lists after a run."""

    editions: dict[Split, EditionInfo]
    changed: tuple[Split, ...]
    """Splits whose list has other bytes than before the run, or is new."""
    diffs: dict[Split, EditionDiff] = field(default_factory=dict)
    """What changed in the rows of each changed split that had a list before."""
    relicensed: dict[Split, int] = field(default_factory=dict)
    """Rows that stayed and have another licence, of changed splits whose lists tell licences."""
    remarks: dict[Split, tuple[str, ...]] = field(default_factory=dict)
    """What is strange about lists of published sources, of splits with something strange."""
    source: str = ""
    """Name of the source that gave the lists, a path, or a URL without secrets."""
    not_changed: tuple[str, ...] = ()
    """Addresses that said that nothing changed, and sent nothing."""
    missing: tuple[str, ...] = ()
    """Ids of the subset that no list has."""
    fallback_for: str = ""
    """Why the fallback was asked, empty if it was not."""


@dataclass(frozen=True, slots=True)
class NewEdition:
    """What a look at the source found."""

    splits: dict[Split, str]
    """sha256 of the list of each split that has another one now; empty if nothing changed."""
    not_changed: tuple[str, ...]
    """Addresses that said that nothing changed, and sent nothing."""


def look_for_edition(settings: Settings) -> NewEdition:
    """Return which lists of the source are not those that are here; nothing is taken over.

    What servers said is kept, so that the next look costs one request and no download.

    Raises:
        AnnotationError: There are no lists here yet, or one at the source is missing, half uploaded
            or cannot be had.
        ArchiveRefused: The tarball is damaged or breaks the rules.
        EnvironmentFault: No network, or the disk cannot be written.
    """
    layout = Layout.of(settings)
    current = read_current(layout)
    got = get_lists(settings, current=current)
    found = {split: edition_sha256(one.data) for split, one in got.lists.items()}
    changed = {
        split: sha256
        for split, sha256 in found.items()
        if split not in current or current[split].sha256 != sha256
    }
    if not changed:
        with exclusive(layout.annotations_lock, wait=True, what=f"the lists of {settings.dataset}"):
            write_notes(layout, {**read_notes(layout), **got.notes})
    return NewEdition(changed, got.not_changed)


def run_annotations(settings: Settings) -> AnnotationsReport:
    """Return the report of getting the lists and making them current.

    All lists are got and read before the first byte is written. A list that did not change leaves
    every byte as it was; the list it replaces stays in its edition folder. Splits that the source
    does not have keep the list they had. A server is asked only whether its files changed; one that
    does not tell sends them again.

    Raises:
        AnnotationError: A list is missing, cannot be read, or has no usable row.
        ArchiveRefused: The tarball is damaged or breaks the rules.
        EnvironmentFault: No network, or the disk cannot be written.
    """
    layout = Layout.of(settings)
    with exclusive(layout.annotations_lock, wait=True, what=f"the lists of {settings.dataset}"):
        sweep_temps(layout.annotations)
        sweep_temps(layout.scratch)
        before = _current(layout)
        got = get_lists(settings, current=before)
        lists = got.lists
        _refuse_twins(lists)
        parsed = {split: _parse(settings, split, the_list) for split, the_list in lists.items()}
        editions = dict(before)
        for split, the_list in lists.items():
            editions[split] = store_list(
                layout,
                the_list.data,
                parsed[split],
                name=_stored_name(the_list.name, split),
                source_address=the_list.address,
            )
        for split, the_list in lists.items():
            _keep_foreign_list(layout, split)
            write_if_changed(layout.annotation_list(split), the_list.data)
        set_current(layout, editions)
        write_notes(layout, {**read_notes(layout), **got.notes})
    changed = tuple(
        split
        for split in Split
        if split in lists
        and (split not in before or before[split].sha256 != editions[split].sha256)
    )
    diffs = {
        split: edition_changes(
            layout, split, before=before[split].sha256, after=editions[split].sha256
        )
        for split in changed
        if split in before
    }
    return AnnotationsReport(
        {split: editions[split] for split in Split if split in editions},
        changed,
        {split: diff for split, diff in diffs.items() if diff is not None},
        {
            split: relicensed(
                layout, split, before=before[split].sha256, after=editions[split].sha256
            )
            for split in diffs
        },
        _remarks(settings, got, parsed),
        got.source,
        got.not_changed,
        got.missing,
        got.fallback_for,
    )


def _remarks(
    settings: Settings, got: GotLists, parsed: dict[Split, ParsedList]
) -> dict[Split, tuple[str, ...]]:
    """Return what is strange about lists that somebody published whole."""
    if settings.annotations.subset is not None or not is_named(got.source):
        return {}
    if got.source == "official_delta":
        return {}
    said = {
        split: remarks(one, dataset=settings.dataset, split=split) for split, one in parsed.items()
    }
    return {split: lines for split, lines in said.items() if lines}


def _current(layout: Layout) -> dict[Split, EditionInfo]:
    """Return the current editions; none if there are none or their record is damaged."""
    try:
        return read_current(layout) if splits_present(layout) else {}
    except AnnotationError:
        return {}


def _parse(settings: Settings, split: Split, the_list: AnnotationList) -> ParsedList:
    """Return the parsed list.

    Raises:
        AnnotationError: It has no row that can be used.
    """
    parsed = parse_list(the_list.data, dataset=settings.dataset, split=split, name=the_list.name)
    if not parsed.rows:
        line = parsed.rejected[0].line if parsed.rejected else None
        first = f" The first: {parsed.rejected[0].reason}" if parsed.rejected else ""
        raise AnnotationError(
            the_list.name,
            f"none of its {parsed.records} lines is a row of {settings.dataset} {split}.{first}",
            line=line,
            remedy="Is it the list of another dataset or split?",
        )
    return parsed


def _refuse_twins(lists: dict[Split, AnnotationList]) -> None:
    """Raise `AnnotationError` if two splits have the very same list."""
    seen: dict[str, Split] = {}
    for split, the_list in lists.items():
        twin = seen.setdefault(edition_sha256(the_list.data), split)
        if twin is not split:
            raise AnnotationError(
                the_list.name,
                f"the {twin} and the {split} list are the same bytes.",
                remedy="Leave one of them out.",
            )


def _keep_foreign_list(layout: Layout, split: Split) -> None:
    """Keep a list that somebody else put in place, as an edition, before it is replaced."""
    path = layout.annotation_list(split)
    if path.is_file():
        data = read_list(path)
        folder = layout.edition(edition_sha256(data))
        if not folder.is_dir():
            write_if_changed(folder / path.name, data)


def _stored_name(name: str, split: Split) -> str:
    """Return the name under which an edition keeps its list."""
    return name if _SAFE_NAME.fullmatch(name) else f"kinetics_{split}.csv"
