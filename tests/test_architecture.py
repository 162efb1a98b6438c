"""What holds for the code as a whole: imports between rooms, length of files and functions, who speaks of options."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import tag2mask

ROOT = Path(__file__).resolve().parents[1]
SOURCE = Path(tag2mask.__file__).parent
MODULES = sorted(SOURCE.rglob("*.py"))
FILES = [path for name in ("src", "tests", "benchmarks") for path in sorted((ROOT / name).rglob("*.py"))]

LONGEST_FILE = 400
LONGEST_FUNCTION = 60
# Compiled kernels of the dense CRF: one loop over the lattice each, which Numba compiles as a whole.
KERNELS = {"embed_run", "group_tile", "sweep"}
OPTION = re.compile(r"(?<![\w-])--[a-z]")
Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def is_in(path: Path, room: str) -> bool:
    """Whether a file belongs to a room of the package, e.g. 'crf'."""
    return path.is_relative_to(SOURCE / room)


def functions(path: Path) -> Iterator[Function]:
    for node in ast.walk(parsed(path)):
        if isinstance(node, Function):
            yield node


def length(function: Function, *, body_alone: bool) -> int:
    """Lines of code from `def`, or from the first statement, to the end; docstring and decorators do not count."""
    body = function.body
    first = body[0].lineno if body_alone else function.lineno
    lines = (function.end_lineno or first) - first + 1
    if ast.get_docstring(function) is not None:
        lines -= (body[0].end_lineno or body[0].lineno) - body[0].lineno + 1
    return lines


def test_import_contracts() -> None:
    """The contracts of [tool.importlinter] in pyproject.toml."""
    pytest.importorskip("importlinter", reason="import-linter is not installed")
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    result = subprocess.run([*command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


# Rooms that load without torch; of those behind the comma every module does, as the contract `no-torch` says.
WITHOUT_TORCH = ("cli", "inference", "config", "crf", "data", "drawing", "images", "masks", "method")
WHOLLY = (*WITHOUT_TORCH[2:], "evaluation.folders", "evaluation.metrics")


def test_rooms_load_without_torch() -> None:
    """Also in practice: importing the room, and every module in it that the contract names, leaves torch alone."""
    code = (
        "import importlib, pkgutil, sys\n"
        "def check(name):\n"
        "    found = importlib.import_module(name)\n"
        "    if 'torch' in sys.modules:\n"
        "        sys.exit(f'{name} imports torch')\n"
        "    return found\n"
        f"for name in {WITHOUT_TORCH}:\n"
        "    check(f'tag2mask.{name}')\n"
        f"for name in {WHOLLY}:\n"
        "    room = check(f'tag2mask.{name}')\n"
        "    for found in pkgutil.walk_packages(getattr(room, '__path__', []), room.__name__ + '.'):\n"
        "        check(found.name)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


# One test for all files: with a test a file there were 1,700, which take longer to report than to run.
def test_no_file_is_too_long() -> None:
    lengths = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    long = {name: lines for name, lines in lengths.items() if lines > LONGEST_FILE}
    assert not long, f"lines of files, at most {LONGEST_FILE}, split them: {long}"


def test_no_function_is_too_long() -> None:
    long = {
        f"{name_of(path)}: {function.name}": lines
        for path in FILES
        for function in functions(path)
        if (lines := length(function, body_alone=is_in(path, "cli"))) > LONGEST_FUNCTION
        and not (is_in(path, "crf") and function.name in KERNELS)
    }
    assert not long, f"lines of functions, at most {LONGEST_FUNCTION}: {long}"


def test_every_exempt_kernel_is_needed() -> None:
    long = {
        function.name
        for path in MODULES
        if is_in(path, "crf")
        for function in functions(path)
        if length(function, body_alone=False) > LONGEST_FUNCTION
    }
    assert long >= KERNELS, f"no longer over {LONGEST_FUNCTION} lines: {sorted(KERNELS - long)}"


# Pages for people, which may quote a whole command: `tag2mask ...`, or `shlex.join` of one.
PAGES = ("report", "studio", "portable/model_card.py")
COMMAND = re.compile(r"(?<!\w)tag2mask [a-z]")


def docstrings(tree: ast.Module) -> set[int]:
    """Ids of the nodes that are docstrings, of attributes too."""
    found: set[int] = set()
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        for statement in body if isinstance(body, list) else []:
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                found.add(id(statement.value))
    return found


def quoted_commands(tree: ast.Module) -> set[int]:
    """Ids of the strings, or parts of f-strings, that belong to a whole command."""
    found: set[int] = set()
    for node in ast.walk(tree):
        parts = [part for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)]
        if isinstance(node, ast.JoinedStr | ast.Constant):
            whole = bool(COMMAND.search("".join(str(part.value) for part in parts)))
        else:
            whole = isinstance(node, ast.Call) and ast.unparse(node.func) == "shlex.join"
        found |= {id(part) for part in parts} if whole else set()
    return found


def test_only_the_command_line_speaks_of_options() -> None:
    """The library names parameters; `cli` turns them into options. `demo` may quote commands in docstrings."""
    found = []
    for path in MODULES:
        if is_in(path, "cli"):
            continue
        tree = parsed(path)
        skipped = docstrings(tree) if is_in(path, "demo") else set[int]()
        if path.relative_to(SOURCE).as_posix().startswith(PAGES):
            skipped |= quoted_commands(tree)
        found += [
            f"{name_of(path)}, line {node.lineno}: {node.value.strip()[:80]!r}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in skipped
            and OPTION.search(node.value)
        ]
    assert not found, found
