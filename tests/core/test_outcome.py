from __future__ import annotations

from pathlib import Path

from tag2mask.core.outcome import Outcome


def test_summary_names_what_happened_and_nothing_else() -> None:
    assert Outcome(Path("m"), written=2).summary() == "2 masks written to m"
    outcome = Outcome("s3://bucket/m", 3, 4, [("a.jpg", "truncated"), ("b.jpg", "empty")], ["listed in f.csv"])
    assert outcome.summary() == (
        "3 masks written to s3://bucket/m, 4 were already there, listed in f.csv, 2 images skipped"
    )
