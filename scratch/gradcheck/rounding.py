"""Rounding error measured by random rounding (Monte Carlo arithmetic).

A tolerance that is guessed is too wide for one gradient and too narrow for the next. The rounding error of a
result depends on what was added up on the way to it, and that shows when the computation is run with other
roundings (Parker 1997; Denis, de Oliveira Castro and Petit 2016). ``Noisy`` is a NumPy array that puts a
random relative error of up to one epsilon on the result of every operation; on a sum what the roundings of
its partial sums add up to (Higham and Mary 2019). Forward and backward, run on it some times, show how far
each entry of each gradient spreads.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import numpy as np

from scratch.gradcheck.objective import Objective

Tensors = dict[str, np.ndarray]

# Runs, in two stages: what agrees within the spread of a few does so within that of more.
FEW_RUNS, ALL_RUNS = 2, 8


def spreads(exact: Tensors, runs: Iterable[Tensors]) -> Tensors:
    """The largest difference of each entry from ``exact`` in other runs of the same computation."""
    largest = {name: np.zeros(x.shape) for name, x in exact.items()}
    for run in runs:
        for name, other in run.items():
            moved = (other != exact[name]) & np.isfinite(exact[name])
            off = np.abs(np.subtract(other, exact[name], out=np.zeros(moved.shape), where=moved, dtype=float))
            if not np.isfinite(off).all():
                off = np.nan_to_num(off, nan=np.inf)
            np.maximum(largest[name], off, out=largest[name])
    return largest


def widening_spreads(exact: Tensors, runs: Iterable[Tensors]) -> Iterator[Tensors]:
    """The spreads after a few of the runs, and after all: more are made only where the first do not do."""
    runs = iter(runs)
    few = spreads(exact, islice(runs, FEW_RUNS))
    yield few
    rest = spreads(exact, runs)
    yield {name: np.maximum(off, rest[name]) for name, off in few.items()}


def numpy_spreads(objective: Objective, found: Tensors | None = None) -> Iterator[Tensors]:
    """How far the roundings of every operation move each entry: in the objective's dtype, carried in float64.

    After a few runs and, if that is asked for, after all. ``found`` is what ``objective.run()`` gave, where
    that is known: in float64 it is what the others are compared with.

    Raises:
        TypeError, ValueError: from code that cannot take a subclass of ndarray.
    """
    unit = float(np.finfo(objective.dtype).eps)

    def run(prepare: Any = None) -> Tensors:
        with np.errstate(all="ignore"):  # noise may carry a number out of a function's domain
            outputs, gradients = objective.run(np.float64, prepare)
        return {name: np.asarray(x) for name, x in (outputs | gradients.named()).items()}

    exact = found if found is not None and objective.dtype == np.float64 else run()
    return widening_spreads(exact, (run(Rounding(unit, seed).wrap) for seed in range(ALL_RUNS)))


def jitter(array: np.ndarray, rng: np.random.Generator, alike: bool = False) -> np.ndarray:
    """``array``, each entry off by up to an epsilon of its own: by an ulp, or not at all.

    ``alike`` moves equal numbers alike, so that they stay equal.
    """
    eps = np.finfo(array.dtype).eps
    if alike:
        values, place = np.unique(array, return_inverse=True)
        return jitter(values, rng)[place].reshape(array.shape)
    return np.asarray(array * (1 + eps * rng.uniform(-1, 1, array.shape)), array.dtype)


class Rounding:
    """The noise of one run, of relative size ``unit``.

    As in a real computation, a result that is computed twice from the same numbers is rounded alike.
    """

    def __init__(self, unit: float, seed: int) -> None:
        self.unit = unit
        self.seed = seed
        self._ulp = unit * 2.0**-52
        self._start = np.uint64((seed + 1) * 0x9E3779B97F4A7C15 % 2**64)

    def wrap(self, array: np.ndarray) -> "Noisy":
        """A view of ``array`` whose operations round at random."""
        noisy = np.asarray(array).view(Noisy)
        noisy.rounding = self
        return noisy

    def round(self, result: Any, out: Any, magnitude: Any) -> Any:
        """``result`` with noise relative to ``magnitude``, Noisy; in the place of ``out`` if there is one.

        ``magnitude`` is None where there is no noise.
        """
        if not isinstance(result, np.ndarray | np.generic) or result.dtype.kind != "f":
            return result
        noisy = np.asarray(result)
        if magnitude is not None:
            noise = self._noise(noisy)
            infinite = np.isinf(magnitude)  # an infinity has no neighbours
            noise *= np.where(infinite, 0, magnitude) if infinite.any() else magnitude
            noisy = np.add(noise, noisy, out=noise)
        if out is None:
            return self.wrap(noisy)
        _plain(out)[...] = noisy
        return out

    def _noise(self, array: np.ndarray) -> np.ndarray:
        """A number within ``unit`` of 0 for each of ``array``: of its bits and the seed (splitmix64)."""
        bits = np.asarray(array, np.float64).view(np.uint64)
        z = np.add(bits, self._start, out=np.empty(array.shape, np.uint64))
        for shift, factor in _SPLITMIX:
            z ^= z >> shift
            z *= factor
        z >>= _ELEVEN
        noise = np.multiply(z, self._ulp, out=np.empty(array.shape))
        noise -= self.unit
        return noise


_SPLITMIX = tuple(
    (np.uint64(shift), np.uint64(factor))
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
)
_ELEVEN = np.uint64(11)


class Noisy(np.ndarray):
    """An array whose operations round at random, except those that only pick, move or negate."""

    rounding: Rounding

    def __array_finalize__(self, base: Any) -> None:
        if isinstance(base, Noisy):
            self.rounding = base.rounding

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: tuple[Any, ...] = (), **kwargs: Any
    ) -> Any:
        """The ufunc on plain numbers, then the noise."""
        rounding, plain, call = self.rounding, [_plain(x) for x in inputs], getattr(ufunc, method)
        magnitude = None
        # Before the call with out, since it may overwrite an input.
        if ufunc is np.matmul or (ufunc is np.add and method in ("reduce", "accumulate")):
            result, magnitude = _sum(call, plain, kwargs)
            if not out:
                return rounding.round(result, None, magnitude)
        if out:
            kwargs["out"] = tuple(_plain(x) for x in out)
        result = call(*plain, **kwargs)
        if method == "at":
            return None
        if isinstance(result, tuple):
            return tuple(
                rounding.round(r, o, np.abs(r)) for r, o in zip(result, out or [None] * 9, strict=False)
            )
        if magnitude is None and ufunc.__name__ not in _EXACT:
            magnitude = np.abs(result)
        return rounding.round(result, out[0] if out else None, magnitude)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """Products of several axes get their noise here; all else is made of ufuncs, or does not round."""
        if function not in _PRODUCTS:
            return _wrapped(super().__array_function__(function, types, args, kwargs), self.rounding)
        out = kwargs.pop("out", None)
        result, magnitude = _sum(function, [_plain(x) for x in args], kwargs)
        return self.rounding.round(result, out, magnitude)

    def dot(self, *args: Any, **kwargs: Any) -> Any:
        """np.dot, which the method would bypass."""
        return np.dot(self, *args, **kwargs)


_EXACT = {
    *("negative", "positive", "absolute", "fabs", "sign", "copysign", "maximum", "minimum", "fmax", "fmin"),
    *("clip", "floor", "ceil", "rint", "trunc"),
}
_PRODUCTS = {np.dot, np.inner, np.vdot, np.tensordot, np.einsum, np.convolve, np.correlate}


def _sum(add: Callable[..., Any], operands: list[Any], kwargs: dict[str, Any]) -> tuple[Any, Any]:
    """A sum of n terms x, and its rounding error in units: √(n (Σx)²/3 + n ‖x‖²/2).

    Each partial sum is rounded. Were the terms all alike the k-th would be k Σx / n; of terms of either sign
    it is as large as a random walk, √k ‖x‖ / √n. Of errors that are random, the squares add up.
    """
    total = add(*operands, **kwargs)
    sizes = [x.size for x in operands if isinstance(x, np.ndarray)]
    results = 1 if add == np.add.accumulate else max(1, np.size(total))  # as many terms as the last has
    n = (math.prod(sizes) / results) ** (1 / len(sizes))
    squares = add(*(x * x if isinstance(x, np.ndarray | float) else x for x in operands), **kwargs)
    rounded = n if len(sizes) > 1 else n - 1  # products are, and the first term of a sum is not
    return total, np.sqrt(rounded * (total * total / 3 + squares / 2))


def _plain(x: Any) -> Any:
    return x.view(np.ndarray) if isinstance(x, Noisy) else x


def _wrapped(result: Any, rounding: Rounding) -> Any:
    if isinstance(result, tuple | list):
        return type(result)(_wrapped(each, rounding) for each in result)
    if isinstance(result, np.ndarray) and not isinstance(result, Noisy) and result.dtype.kind == "f":
        return rounding.wrap(result)
    return result
