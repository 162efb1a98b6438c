"""A verdict as plain values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from tag2mask.evaluation.verdict.numbers import RunNumbers

Light = Literal["green", "amber", "red"]
LIGHTS: tuple[Light, ...] = ("green", "amber", "red")
"""Best first. Green: nothing speaks against the masks. Amber: look before you use them. Red: do not use them."""


def worst(lights: Iterable[Light]) -> Light:
    """The worst of the lights; green of none.

    >>> worst(["green", "red", "amber"])
    'red'
    """
    return LIGHTS[max((LIGHTS.index(light) for light in lights), default=0)]


@dataclass(frozen=True, slots=True)
class ClassVerdict:
    """What the masks of one class are worth.

    Attributes:
        light: of the class.
        reason: the worst that was found, in a sentence.
        others: what else was found, worst first.
    """

    light: Light
    reason: str
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunFinding:
    """Something that speaks against the masks of a run.

    Attributes:
        light: amber or red.
        code: short name that stays the same from version to version; those of the check of a dataset are its codes.
        what: what was found, with its number.
        remedy: what to do.
    """

    light: Light
    code: str
    what: str
    remedy: str


@dataclass(frozen=True, slots=True)
class NextStep:
    """A command to run next, and why."""

    command: str
    why: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a run is worth.

    Attributes:
        overall: of the whole run.
        reason: the worst that was found, in a sentence.
        classes: by name.
        findings: worst first.
        numbers: that it rests on; None where it was read back from a file.
        next: three commands.
        missing: what was not measured, and why.
    """

    overall: Light
    reason: str
    classes: dict[str, ClassVerdict]
    findings: tuple[RunFinding, ...] = ()
    numbers: RunNumbers | None = None
    next: tuple[NextStep, ...] = ()
    missing: tuple[str, ...] = field(default=())

    def headline(self) -> str:
        """One line for people.

        >>> Verdict("red", "all images are black", {}).headline()
        'do not use these masks: all images are black'
        """
        judged = self.numbers is None or self.numbers.tagged_masks > 0
        green = "nothing speaks against these masks" if judged else "nothing speaks against this run"
        start = {"green": green, "amber": "look at these masks before you use them"}
        return f"{start.get(self.overall, 'do not use these masks')}: {self.reason}"

    def lines(self) -> list[str]:
        """All of it for people, without colours: classes, findings with their remedies, commands."""
        found = [f"verdict: {self.overall}; {self.headline()}"]
        found += [f"  {name}: {one.light}; {one.reason}" for name, one in self.classes.items()]
        found += [f"  {one.light}: {one.what}. Remedy: {one.remedy}" for one in self.findings]
        found += [f"  not known: {one}" for one in self.missing]
        found += ["next:"] if self.next else []
        return found + [f"  {step.command}  # {step.why}" for step in self.next]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        from dataclasses import asdict

        numbers = {} if self.numbers is None else asdict(self.numbers)
        by_class = {one["name"]: one for one in numbers.pop("classes", ())}
        numbers.pop("findings", None)
        numbers.pop("missing", None)
        return {
            "document": "tag2mask verdict",
            "version": 1,
            "overall": self.overall,
            "reason": self.reason,
            "classes": {
                name: {
                    "overall": one.light,
                    "reason": one.reason,
                    "others": list(one.others),
                    "numbers": _shortened(by_class.get(name, {})),
                }
                for name, one in self.classes.items()
            },
            "findings": [
                {"overall": one.light, "code": one.code, "what": one.what, "remedy": one.remedy}
                for one in self.findings
            ],
            "missing": list(self.missing),
            "next": [{"command": step.command, "why": step.why} for step in self.next],
            "numbers": _shortened(numbers),
        }


def _shortened(values: dict[str, Any]) -> dict[str, Any]:
    """Numbers rounded, tuples as lists."""
    return {
        name: round(value, 4) if isinstance(value, float) else list(value) if isinstance(value, tuple) else value
        for name, value in values.items()
        if name != "name"
    }
