"""Tags in, masks out: a tiny dataset through the whole product must beat trivial answers."""

from __future__ import annotations

import os
from pathlib import Path

from tag2mask import Dataset, Segmenter, evaluate
from tag2mask.evaluation.baselines import all_background
from tests.helpers import TinyDataset, write_shapes


def test_masks_learned_from_tags_beat_trivial_answers(shapes: TinyDataset, trained: Path, tmp_path: Path) -> None:
    dataset = Dataset.load(shapes.images, shapes.tags, classes=shapes.class_file, masks=shapes.masks)
    trivial = all_background(dataset)
    pseudo = evaluate(trained / "masks", shapes.masks, shapes.class_file)
    assert pseudo.images == 48
    assert pseudo.miou > trivial + 0.25
    new = write_shapes(tmp_path / "new", 16, seed=1000)
    segmenter = Segmenter.from_pretrained(trained)
    segmenter.predict_folder(new.images, tmp_path / "predicted")
    network = evaluate(tmp_path / "predicted", new.masks, new.class_file)
    assert network.miou > trivial + 0.25
    segmenter.predict_folder(new.images, tmp_path / "tagged", tags=new.tags)
    tagged = evaluate(tmp_path / "tagged", new.masks, new.class_file)
    assert tagged.miou > trivial + 0.25


def test_files_of_a_run_are_readable_by_others(trained: Path) -> None:
    umask = os.umask(0)
    os.umask(umask)
    for name in ("model.safetensors", "model.yaml", "config.yaml"):
        assert (trained / name).stat().st_mode & 0o777 == 0o666 & ~umask
