"""`tag2mask formats`: what is read and written."""

from __future__ import annotations

from typing import Any

from tag2mask.cli.common import AsJson, app, only_json, print_json, say

Entry = dict[str, Any]


@app.command()
def formats(as_json: AsJson = False) -> None:
    """List the formats of tags (--format) and of masks (export --to), those of other packages too."""
    only_json(as_json)
    if as_json:
        print_json({"read": _read(), "written": _written()})
        return
    for title, entries in (("read, --format:", _read()), ("written, export --to:", _written())):
        say(title, result=True)
        for entry in entries:
            kind = entry["kind"] + (f", {entry['suffix']}" if entry.get("suffix") else "")
            package = f", of the package {entry['package']}" if entry["package"] else ""
            say(f"  {entry['name']:<14}  {kind}{package}", result=True)


def _read() -> list[Entry]:
    """Formats of tags."""
    from tag2mask.core.plugins import READERS
    from tag2mask.data.readers.sources import FILES, FORMATS

    own = [one for one in FORMATS if one != "auto"]
    entries = [{"name": name, "kind": "file" if name in FILES else "folder", "package": None} for name in own]
    return entries + [{"name": name, "kind": "file", "package": package} for name, package in _others(READERS)]


def _written() -> list[Entry]:
    """Formats of masks."""
    from tag2mask.core.plugins import EXPORTERS
    from tag2mask.masks.export import CONTAINERS, FILES

    entries: list[Entry] = [
        {"name": name, "kind": "file", "suffix": suffix, "package": None} for name, suffix in FILES.items()
    ]
    entries += [{"name": name, "kind": "folder or .zip", "suffix": None, "package": None} for name in CONTAINERS]
    others = _others(EXPORTERS)
    return entries + [{"name": name, "kind": "plug-in", "suffix": None, "package": package} for name, package in others]


def _others(group: str) -> list[tuple[str, str]]:
    """Names of what other packages bring, each with its package."""
    from tag2mask.core.plugins import Plugins

    plugins: Plugins[object] = Plugins(group, "format", lambda _: "", lambda _: False)
    return [(name, plugins.package(name)) for name in plugins.names()]
