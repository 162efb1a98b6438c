"""Every reader and every kind of image as one right input, which `tests.hostile.fuzz` damages.

To add one: put a `Seed` into the `SEEDS` of the file that fits, under a name of its own.
"""

from __future__ import annotations

from tests.hostile.seeds import documents, folders, images, masks, settings, tables, tools
from tests.hostile.seeds.seed import Account, Seed

__all__ = ["SEEDS", "Account", "Seed"]

SEEDS: dict[str, Seed] = {}
"""All seeds by name."""

for _seeds in (images.SEEDS, tables.SEEDS, documents.SEEDS, tools.SEEDS, folders.SEEDS, masks.SEEDS, settings.SEEDS):
    assert not SEEDS.keys() & _seeds.keys(), SEEDS.keys() & _seeds.keys()
    SEEDS |= _seeds
