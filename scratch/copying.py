"""copy.deepcopy, several times as fast where a module is copied: a check copies its modules for each call."""

import copy
import copyreg
from collections import OrderedDict
from functools import lru_cache
from operator import is_
from types import BuiltinFunctionType, FunctionType
from typing import Any

import numpy as np

from scratch.nn.parameter import Parameter, Storage

_ATOMS = frozenset(
    (type(None), bool, int, float, complex, str, bytes, type, range, slice, FunctionType, BuiltinFunctionType)
)
# Bounded, since mistakes are switched on by classes of their own.
_cached: Any = lru_cache(1024)
_HEAP_TYPE = 1 << 9  # CPython's flag of a class that Python code made


def deep_copy(value: Any) -> Any:
    """The same as ``copy.deepcopy(value)``.

    Example:
        >>> layers = [[1.0]]
        >>> other = deep_copy(layers)
        >>> other[0].append(2.0)
        >>> layers
        [[1.0]]
    """
    return _copied(value, {})


def _copied(value: Any, memo: dict[int, Any]) -> Any:
    kind = type(value)
    if kind in _ATOMS:
        return value
    if (known := memo.get(id(value))) is not None:
        return known
    return _copier(kind)(value, memo)


def _array(array: np.ndarray, memo: dict[int, Any]) -> np.ndarray:
    if array.dtype.hasobject:
        return copy.deepcopy(array, memo)
    other = memo[id(array)] = array.copy("K")
    return other


def _dict(given: dict[Any, Any], memo: dict[int, Any]) -> dict[Any, Any]:
    other = memo[id(given)] = type(given)()
    for key, value in given.items():
        other[_copied(key, memo)] = _copied(value, memo)
    return other


def _list(given: list[Any], memo: dict[int, Any]) -> list[Any]:
    other = memo[id(given)] = list[Any]()
    other += [_copied(value, memo) for value in given]
    return other


def _tuple(given: tuple[Any, ...], memo: dict[int, Any]) -> tuple[Any, ...]:
    for value in given:
        if type(value) not in _ATOMS:
            break
    else:
        return given
    other = tuple([_copied(value, memo) for value in given])
    if all(map(is_, given, other)):
        return given
    return memo.setdefault(id(given), other)  # it may hold itself, and is then there already


def _parameter(p: Parameter, memo: dict[int, Any]) -> Parameter:
    other = memo[id(p)] = Parameter.__new__(Parameter)
    storage, *rest = p.__getstate__()
    other.__setstate__((_copied(storage, memo), *rest))
    return other


def _storage(storage: Storage, memo: dict[int, Any]) -> Storage:
    other = memo[id(storage)] = Storage.__new__(Storage)
    other.data, other.grad = _copied(storage.data, memo), _copied(storage.grad, memo)
    return other


def _set(given: set[Any], memo: dict[int, Any]) -> set[Any]:
    other = memo[id(given)] = {_copied(value, memo) for value in given}
    return other


def _plain(given: Any, memo: dict[int, Any]) -> Any:
    kind = type(given)
    given_state = vars(given)
    if _says_state(kind):
        given_state = given.__getstate__()
        memo.setdefault(id(memo), []).append(given_state)  # kept, so that no other object gets its place
        if not isinstance(given_state, dict):
            return copy.deepcopy(given, memo)
    other = memo[id(given)] = object.__new__(kind)
    state = {
        name: value if type(value) in _ATOMS else _copied(value, memo) for name, value in given_state.items()
    }
    if _takes_state(kind):
        other.__setstate__(state)
    else:
        other.__dict__.update(state)
    return other


@_cached
def _says_state(kind: type) -> bool:
    return getattr(kind, "__getstate__", None) is not object.__getstate__


@_cached
def _takes_state(kind: type) -> bool:
    return hasattr(kind, "__setstate__")


_COPIERS: dict[type, Any] = {
    np.ndarray: _array,
    dict: _dict,
    OrderedDict: _dict,
    list: _list,
    set: _set,
    tuple: _tuple,
    Parameter: _parameter,
    Storage: _storage,
}


@_cached
def _copier(kind: type) -> Any:
    return _COPIERS.get(kind) or (_plain if _is_plain(kind) else copy.deepcopy)


def _is_plain(kind: type) -> bool:
    """Whether an object of this class is what lies in its ``__dict__``, and is copied as any other."""
    own = [base for base in kind.__mro__ if base is not object]
    return (
        all(base.__flags__ & _HEAP_TYPE and "__slots__" not in vars(base) for base in own)
        and not issubclass(kind, type)
        and not any(hasattr(kind, name) for name in ("__deepcopy__", "__getnewargs__", "__getnewargs_ex__"))
        and kind.__reduce_ex__ is object.__reduce_ex__
        and kind.__reduce__ is object.__reduce__
        and kind not in copyreg.dispatch_table
    )
