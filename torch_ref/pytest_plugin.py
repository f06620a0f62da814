"""A pytest fixture, available as soon as gradmirror is installed.

    def test_my_layer_norm(assert_twin):
        assert_twin(MyLayerNorm(16), torch.nn.LayerNorm(16), np.random.randn(4, 16))

A failure shows the verdict, the cause, the tables, and the first wrong entries (index, both values, the
numeric derivative, ratio).

Every run of pytest loads this file: it imports nothing of ours, nor torch or NumPy, until a test asks for the
fixture.
"""

from collections.abc import Callable
from typing import Any

import pytest

from torch_ref.shadow import shadow


@pytest.fixture
def assert_twin() -> Callable[..., None]:
    """assert_twin(mine, reference, *inputs, …): fail unless check, of the same arguments, finds all well."""
    if file := shadow("scratch"):
        pytest.fail(
            f"assert_twin: {file} is imported where gradmirror's own package scratch is meant; rename it, "
            "or keep the tests in another folder",
            pytrace=False,
        )
    from torch_ref.checker.check import check

    def assert_twin(mine: Any, reference: Any = None, *inputs: Any, **options: Any) -> None:
        __tracebackhide__ = True
        found = check(mine, reference, *inputs, **options)
        if not found:
            pytest.fail(str(found), pytrace=False)

    return assert_twin
