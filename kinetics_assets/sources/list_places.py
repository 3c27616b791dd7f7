"""Where the published annotation lists are: the addresses behind the names of list sources."""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from kinetics_assets.core.clips import Split
from kinetics_assets.core.errors import AnnotationError
from kinetics_assets.core.settings import Settings
from kinetics_assets.io.egress import ANY_HOST, Egress

CHOICES = (
    "annotations.source is `official`, `official_delta`, `backup`, `crawler`, `cvdf`, or a path or"
    " URL of a list, folder or tar."
)
_HAVE = {
    "official": ("kinetics400", "kinetics600", "kinetics700", "kinetics700_2020"),
    "official_delta": ("kinetics700_2020",),
    "backup": ("kinetics400", "kinetics600", "kinetics700"),
    "crawler": ("kinetics400", "kinetics600"),
    "cvdf": ("kinetics400", "kinetics600", "kinetics700_2020"),
}
"""Source -> datasets it has lists of; the demo is nobody's, and may be looked for anywhere."""
_DEMO = "demo"
_ONLY_TXT_IS_COMPLETE = frozenset(
    {("kinetics600", Split.TRAIN), ("kinetics600", Split.VAL)},
)
"""Lists that the mirror has as CSV too, with half of the rows."""


@dataclass(frozen=True, slots=True)
class Place:
    """One file that holds a list, or all of them."""

    url: str
    split: Split | None
    """Whose list it is; None if the file itself tells."""
    is_needed: bool
    """Whether the other lists are no use without it."""
    egress: Egress
    """Which addresses it may lead to."""
    must_hold: tuple[Split, ...] = ()
    """Splits without which the file is not the one that it should be."""
    may_lack_rows: bool = False
    """Whether a list of its that has a header and nothing else is one that is not there."""


def is_named(source: str) -> bool:
    """Return whether `source` is the name of a published source, not a path or URL."""
    return source in _HAVE


def places_of(settings: Settings, source: str) -> list[Place]:
    """Return the files of a source, which is a name or a URL.

    Raises:
        AnnotationError: The source has no lists of this dataset.
    """
    if not is_named(source):
        egress = Egress((ANY_HOST,), settings.sources.loopback_hosts)
        return [Place(source, None, is_needed=True, egress=egress)]
    dataset, of = settings.dataset, settings.annotations
    if dataset not in (*_HAVE[source], _DEMO):
        raise AnnotationError(
            f"annotations.source {source}",
            f"it has no lists of {dataset}, only of: {', '.join(_HAVE[source])}.",
            remedy=CHOICES,
        )
    if source in {"official", "official_delta"}:
        name = f"{dataset}_delta" if source == "official_delta" else dataset
        place = _place(settings, of.official_url.replace("{dataset}", name), None)
        if source == "official_delta":  # nothing may have been added to a split
            return [replace(place, may_lack_rows=True)]
        return [replace(place, must_hold=(Split.TRAIN, Split.VAL))]
    template = {"backup": of.backup_url, "crawler": of.crawler_url, "cvdf": of.cvdf_url}[source]
    return [
        _place(
            settings,
            template.replace("{dataset}", dataset)
            .replace("{version}", dataset.removeprefix("kinetics"))
            .replace("{file}", _mirrors_name(dataset, split))
            .replace("{split}", split),
            split,
        )
        for split in Split
    ]


def _place(settings: Settings, url: str, split: Split | None) -> Place:
    """Return a file of a published source: its own host may be asked and nothing else."""
    parts, local = urlsplit(url), settings.sources.loopback_hosts
    egress = Egress(() if parts.netloc in local else (parts.hostname or "",), local)
    return Place(url, split, is_needed=split is not Split.TEST, egress=egress)


def _mirrors_name(dataset: str, split: Split) -> str:
    """Return the name of the mirror's complete list of a split."""
    return f"{split}.txt" if (dataset, split) in _ONLY_TXT_IS_COMPLETE else f"{split}.csv"
