from __future__ import annotations

import pytest

from tag2mask.core.errors import ConfigError
from tag2mask.training.ranks import Devices, any_process, rank_here


def test_devices_that_do_not_fit() -> None:
    for wrong, message in (
        ({"count": 0}, "expected 1 or more"),
        ({"strategy": "fsdp"}, "use ddp"),
        ({"strategy": "magic"}, "expected auto or ddp"),
    ):
        with pytest.raises(ConfigError, match=message):
            Devices(**wrong)
    with pytest.raises(ConfigError, match="multiple of 3"):
        Devices(3).batch_of_each(16)
    with pytest.raises(ConfigError, match="multiple of 8"):
        Devices(2, 4).batch_of_each(20)
    assert Devices(2, 4).batch_of_each(16) == 2


@pytest.mark.parametrize(
    ("variables", "expected"),
    [({}, 0), ({"RANK": "3", "LOCAL_RANK": "1"}, 3), ({"LOCAL_RANK": "1"}, 1), ({"RANK": "first"}, 0)],
    ids=str,
)
def test_rank(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: int) -> None:
    for name in ("RANK", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert rank_here() == expected


def test_a_process_alone_decides_alone() -> None:
    assert any_process(True)
    assert not any_process(False)
