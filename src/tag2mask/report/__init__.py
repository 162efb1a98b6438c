"""One self-contained HTML page that shows what a run learned, from what, and where it fails."""

from tag2mask.report.page import write_report

__all__ = ["write_report"]
