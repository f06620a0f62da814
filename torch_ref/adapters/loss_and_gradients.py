"""A loss and its gradients, found in what a function returned.

A loss comes first, last or under a name, and is one number, whatever its shape. The gradients come nested as
the parameters are, under their names or in their order; as one vector; one behind the other; by kind (all dW,
then all db); or mixed with arrays that are no gradients, and are then found by their shapes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from torch_ref.adapters.gradient_names import gradient_key
from torch_ref.adapters.parameter_tree import Leaf, is_number, leaves_of, pruned
from torch_ref.adapters.paths import entries
from torch_ref.adapters.shapes import can_be_subtracted

Found = dict[str, np.ndarray]
Way = Callable[[Any, Any], Found]

LOSSES = (
    "loss",
    "cost",
    "total_loss",
    "l",
    "j",
    "error",
    "err",
    "objective",
    "value",
    "mse",
    "nll",
    "e",
    "c",
)
GRADIENTS = ("grads", "gradients", "grad", "gradient", "dparams", "d", "derivatives", "g")


def split(returned: Any) -> tuple[Any, list[Any]]:
    """The loss, or None, and what may be the gradients, the likeliest first."""
    if isinstance(returned, Mapping):
        return _split_by_names(dict(returned))
    if isinstance(returned, list | tuple):
        at = next((i for i, each in enumerate(returned) if _is_one_number(each)), None)
        if at is None:
            return None, [returned]
        rest = (*returned[:at], *returned[at + 1 :])
        return returned[at], [*rest, rest] if len(rest) > 1 else [*rest]
    if _is_one_number(returned):
        return returned, []
    attributes = dict(entries(returned))
    return _split_by_names(attributes) if attributes else (None, [returned])


def _split_by_names(named: dict[Any, Any]) -> tuple[Any, list[Any]]:
    keys = {str(key).lower(): key for key in named}
    loss = next((keys[name] for name in LOSSES if name in keys and _is_one_number(named[keys[name]])), None)
    rest = {key: value for key, value in named.items() if key is not loss}
    gradients = [named[keys[name]] for name in GRADIENTS if name in keys]
    return (None if loss is None else named[loss]), [*gradients, rest]


def _is_one_number(value: Any) -> bool:
    if is_number(value):
        return True
    return isinstance(value, np.ndarray | np.generic | complex) and (
        np.size(value) == 1 and np.asarray(value).dtype.kind in "fciu"
    )


def matched(tree: Any, candidates: list[Any], ways: Sequence[Way] | None = None) -> Found:
    """The gradient of each leaf by name, as far as there is one, from the candidate that has most of them.

    ``ways`` are those in which to look, all by default. A gradient of the leaf's shape, but for axes of
    length 1, is given that shape; any other is left as it is.
    """
    leaves = list(leaves_of(tree))
    best: Found = {}
    most = (0, 0)
    needed = pruned(tree, lambda leaf: leaf.is_needed)
    for candidate in candidates:
        for way, each in product(ways or _WAYS, (tree, needed)):
            found = way(each, candidate)
            fitting = sum(_fits(leaf, found[leaf.name]) for leaf in leaves if leaf.name in found)
            if (len(found), fitting) > most:
                best, most = found, (len(found), fitting)
        if most == (len(leaves), len(leaves)):
            break
    return {leaf.name: _shaped(leaf, best[leaf.name]) for leaf in leaves if leaf.name in best}


def _nested(tree: Any, found: Any) -> Found:
    """Nested as the parameters are."""
    if isinstance(tree, Leaf):
        array = _as_array(found)
        return {} if array is None else {tree.name: array}
    if tree is None or found is None:
        return {}
    if isinstance(tree, dict):
        return _by_name(tree, found)
    if not isinstance(found, list | tuple):
        return {}
    if len(found) != len(tree):
        tree, found = ([each for each in side if each is not None] for side in (tree, found))
    if len(found) != len(tree):
        return {}
    return _joined(_nested(below, each) for below, each in zip(tree, found, strict=True))


def _by_name(tree: dict[Any, Any], found: Any) -> Found:
    if isinstance(found, list | tuple):
        pairs = zip(tree.values(), found, strict=True) if len(found) == len(tree) else ()
        return _joined(_nested(below, each) for below, each in pairs)
    named = dict(found) if isinstance(found, Mapping) else dict(entries(found))
    gradients: Found = {}
    for name, below in tree.items():
        key = gradient_key(name, named)
        if key is not None:
            gradients |= _nested(below, named.pop(key))
    return gradients


def _by_kind(tree: Any, found: Any) -> Found:
    """All gradients of a kind together where the parameters are kept layer by layer, or the other way."""
    if not isinstance(tree, list | dict) or isinstance(found, np.ndarray):
        return {}
    layers = list(tree.values()) if isinstance(tree, dict) else [each for each in tree if each is not None]
    if not layers or not all(isinstance(each, list | dict) for each in layers):
        return {}
    kinds = [list(each) if isinstance(each, dict) else list(range(len(each))) for each in layers]
    if any(each != kinds[0] for each in kinds):
        return {}
    turned = [[each[kind] for each in layers] for kind in kinds[0]]
    if isinstance(tree, dict):  # by kind there, layer by layer in the gradients
        return _nested([dict(zip(tree, each, strict=True)) for each in turned], found)
    return _nested(dict(zip(kinds[0], turned, strict=True)), found)


def _one_vector(tree: Any, found: Any) -> Found:
    """All entries end to end, on either side."""
    leaves, arrays = list(leaves_of(tree)), list(_arrays(found))
    if not arrays or (len(leaves) > 1 and len(arrays) > 1):
        return {}
    vector = np.concatenate([array.reshape(-1) for array in arrays])
    sizes = [int(np.prod(leaf.shape)) for leaf in leaves]
    if vector.size != sum(sizes):
        return {}
    parts = np.split(vector, np.cumsum(sizes)[:-1])
    return {leaf.name: part.reshape(leaf.shape) for leaf, part in zip(leaves, parts, strict=True)}


def _in_order(tree: Any, found: Any) -> Found:
    """The arrays in the order of the parameters; if there are more, the first of them."""
    if _have_names(tree, found):
        return {}
    leaves, arrays = list(leaves_of(tree)), list(_arrays(found))
    pairs = list(zip(leaves, arrays, strict=False))
    if len(arrays) < len(leaves) or not all(_fits(leaf, array) for leaf, array in pairs):
        return {}
    return {leaf.name: array for leaf, array in pairs}


def is_by_kind(tree: Any, candidates: list[Any]) -> bool:
    """Whether the gradients come by kind, [dW1, dW2, db1, db2], where the parameters are [W1, b1, W2, b2]."""
    return any(_transposed(tree, found) for found in candidates)


def _transposed(tree: Any, found: Any) -> Found:
    """By kind where the parameters are one list layer by layer, or the other way; not if their order fits.

    The shapes have to fit as they do in no other of these orders.
    """
    if not isinstance(tree, list) or not isinstance(found, list | tuple):
        return {}
    leaves, arrays = [each for each in tree if each is not None], [_as_array(each) for each in found]
    if len(leaves) != len(arrays) or not all(isinstance(leaf, Leaf) for leaf in leaves):
        return {}
    if _fit_in_order(leaves, arrays):
        return {}
    n = len(leaves)
    orders = [[at for kind in range(k) for at in range(kind, n, k)] for k in range(2, n) if n % k == 0]
    fitting = [order for order in orders if _fit_in_order([leaves[at] for at in order], arrays)]
    if len(fitting) != 1:
        return {}
    pairs = zip(fitting[0], arrays, strict=True)
    return {leaves[at].name: array for at, array in pairs if array is not None}


def _fit_in_order(leaves: Sequence[Leaf], arrays: Sequence[np.ndarray | None]) -> bool:
    return all(array is not None and _fits(leaf, array) for leaf, array in zip(leaves, arrays, strict=True))


def _by_shape(tree: Any, found: Any) -> Found:
    """The first array of each shape that is left; not of a list as long as that of the parameters.

    Of two such lists the order decides: a step goes through both.
    """
    both_are_lists = isinstance(tree, list) and isinstance(found, list)
    if _have_names(tree, found) or (both_are_lists and len(found) == len(tree)):
        return {}
    arrays, gradients = list(_arrays(found)), {}
    for leaf in leaves_of(tree):
        at = next((i for i, array in enumerate(arrays) if array.shape == leaf.shape), None)
        if at is None:
            return {}
        gradients[leaf.name] = arrays.pop(at)
    return gradients


def _have_names(tree: Any, found: Any) -> bool:
    """Whether both sides have names, so that those decide and no order does."""
    parts = found if isinstance(found, list | tuple) else [found]
    return isinstance(tree, dict) and any(isinstance(part, Mapping) for part in parts)


NAMED = (_nested, _by_kind)
_WAYS = (_nested, _by_kind, _one_vector, _in_order, _transposed, _by_shape)


def _joined(parts: Any) -> Found:
    return {name: array for part in parts for name, array in part.items()}


def _arrays(found: Any) -> Iterator[np.ndarray]:
    """The arrays in ``found``, in order; lists of numbers are arrays."""
    array = _as_array(found)
    if array is not None:
        yield array
        return
    below = found if isinstance(found, list | tuple) else dict(entries(found)).values()
    for each in below:
        yield from _arrays(each)


def _as_array(value: Any) -> np.ndarray | None:
    """``value`` as an array, a Noisy one as it is; None if it is none of numbers."""
    if value is None or isinstance(value, str | bytes | dict):
        return None
    if hasattr(value, "detach"):
        value = value.detach().numpy()
    try:
        array = value if isinstance(value, np.ndarray) else np.array(value, subok=True)
    except (ValueError, TypeError):  # lists of other lengths
        return None
    if isinstance(value, list | tuple) and any(isinstance(each, np.ndarray) and each.ndim for each in value):
        return None  # several gradients, of one shape by chance
    return array if array.dtype.kind in "fciu" else None


def _fits(leaf: Leaf, gradient: np.ndarray) -> bool:
    """Whether parameter -= gradient is what it should be: of one shape, but for axes that are broadcast."""
    if leaf.kind is float:
        return gradient.size == 1
    return can_be_subtracted(gradient.shape, leaf.shape)


def _shaped(leaf: Leaf, gradient: np.ndarray) -> np.ndarray:
    return gradient.reshape(leaf.shape) if _fits(leaf, gradient) else gradient
