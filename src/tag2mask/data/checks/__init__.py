"""What is wrong with a dataset, found before hours are spent on training."""

from tag2mask.data.checks.check import check_dataset
from tag2mask.data.checks.finding import SEVERITIES, Finding, Report, Severity

__all__ = ["SEVERITIES", "Finding", "Report", "Severity", "check_dataset"]
