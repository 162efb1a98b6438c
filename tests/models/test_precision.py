"""Which precision a network runs in."""

import pytest
import torch

from tag2mask.models.precision import autocast, resolve_precision

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("wanted", "expected"), [("32-true", torch.float32), ("bf16-mixed", torch.bfloat16), ("16-mixed", torch.float16)]
)
def test_a_wanted_precision_is_the_one_of_products(wanted: str, expected: torch.dtype) -> None:
    assert resolve_precision(wanted, CPU) == wanted
    with autocast(wanted, CPU):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == expected


@pytest.mark.parametrize(("capabilities", "expected"), [(["avx512_bf16"], "bf16-mixed"), ([], "32-true")])
def test_processors_that_multiply_bfloat16_use_it(
    monkeypatch: pytest.MonkeyPatch, capabilities: list[str], expected: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: dict.fromkeys(capabilities, True), raising=False)
    assert resolve_precision("auto", CPU) == expected
