"""Every public formula: its derivation, an example that runs, and a derivative that is the complex step's."""

import copy
import doctest
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import scratch
from scratch import functional as F
from scratch.nested import leaves
from torch_ref.catalog import LOSSES, MODULES

FILES = [
    importlib.import_module(f"scratch.functional.{info.name}") for info in pkgutil.iter_modules(F.__path__)
]
PAIRS = [name for name in F.__all__ if f"{name}_backward" in F.__all__]
# The complex step, of one direction: exact to rounding.
STEP = 1e-30


def test_what_a_file_defines_is_exported_and_every_formula_has_its_derivative() -> None:
    for file in FILES:
        if file.__name__.endswith(("elementary", "taps", "_fast")):
            continue
        defined = {
            name
            for name, value in vars(file).items()
            if inspect.isfunction(value) and value.__module__ == file.__name__ and not name.startswith("_")
        }
        assert defined <= {*file.__all__} <= {*F.__all__}, file.__name__
    alone = {name for name in F.__all__ if not name.endswith("_backward")} - {*PAIRS}
    assert {name for name in F.__all__ if name.endswith("_backward")} == {f"{n}_backward" for n in PAIRS}
    assert all(inspect.getdoc(getattr(F, name)) for name in alone)


@pytest.mark.parametrize("name", PAIRS)
def test_a_formula_has_its_derivation_and_an_example(name: str) -> None:
    f, f_backward = getattr(F, name), getattr(F, f"{name}_backward")
    doc = inspect.getdoc(f) or ""
    assert "$" in doc or any(other in doc for other in PAIRS if other not in name), f"{name}: no formula"
    for part in ("Args:", "Returns:", "Example:", ">>>", f"{name}_backward"):
        assert part in doc, f"{name}: {part}"
    assert inspect.getdoc(f_backward)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.__name__.rpartition(".")[2])
def test_the_examples_run(file: Any) -> None:
    scratch.manual_seed(0)
    found = doctest.testmod(file, extraglobs={"scratch": scratch, "F": F, "np": np})
    assert found.failed == 0


@pytest.mark.parametrize("package", ["scratch.nn", "scratch.optim"])
def test_the_examples_of_classes_run(package: str) -> None:
    parts = importlib.import_module(package)
    for info in pkgutil.iter_modules(parts.__path__):
        scratch.manual_seed(0)
        file = importlib.import_module(f"{package}.{info.name}")
        assert doctest.testmod(file, extraglobs={"scratch": scratch, "F": F, "np": np}).failed == 0


# ---- the derivatives


def calls_of(case: Any) -> Iterator[tuple[str, tuple[Any, ...], dict[str, Any]]]:
    """The calls of public formulas that a case of the catalog makes, through the tuned twins or directly."""
    found: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def recording(name: str, right: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            found.append((name, copy.deepcopy(args), copy.deepcopy(kwargs)))
            return right(*args, **kwargs)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in PAIRS:
            right = getattr(F, name)
            for file in (F, *FILES):
                if getattr(file, name, None) is right or (
                    hasattr(file, name) and file.__name__.endswith("_fast")
                ):
                    patch.setattr(file, name, recording(name, getattr(file, name)))
        case.make(np.float64)(*case.draw(np.float64))
    yield from found


@pytest.fixture(scope="module")
def calls() -> dict[str, list[Any]]:
    """By formula, the calls that the whole catalog makes, each with the case."""
    found: dict[str, list[Any]] = {name: [] for name in PAIRS}
    for case in (*MODULES, *LOSSES):
        scratch.manual_seed(0)
        for name, args, kwargs in calls_of(case):
            found[name].append((case.name, args, kwargs))
    return found


def is_floating(x: Any) -> bool:
    return isinstance(x, np.ndarray | np.generic) and x.dtype.kind == "f"


@pytest.mark.parametrize("name", PAIRS)
def test_the_derivative_of_a_formula_is_that_of_the_complex_step(name: str, calls: Any) -> None:
    """Along a random direction of each array, for every call that the catalog makes of the formula."""
    f, f_backward = getattr(F, name), getattr(F, f"{name}_backward")
    assert calls[name], f"no case of the catalog calls F.{name}"
    for case, args, kwargs in calls[name]:
        rng = np.random.default_rng(0)
        given = [x for _, x in leaves(args)]
        before = copy.deepcopy(given)
        y, saved = f(*args, **kwargs)
        outputs = [each for _, each in leaves(y)]
        dy = [rng.standard_normal(np.shape(o)) if np.asarray(o).dtype.kind == "f" else None for o in outputs]
        arrives = nested_like(y, dy)
        gradients = f_backward(arrives, copy.deepcopy(saved))
        flat = [g for _, g in leaves(gradients)]
        free = {k for k, g in enumerate(flat) if g is not None and is_floating(given[k])}
        for x, same in zip(given, before, strict=True):
            assert not isinstance(x, np.ndarray) or np.array_equal(x, same, equal_nan=True), case
        assert free, case
        for k in free:
            gradient, direction = flat[k], rng.standard_normal(given[k].shape)
            moved = [x.astype(complex) if i in free else x for i, x in enumerate(given)]
            moved[k] = moved[k] + 1j * STEP * direction
            z, _ = f(*nested_like(args, moved), **kwargs)
            slope = sum(
                np.sum(c * np.imag(o)) / STEP
                for c, (_, o) in zip(dy, leaves(z), strict=True)
                if c is not None
            )
            ours = np.sum(gradient * direction)
            # Where terms cancel, what is left is rounding of the terms.
            terms = sum(np.sum(np.abs(c)) for c in dy if c is not None) * np.max(np.abs(direction), initial=0)
            scale = max(np.sum(np.abs(gradient * direction)), 1e-3 * terms)
            assert abs(ours - slope) <= 1e-10 * scale, (case, k, ours, slope)


def nested_like(value: Any, flat: list[Any]) -> Any:
    """``flat``, nested as ``value`` is."""
    rest = iter(flat)

    def fill(part: Any) -> Any:
        return tuple(map(fill, part)) if isinstance(part, tuple) else next(rest)

    return fill(value)
