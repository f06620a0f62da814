"""Is a forward a formula of complex numbers? Only then does a complex step differentiate it.

``np.abs`` of complex numbers is real, and so drops the derivative; ``np.maximum`` orders them by their real
parts and, where these are equal, by the imaginary parts, which are the step. A forward is run once on arrays
that refuse both.
"""

from collections.abc import Callable, Iterable
from itertools import combinations
from typing import Any, NoReturn

import numpy as np

from scratch.gradcheck.chain import Chain
from scratch.gradcheck.objective import Objective
from scratch.gradcheck.step import Step
from scratch.nested import leaves, unflatten_as


class NoFormulaError(Exception):
    """The forward uses complex numbers in a way that has no complex derivative, or another one."""


def require_formula(objective: Objective, step: Step) -> None:
    """Run the forward once on complex numbers.

    Raises:
        NoFormulaError: it takes their absolute value, conjugates them, or orders two whose real parts are
            equal. Other code raises what NumPy raises where it knows no complex numbers.
    """
    chain = Chain(objective, step.dtype)
    rng = np.random.default_rng(0)

    def shaken(x: Any) -> Any:
        if x is None or x.dtype.kind != "c":
            return x
        x.imag += step.h * rng.standard_normal(x.shape)  # of the chain's own copy
        return x.view(Formula)

    for p in chain.model.parameters():
        p.present(shaken(p.data))
    chain.loss(0, *unflatten_as(chain.inputs, (shaken(x) for _, x in leaves(chain.inputs))))


def _refused(*args: Any, **kwargs: Any) -> NoReturn:
    raise NoFormulaError("it has no complex derivative")


class Formula(np.ndarray):
    """Complex numbers that refuse what has no complex derivative."""

    var: Callable[..., Any] = _refused
    std: Callable[..., Any] = _refused
    conj: Callable[..., Any] = _refused
    conjugate: Callable[..., Any] = _refused

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: tuple[Any, ...] = (), **kwargs: Any
    ) -> Any:
        """The ufunc on plain numbers, if it may be."""
        plain, targets = [_plain(x) for x in inputs], tuple(map(_plain, out))
        result = getattr(ufunc, method)(*plain, **(kwargs | ({"out": targets} if out else {})))
        if any(np.iscomplexobj(x) for x in plain):
            _require_derivative(ufunc.__name__, method, plain, kwargs)
        if out:
            return out[0] if len(out) == 1 else out
        return _viewed(result)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """Functions made of ufuncs are judged there; of the others, some are known to be no formulas."""
        if function in _NO_FORMULAS:
            _refused()
        return _viewed(super().__array_function__(function, types, args, kwargs))


def _viewed(result: Any) -> Any:
    """The result as a Formula: some functions return plain arrays."""
    if isinstance(result, tuple | list):
        return type(result)(map(_viewed, result))
    return result.view(Formula) if isinstance(result, np.ndarray) else result


_NOT_ANALYTIC = ("absolute", "conjugate", "sign")
_EXTREMES = ("maximum", "minimum", "fmax", "fmin")
_ORDERING = (*_EXTREMES, "greater", "greater_equal", "less", "less_equal", "clip")
_NO_FORMULAS = (np.var, np.std, np.vdot, np.correlate, np.angle, np.linalg.norm)


def _plain(x: Any) -> Any:
    return x.view(np.ndarray) if isinstance(x, Formula) else x


def _require_derivative(name: str, method: str, plain: list[Any], kwargs: dict[str, Any]) -> None:
    """Refuse a ufunc that has no complex derivative, or none on these numbers."""
    if name in _NOT_ANALYTIC:
        _refused()
    if name in _ORDERING and method == "__call__":
        _refuse_ties(plain)
    if name in _EXTREMES and method == "reduce":
        extreme = getattr(np, name).reduce(plain[0], axis=kwargs.get("axis", 0), keepdims=True)
        _refuse_ties((plain[0], extreme))


def _refuse_ties(compared: Iterable[Any]) -> None:
    for a, b in combinations(compared, 2):
        if np.any((np.real(a) == np.real(b)) & (np.asarray(a) != b)):
            raise NoFormulaError("two numbers that are equal are ordered by the step")
