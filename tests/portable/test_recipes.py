"""The recipes of docs/production.md that need no server, as they stand there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tag2mask.cli import app
from tests.helpers import draw_shapes, write_image

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

PAGE = Path(__file__).resolve().parents[2] / "docs" / "production.md"


def blocks(language: str, section: str) -> list[str]:
    text = PAGE.read_text(encoding="utf-8").split(f"\n## {section}\n")[1].split("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_the_recipes_of_onnx(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("runs").mkdir()
    Path("runs/mine").symlink_to(trained)
    for index in range(4):
        write_image(tmp_path / "images" / f"{index}.png", draw_shapes(("disc", "square"), seed=index)[0])
    for line in blocks("sh", "ONNX")[0].strip().splitlines():
        command = shlex.split(line, comments=True)
        assert command[0] == "tag2mask"
        result = CliRunner().invoke(app, command[1:])
        assert result.exit_code == 0, (line, result.output, result.exception)
    assert len(list((tmp_path / "masks").glob("*.png"))) == 4
    assert Path("small.onnx").stat().st_size < Path("model.onnx").stat().st_size
    exec(compile(blocks("python", "ONNX")[0], str(PAGE), "exec"), {})
    assert capsys.readouterr().out.startswith("['disc', 'square']")


def test_every_command_of_the_page_is_known() -> None:
    commands = set(re.findall(r"^tag2mask ([a-z-]+)", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    listed = CliRunner().invoke(app, ["--help"]).output
    assert commands
    assert all(name in listed for name in commands)
