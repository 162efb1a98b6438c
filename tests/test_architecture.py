"""What holds for the code as a whole: imports between rooms, length of files and functions, who speaks of options."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
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


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def room_of(path: Path) -> str:
    """First folder below the package, e.g. 'crf'; a module at the root gives its own name."""
    return path.relative_to(SOURCE).with_suffix("").parts[0]


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


@pytest.mark.parametrize(
    "module",
    [
        "cli",
        "config",
        "crf",
        "data",
        "data.checks",
        "drawing",
        "evaluation.folders",
        "evaluation.metrics",
        "images",
        "inference",
        "masks",
        "method",
    ],
)
def test_loads_without_torch(module: str) -> None:
    """Also in practice: importing the room, and every module in it that the contract names, leaves torch alone."""
    code = (
        "import importlib, pkgutil, sys\n"
        f"room = importlib.import_module('tag2mask.{module}')\n"
        f"if {module not in ('cli', 'inference')}:\n"
        "    for found in pkgutil.walk_packages(getattr(room, '__path__', []), room.__name__ + '.'):\n"
        "        importlib.import_module(found.name)\n"
        "sys.exit('torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr or f"tag2mask.{module} imports torch"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_file_is_too_long(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())
    assert lines <= LONGEST_FILE, f"{lines} lines, at most {LONGEST_FILE}: split it"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_function_is_too_long(path: Path) -> None:
    is_module = path.is_relative_to(SOURCE)
    kernels = KERNELS if is_module and room_of(path) == "crf" else frozenset[str]()
    # A command's parameters are its options, a line or two each.
    body_alone = is_module and room_of(path) == "cli"
    long = {
        function.name: lines
        for function in functions(path)
        if (lines := length(function, body_alone=body_alone)) > LONGEST_FUNCTION and function.name not in kernels
    }
    assert not long, f"lines of functions, at most {LONGEST_FUNCTION}: {long}"


def test_every_exempt_kernel_is_needed() -> None:
    long = {
        function.name
        for path in MODULES
        if room_of(path) == "crf"
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


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_only_the_command_line_speaks_of_options(path: Path) -> None:
    """The library names parameters; `cli` turns them into options. `demo` may quote commands in docstrings."""
    if room_of(path) == "cli":
        return
    tree = parsed(path)
    skipped = docstrings(tree) if room_of(path) == "demo" else set[int]()
    if path.relative_to(SOURCE).as_posix().startswith(PAGES):
        skipped |= quoted_commands(tree)
    found = [
        f"line {node.lineno}: {node.value.strip()[:80]!r}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in skipped
        and OPTION.search(node.value)
    ]
    assert not found, found
