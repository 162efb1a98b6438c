"""A command line of tag2mask as text, for messages and files that name the next step.

The library knows parameters, not options. Here, and only here, their names become those of options.
"""

from __future__ import annotations

import shlex

_DASHES = "-" * 2


def command_line(command: str, *arguments: object, **parameters: object) -> str:
    """The command line of a command, quoted for a POSIX shell.

    Args:
        command: its name, such as 'train'.
        arguments: in their order.
        parameters: by name as in Python; None and False are left out, True is a switch, a list is repeated.

    >>> command_line("train", "my photos", tags="tags.csv", least_certain=50, strict=True, seed=None)[:28]
    "tag2mask train 'my photos' -"
    """
    words = ["tag2mask", command, *map(str, arguments)]
    for name, value in parameters.items():
        option = _DASHES + name.strip("_").replace("_", "-")
        if value is True:
            words.append(option)
            continue
        for one in value if isinstance(value, list | tuple) else (value,):
            if one is not None and one is not False:
                words += [option, str(one)]
    return shlex.join(words)
