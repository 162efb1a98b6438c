"""`tag2mask cache`: what is kept of images for further runs, and removing it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tag2mask.cli.common import app, out_console, plain, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tag2mask.training.kept import Kept


@app.command()
def cache(
    folder: Annotated[
        Path, typer.Argument(help="Folder that was given to `train` as --cache, or the folder of a run.")
    ],
    remove: Annotated[
        list[str] | None,
        typer.Option("--remove", help="Remove what has this name (or begins so); all: everything. Repeatable."),
    ] = None,
    older_than: Annotated[
        float | None, typer.Option("--older-than", min=0, help="Remove what was not used for so many days.")
    ] = None,
) -> None:
    """List the kept features and decoded images, with size and last use; remove them."""
    from tag2mask.core.extras import require

    require("train", "training")
    from tag2mask.training.feature_compute import readable_bytes
    from tag2mask.training.kept import chosen, kept_in
    from tag2mask.training.kept import remove as remove_kept

    kept = kept_in(folder)
    doomed = chosen(kept, remove or [], days=older_than)
    if remove or older_than is not None:
        for one in doomed:
            remove_kept(one)
        say(f"{readable_bytes(sum(one.bytes for one in doomed))} were freed in {folder}", result=True)
        return
    if not kept:
        say(f"{folder} keeps neither features nor decoded images", result=True)
        return
    _list(kept)
    say(f"{readable_bytes(sum(one.bytes for one in kept))} in {folder}; `remove='NAME'` removes", result=True)


def _list(kept: Sequence[Kept]) -> None:
    """Two lines for each: its name, images, size and last use; and what it is."""
    from tag2mask.training.feature_compute import readable_bytes

    for one in kept:
        gone = f", {one.outdated:,} changed or gone" if one.outdated else ""
        day = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.used))
        out_console.print(
            f"{plain(one.name)}  {one.images:,} images{gone}, {readable_bytes(one.bytes)}, last used {day}",
            soft_wrap=True,
            highlight=False,
        )
        out_console.print(f"    {plain(one.what)}", soft_wrap=True, highlight=False)
