"""A pytest fixture, available as soon as gradmirror is installed.

    def test_my_layer_norm(assert_twin):
        assert_twin(MyLayerNorm(16), torch.nn.LayerNorm(16), np.random.randn(4, 16))

A failure shows the verdict, the cause, the tables, and the first wrong entries (index, both values, the
numeric derivative, ratio).
"""

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def assert_twin() -> Callable[..., None]:
    """assert_twin(mine, reference, *inputs): fail unless check (torch_ref/checker) finds all well."""
    # Here, since every run of pytest loads the plugin, and torch takes seconds.
    from torch_ref.checker.check import check

    def assert_twin(mine: Any, reference: Any, *inputs: Any, **options: Any) -> None:
        __tracebackhide__ = True
        found = check(mine, reference, *inputs, **options)
        if not found:
            pytest.fail(str(found), pytrace=False)

    return assert_twin
