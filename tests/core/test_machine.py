"""What a process does to share the machine."""

import os
import subprocess
import sys

import pytest

from tag2mask.core.machine import share_cores


def test_a_users_choice_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    share_cores()
    assert os.environ["OMP_WAIT_POLICY"] == "active"


def test_the_command_line_lets_threads_sleep_before_torch_is_loaded() -> None:
    code = (
        "import os, sys, tag2mask.cli as cli\n"
        "def seen(**_): print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)\n"
        "cli.app = seen\n"
        "cli.main()\n"
    )
    clean = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    done = subprocess.run([sys.executable, "-c", code], env=clean, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["passive", "False"], done.stderr
