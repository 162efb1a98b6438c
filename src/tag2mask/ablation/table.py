"""Tables of an ablation: means and spreads over seeds, and how signs without ground truth rank the runs."""

from __future__ import annotations

import csv
import io
import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tag2mask.core.files import write_text
from tag2mask.evaluation.correlation import rank_correlation

FULL = "full"
"""Name of the full method among the parts."""

CEILING = "ceiling"
"""Name of the fully supervised upper bound among the parts: the same network trained on ground truth."""


def write_results(out: Path, records: list[dict[str, Any]], parts: list[str]) -> None:
    """Write `table.md`, `table.csv` and `runs.json` of the records so far into a folder, parts in this order."""
    rows = summarise(records, parts)
    write_text(out / "runs.json", json.dumps(records, indent=1) + "\n")
    table = io.StringIO()
    writer = csv.DictWriter(table, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: round(v, 2) if isinstance(v, float) else v for key, v in row.items()} for row in rows)
    write_text(out / "table.csv", table.getvalue())
    lines = [
        "| | mIoU | against full | pseudo masks | label-free | consensus | minutes | seeds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = (
            row["part"],
            _with_spread(row["miou"], row["spread"]),
            _with_spread(row["difference"], row["difference_spread"], signed=True),
            _with_spread(row["pseudo_miou"], None),
            _with_spread(row["label_free"], None),
            _with_spread(row["consensus"], None),
            f"{row['minutes']:.1f}",
            str(row["seeds"]),
        )
        lines.append("| " + " | ".join(cells) + " |")
    unchanged = unchanged_parts(records)
    if unchanged:
        lines += [
            "",
            f"The same masks as {FULL} with every seed, so without effect: {', '.join(unchanged)}. "
            "Perhaps training is too short for them.",
        ]
    lines += _rank_lines([record for record in records if record["part"] not in unchanged])
    write_text(out / "table.md", "\n".join(lines) + "\n")


def summarise(records: list[dict[str, Any]], parts: list[str]) -> list[dict[str, Any]]:
    """A row for each part: mean and spread over seeds, and the mean difference to the full method, seed by seed.

    mIoU times 100, None without ground truth; the spread is the standard deviation of the sample, None for one seed.
    """
    full = {record["seed"]: record["miou"] for record in records if record["part"] == FULL}
    rows = []
    for name in parts:
        own = [record for record in records if record["part"] == name]
        if not own:
            continue
        scored = [record for record in own if record["miou"] is not None]
        values = [100 * record["miou"] for record in scored]
        differences = [100 * (record["miou"] - full[record["seed"]]) for record in scored if record["seed"] in full]
        pseudo = [100 * record["pseudo_miou"] for record in own if record["pseudo_miou"] is not None]
        free = [100 * record["label_free"]["score"] for record in own if record["label_free"]]
        near = [100 * record["consensus"] for record in own if record.get("consensus") is not None]
        rows.append(
            {
                "part": name,
                "seeds": len(own),
                "miou": statistics.mean(values) if values else None,
                "spread": statistics.stdev(values) if len(values) > 1 else None,
                "difference": statistics.mean(differences) if differences and name != FULL else None,
                "difference_spread": statistics.stdev(differences) if len(differences) > 1 and name != FULL else None,
                "pseudo_miou": statistics.mean(pseudo) if pseudo else None,
                "label_free": statistics.mean(free) if free else None,
                "consensus": statistics.mean(near) if near else None,
                "minutes": statistics.mean(record["minutes"] for record in own),
            }
        )
    return rows


def unchanged_parts(records: list[dict[str, Any]]) -> list[str]:
    """Parts whose masks are exactly those of the full method with every seed: their change had no effect.

    Names in the order of `records`; `masks` of a record is a digest of its masks.
    """
    full = {record["seed"]: record for record in records if record["part"] == FULL}

    def same(record: dict[str, Any]) -> bool:
        other = full.get(record["seed"])
        return other is not None and record["masks"] == other["masks"]

    names = dict.fromkeys(record["part"] for record in records if record["part"] not in (FULL, CEILING))
    return [name for name in names if all(same(record) for record in records if record["part"] == name)]


def _rank_lines(records: list[dict[str, Any]]) -> list[str]:
    """How the signs that need no ground truth rank the runs, where mIoU is known to compare with."""
    signs: dict[str, Callable[[dict[str, Any]], float | None]] = {
        "consensus": lambda record: record.get("consensus"),
        "label-free score": lambda record: (record["label_free"] or {}).get("score"),
        "tag consistency": lambda record: (record["label_free"] or {}).get("consistency"),
        "agreement of heads": lambda record: (record["label_free"] or {}).get("agreement"),
        "stability": lambda record: (record["label_free"] or {}).get("stability"),
    }
    from_tags = [
        one for one in records if one["miou"] is not None and any(sign(one) is not None for sign in signs.values())
    ]
    known = sorted(from_tags, key=lambda record: record["miou"], reverse=True)
    lines: list[str] = []
    for title, group in (("with mIoU", known), ("among the better half alone", known[: len(known) // 2])):
        ranked = []
        for name, sign in signs.items():
            pairs = [(record["miou"], value) for record in group if (value := sign(record)) is not None]
            if len(pairs) > 2:
                ranked.append(f"{name} {rank_correlation(*map(list, zip(*pairs, strict=True))):.2f}")
        if ranked:
            lines += ["", f"Rank correlation (Spearman) {title}, {len(group)} runs: {', '.join(ranked)}."]
    return lines


def _with_spread(value: float | None, spread: float | None, *, signed: bool = False) -> str:
    if value is None:
        return "-"
    text = f"{value:+.1f}" if signed else f"{value:.1f}"
    return text if spread is None else f"{text} ± {spread:.1f}"
