"""Text for people: names with nothing in them that a terminal or a table takes for a command, and counted words."""

from __future__ import annotations

import unicodedata

_BREAKS = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_TURNS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that change the direction of text: with them a name may look like another."""


def is_control(character: str) -> bool:
    """Whether a character is a control character, breaks a line, changes the direction of text or is no text."""
    return unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} or character in _TURNS


def printable(text: object, *, keep: str = "") -> str:
    r"""A text, such as the name of a file, with each control character written as its escape.

    Args:
        text: turned into a `str`.
        keep: control characters that stay, such as the line breaks of a message.

    >>> printable("a\nb.jpg"), printable("\x1b[31mred.jpg"), printable("déjà vu.jpg")
    ('a\\nb.jpg', '\\x1b[31mred.jpg', 'déjà vu.jpg')
    """
    text = str(text)
    if text.isprintable():
        return text
    return "".join(_escaped(one) if is_control(one) and one not in keep else one for one in text)


def counted(number: int, plural: str) -> str:
    """A number with its word, which loses its last s after 1.

    >>> counted(1, "masks"), counted(0, "images"), counted(12_000, "classes")
    ('1 mask', '0 images', '12000 classes')
    >>> counted(1, "classes")
    '1 class'
    """
    if number != 1:
        return f"{number} {plural}"
    return f"1 {plural.removesuffix('es') if plural.endswith(('sses', 'xes')) else plural.removesuffix('s')}"


def _escaped(character: str) -> str:
    if character in _BREAKS:
        return _BREAKS[character]
    number = ord(character)
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}"
