"""What MkDocs does besides rendering: the page of messages, and links to files of the repository.

The page of messages is made from the source at every build, so that it cannot grow old.
"""

from __future__ import annotations

import ast
import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "tag2mask"
REPOSITORY = "https://github.com/tag2mask/tag2mask/blob/main/"
GAP = "…"
"""Stands for what a message fills in: a name, a number, a path."""

ROOMS = {
    "cli": "Command line",
    "config": "Settings",
    "core": "Everywhere",
    "crf": "Dense CRF",
    "data": "Datasets and tags",
    "images": "Images",
    "masks": "Masks and formats",
    "method": "Arrays given to the method",
    "models": "Backbones and weights",
    "portable": "ONNX and the Hub",
    "inference": "Prediction",
    "evaluation": "Scores",
    "report": "Report",
    "training": "Training",
    "ablation": "Ablation",
    "deploy": "Servers, Label Studio, CVAT, Ray",
    "studio": "Studio",
    "demo": "Demo",
    "drawing": "Drawing",
}
"""Heading of each room of the package, in the order of the page."""

INTRODUCTION = f"""# Messages

Every error and warning that the library can give, as it stands in the source; the search at the top finds them. {GAP}
stands for what is filled in: a name, a number, a path. What a message calls `out` or `overwrite=True` is a parameter of
Python; the command line says `--out` and `--overwrite` in its place. Causes and remedies of the most frequent ones are
under [troubleshooting](troubleshooting.md); every message says its own remedy.
"""


def text_of(node: ast.expr) -> str | None:
    """The text that an expression gives, with gaps; None where it is no text."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) or GAP for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        parts = text_of(node.left), text_of(node.right)
        return None if parts == (None, None) else "".join(part or GAP for part in parts)
    return None


def messages(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Kind and text of each message of a module: exceptions that end in `Error`, warnings of the log."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name.endswith("Error"):
            # An answer of the studio has its status before the message.
            texts = [text for argument in node.args if (text := text_of(argument))]
            yield from ((name.lstrip("_"), text) for text in texts[:1])
        elif name == "warning" and (text := text_of(node.args[0])):
            yield "warning", re.sub(r"%[-+ #0]*[\d.]*[srdgf]", GAP, text).replace("%%", "%")


def messages_page(part: Path = SOURCE) -> str:
    """The page, in Markdown: a heading for each room, an entry for each message of the modules below a folder."""
    found: dict[str, set[tuple[str, str]]] = {}
    for path in sorted(part.rglob("*.py")):
        room = path.relative_to(SOURCE).parts[0].removesuffix(".py")
        for kind, text in messages(ast.parse(path.read_text(encoding="utf-8"))):
            if room != "__init__" and re.search(r"\w", text.replace(GAP, "")):
                found.setdefault(room, set()).add((" ".join(text.split()), kind))
    lines = [INTRODUCTION]
    for room in sorted(found, key=lambda name: [*ROOMS, name].index(name)):
        lines += [f"## {ROOMS.get(room, room)}", ""]
        # Headings in HTML: the search takes each for a page of its own, and the table of contents does not list them.
        lines += [_entry(f"{room}-{k}", *found_one) for k, found_one in enumerate(sorted(found[room]))]
        lines.append("")
    return "\n".join(lines)


def _entry(anchor: str, text: str, kind: str) -> str:
    return f'<h4 id="{anchor}"><code>{html.escape(text)}</code> <small>{kind}</small></h4>\n'


def linked_to_repository(markdown: str) -> str:
    """Links that lead out of docs/, such as ../CHANGELOG.md, as links to the repository on the web."""
    return re.sub(r"\]\(\.\./([^)]+)\)", rf"]({REPOSITORY}\1)", markdown)


def examples_as_section(docstring: str) -> str:
    """Examples of a docstring as the section `Examples:` that mkdocstrings knows.

    `Example, in a folder with images:` above indented lines becomes that heading and a sentence; a block of `>>>` alone
    gets the heading.
    """

    def section(found: re.Match[str]) -> str:
        about = f"    {found[1][0].upper()}{found[1][1:]}:\n\n" if found[1] else ""
        return f"Examples:\n{about}"

    docstring = re.sub(r"^Example(?:, ([^\n]+))?:\n(?=    >>> )", section, docstring, flags=re.MULTILINE)
    blocks = docstring.split("\n\n")
    return "\n\n".join(
        "Examples:\n" + "\n".join(f"    {line}" for line in block.split("\n")) if block.startswith(">>> ") else block
        for block in blocks
    )


def on_files(files: Any, config: Any) -> Any:
    """Add the page of messages."""
    from mkdocs.structure.files import File

    files.append(File.generated(config, "messages.md", content=messages_page()))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Mend links to files of the repository."""
    return linked_to_repository(markdown)


try:
    import griffe
except ImportError:  # the page of messages needs nothing but Python
    pass
else:

    class Examples(griffe.Extension):
        """Our docstrings' `Example, in a folder with ...:` as the section `Examples:` that mkdocstrings knows."""

        def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
            """Rewrite the docstring of anything that has one."""
            if obj.docstring is not None:
                obj.docstring.value = examples_as_section(obj.docstring.value)
