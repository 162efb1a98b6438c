"""The page of the documentation that lists every command with its options.

python -m tag2mask.cli.commands_page docs/commands.md
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

from typer.main import get_command

MARK = "<!-- Below: written by `python -m tag2mask.cli.commands_page docs/commands.md`; change the code instead. -->"


def commands_tables() -> str:
    """A section for each command, in Markdown, in the order of `tag2mask --help`."""
    from tag2mask.cli import app

    group: Any = get_command(app)
    lines: list[str] = []
    for name in group.list_commands(None):
        command = group.commands[name]
        if not command.hidden:
            lines += _section(name, command)
    return "\n".join(lines) + "\n"


def _section(name: str, command: Any) -> Iterator[str]:
    parameters = [parameter for parameter in command.params if not getattr(parameter, "hidden", False)]
    arguments = [parameter for parameter in parameters if not _is_option(parameter)]
    yield from (f"## {name}", "", _text(str(command.help)), "")
    usage = " ".join(["tag2mask", name, *(_placeholder(one) for one in arguments), "[OPTIONS]"])
    yield from ("```text", usage, "```", "")
    if parameters:
        yield "| argument or option | default | meaning |"
        yield "|---|---|---|"
        yield from (_row(parameter) for parameter in [*arguments, *filter(_is_option, parameters)])
        yield ""


def _row(parameter: Any) -> str:
    names = _placeholder(parameter)
    if _is_option(parameter):
        names = ", ".join(
            sorted([*parameter.opts, *parameter.secondary_opts], key=lambda name: name.startswith("--no-"))
        )
    meaning = _text(parameter.help or "")
    if _choices(parameter):
        meaning += f" One of {', '.join(f'`{choice}`' for choice in _choices(parameter))}."
    return f"| `{names}` | {_default(parameter)} | {meaning} |"


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    if isinstance(parameter.show_default, str):
        return _text(parameter.show_default)
    value = parameter.default() if callable(parameter.default) else parameter.default
    if value is None or value is False or value == "" or value == []:
        return ""
    return f"`{value.value if isinstance(value, Enum) else value}`"


def _choices(parameter: Any) -> list[str]:
    kind = parameter.type_descriptor.annotation if hasattr(parameter, "type_descriptor") else None
    return [str(one.value) for one in kind] if isinstance(kind, type) and issubclass(kind, Enum) else []


def _placeholder(parameter: Any) -> str:
    name = str(parameter.name).upper()
    return f"{name}..." if parameter.nargs == -1 else name


def _is_option(parameter: Any) -> bool:
    return any(name.startswith("-") for name in parameter.opts)


def _text(text: str) -> str:
    """One line that Markdown shows as it is: without Rich's escapes, without columns, tags or links of its own."""
    plain = " ".join(text.replace("\\[", "[").split())
    return plain.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


if __name__ == "__main__":
    page = Path(sys.argv[1])
    head, mark, _ = page.read_text(encoding="utf-8").partition(MARK)
    page.write_text(f"{head}{mark}\n\n{commands_tables()}", encoding="utf-8")
