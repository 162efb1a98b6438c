"""What is wrong with a collection, said before hours are spent on it."""

from tag2mask.checking.check import check_collection
from tag2mask.checking.finding import SEVERITIES, Finding, Report, Severity

__all__ = ["SEVERITIES", "Finding", "Report", "Severity", "check_collection"]
