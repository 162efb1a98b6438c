"""Tables of tags: CSV in its layouts."""

from __future__ import annotations

from tests.hostile.seeds.seed import NAMES, TAGS, Seed, beside_images


def _rows(header: str, line: str) -> str:
    """A table with one line an image; `{name}`, `{tags}`, `{cat}`, `{dog}` are replaced."""
    lines = [
        line.format(name=name, tags=" ".join(tags), cat=int("cat" in tags), dog=int("dog" in tags))
        for name, tags in zip(NAMES, TAGS, strict=True)
    ]
    return "\n".join([header, *lines]) + "\n"


SEEDS: dict[str, Seed] = {
    "csv: tags": beside_images("tags.csv", lambda: _rows("image,tags", "{name},{tags}")),
    "csv: a column a class": beside_images("tags.csv", lambda: _rows("image,cat,dog", "{name},{cat},{dog}")),
    "csv: semicolons, quotes": beside_images("tags.csv", lambda: _rows("image;tags;split", '"{name}";"{tags}";train')),
    "csv: UTF-16": beside_images("tags.csv", lambda: _rows("image,tags", "{name},{tags}").encode("utf-16")),
}
