"""Help, version, and options that would have no effect."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from tag2mask import __version__
from tag2mask.cli import app
from tag2mask.config.load import load_config, parse_config
from tag2mask.config.schema import Config
from tag2mask.config.schema_json import json_schema
from tag2mask.core.outcome import Outcome


def call(*words: object) -> Result:
    # Wide enough that Rich breaks no line of the help.
    return CliRunner(env={"COLUMNS": "200", "TERMINAL_WIDTH": "200"}).invoke(app, [str(word) for word in words])


@pytest.mark.parametrize("words", [[], ["train"], ["predict"], ["score"], ["config"]], ids=str)
def test_help_imports_no_heavy_library(words: list[str]) -> None:
    code = (
        "import sys\n"
        f"sys.argv = ['tag2mask', *{words}, '--help']\n"
        "from tag2mask.cli import main\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as done:\n"
        "    assert not done.code\n"
        "heavy = {'torch', 'timm', 'lightning', 'numba', 'numpy', 'cv2', 'PIL', 'onnxruntime'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--help" in done.stdout


def test_help_names_the_commands_in_the_order_of_their_use() -> None:
    text = call("--help").output
    places = [text.index(f" {name} ") for name in ("check", "train", "predict", "evaluate", "config", "demo")]
    assert places == sorted(places)


def test_help_shows_defaults_that_the_settings_have() -> None:
    text = " ".join(call("train", "--help").output.split())
    config = Config()
    for default in (config.model.backbone, config.model.weights, config.training.seed, "by their number"):
        assert f"[default: ({default})]" in text
    assert "[default: (as trained)]" in call("predict", "--help").output


def test_version() -> None:
    result = call("--version")
    assert (result.exit_code, result.output) == (0, f"tag2mask {__version__}\n")


def test_config_prints_what_is_resolved(tmp_path: Path) -> None:
    result = call("config", "--config", "surfaces", "--set", "training.seed=3")
    assert result.exit_code == 0
    assert parse_config(yaml.safe_load(result.output)) == load_config("surfaces").override({"training.seed": 3})
    assert call("config").output == Config().to_yaml()
    assert json.loads(call("config", "--schema").output) == json_schema()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["config", "--schema", "--set", "training.seed=3"], "--set: not with --schema"),
        (["config", "--config", "surface"], "error: --config surface: neither a file nor a preset"),
        (["config", "--set", "data.hide_grid=3"], "data.hide_grid is paper.hide_grid now"),
        (["config", "--set", "masks.soft_slope=3"], "masks.soft_slope is gone"),
        (["config", "--set", "paper.hide_grid=3"], "paper.hide_grid has no effect with paper.hide_image_probability=0"),
        (["predict", "r", "i", "--out", "o", "--to", "parquet"], "--to parquet: only with --engine"),
        (["masks", "r", "i", "--out", "o", "--workers", 2], "--workers: only with --engine"),
        (["predict", "r", "i", "--out", "o", "--confidence-bits", 16], "--confidence-bits: only with --confidence"),
        (
            ["masks", "r", "i", "--out", "o", "--engine", "ray", "--confidence-bits", 8, "--split", "val"],
            "--split, --confidence-bits: not with --engine",
        ),
        (["predict", "r", "i", "--out", "o", "--engine", "local", "--workers", 2], "--workers: only with --engine ray"),
        (["predict", "r", "i", "--out", "o", "--engine", "spark"], "--engine spark: expected local or ray"),
        (["predict", "r", "i", "--out", "o", "--engine", "ray", "--to", "gif"], "--to gif: expected parquet or png"),
    ],
)
def test_options_without_effect_are_refused(words: list[object], message: str) -> None:
    result = call(*words)
    assert result.exit_code == 1
    assert message in " ".join(result.output.split())


def test_bulk_prediction_gets_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, object] = {}

    def record(*_: object, **options: object) -> Outcome:
        given.update(options)
        return Outcome("o")

    monkeypatch.setattr("tag2mask.deploy.bulk.bulk_predict", record)
    result = call("predict", "r", "i", "--out", "o", "--engine", "ray", "--device", "cuda", "--workers", 3)
    assert result.exit_code == 0, result.output
    assert given == {"engine": "ray", "to": "parquet", "tags": False, "device": "cuda", "workers": 3}
