"""The result of a check: findings, worst first, and the report that holds them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from tag2mask.core.text import counted

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
"""Worst first. An error: something is lost, refused or makes scores wrong. A warning: training will work, its
result will suffer. A note: harmless, and worth knowing."""

Group = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of fault, with all images and classes that have it.

    Attributes:
        severity: `error`, `warning` or `note`.
        code: short name that stays the same from version to version, such as `near-duplicates`.
        what: what was found, and how often.
        consequence: what happens if nothing is done.
        remedy: what to do.
        images: names of the images it is about.
        classes: names of the classes it is about.
        groups: images or classes that belong together, such as copies of one image.
        details: a line for each image, class or group, for people.
    """

    severity: Severity
    code: str
    what: str
    consequence: str
    remedy: str
    images: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    groups: tuple[Group, ...] = ()
    details: tuple[str, ...] = ()

    @property
    def where(self) -> tuple[str, ...]:
        """The lines that say where: the details, or else groups, images or classes."""
        if self.details:
            return self.details
        return tuple(" = ".join(group) for group in self.groups) or self.images or self.classes

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, nothing shortened."""
        return {
            "severity": self.severity,
            "code": self.code,
            "what": self.what,
            "consequence": self.consequence,
            "remedy": self.remedy,
            "images": list(self.images),
            "classes": list(self.classes),
            "groups": [list(group) for group in self.groups],
            "details": list(self.details),
        }


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a check.

    Attributes:
        findings: worst first.
        images: number of images that were checked.
        source: format of the dataset.
        counts: number of images in which each class is present, absent and unknown.
    """

    findings: tuple[Finding, ...]
    images: int
    source: str
    counts: dict[str, dict[str, int]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.findings)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __str__(self) -> str:
        lines = [f"{f.severity}: {f.what}; {f.consequence}. Remedy: {f.remedy}" for f in self.findings]
        return "\n".join([*lines, self.summary()])

    def number(self, severity: Severity) -> int:
        """How many findings are of this severity."""
        return Counter(finding.severity for finding in self.findings)[severity]

    def fails(self, level: str) -> bool:
        """Whether there is a finding at `level` (`error`, `warning`, `note`) or worse; never at `never`."""
        if level == "never":
            return False
        worst = SEVERITIES[: SEVERITIES.index(level) + 1]
        return any(finding.severity in worst for finding in self.findings)

    def summary(self) -> str:
        """One line for people."""
        found = ", ".join(f"{n} {s}{'s' * (n != 1)}" for s in SEVERITIES if (n := self.number(s)))
        numbers = f"{counted(self.images, 'images')}, {counted(len(self.counts), 'classes')}"
        return f"{numbers}: {found or 'nothing wrong was found'}"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "document": "tag2mask check",
            "version": 1,
            "images": self.images,
            "source": self.source,
            "classes": self.counts,
            "number": {severity: self.number(severity) for severity in SEVERITIES},
            "findings": [finding.to_dict() for finding in self.findings],
        }


def ranked(findings: list[Finding]) -> tuple[Finding, ...]:
    """Findings, worst first, else in the order given."""
    return tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)))
