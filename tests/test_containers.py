"""The Dockerfiles without a container engine: what they copy, install, run and call exists."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from tag2mask.cli import app

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / "containers").glob("*.Dockerfile"))
GROUP: Any = get_command(app)


def instructions(path: Path) -> list[tuple[str, str]]:
    """Name and words of each instruction; continued lines joined."""
    text = re.sub(r"^\s*#.*\n", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE).replace("\\\n", " ")
    return [
        (name, rest.strip()) for name, _, rest in (line.strip().partition(" ") for line in text.splitlines()) if name
    ]


def of(path: Path, name: str) -> list[str]:
    return [rest for one, rest in instructions(path) if one == name]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_is_copied_is_there_and_not_ignored(path: Path) -> None:
    allowed = {
        line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[:1] == "!"
    }
    copied = [words.split()[:-1] for words in of(path, "COPY") if "--from" not in words]
    names = {name for names in copied for name in names}
    assert names == allowed and all((ROOT / name).exists() for name in names)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {project["readme"], *project["license-files"]} <= names
    [extras] = re.findall(r"/src\[([\w,]+)\]", path.read_text(encoding="utf-8"))
    assert set(extras.split(",")) <= set(project["optional-dependencies"])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_its_python_runs_and_its_command_exists(path: Path) -> None:
    [code] = [found for words in of(path, "RUN") for found in re.findall(r'python -c "([^"]*)"', words)]
    exec(compile(code, path.name, "exec"), {})
    for words in of(path, "HEALTHCHECK"):
        compile(json.loads(words.partition("CMD ")[2])[2], path.name, "exec")
        assert "/health'" in words
    called: list[str] = [
        word for name in ("ENTRYPOINT", "CMD") for words in of(path, name) for word in json.loads(words)
    ]
    program, *rest = called
    assert program == "tag2mask"
    if rest != ["--help"]:
        GROUP.commands[rest[0]].make_context(rest[0], rest[1:])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_is_small_pinned_and_not_run_by_root(path: Path) -> None:
    last = [name for name, _ in instructions(path)]
    final = instructions(path)[len(last) - last[::-1].index("FROM") :]
    assert any(name == "USER" and rest not in ("0", "root") for name, rest in final)
    assert all(re.fullmatch(r"python:3\.11-slim-\w+( AS \w+)?", rest) for rest in of(path, "FROM"))
    assert "--no-cache-dir" in path.read_text(encoding="utf-8")
    hadolint = shutil.which("hadolint")
    if hadolint is not None:
        told = subprocess.run([hadolint, path], capture_output=True, text=True, check=False)
        assert told.returncode == 0, told.stdout


def test_the_workflow_and_the_dev_container_name_what_is_there() -> None:
    text = (ROOT / ".github" / "workflows" / "containers.yml").read_text(encoding="utf-8")
    assert set(re.findall(r"-f (\S+\.Dockerfile)", text)) == {f"containers/{path.name}" for path in FILES}
    assert yaml.safe_load(text)["jobs"]["build"]["steps"]
    for line in re.findall(r"^ +run ([a-z-]+ .*)$", text, re.MULTILINE):
        name, *words = line.split()
        GROUP.commands[name].make_context(name, words)
    dev = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    target = dev["postCreateCommand"].split()[1]
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
