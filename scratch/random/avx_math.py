"""The arithmetic of torch's AVX2 kernels: a multiply-add rounded once, and float32 log, sine and cosine.

torch's random kernels are compiled for AVX2, where x·y + z is one instruction with one rounding. And its
float32 ``randn`` does not call the C library, it evaluates Cephes' polynomials, eight numbers at a time. To
get its very bits takes the same polynomials, the same order of operations, the same roundings.

NumPy has no fused multiply-add, so ``fma`` builds one from *error-free transformations*: for any two floats,
a + b = s + e with s the rounded sum and e, itself a float, its rounding error; and the same for a product.
Nothing is lost before the one rounding that counts.

Source: S. Boldo and G. Melquiond, "Emulation of a FMA and correctly rounded sums: proved algorithms using
rounding to odd", IEEE Trans. Computers 57 (2008); S. Moshier, Cephes ``logf.c`` and ``sinf.c``, by way of
PyTorch, ATen/native/cpu/avx_mathfun.h.
"""

import numpy as np

# Cephes' minimax polynomials, highest power first.
_LOG = np.array(
    [
        7.0376836292e-2,
        -1.1514610310e-1,
        1.1676998740e-1,
        -1.2420140846e-1,
        1.4249322787e-1,
        -1.6668057665e-1,
        2.0000714765e-1,
        -2.4999993993e-1,
        3.3333331174e-1,
    ],
    np.float32,
)
_SIN = np.array([-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1], np.float32)
_COS = np.array([2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2], np.float32)

# ln 2 and π/4 as sums, the first term so short that its product with a small integer is exact.
_LN2 = np.array([0.693359375, -2.12194440e-4], np.float32)
_QUARTER_PI = np.array([0.78515625, 2.4187564849853515625e-4, 3.77489497744594108e-8], np.float32)


def _two_sum(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """s = round(a + b) and its error e: s + e = a + b exactly."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def _halves(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The 53 bits of a float64 as the sum of two numbers of 26."""
    t = a * (2.0**27 + 1)
    high = t - (t - a)
    return high, a - high


def _two_product(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """p = round(a·b) and its error e: p + e = a·b exactly, the products of halves being exact."""
    p = a * b
    (a1, a2), (b1, b2) = _halves(a), _halves(b)
    return p, ((a1 * b1 - p) + a1 * b2 + a2 * b1) + a2 * b2


def _sum_to_odd(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a + b rounded to odd: cut off towards zero, and if anything was cut off, the last bit set to 1.

    That bit keeps a second, coarser rounding from seeing a false tie; the two together are one rounding.
    """
    s, e = _two_sum(a, b)
    inexact = e != 0
    bits = s.view(np.int64)
    bits -= inexact & ((e < 0) != (s < 0))
    bits |= inexact
    return s


def fma(x: np.ndarray, y: np.ndarray | float, z: np.ndarray | float) -> np.ndarray:
    """x·y + z, rounded once.

    In float32 the product is exact in float64, so the sum is rounded to odd there and then to float32.
    In float64, x·y = p + q and z + q = s + t and p + s = u + v, all exactly: what is left is u + (v + t),
    the small terms rounded to odd.

    Args:
        x: float32 or float64, with one axis at least. Its dtype is the result's.
        y, z: numbers or arrays of that dtype that broadcast to x. In float64 |y| < 2⁹⁹⁶.
    """
    y, z = np.asarray(y, x.dtype).astype(np.float64), np.asarray(z, x.dtype).astype(np.float64)
    if x.dtype == np.float32:
        return _sum_to_odd(x * y, z).astype(np.float32)
    p, q = _two_product(x, y)
    s, t = _two_sum(z, q)
    u, v = _two_sum(p, s)
    return u + _sum_to_odd(t, v)


def _polynomial(coefficients: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Horner's rule, highest power first."""
    y = np.full_like(x, coefficients[0])
    for c in coefficients[1:]:
        y = fma(y, x, c)
    return y


def log(x: np.ndarray) -> np.ndarray:
    """ln x of positive normal float32.

    x = 2ᵉ(1 + f) with √½ ≤ 1 + f < √2, and then ln x = f − f²/2 + f³ P(f) + e ln 2.
    """
    m, e = np.frexp(x)
    low = m < np.float32(np.sqrt(0.5))
    f = np.where(low, m + m, m) - np.float32(1)
    e = (e - low).astype(np.float32)
    f2 = f * f
    y = fma(_polynomial(_LOG, f) * f, f2, e * _LN2[1]) - f2 / 2
    return (f + y) + e * _LN2[0]


def sincos(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """sin x and cos x of float32, 0 ≤ x < 8192.

    With j the even integer nearest to x / (π/4), r = x − j π/4 is within ±π/4, where sin r = r + r³ S(r²) and
    cos r = 1 − r²/2 + r⁴ C(r²). The octant, j mod 8, tells which of the two is sin x, and both signs.
    """
    j = ((x * np.float32(4 / np.pi)).astype(np.int32) + 1) & ~1
    r = x
    for part in _QUARTER_PI:
        r = fma(j.astype(np.float32), -part, r)
    r2 = r * r
    sin_r = fma(_polynomial(_SIN, r2) * r2, r, r)
    cos_r = fma(_polynomial(_COS, r2) * r2, r2, -r2 / 2) + np.float32(1)
    swap = (j & 2) != 0
    sin, cos = np.where(swap, cos_r, sin_r), np.where(swap, sin_r, cos_r)
    return np.where(j & 4, -sin, sin), np.where((j + 2) & 4, -cos, cos)
