"""A pytest fixture, available as soon as gradmirror is installed.

    def test_my_layer_norm(assert_twin):
        assert_twin(MyLayerNorm(16), torch.nn.LayerNorm(16), np.random.randn(4, 16))

A failure shows the verdict, the cause, the tables, and the first wrong entries (index, both values, the
numeric derivative, ratio).

Every run of pytest loads this file: it imports nothing of ours, nor torch or NumPy, until a test asks for the
fixture. It stands beside our packages, under a name that nobody's folder has: pytest does not start where a
plugin cannot be imported, and a folder of one's own may well be called torch_ref.
"""

from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture
def assert_twin() -> Callable[..., None]:
    """assert_twin(mine, reference, *inputs, …): fail unless check, of the same arguments, finds all well."""
    shadow = _shadows().shadow
    for name in ("torch_ref", "scratch"):
        if file := shadow(name):
            pytest.fail(
                f"assert_twin: {file} is imported where gradmirror's own package {name} is meant; rename "
                "it, or keep the tests in another folder",
                pytrace=False,
            )
    from torch_ref.checker.budget import without_bars
    from torch_ref.checker.check import check

    def assert_twin(mine: Any, reference: Any = None, *inputs: Any, **options: Any) -> None:
        __tracebackhide__ = True
        with without_bars():
            found = check(mine, reference, *inputs, **options)
        if not found:
            pytest.fail(str(found), pytrace=False)

    return assert_twin


def _shadows() -> ModuleType:
    """torch_ref/shadow.py by its place: under its name somebody else's torch_ref may be found."""
    spec = spec_from_file_location("gradmirror_shadow", Path(__file__).parent / "torch_ref" / "shadow.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
