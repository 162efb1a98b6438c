"""Which images a verdict, and the choice of class maps, look at."""

from __future__ import annotations

from pathlib import Path

from tag2mask.core.record import ImageRecord
from tag2mask.data import Dataset
from tag2mask.evaluation.verdict.collect import sample


def dataset(images: int, classes: int, *, rare: int = 0) -> Dataset:
    """Images with one class each in turn; the last `rare` of them have a class of their own."""
    names = tuple(f"c{number:03}" for number in range(classes))
    tags = [names[number % classes] for number in range(images - rare)] + ["rare"] * rare
    records = tuple(ImageRecord(f"{k}.png", tags=frozenset({tag})) for k, tag in enumerate(tags))
    return Dataset(Path(), (*names, "rare") if rare else names, records)


def test_a_rare_class_is_among_them() -> None:
    chosen = sample(dataset(1000, 3, rare=15), 50, each=20)
    assert sum("rare" in record.present for record in chosen.records) == 15
    assert 50 <= len(chosen) <= 130


def test_many_classes_do_not_make_it_many_images() -> None:
    chosen = sample(dataset(5000, 500), 200, each=20)
    assert len(chosen) <= 800
    assert len({tag for record in chosen.records for tag in record.present}) == 500


def test_all_of_few_images_are_taken() -> None:
    assert len(sample(dataset(12, 2), 200, each=20)) == 12
