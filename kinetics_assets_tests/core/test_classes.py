"""Class lists: counts, the fixed index, folder names."""

from __future__ import annotations

import pytest

from kinetics_assets.core.classes import (
    DATASETS,
    UNLABELLED,
    class_indices,
    class_names,
    folder_name,
    labels_by_folder,
    parse_class,
    parse_dataset,
)
from kinetics_assets.core.errors import UnknownClass, UnknownDataset

COUNTS = {
    "kinetics400": 400,
    "kinetics600": 600,
    "kinetics700": 700,
    "kinetics700_2020": 700,
    "demo": 6,
}


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_list_has_its_number_of_classes(dataset: str) -> None:
    """Each shipped list is complete and names no class twice."""
    names = class_names(dataset)
    assert len(names) == len(set(names)) == COUNTS[dataset]


@pytest.mark.parametrize("dataset", DATASETS)
def test_no_two_classes_share_a_folder(dataset: str) -> None:
    """Folder names are distinct even where letter case is ignored, and never the unlabelled one."""
    folders = [folder_name(name).lower() for name in class_names(dataset)]
    assert len(set(folders)) == len(folders)
    assert UNLABELLED not in folders


@pytest.mark.parametrize("dataset", DATASETS)
def test_folder_names_are_single_safe_names(dataset: str) -> None:
    """No class name leads out of its split's folder or hides in it."""
    for name in class_names(dataset):
        folder = folder_name(name)
        assert folder.isprintable()
        assert not set(folder) & set('/\\\0"')
        assert not folder.startswith((".", "-"))
        assert len(folder.encode()) <= 200


@pytest.mark.parametrize(
    ("dataset", "label", "index"),
    [
        ("kinetics400", "abseiling", 0),
        ("kinetics400", "massaging person's head", 196),
        ("kinetics400", "zumba", 399),
        ("kinetics600", "zumba", 599),
        ("kinetics700", "zumba", 699),
    ],
)
def test_indices_are_those_of_the_field(dataset: str, label: str, index: int) -> None:
    """An index is a class's place in the full list, whatever a subset holds."""
    assert class_indices(dataset)[label] == index


def test_folder_names_are_those_of_mmaction2() -> None:
    """Spaces become underscores and a stray quote goes; apostrophe, brackets and case stay."""
    assert folder_name("massaging person's head") == "massaging_person's_head"
    assert folder_name('"passing American football (in game)"') == (
        "passing_American_football_(in_game)"
    )
    assert folder_name("") == UNLABELLED


def test_a_folder_names_its_class() -> None:
    """The way back from a folder to its class is exact, the unlabelled folder included."""
    labels = labels_by_folder("kinetics400")
    assert {labels[folder_name(name)] for name in class_names("kinetics400")} == set(
        class_names("kinetics400")
    )
    assert labels[UNLABELLED] == ""


def test_the_demo_has_the_class_that_breaks_shells() -> None:
    """The demo runs through an apostrophe and through brackets; both broke older tools."""
    assert "massaging person's head" in class_names("demo")
    assert any("(" in name for name in class_names("demo"))
    assert set(class_names("demo")) < set(class_names("kinetics400"))


def test_an_unknown_class_gets_the_nearest_name() -> None:
    """A misspelt class is answered with the one that was meant."""
    assert parse_class("kinetics400", "zumba") == "zumba"
    with pytest.raises(UnknownClass, match="Did you mean 'zumba'"):
        parse_class("kinetics400", "zumbaa")
    with pytest.raises(UnknownClass, match="lists the classes"):
        parse_class("kinetics400", "qqqqqqqq")


def test_an_unknown_dataset_lists_the_known_ones() -> None:
    """A misspelt dataset is answered with the one that was meant, and with all there are."""
    assert parse_dataset("kinetics700_2020") == "kinetics700_2020"
    with pytest.raises(UnknownDataset, match=r"Did you mean 'kinetics400'.*demo, kinetics400"):
        parse_dataset("kinetic400")
