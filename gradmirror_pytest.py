"""A pytest fixture, available as soon as gradmirror is installed.

    def test_my_layer_norm(assert_twin):
        assert_twin(MyLayerNorm(16), torch.nn.LayerNorm(16), np.random.randn(4, 16))

A failure shows the verdict, the cause, the tables, and the first wrong entries (index, both values, the
numeric derivative, ratio).

Every run of pytest loads this file: it imports nothing of ours, nor torch or NumPy, until a test asks for the
fixture. It stands beside our packages, under a name that nobody's folder has: pytest does not start where a
plugin cannot be imported, and a folder of one's own may well be called torch_ref.
"""

import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def assert_twin() -> Callable[..., None]:
    """assert_twin(mine, reference, *inputs, …): fail unless check, of the same arguments, finds all well."""
    for name in ("scratch", "torch_ref"):
        if shadow := _shadow(name):
            pytest.fail(
                f"assert_twin: {shadow} is imported where gradmirror's own package {name} is meant; rename "
                "it, or keep the tests in another folder",
                pytrace=False,
            )
    from torch_ref.checker.check import check

    def assert_twin(mine: Any, reference: Any = None, *inputs: Any, **options: Any) -> None:
        __tracebackhide__ = True
        found = check(mine, reference, *inputs, **options)
        if not found:
            pytest.fail(str(found), pytrace=False)

    return assert_twin


def _shadow(name: str) -> str:
    """The file that is found under the name of one of our packages, if it is not ours."""
    module = sys.modules.get(name)
    spec = find_spec(name) if module is None else module.__spec__
    folders = list(getattr(spec, "submodule_search_locations", None) or [])  # of a package without __init__
    found = getattr(module, "__file__", None) or getattr(spec, "origin", None) or next(iter(folders), None)
    ours = Path(__file__).resolve().parent / name
    return found if found and ours not in (Path(found).resolve(), Path(found).resolve().parent) else ""
