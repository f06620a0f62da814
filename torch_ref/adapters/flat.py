"""One vector of all parameters: theta, and perhaps W and b, which are views on parts of it.

Views have to stay views: an array that is put in the place of theta brings new ones with it.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from torch_ref.adapters.paths import Path, get, put, walk
from torch_ref.adapters.pieces import Piece, turns
from torch_ref.adapters.shapes import Shape, Shapes


@dataclass(frozen=True)
class View:
    """A view at ``path`` on a contiguous array: it starts at ``start``; steps are in entries of the array."""

    path: Path
    start: int
    shape: Shape
    steps: tuple[int, ...]

    def on(self, array: np.ndarray) -> np.ndarray:
        """The same view on another array."""
        tail = array.reshape(-1)[self.start :]
        return as_strided(tail, self.shape, tuple(step * array.itemsize for step in self.steps), subok=True)


def views_in(root: list[Any]) -> dict[Path, tuple[View, ...]]:
    """By the path of a one-dimensional array, the floating arrays that are views on it."""
    arrays = [(p, a) for p, a in walk(root) if isinstance(a, np.ndarray) and a.dtype.kind == "f" and a.size]
    found: dict[Path, tuple[View, ...]] = {}
    for path, whole in arrays:
        if whole.ndim != 1 or not whole.flags.c_contiguous:
            continue
        views = tuple(_view(at, a, whole) for at, a in arrays if a is not whole and _lies_in(a, whole))
        if views:
            found[path] = views
    return found


def _lies_in(part: np.ndarray, whole: np.ndarray) -> bool:
    """Whether all of it is in the other's memory."""
    start, end = np.lib.array_utils.byte_bounds(part)
    first, last = np.lib.array_utils.byte_bounds(whole)
    return part.size < whole.size and part.dtype == whole.dtype and first <= start and end <= last


def _view(path: Path, part: np.ndarray, whole: np.ndarray) -> View:
    start = (part.__array_interface__["data"][0] - whole.__array_interface__["data"][0]) // whole.itemsize
    return View(path, start, part.shape, tuple(step // whole.itemsize for step in part.strides))


def put_with_views(root: list[Any], path: Path, value: Any, views: Mapping[Path, tuple[View, ...]]) -> None:
    """Put a value at ``path``; if it is an array, with the views on the one that was there."""
    put(root, path, value)
    if isinstance(value, np.ndarray):
        for view in views.get(path, ()):
            put(root, view.path, view.on(value))


def copied(thing: Any) -> Any:
    """A deep copy in which views are views again."""
    other = copy.deepcopy(thing)
    for path, views in views_in([thing]).items():
        whole = get([other], path)
        for view in views:
            put([other], view.path, view.on(whole))
    return other


def flat_pieces(size: int, views: tuple[View, ...], shapes: Shapes, turned: bool) -> tuple[Piece, ...] | None:
    """The reference's parameters as parts of one vector; None if they are not.

    They lie in it as the views on it do, by their shapes; without views in the order of the reference, the
    matrices the other way round if ``turned``.
    """
    if sum(int(np.prod(shape)) for shape in shapes.values()) != size:
        return None
    return _by_views(views, shapes) or _end_to_end(shapes, turned)


def _by_views(views: tuple[View, ...], shapes: Shapes) -> tuple[Piece, ...] | None:
    pieces, left = [], sorted(set(views), key=lambda view: view.start)
    for name, shape in shapes.items():
        view = next((v for v in left if next(turns(v.shape, shape), None) is not None), None)
        if view is None:
            return None
        left = [v for v in left if v.start != view.start]
        place = (slice(view.start, view.start + int(np.prod(view.shape))),)
        pieces.append(Piece(name, shape, next(turns(view.shape, shape)), place, within=view.shape))
    return tuple(pieces)


def _end_to_end(shapes: Shapes, turned: bool) -> tuple[Piece, ...]:
    pieces, start = [], 0
    for name, shape in shapes.items():
        stop = start + int(np.prod(shape))
        axes = (1, 0) if turned and len(shape) == 2 else ()
        within = shape[::-1] if axes else shape
        pieces.append(Piece(name, shape, axes, (slice(start, stop),), within=within))
        start = stop
    return tuple(pieces)
