"""The arithmetic that torch's random kernels were compiled to: it decides the last bits of some numbers.

Which words are taken from the stream is the same everywhere. How reals are made of them is not: a processor
with a multiply-add in one instruction rounds x·y + z once, another one twice; and for AVX2 alone torch
has its own logarithm, sine and cosine for normals in float32, where others call the C library.
"""

from typing import NamedTuple


class Kernel(NamedTuple):
    """The way in which the reals of ``uniform_`` and the normals of ``normal_`` are rounded.

    Args:
        fused: u (b − a) + a, and z std + mean of fewer than 16 normals, are rounded once; otherwise the
            product is rounded as well.
        polynomials: log, sine and cosine of 16 float32 normals and more are those of avx_math.py; otherwise
            the C library's.
    """

    fused: bool
    polynomials: bool


KERNELS = {
    "avx2": Kernel(fused=True, polynomials=True),
    "default": Kernel(fused=False, polynomials=False),
    "fma": Kernel(fused=True, polynomials=False),
}

_name = "avx2"


def set_kernel(name: str) -> str:
    """Draw as torch does on a processor of this kind, and return the name of the kernel before.

    ``"avx2"``, which scratch starts with, is x86 with AVX2 or AVX-512; ``"default"`` is x86 without them, or
    with ATEN_CPU_CAPABILITY=default; ``"fma"`` is for a processor that fuses and has no AVX2, such as ARM,
    where nothing was tried yet. Importing torch_ref sets the one that the installed torch draws with.

    Raises:
        ValueError: name is none of these.
    """
    global _name
    if name not in KERNELS:
        raise ValueError(f"set_kernel: name is {name!r}, expected one of {', '.join(KERNELS)}")
    _name, before = name, _name
    return before


def get_kernel() -> str:
    """The name of the kernel in use."""
    return _name


def current() -> Kernel:
    """The kernel in use."""
    return KERNELS[_name]
