"""Flow of one class by two engines: refused before any work, unless ``flow.mixed`` asks for it.

The profile of an engine says what it computes; engines of one profile give the same bits, so their
clips differ by a name in the manifest. Clips of two profiles are two kinds of data, and of flow
that was taken over nobody knows the profile. In each case it is the user who decides, for one way
throws away weeks of work and the other mixes what a model learns from.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from kinetics_assets.core.errors import MixedFlow
from kinetics_assets.core.manifest import ManifestRow, Status
from kinetics_assets.core.stages import Stage
from kinetics_assets.stages.choices import chosen_engine
from kinetics_assets.stages.digests import output_digest, recipe_digest
from kinetics_assets.stages.order import ClassOrder
from kinetics_assets.stages.pictures_job import ADOPTED, UNKNOWN_ENGINE, PicturesJob

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from kinetics_assets.core.clips import Clip, ClipId, Split
    from kinetics_assets.core.settings import Settings
    from kinetics_assets.media.client import MediaWorker
    from kinetics_assets.stages.job import Desk
    from kinetics_assets.stages.pictures_job import Made

_UNKNOWN: Final = (UNKNOWN_ENGINE, UNKNOWN_ENGINE)


class OneEngineJob(PicturesJob):
    """A job that makes flow beside that of another engine only if it is told to."""

    _believed: frozenset[ClipId] = frozenset()
    """Clips whose pictures in the folders to take over look whole."""

    def is_up_to_date(self, row: ManifestRow, source: ManifestRow | None) -> bool:
        """Return whether the flow is there and need not be made by the present engine."""
        if super().is_up_to_date(row, source):
            return not (self._mixed == "remake" and row.source == ADOPTED)
        return (
            self._mixed != "remake"
            and (self._mixed == "profiles" or row.profile == self.engine_digest()[1])
            and self._is_by_another(row, source)
        )

    def objection(
        self,
        due: Collection[Clip],
        rows: Mapping[ClipId, ManifestRow],
        inputs: Mapping[ClipId, ManifestRow],
        *,
        at_start: bool,
    ) -> MixedFlow | None:
        """Return what two engines the class would be made by, if nobody asked for that."""
        if self._mixed in {"profiles", "remake"}:
            return None
        folders = self._settings.sources.adopt_folders
        if folders and not at_start:
            return None  # what can be taken over is known only to who lists all those folders
        due = [clip for clip in due if not self.is_to_convert(rows[clip.id], inputs.get(clip.id))]
        makable = [clip for clip in due if self._is_makable(inputs.get(clip.id))]
        if folders:
            found = [clip.id for clip in makable if self._found(clip, inputs.get(clip.id))]
            self._believed = frozenset(found)
        clips = {clip.id for clip in makable} - self._believed
        if not clips:
            return None
        others = self._others(rows, inputs, due=due)
        if self._believed:
            others[_UNKNOWN] += len(self._believed)
        if not others:
            return None
        return mixture(self._order, others, due=len(clips), maker=self._maker)

    def _adopt(
        self, clip: Clip, source: ManifestRow | None, temp: Path, *, worker: MediaWorker
    ) -> Made | None:
        """Take the clip's flow over as all jobs do; nothing is taken over if all is remade.

        Raises:
            MixedFlow: What looked whole is not, so that the clip would have to be made.
        """
        if self._mixed == "remake":
            return None
        made = super()._adopt(clip, source, temp, worker=worker)
        if made is None and clip.id in self._believed:
            raise MixedFlow(
                f"The flow of {clip.id.name} that was to be taken over does not decode, so"
                f" {_name(self._maker)} would make it, in a class whose other flow is taken over.",
                remedy=_REMEDY_UNKNOWN.format(engine=self._maker[0]),
            )
        return made

    def _convert(self, row: ManifestRow, temp: Path, *, desk: Desk) -> bool:
        """Keep the flow of `row` as the settings ask for; return whether it was good.

        Raises:
            MixedFlow: It is another engine's and was altered, so that the clip would have to be
                made.
        """
        if super()._convert(row, temp, desk=desk):
            return True
        if self._mixed not in {"profiles", "remake"} and row.profile != self._maker[1]:
            raise MixedFlow(
                f"The flow of {row.clip.name} by {row.engine} was altered and cannot be kept, so"
                f" {_name(self._maker)} would make it, in a class with flow of {row.engine}.",
                remedy=_REMEDY_UNKNOWN.format(engine=self._maker[0]),
            )
        return False

    @property
    def _mixed(self) -> str:
        return self._settings.flow.mixed

    @property
    def _maker(self) -> tuple[str, str]:
        """Engine and profile that clips are made with now."""
        engine, profile = self.engine_digest()
        return engine, profile

    def _others(
        self,
        rows: Mapping[ClipId, ManifestRow],
        inputs: Mapping[ClipId, ManifestRow],
        *,
        due: Collection[Clip],
    ) -> Counter[tuple[str, str]]:
        """Count the clips that may not stand beside new ones, by engine and profile."""
        again = {clip.id for clip in due}
        engine, profile = self._maker
        counts: Counter[tuple[str, str]] = Counter()
        for clip, row in rows.items():
            if row.status is not Status.OK:
                continue
            if row.source == ADOPTED:
                is_other = clip not in again
            elif row.profile == profile:
                same = row.engine == engine or self._mixed == "engines"
                is_other = not same and clip not in again
            else:
                is_other = self._is_by_another(row, inputs.get(clip))
            if is_other:
                counts[row.engine, row.profile] += 1
        return counts

    def _is_by_another(self, row: ManifestRow, source: ManifestRow | None) -> bool:
        """Return whether another engine made `row` from today's input and recipe, and it is there.

        Flow of another bound or size is stale whoever made it.
        """
        if not row.engine or (row.engine, row.profile) == self._maker or source is None:
            return False
        recipe = recipe_by(row, self._settings)
        is_of_today = row.digest == output_digest(recipe, source.sha256)
        return is_of_today and self._stores.of(row).is_there(row)

    def _is_makable(self, source: ManifestRow | None) -> bool:
        """Return whether the engine would be given a clip made from `source`."""
        if source is None or source.status is not Status.OK:
            return False
        return source.frames_decoded is None or self.expected_count(source.frames_decoded) > 0


def recipe_by(row: ManifestRow, settings: Settings) -> str:
    """Return the digest of today's recipe as the engine that made `row` carries it out."""
    return recipe_digest(Stage.FLOW, settings, row.engine, row.profile)


def mixture(
    order: ClassOrder, others: Counter[tuple[str, str]], *, due: int, maker: tuple[str, str]
) -> MixedFlow:
    """Return the error that says who made flow of a class, and what can be done.

    Args:
        order: The class.
        others: Clips that are there or to be taken over, by engine and profile.
        due: Clips that would be made.
        maker: Engine and profile that they would be made with.
    """
    counts = ", ".join(
        f"{count} {'taken over' if made_by == _UNKNOWN else 'by ' + _name(made_by)}"
        for made_by, count in others.most_common()
    )
    engine, profile = maker
    known = [name for name, _ in others if name != UNKNOWN_ENGINE]
    ways = []
    if len(others) == 1 and known:
        ways.append(f'flow.engine = "{known[0]}" to go on as it was begun')
    if all(other == profile for _, other in others):
        same = "Engines of one profile compute the same flow. "
        ways.append('flow.mixed = "engines" to keep what is there and make only the rest')
    else:
        same = ""
        ways.append(
            'flow.mixed = "profiles" to keep what is there: the class then has two kinds of flow'
        )
    ways.append(f'flow.mixed = "remake" to make all of it by {engine}')
    what = f"{order.label or 'unlabelled'!r} in {order.settings.dataset} {order.split}"
    return MixedFlow(
        f"Flow of {what}: {counts}; {due} would be made by {_name(maker)} now.",
        remedy=f"{same}Set {', or '.join(ways)}.",
    )


def refuse_mixed_list(settings: Settings, split: Split, *, profiles: Counter[str]) -> None:
    """Stop a list of flow that is not all of one profile, the present one or what was taken over.

    Engines of one profile may stand in one list.

    Args:
        settings: Of the dataset.
        split: The list's.
        profiles: Clips with flow, by profile.

    Raises:
        MixedFlow: It is not, and ``flow.mixed`` does not ask for it.
    """
    if settings.flow.mixed == "profiles":
        return
    from kinetics_assets.engines.registry import signature

    today = signature(chosen_engine(ClassOrder(settings, split, "")))[1]
    allowed = {today}
    if settings.flow.mixed != "remake":
        allowed.add(UNKNOWN_ENGINE)
    if len(profiles) > 1 or not allowed.issuperset(profiles):
        counts = ", ".join(f"{count} of {profile}" for profile, count in profiles.most_common())
        raise MixedFlow(
            f"The flow of {settings.dataset} {split} is not all of the profile {today}:"
            f" {counts} clips.",
            remedy=(
                'Set flow.mixed = "remake" and prepare the classes anew, or flow.mixed ='
                ' "profiles" to have all of it in one list.'
            ),
        )


_REMEDY_UNKNOWN: Final = (
    'Set flow.mixed = "profiles" to have the rest made by {engine}, or "remake" to take no flow'
    " over."
)


def _name(maker: tuple[str, str]) -> str:
    """Return an engine and its profile in words."""
    engine, profile = maker
    return f"{engine} (profile {profile})"
