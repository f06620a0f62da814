"""Memory that nobody wrote: what np.empty and torch.empty give is nan within ``marked_memory``."""

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


@contextmanager
def marked_memory() -> Iterator[None]:
    """Within, new floating arrays and tensors that are not filled hold nan, and not what lay there before."""
    before: list[Callable[..., Any]] = [np.empty, np.empty_like]
    mode = torch.get_deterministic_debug_mode()
    _put([_marking(make) for make in before])
    torch.set_deterministic_debug_mode("warn")  # fills what torch.empty gives
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        _put(before)
        torch.set_deterministic_debug_mode(mode)


def _put(makers: Iterable[Callable[..., Any]]) -> None:
    """Let these be np.empty and np.empty_like."""
    for name, make in zip(("empty", "empty_like"), makers, strict=True):
        setattr(np, name, make)


def _marking(make: Callable[..., Any]) -> Callable[..., Any]:
    def marked(*args: Any, **kwargs: Any) -> Any:
        array = make(*args, **kwargs)
        if array.dtype.kind in "fc":
            array[...] = np.nan
        return array

    return marked
