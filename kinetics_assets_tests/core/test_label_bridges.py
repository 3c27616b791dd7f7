"""Label bridges: every class has a place in the merged list and its name in other versions."""

from __future__ import annotations

import pytest

from kinetics_assets.core.classes import class_names
from kinetics_assets.core.errors import UnknownClass
from kinetics_assets.core.label_bridges import (
    label_bridges,
    merged_indices,
    merged_names,
    same_class,
)

VERSIONS = ("kinetics400", "kinetics600", "kinetics700", "kinetics700_2020")


def test_the_merged_list_has_710_names() -> None:
    """The merged list is complete, names no class twice, and keeps its own unsorted order."""
    names = merged_names()
    assert len(set(names)) == len(names) == 710
    assert list(names) != sorted(names)
    assert (names[0], names[399], names[709]) == ("abseiling", "zumba", "bull fighting")


@pytest.mark.parametrize("dataset", VERSIONS)
def test_each_class_has_a_place_of_its_own(dataset: str) -> None:
    """No two classes of one version fall together, and none has no place."""
    places = merged_indices(dataset)
    assert tuple(places) == class_names(dataset)
    assert len(set(places.values())) == len(places)


def test_kinetics_400_keeps_its_indices() -> None:
    """A head for the merged list begins with that of Kinetics-400: the first 400 places are its."""
    assert list(merged_indices("kinetics400").values()) == list(range(400))


def test_every_place_belongs_to_a_version() -> None:
    """The merged list holds nothing that is in no version."""
    taken = {place for dataset in VERSIONS for place in merged_indices(dataset).values()}
    assert taken == set(range(710))


def test_bridges_are_needed_and_lead_somewhere() -> None:
    """Each bridge begins at a name that is not in the merged list and ends at one that is."""
    merged = set(merged_names())
    for bridge in label_bridges():
        assert bridge.label in class_names(bridge.dataset)
        assert bridge.label not in merged
        assert bridge.merged in merged
        assert bridge.evidence


@pytest.mark.parametrize(
    ("label", "dataset", "other", "expected"),
    [
        ("tying tie", "kinetics400", "kinetics600", "tying necktie"),
        ("tying necktie", "kinetics700", "kinetics400", "tying tie"),
        (
            "throwing ball",
            "kinetics400",
            "kinetics700_2020",
            "throwing ball (not baseball or American football)",
        ),
        (
            "passing american football (not in game)",
            "kinetics600",
            "kinetics700",
            "passing American football (not in game)",
        ),
        ("zumba", "kinetics400", "kinetics600", "zumba"),
        ("vault", "kinetics400", "kinetics600", None),
        ("bull fighting", "kinetics600", "kinetics700", None),
    ],
)
def test_a_class_is_found_under_its_other_name(
    label: str, dataset: str, other: str, expected: str | None
) -> None:
    """A class is translated to the name it has in another version, or to nothing."""
    assert same_class(dataset, label, other=other) == expected


def test_an_unknown_class_is_no_class() -> None:
    """A name that is none is refused, not called missing in the other version."""
    with pytest.raises(UnknownClass, match="tying tie"):
        same_class("kinetics400", "tying ties", other="kinetics600")
