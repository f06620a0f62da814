"""The judge of the tests can fail: an error of these sizes is seen, in any gradient, on any processor."""

import numpy as np
import pytest

import scratch
from rounding import Pass, assert_agree, assert_torch_agrees
from scratch import nn
from torch_ref import mirror

SEEN = {np.float32: 1e-4, np.float64: 1e-12}

MODULES = {
    "Linear": (lambda dtype: nn.Linear(5, 3, dtype=dtype), (4, 5)),
    "Conv2d": (lambda dtype: nn.Conv2d(2, 3, 3, dtype=dtype), (2, 2, 5, 5)),
    "LayerNorm": (lambda dtype: nn.LayerNorm(5, dtype=dtype), (4, 5)),
    "Transformer": (lambda dtype: nn.TransformerEncoderLayer(6, 2, 8, 0.0, dtype=dtype), (3, 2, 6)),
}


class Off(nn.Module):
    """A module with an error: in the output, in dx, or in the gradient of its first weight."""

    def __init__(self, module: nn.Module, where: str, error: float) -> None:
        self.module, self.where, self.factor = module, where, 1 + error

    def forward(self, x: np.ndarray) -> np.ndarray:
        y = self.module(x)
        return (y * self.factor).astype(y.dtype) if self.where == "output" else y

    def backward(self, dy: np.ndarray, **options: bool) -> np.ndarray:
        dx = self.module.backward(dy, **options)
        if self.where == "weight":
            p = next(self.module.parameters())
            p.grad = (p.grad * self.factor).astype(p.dtype)
        return (dx * self.factor).astype(dx.dtype) if self.where == "dx" else dx


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("where", ["output", "dx", "weight"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
def test_a_small_error_is_seen_and_none_is_seen_where_none_is(name, where, dtype) -> None:
    make, shape = MODULES[name]
    scratch.manual_seed(0)
    module, x = make(dtype), np.random.default_rng(0).standard_normal(shape).astype(dtype)
    assert_torch_agrees(Off(module, where, 0.0), x, twin=mirror(module))
    with pytest.raises(AssertionError, match="'verdict': 'differ'"):
        assert_torch_agrees(Off(module, where, SEEN[dtype]), x, twin=mirror(module))


def test_what_cannot_be_judged_does_not_pass() -> None:
    one, other = Pass([np.ones(3)], []), Pass([np.ones(3) * (1 + 1e-3)], [])
    with pytest.raises(AssertionError, match="'verdict': 'inconclusive'"):
        assert_agree(one, other, [Pass([np.array([2.0, 0.5, 1.5])], [])])
    with pytest.raises(AssertionError, match="gradient 0"):
        assert_agree(Pass([], [np.float32([1])]), Pass([], [np.ones(1)]), [])
    with pytest.raises(AssertionError, match="output 0"):
        assert_agree(Pass([np.array([1])], []), Pass([np.array([2])], []), [])
