"""`tag2mask export`: masks into the formats of annotation and training tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tag2mask.cli.common import AsJson, Strict, app, only_json
from tag2mask.cli.results import conclude
from tag2mask.core.errors import ConfigError

_FORMATS = (
    "coco, coco-boxes, cvat, label-studio, kaggle, voc, yolo, yolo-boxes, labelme, supervisely, mmseg, fiftyone, "
    "huggingface or geotiff."
)
_OUT = "coco, coco-boxes, label-studio: .json; cvat: .xml; kaggle: .csv; else a folder or .zip."


@app.command()
def export(
    masks: Annotated[Path, typer.Argument(help="Folder of masks, with classes.txt.")],
    to: Annotated[str, typer.Option("--to", help=_FORMATS)],
    out: Annotated[Path, typer.Option("--out", help=_OUT)],
    images: Annotated[Path | None, typer.Option(help="Folder of the images: their suffixes and sizes.")] = None,
    classes: Annotated[Path | None, typer.Option(help="File of class names, where there is no classes.txt.")] = None,
    names: Annotated[Path | None, typer.Option(help="File of the names to export, one per line, in order.")] = None,
    least_certain: Annotated[
        int | None,
        typer.Option(min=1, help="Only so many masks: those most worth correcting, the most uncertain first."),
    ] = None,
    polygons: Annotated[bool, typer.Option("--polygons", help="Polygons instead of exact pixels.")] = False,
    tolerance: Annotated[float, typer.Option(help="Of polygons, in pixels; 0 for exact outlines.")] = 0.5,
    image_url: Annotated[str | None, typer.Option(help="Label Studio: address before an image's name.")] = None,
    instances: Annotated[
        bool, typer.Option("--instances", help="Each connected part of a class is an object of its own.")
    ] = False,
    min_area: Annotated[int, typer.Option(min=1, help="Leave out connected parts of fewer pixels.")] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an export that is there already.")] = False,
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Write masks in the format of an annotation or training tool."""
    from tag2mask.inference.review import least_certain as choose
    from tag2mask.masks.export_folder import export_masks, read_names

    only_json(as_json)
    if names is not None and least_certain is not None:
        raise ConfigError("--names and --least-certain: give one of them")
    chosen = None if names is None else read_names(names)
    if least_certain is not None:
        chosen = choose(masks, least_certain)
    result = export_masks(
        masks,
        out=out,
        to=to,
        images=images,
        classes=classes,
        names=chosen,
        polygons=polygons,
        tolerance=tolerance,
        image_url=image_url,
        instances=instances,
        min_area=min_area,
        overwrite=overwrite,
        strict=strict,
    )
    conclude(result, as_json=as_json)
