"""`tag2mask backbones`: networks that were tried as backbones."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Annotated, Any

import typer

from tag2mask.cli.common import AsJson, app, only_json, out_console, plain, print_json, say
from tag2mask.core.errors import ConfigError

Entry = dict[str, Any]


@app.command()
def backbones(
    filter_: Annotated[
        str | None,
        typer.Argument(metavar="FILTER", help="Part of a name or family, e.g. dinov2; or any timm model name."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List networks that were tried as `model.backbone`: training, prediction, ONNX."""
    only_json(as_json)
    entries = _tried(filter_ or "")
    others = _of_packages(filter_ or "")
    if filter_ in others or not entries | others:
        assert filter_ is not None
        entries, others = {filter_: _planned(filter_)}, {}
    if as_json:
        print_json(entries | others)
        return
    if entries:
        _table(entries)
    for name, entry in others.items():
        say(f"{name}: of the package {entry['package']}", result=True)
    for name, entry in entries.items():
        for step in ("refused", "forward", "trains", "predicts", "onnx"):
            if isinstance(entry.get(step), str) and entry[step] not in ("yes", "not tried"):
                say(f"{name}, {step}: {entry[step]}", result=True)
    if filter_ is None:
        say(
            f"{len(entries)} networks of {len({entry['family'] for entry in entries.values()})} families, with random "
            "weights; others of timm work too, or are refused with the reason: `tag2mask backbones NAME` tells for any"
        )


def _tried(part: str) -> dict[str, Entry]:
    """What is known of the networks whose name or family has this part; of a name with weights, the name alone."""
    part = part.partition(".")[0]
    # Not through the room `models`, which imports torch.
    text = files("tag2mask").joinpath("models", "backbones", "verified.json").read_text(encoding="utf-8")
    known: dict[str, Entry] = json.loads(text)["backbones"]
    return {name: entry for name, entry in known.items() if part in name or part in entry["family"]}


def _of_packages(part: str) -> dict[str, Entry]:
    """The backbones that other packages bring and whose name has this part."""
    # Not through the room `models`, which imports torch.
    from tag2mask.core.plugins import BACKBONES, Plugins

    plugins: Plugins[object] = Plugins(BACKBONES, "backbone", lambda _: "", lambda _: False)
    return {name: {"package": plugins.package(name)} for name in plugins.names() if part in name}


def _planned(name: str) -> Entry:
    """What a network that was not tried would take and give, by its shapes alone.

    Raises:
        ConfigError: unknown name, or a network without feature maps.
    """
    from tag2mask.core.extras import require

    require("train", "backbones that are not in the list", "torch", "timm")
    import timm

    from tag2mask.models.backbones.names import similar
    from tag2mask.models.backbones.plan import plan_network
    from tag2mask.models.backbones.plugins import is_plugin, package_of

    if not timm.is_model(name) and not is_plugin(name):
        some = timm.list_models(f"*{name}*")
        near = some[:5] if some else similar(name, timm.list_models())
        raise ConfigError(
            f"no network of timm is called '{name}', and none that was tried has it in its name; near: "
            + ", ".join(near)
            + (f", and {len(some) - 5} more" if len(some) > 5 else "")
        )
    plan = plan_network(name, 16, {})
    return {
        "family": package_of(name)
        if is_plugin(name)
        else timm.models.model_entrypoint(name).__module__.rpartition(".")[2],
        "parameters": plan.parameters,
        "stride": plan.stride,
        "channels": plan.probe.channels[-1],
        "stages": len(plan.probe.channels),
        "input_multiple": plan.probe.multiple,
        "fixed_size": plan.probe.fixed,
        "trains": "not tried",
        "predicts": "not tried",
        "onnx": "not tried",
    }


def _table(entries: dict[str, Entry]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column("family, name", no_wrap=True)
    for heading in ("M", "stride", "input", "trains", "masks", "ONNX"):
        table.add_column(heading, justify="right", no_wrap=True)
    family = ""
    for name, entry in entries.items():
        if entry["family"] != family:
            family = entry["family"]
            table.add_row(f"[bold]{plain(family)}[/]")
        table.add_row(f" {plain(name)}", *_cells(entry))
    out_console.print(table, soft_wrap=False)
    say("M: parameters in millions; input: sides are multiples (x), or the only size;")
    say("masks: it predicts; ONNX: largest difference of a logit from PyTorch")


def _cells(entry: Entry) -> list[str]:
    if "refused" in entry:
        return ["", "", "", "refused", "", ""]
    size = entry["fixed_size"]
    onnx = entry.get("onnx", "")
    return [
        f"{entry['parameters'] / 1e6:.1f}",
        str(entry["stride"]),
        f"{size[0]}" if size else f"x{entry['input_multiple']}",
        *(_word(entry.get(step, "")) for step in ("trains", "predicts")),
        f"{onnx:.0e}" if isinstance(onnx, float) else _word(onnx),
    ]


def _word(found: str) -> str:
    return {"not tried": "?", "yes": "yes", "": ""}.get(found, "no")
