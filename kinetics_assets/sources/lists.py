"""Gets annotation lists: published ones or the user's own, whole or a subset, from the net or not.

A file that a server says has not changed is not sent again: its lists are read from the editions
that are stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from kinetics_assets.core.annotations import edition_sha256
from kinetics_assets.core.clips import Split
from kinetics_assets.core.errors import (
    AnnotationError,
    ArchiveRefused,
    ClipError,
    EmptyFile,
    Forbidden,
    Gone,
    NetworkDown,
    NetworkFailure,
    NetworkMisconfigured,
    RateLimited,
    ServerError,
    Truncated,
)
from kinetics_assets.core.layout import Layout
from kinetics_assets.core.list_checks import cut_short
from kinetics_assets.core.settings import Settings
from kinetics_assets.io.annotation_store import EditionInfo, stored_list
from kinetics_assets.io.atomic import os_faults
from kinetics_assets.io.egress import redact_url
from kinetics_assets.io.fetch import FetchLimits, Validators, fetch_if_changed
from kinetics_assets.io.list_notes import Note, NotedList, note_key, read_notes
from kinetics_assets.sources.list_files import (
    MAX_LIST_BYTES,
    AnnotationList,
    has_lines,
    lists_in_file,
    lists_in_files,
    read_list,
    scratch_folder,
)
from kinetics_assets.sources.list_places import CHOICES, Place, is_named, places_of
from kinetics_assets.sources.list_subsets import (
    Wanted,
    address_of,
    digest_of,
    missing_ids,
    reduced,
    subsets,
)

__all__ = ["AnnotationList", "GotLists", "get_lists", "read_list"]

_CANNOT_BE_HAD = (AnnotationError, ArchiveRefused, NetworkDown, NetworkMisconfigured, RateLimited)
"""What makes the fallback be asked; a full disk does not."""


_OUTAGES = (EmptyFile, NetworkFailure, ServerError, Truncated)
"""What is no fault of an address: asked again, it may have the list."""


@dataclass(frozen=True, slots=True)
class GotLists:
    """The lists that settings name, and how they were got."""

    lists: dict[Split, AnnotationList]
    source: str
    """Name of the source, a path, or a URL without secrets."""
    notes: dict[str, Note] = field(default_factory=dict)
    """What to keep of the files that were fetched, by `note_key`; to be written when the lists are
    stored."""
    not_changed: tuple[str, ...] = ()
    """Addresses that said that nothing changed, and sent nothing."""
    missing: tuple[str, ...] = ()
    """Ids of the subset that no list has."""
    fallback_for: str = ""
    """Why these are the fallback's lists, empty if they are not."""


def get_lists(
    settings: Settings, *, current: Mapping[Split, EditionInfo] | None = None
) -> GotLists:
    """Return the lists that `settings` name, by split; at least one.

    Args:
        settings: Of the dataset.
        current: Lists that are here. The fallback is asked only without any, or for lists that are
            the fallback's own; and a list that is much shorter than the one that the same address
            gave before is refused.

    Raises:
        AnnotationError: A list is missing, half uploaded or cannot be had; says what
            `annotations.source` may be.
        ArchiveRefused: The tarball is damaged or breaks the rules.
        EnvironmentFault: No network, or the disk cannot be written.
    """
    current = current or {}
    source, fallback = settings.annotations.source, settings.annotations.fallback
    wanted = subsets(settings)
    try:
        return _get(settings, source, wanted=wanted, current=current)
    except _CANNOT_BE_HAD as error:
        if not fallback or not _may_fall_back(settings, current):
            raise
        shown, told = _shown(source), error.message
        why = told if told.startswith(shown) else f"{shown} cannot be had: {told}"
        try:
            got = _get(settings, fallback, wanted=wanted, current=current)
        except _CANNOT_BE_HAD as late:
            late.tell_also(f"It was the fallback: {why}")
            raise
        return replace(got, fallback_for=why)


def _may_fall_back(settings: Settings, current: Mapping[Split, EditionInfo]) -> bool:
    """Return whether the fallback would not replace the lists of another source."""
    fallback = settings.annotations.fallback
    at = {info.source_address.partition(" (")[0] for info in current.values()}
    if not at:
        return True
    if is_named(fallback) or "://" in fallback:
        return at <= {redact_url(place.url) for place in places_of(settings, fallback)}
    return all(address.startswith(str(Path(fallback).expanduser())) for address in at)


def _get(
    settings: Settings, source: str, *, wanted: Wanted, current: Mapping[Split, EditionInfo]
) -> GotLists:
    """Return the lists of one source."""
    layout = Layout.of(settings)
    if is_named(source) or "://" in source:
        getter = _Getter(settings, layout, wanted, current)
        for place in places_of(settings, source):
            getter.get(place)
        missing = missing_ids(wanted, getter.lists, settings.dataset)
        not_changed = tuple(getter.not_changed)
        return GotLists(getter.lists, _shown(source), getter.notes, not_changed, missing)
    path = Path(source).expanduser()
    with os_faults(f"reading {path}"):
        if path.is_dir():
            files = [entry for entry in path.iterdir() if entry.is_file()]
            lists = lists_in_files(files, where=str(path))
        elif path.is_file():
            lists = lists_in_file(path, layout, name=path.name, address=str(path))
        else:
            raise AnnotationError(str(path), "there is no such file or folder.", remedy=CHOICES)
    lists = reduced(lists, wanted, settings.dataset)
    return GotLists(lists, source, missing=missing_ids(wanted, lists, settings.dataset))


@dataclass
class _Getter:
    """Gets the files of one source, one after the other."""

    settings: Settings
    layout: Layout
    wanted: Wanted
    current: Mapping[Split, EditionInfo]
    lists: dict[Split, AnnotationList] = field(default_factory=dict)
    notes: dict[str, Note] = field(default_factory=dict)
    not_changed: list[str] = field(default_factory=list)

    def get(self, place: Place) -> None:
        """Add the lists of a file; a file that is not there is passed over if it may be missing.

        Raises:
            AnnotationError: It cannot be had, or was cut short.
        """
        where = redact_url(place.url)
        before = read_notes(self.layout).get(note_key(place.url))
        stored = self._stored(before, address=where)
        limits = FetchLimits(self.settings.sources.timeout_seconds, max_bytes=MAX_LIST_BYTES)
        with scratch_folder(self.layout) as folder:
            try:
                fetched = fetch_if_changed(
                    place.url,
                    folder / "fetched",
                    known=before.validators if before and stored else Validators(),
                    egress=place.egress,
                    limits=limits,
                )
            except ClipError as error:
                if isinstance(error, Gone | Forbidden) and not place.is_needed:
                    return
                passes = isinstance(error, _OUTAGES)
                remedy = "Run again later." if passes else CHOICES
                raise AnnotationError(where, error.message, remedy=remedy, passes=passes) from error
            if (
                before is not None
                and stored
                and (fetched is None or fetched.sha256 == before.sha256)
            ):
                said = fetched.validators if fetched else before.validators
                lists = stored
                note = replace(before, etag=said.etag, last_modified=said.last_modified)
                self.not_changed += [] if fetched else [where]
            elif fetched is None:
                raise AnnotationError(where, "it answers 304 to a request without conditions.")
            else:
                name = Path(unquote(urlsplit(place.url).path)).name or "list"
                lists = lists_in_file(
                    fetched.path, self.layout, name=name, address=where, split=place.split
                )
                if place.may_lack_rows:
                    lists = {s: one for s, one in lists.items() if has_lines(one.data)} or lists
                _demand(lists, place.must_hold, address=where)
                lists = reduced(lists, self.wanted, self.settings.dataset)
                self._refuse_halves(lists)
                note = Note(
                    fetched.sha256,
                    {s: NotedList(edition_sha256(one.data), one.name) for s, one in lists.items()},
                    fetched.etag,
                    fetched.last_modified,
                    digest_of(self.wanted),
                    where,
                )
        self.lists.update(lists)
        self.notes[note_key(place.url)] = note

    def _stored(self, note: Note | None, *, address: str) -> dict[Split, AnnotationList]:
        """Return the lists that a noted file gave, if all of them are stored and undamaged."""
        if note is None or note.subset != digest_of(self.wanted):
            return {}
        lists: dict[Split, AnnotationList] = {}
        for split, noted in note.lists.items():
            data = stored_list(self.layout, noted.sha256)
            if data is None:
                return {}
            lists[split] = AnnotationList(data, noted.name, address_of(address, split, self.wanted))
        return lists

    def _refuse_halves(self, lists: dict[Split, AnnotationList]) -> None:
        """Raise `AnnotationError` for a list that was cut short on its way to the server."""
        for split, one in lists.items():
            info = self.current.get(split)
            is_successor = info is not None and info.source_address == one.address
            before = stored_list(self.layout, info.sha256) if info and is_successor else None
            why = cut_short(one.data, before=before, min_share=self.settings.annotations.min_share)
            if why:
                raise AnnotationError(
                    one.address,
                    f"the {split} list looks half uploaded: {why}. Nothing was changed.",
                    remedy="Try again later. If the list is right as it is, set"
                    " annotations.min_share = 0, or give it as a file.",
                )


def _demand(
    lists: Mapping[Split, AnnotationList], splits: Iterable[Split], *, address: str
) -> None:
    """Raise `AnnotationError` if a list is missing."""
    for split in splits:
        if split not in lists:
            raise AnnotationError(address, f"it has no {split} list.", remedy=CHOICES)


def _shown(source: str) -> str:
    """Return a source for the user, without secrets."""
    return redact_url(source) if "://" in source else source
