"""Two computations beside each other, judged as the product judges: by rounding that is measured.

A tolerance that is guessed holds on the processor it was guessed on. Here the expected side is computed some
times more from numbers that are an ulp off, and the NumPy side with noise on each operation; how far that
moves an entry is what rounding may do to it (``scratch.gradcheck.rounding``), and the verdict is that of
``compare`` (``torch_ref.checker.verdict``). Every judgement has a detection limit, and none may be vacuous:
an entry that cannot be judged fails the test.
"""

import copy
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from scratch import nn, random
from scratch.gradcheck.rounding import Rounding, Tensors, jitter, spreads
from scratch.gradcheck.tolerance import VISIBLE
from scratch.nested import leaves, unflatten_as
from torch_ref import mirror
from torch_ref.checker.verdict import TensorVerdict, largest
from torch_ref.twin.kernel import fitting_kernel
from torch_ref.twin.memory import torch_generator

RUNS = 8
# The largest detection limit that a test may have: an error so large, relative to the largest entry, is seen.
LIMIT = {"float64": 1e-10, "float32": VISIBLE["float32"]}

same_draws = pytest.mark.skipif(
    fitting_kernel() is None, reason="torch draws as no kernel of scratch.random does here"
)

Shake = Callable[[np.ndarray], np.ndarray]


class Pass(NamedTuple):
    """All that comes out of a forward and a backward, and the largest number that went into the latter."""

    outputs: list[np.ndarray]
    gradients: list[np.ndarray]
    incoming: float = 0.0


def as_it_is(array: np.ndarray) -> np.ndarray:
    """No noise."""
    return array


def shakes(runs: int = RUNS) -> Iterator[Shake]:
    """Each puts floating entries off by an ulp or not at all, in its own way; equal entries stay equal."""
    for seed in range(runs):
        rng = np.random.default_rng(seed)

        def shake(array: np.ndarray, rng: np.random.Generator = rng) -> np.ndarray:
            return np.asarray(jitter(array, rng, alike=True)) if array.dtype.kind == "f" else array

        yield shake


def assert_agree(ours: Pass, theirs: Pass, runs: Iterable[Pass]) -> None:
    """Same dtypes and shapes, integers the same, and no other entry further off than rounding explains.

    What is within 8 epsilons of the largest number around agrees, as in ``compare``. If something is not,
    ``runs``, which are ``theirs`` with other roundings, tell how far each entry may be off; at a kink, where
    noise would choose another branch, there are none.
    """
    assert [len(group) for group in ours[:2]] == [len(group) for group in theirs[:2]]
    for (name, a), (_, b) in zip(_named(ours), _named(theirs), strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape), name
        if b.dtype.kind != "f":
            np.testing.assert_array_equal(a, b, err_msg=name)
    exact = _floating(theirs)
    tensors = _tensors(ours, theirs, {name: np.zeros(b.shape) for name, b in exact.items()})
    if any(tensor.verdict != "agree" for tensor in tensors):
        tensors = _tensors(ours, theirs, spreads(exact, map(_floating, runs)))
    for tensor in tensors:
        row = f"{tensor.name}: {tensor.row}"
        assert (tensor.verdict, tensor.kinks) == ("agree", 0), row
        assert largest(tensor.tolerance) <= LIMIT[tensor.dtype.name] * tensor.standard, row


def _tensors(ours: Pass, theirs: Pass, spread: Tensors) -> list[TensorVerdict]:
    """The verdicts: outputs beside their largest number, or 1, and gradients beside that of all of them."""
    found, expected = _floating(ours), _floating(theirs)
    size = largest(*theirs.gradients, theirs.incoming) or 1.0
    standards = {n: size if n.startswith("gradient") else max(1.0, largest(b)) for n, b in expected.items()}
    return [
        TensorVerdict(name, found[name], b, None, spread[name], 0.0, b.dtype, standards[name])
        for name, b in expected.items()
    ]


def _named(result: Pass) -> list[tuple[str, np.ndarray]]:
    groups = zip(("output", "gradient"), result[:2], strict=True)
    return [(f"{group} {i}", np.asarray(a)) for group, arrays in groups for i, a in enumerate(arrays)]


def _floating(result: Pass) -> dict[str, np.ndarray]:
    return {name: a for name, a in _named(result) if a.dtype.kind == "f"}


def assert_torch_agrees(
    module: nn.Module,
    *inputs: Any,
    twin: torch.nn.Module | None = None,
    held: tuple[int, ...] = (),
    cotangent: Callable[[Any], Any] | None = None,
    kinks: bool = False,
    **options: Any,
) -> None:
    """A module gives torch's outputs, state and gradients, on the same weights, inputs and random numbers.

    Args:
        module: the NumPy side, which stays as it is.
        inputs: of forward: arrays, or tuples of them.
        twin: the torch side, if not the mirror.
        held: the numbers of inputs that have no gradient, such as targets.
        cotangent: makes what backward is given, from an output; noise if not given.
        kinks: the inputs lie where the function has kinks, and an ulp would move them off.
        options: of forward, arrays among them.
    """
    twin = mirror(module) if twin is None else twin
    cotangent = cotangent or noise
    with torch_generator(advance=False):
        ours = numpy_pass(module, inputs, cotangent, options)

    def run(shake: Shake = as_it_is) -> Pass:
        return torch_pass(twin, inputs, cotangent, options, shake, held)

    def runs() -> Iterator[Pass]:
        yield from map(run, shakes())
        with suppress(Exception), torch_generator(advance=False):  # code that takes no subclass of ndarray
            yield from noisy_passes(module, inputs, cotangent, options, held, theirs)

    theirs = run()
    assert_agree(ours, theirs, () if kinks else runs())


def numpy_pass(
    module: nn.Module,
    inputs: Any,
    cotangent: Callable[[Any], Any] | None = None,
    options: dict[str, Any] | None = None,
    shake: Shake = as_it_is,
    held: tuple[int, ...] = (),
) -> Pass:
    """Forward and backward of a copy of a module; its buffers and weights are outputs as well.

    ``shake`` is done to the inputs but those ``held``, to cotangents and weights. Random numbers are the same
    in each call.
    """
    module, before = copy.deepcopy(module), random.get_rng_state()
    module.zero_grad()
    for p in module.parameters():
        p.present(shake(p.data))
    shaken = (x if i in held else each(x, shake) for i, x in enumerate(inputs))
    y = module(*shaken, **(options or {}))
    random.set_rng_state(before)
    dy = each(y, cotangent or noise)
    dx = backward(module, each(dy, shake))
    state = [*module.buffers(), *(p.data for p in module.parameters())]
    found = arrays(dx, *(p.grad for p in module.parameters()))
    return Pass(arrays(y, *state), found, largest(*arrays(dy)))


def noisy_passes(
    module: nn.Module,
    inputs: Any,
    cotangent: Callable[[Any], Any],
    options: dict[str, Any],
    held: tuple[int, ...],
    exact: Pass,
) -> Iterator[Pass]:
    """``exact``, off by what the roundings of each operation of the NumPy side do, carried in float64."""
    unit = max(float(np.finfo(b.dtype).eps) for b in _floating(exact).values())
    module = copy.deepcopy(module).to(np.float64)
    inputs = each(inputs, lambda a: a.astype(np.float64) if a.dtype.kind == "f" else a)

    def run(shake: Shake) -> Pass:
        with np.errstate(all="ignore"):
            return numpy_pass(module, inputs, cotangent, options, shake, held)

    def rounded(seed: int) -> Pass:
        rounding = Rounding(unit, seed)
        return run(lambda a: rounding.wrap(a) if a.dtype.kind == "f" else a)

    wide = run(as_it_is)
    for seed in range(RUNS):
        groups = zip(exact[:2], rounded(seed)[:2], wide[:2], strict=True)
        yield Pass(*([b + (a - w) for b, a, w in zip(*group, strict=True)] for group in groups))


def torch_pass(
    twin: torch.nn.Module,
    inputs: Any,
    cotangent: Callable[[Any], Any],
    options: dict[str, Any],
    shake: Shake = as_it_is,
    held: tuple[int, ...] = (),
) -> Pass:
    """The same of a copy of torch's; the inputs ``held`` have no noise and no gradient."""
    twin = copy.deepcopy(twin)
    twin.zero_grad()
    with torch.no_grad():
        for p in twin.parameters():
            p.copy_(torch.from_numpy(shake(p.numpy())))
    tensors = tuple(
        each(x, lambda a, free=i not in held: _tensor(shake(a) if free else a, free))
        for i, x in enumerate(inputs)
    )
    options = {k: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    with torch.random.fork_rng(devices=[]):
        y = twin(*tensors, **options)
    dy = each(each(y, lambda a: a.detach().numpy()), cotangent)
    pairs = [(a, d) for (_, a), (_, d) in zip(leaves(y), leaves(dy), strict=True) if d is not None]
    torch.autograd.backward([a for a, _ in pairs], [torch.from_numpy(shake(d)) for _, d in pairs])
    outputs = [a.detach().numpy() for a in (*(a for _, a in leaves(y)), *twin.buffers(), *twin.parameters())]
    given = [t for _, t in leaves(tensors) if t is not None and t.requires_grad]
    found = [torch.zeros_like(t) if t.grad is None else t.grad for t in given]
    found += [p.grad for p in twin.parameters() if p.grad is not None]
    return Pass(outputs, [g.numpy() for g in found], largest(*(d for _, d in pairs)))


def _tensor(array: np.ndarray, differentiated: bool) -> torch.Tensor:
    return torch.tensor(np.asarray(array), requires_grad=differentiated and array.dtype.kind == "f")


# ---- arrays in nested tuples


def noise(y: Any, seed: int = 1) -> Any:
    """A random cotangent: under ones the gradients of softmax would vanish, and with them every error.

    None for integers, which have no gradient.
    """
    rng = np.random.default_rng(seed)

    def draw(y: Any) -> Any:
        return np.asarray(rng.standard_normal(np.shape(y)), y.dtype) if y.dtype.kind in "fc" else None

    return each(y, draw)


def each(value: Any, function: Callable[[Any], Any]) -> Any:
    """``function`` of every array in nested tuples; None stays None."""
    return unflatten_as(value, (None if array is None else function(array) for _, array in leaves(value)))


def arrays(*values: Any) -> list[np.ndarray]:
    """The arrays in values that may be nested; what has no gradient is left out."""
    return [np.asarray(x) for _, x in leaves(values) if x is not None]


def backward(module: nn.Module, dy: Any, **options: Any) -> Any:
    """module.backward, of one cotangent for each output."""
    return module.backward(*(dy if isinstance(dy, tuple) else (dy,)), **options)


def gradients(module: nn.Module) -> list[np.ndarray]:
    """The gradients of a module's parameters, copied."""
    return [p.grad.copy() for p in module.parameters()]
