"""A serverless function for CVAT as a folder that `nuctl` deploys: `function.yaml`, `main.py` and the ONNX file."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import yaml

from tag2mask import __version__
from tag2mask.core.errors import ConfigError, DataError
from tag2mask.core.files import atomic_path, make_folder, write_text
from tag2mask.core.text import printable
from tag2mask.inference import Segmenter
from tag2mask.masks.palette_png import voc_hex

MODEL = "model.onnx"
"""The ONNX file in the folder."""

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_HERE = Path(__file__).parent


def write_function(
    model: str | Path, out: str | Path, *, name: str = "tag2mask", wheel: str | Path | None = None
) -> Path:
    """Write the folder of a serverless function.

    Args:
        model: ONNX file that `export-model` wrote; its classes become the labels of the function.
        out: folder to write to; files of an earlier call are replaced.
        name: of the function in nuclio: lower case letters, digits and hyphens.
        wheel: of tag2mask, to install instead of this version from the package index.

    Returns:
        The folder.

    Raises:
        ConfigError: `model` is no ONNX file, or `name` or `wheel` cannot be used.
        DataError: the file cannot be read, or the folder cannot be written to.
    """
    model, folder = Path(model), Path(out)
    if model.suffix.lower() != ".onnx":
        raise ConfigError(f"`model` {model}: expected an ONNX file; write one with `tag2mask export-model`")
    if _NAME.fullmatch(name) is None:
        raise ConfigError(f"`name` {name!r}: expected lower case letters, digits and hyphens, such as tag2mask-steel")
    package = f"tag2mask[onnx]=={__version__}"
    if wheel is not None:
        wheel = Path(wheel)
        if wheel.suffix != ".whl" or not wheel.is_file():
            raise ConfigError(
                f"`wheel` {wheel}: expected a wheel of tag2mask that is there, such as dist/tag2mask-....whl"
            )
        package = f"/opt/nuclio/{wheel.name}[onnx]"
    classes = Segmenter.from_pretrained(model).classes
    make_folder(folder)
    for source in (model, *([] if wheel is None else [Path(wheel)])):
        target = folder / (MODEL if source is model else source.name)
        if target.resolve() != source.resolve():
            _copy(source, target)
    _copy(_HERE / "main.py", folder / "main.py")
    write_text(folder / "function.yaml", function_yaml(classes, name, package))
    return folder


def function_yaml(classes: tuple[str, ...], name: str, package: str) -> str:
    """The description of the function, as nuclio and CVAT read it.

    Args:
        classes: of the network; they become labels.
        name: of the function.
        package: what pip installs.
    """
    tree = yaml.safe_load((_HERE / "function.yaml").read_text(encoding="utf-8"))
    labels = [
        {"id": index, "name": label, "type": "mask", "color": voc_hex(index)}
        for index, label in enumerate(classes, start=1)
    ]
    tree["metadata"]["name"] = name
    tree["metadata"]["annotations"]["name"] = name
    tree["metadata"]["annotations"]["spec"] = json.dumps(labels, ensure_ascii=False, indent=1)
    tree["spec"]["build"]["image"] = f"cvat.{name}"
    for directive in tree["spec"]["build"]["directives"]["postCopy"]:
        directive["value"] = directive["value"].replace("PACKAGE", f"'{package}'")
    return yaml.dump(tree, Dumper=_Blocks, sort_keys=False, allow_unicode=True, width=1000)


class _Blocks(yaml.SafeDumper):
    """Writes text of several lines as a block, which people can read."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Blocks.add_representer(str, _text)


def _copy(source: Path, target: Path) -> None:
    try:
        with atomic_path(target) as temporary:
            shutil.copyfile(source, temporary)
    except FileNotFoundError:
        raise DataError(f"{printable(source)}: no such file") from None
