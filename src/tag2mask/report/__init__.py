"""The report of a run: one self-contained HTML page of its dataset, training, scores, masks and steps of the method."""

from tag2mask.report.page import write_report

__all__ = ["write_report"]
