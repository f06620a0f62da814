"""How many functions of scratch a reader meets in one forward and backward of a layer.

    python tests/properties/test_reach.py

prints them by name.
"""

import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

import numpy as np
import pytest

from scratch import nn
from scratch.nn import kept

X = np.random.default_rng(0).standard_normal


def layers() -> dict[str, tuple[nn.Module, tuple[np.ndarray, ...], int]]:
    """Each with its inputs and how many functions it may run through."""
    f = np.float64
    return {
        "Linear": (nn.Linear(5, 3, dtype=f), (X((4, 5)),), 6),
        "CrossEntropyLoss": (nn.CrossEntropyLoss(), (X((4, 5)), np.array([0, 1, 4, 2])), 8),
        "BatchNorm1d": (nn.BatchNorm1d(5, dtype=f), (X((4, 5)),), 8),
        "MaxPool2d": (nn.MaxPool2d(2), (X((2, 3, 4, 4)),), 8),
        "Conv2d": (nn.Conv2d(2, 3, 3, padding=1, dtype=f), (X((2, 2, 5, 5)),), 10),
        "LSTM": (nn.LSTM(3, 4, dtype=f), (X((5, 2, 3)),), 10),
        "MultiheadAttention": (nn.MultiheadAttention(4, 2, dtype=f), (X((3, 2, 4)),) * 3, 12),
    }


def functions_run(call: Callable[[], Any]) -> list[str]:
    """The functions of scratch that run during ``call()``, each once; not those that make a table, once."""
    call()
    kept.marks.clear()  # outputs that other tests left behind, as a look at scores in a training would
    seen: set[CodeType] = set()

    def look(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_globals.get("__name__", "").partition(".")[0] == "scratch":
            seen.add(frame.f_code)

    sys.setprofile(look)
    try:
        call()
    finally:
        sys.setprofile(None)
    return sorted(code.co_qualname for code in seen)


def forward_and_backward(module: nn.Module, inputs: tuple[np.ndarray, ...]) -> None:
    """One step through a module, as in a training: of several outputs the first one gets a gradient."""
    y = module(*inputs)
    if isinstance(module, nn.Loss):
        module.backward()
    else:
        module.backward(np.ones_like(y[0] if isinstance(y, tuple) else y))


@pytest.mark.parametrize("name", layers())
def test_a_reader_meets_few_functions(name: str) -> None:
    module, inputs, most = layers()[name]
    found = functions_run(lambda: forward_and_backward(module, inputs))
    assert len(found) <= most, found


if __name__ == "__main__":
    for name, (module, inputs, most) in layers().items():
        found = functions_run(lambda m=module, i=inputs: forward_and_backward(m, i))  # type: ignore[misc]
        print(f"{name}: {len(found)} (at most {most}): {', '.join(found)}")
