"""The library's messages as the command line shows them."""

from __future__ import annotations

import io
import logging

import pytest
from rich.console import Console
from typer.main import get_command

from tag2mask.cli import app
from tag2mask.cli.messages import in_options, log_lines


def parameters(command: str) -> list[object]:
    group = get_command(app)
    return list(group.commands[command].params)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("replace it with `overwrite=True`", "replace it with --overwrite"),
        ("choose another `out`, or `split`", "choose another --out, or --split"),
        ("`device='toaster'`: not usable here", "--device toaster: not usable here"),
        ('`format="csv"`', "--format csv"),
        ("`confidence_bits=12`: expected 8 or 16", "--confidence-bits 12: expected 8 or 16"),
        ("`strict=False` skips them", "`strict=False` skips them"),
        ("`images`: no such folder", "`images`: no such folder"),  # an argument, not an option
        ("`Dataset.load` and prediction.gate", "`Dataset.load` and prediction.gate"),
        ("`gt_masks`", "`gt_masks`"),
        ("no backticks: out", "no backticks: out"),
        ("`out='my runs'`", "--out 'my runs'"),
        ("`prediction.gate=0.1`", "--set prediction.gate=0.1"),
        ("`model.weights=package`", "--set model.weights=package"),  # `masks` has no option of its own for it
    ],
)
def test_parameters_become_options_of_the_command(said: str, shown: str) -> None:
    assert in_options(said, parameters("masks")) == shown


def test_a_parameter_may_have_an_option_of_another_name() -> None:
    assert in_options("`nodes=0`: expected 1 or more", parameters("train")) == "--num-nodes 0: expected 1 or more"
    assert in_options("`set`", parameters("train")) == "--set"


def test_settings_become_options_of_their_own_where_there_are_any() -> None:
    said = "`model.backbone=resnet50` `model.weights=FILE`, `training.epochs=20`; `masks.soft_factor=0.8`"
    shown = "--backbone resnet50 --weights FILE, --epochs 20; --set masks.soft_factor=0.8"
    assert in_options(said, parameters("train")) == shown
    assert in_options("`training.epochs=20`", parameters("evaluate")) == "`training.epochs=20`"


def test_records_become_lines() -> None:
    out, err = io.StringIO(), io.StringIO()
    consoles = (Console(file=out, soft_wrap=True), Console(file=err, soft_wrap=True))
    logger = logging.getLogger("tag2mask.training")
    with log_lines(*consoles, lambda text: text.replace("`out`", "--out")):
        logger.debug("not shown")
        logger.info("epoch %d/%d [see `out`]", 1, 3)
        logger.warning("[bold]2 images")
    logger.info("after the command")
    assert out.getvalue() == "epoch 1/3 [see --out]\n"
    assert err.getvalue() == "warning: [bold]2 images\n"
