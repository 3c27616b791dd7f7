"""Where the frame folders are: under the dataset, or on another disk behind a link."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kinetics_assets.core.errors import SettingsError
from kinetics_assets.io.atomic import os_faults

if TYPE_CHECKING:
    from kinetics_assets.stages.order import ClassOrder


def place_rawframes(order: ClassOrder) -> None:
    """Make the split's frames folder a link to the other disk, if the settings name one.

    Raises:
        SettingsError: A real folder, or a link to elsewhere, is already in its place.
    """
    elsewhere = order.settings.storage.rawframes_folder
    if elsewhere is None:
        return
    link = order.layout.rawframes(order.split)
    target = elsewhere / order.settings.dataset / link.name
    with os_faults(f"linking {link} to {target}"):
        target.mkdir(parents=True, exist_ok=True)
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink() and not link.exists():
            link.symlink_to(target, target_is_directory=True)
    if link.resolve() != target.resolve():
        raise SettingsError(
            f"storage.rawframes_folder wants {link} to lead to {target}, not {link.resolve()}.",
            remedy=f"Move the frames to {target} and delete {link}, or drop the setting.",
        )
