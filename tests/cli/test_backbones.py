"""`tag2mask backbones`."""

from __future__ import annotations

import json
import subprocess
import sys

from typer.testing import CliRunner, Result

from tag2mask.cli import app


def call(*words: str) -> Result:
    return CliRunner(env={"COLUMNS": "80"}).invoke(app, ["backbones", *words])


def test_the_table_fits_into_80_columns_and_names_families() -> None:
    result = call()
    assert result.exit_code == 0
    lines = result.output.splitlines()
    table = lines[: next(number for number, line in enumerate(lines) if line.startswith("M: "))]
    assert max(len(line.rstrip()) for line in table) <= 80
    assert not any("…" in line for line in table)
    assert "\nvision_transformer" in result.output
    row = next(line for line in table if line.startswith(" test_vit "))
    assert row.split()[2:4] == ["16", "x16"]


def test_filter_and_json() -> None:
    known = json.loads(call("--json").stdout)
    mambaout = json.loads(call("mambaout", "--json").stdout)
    assert 0 < len(mambaout) < len(known)
    assert all("mambaout" in name for name in mambaout)
    for entry in known.values():
        assert entry["refused"] if "refused" in entry else entry["parameters"] > 0


def test_a_network_that_was_not_tried_is_looked_at() -> None:
    found = json.loads(call("vit_tiny_patch16_224.augreg_in21k", "--json").stdout)
    [entry] = found.values()
    assert (entry["stride"], entry["input_multiple"], entry["trains"]) == (16, 16, "not tried")
    assert "?" in call("vit_tiny_patch16_224").output


def test_an_unknown_name_names_near_ones() -> None:
    result = call("resnett18x")
    assert result.exit_code == 1
    assert "no network of timm is called 'resnett18x'" in result.stderr
    assert "resnet18" in result.stderr


def test_the_list_needs_no_torch() -> None:
    code = "import sys; sys.argv = ['tag2mask', 'backbones', '--json']\nfrom tag2mask.cli import main\n"
    code += "try:\n    main()\nexcept SystemExit:\n    sys.exit('torch' in sys.modules)\n"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0
