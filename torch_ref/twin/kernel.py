"""The kernel of scratch.random that draws as the torch on this machine does, found by a small draw."""

from functools import cache

import numpy as np
import torch

from scratch import random
from scratch.random.kernel import KERNELS

# Fewer than 16 normals are drawn in another way than more.
_SIZES = (15, 64)


@cache
def fitting_kernel() -> str | None:
    """The name of the first kernel whose reals and normals are torch's, bit for bit; None if there is none.

    Both draw from generators of their own, once in a process; torch's global generator stays where it is.
    """
    theirs, before = _torch_draws(), random.get_kernel()
    try:
        for name in KERNELS:
            random.set_kernel(name)
            if _numpy_draws() == theirs:
                return name
        return None
    finally:
        random.set_kernel(before)


def adopt_kernel() -> None:
    """Let scratch draw as torch does here, where some kernel does; it stays as it is where none does."""
    if name := fitting_kernel():
        random.set_kernel(name)


def _torch_draws() -> list[bytes]:
    generator = torch.Generator().manual_seed(0)
    draws = []
    for dtype in (torch.float32, torch.float64):
        for x in (torch.empty(size, dtype=dtype, device="cpu") for size in _SIZES):
            draws.append(x.uniform_(-0.3, 0.777, generator=generator).numpy().tobytes())
            draws.append(x.normal_(0.1, 0.37, generator=generator).numpy().tobytes())
    return draws


def _numpy_draws() -> list[bytes]:
    generator = random.Generator().manual_seed(0)
    draws = []
    for dtype in (np.float32, np.float64):
        for x in (np.empty(size, dtype) for size in _SIZES):
            draws.append(random.uniform_(x, -0.3, 0.777, generator=generator).tobytes())
            draws.append(random.normal_(x, 0.1, 0.37, generator=generator).tobytes())
    return draws
