"""Every kind of module and loss on every kind of bad input, forward and backward, beside torch."""

import functools
from typing import Any

import numpy as np
import pytest
import torch

import scratch
from fuzz.mutations import MUTATIONS
from fuzz.tally import ALONE, DESIGNED, FINE, WRONG, each, outcome_of
from fuzz.twins import as_tensor, differ, has_counterpart
from rounding import arrays, backward, noise
from scratch import nn
from scratch.nested import leaves
from torch_ref import mirror
from torch_ref.catalog import LOSSES, MODULES, first_of_each_kind

AREA = "inputs of modules and losses"
pytestmark = pytest.mark.filterwarnings("ignore")

CASES = {case.name: case for case in first_of_each_kind(MODULES + LOSSES)}
TRIALS = [
    (case, at, name, dtype)
    for dtype in (np.float32, np.float64)
    for case in CASES.values()
    for at in range(len(case.inputs))
    for name in MUTATIONS
]
# The complex step of gradcheck runs every forward in complex numbers; integers are of any width, torch's
# classes and places int64.
DESIGN = {"complex64", "complex128", "other integers"}
NOT_FINITE = ("nan", "inf", "-inf", "all nan", "all inf")
# What is neither torch's nor wrong: see the reasons.
DIFFERENT = {
    # nan goes on, where torch's comparisons take it for nothing; inf - inf is nan.
    *(
        (kind, name)
        for kind in ("MultiMarginLoss", "MultiLabelMarginLoss")
        for name in ("nan", "all nan", "all inf")
    ),
    # 0 · inf, which torch meets in other entries: another order of the same products.
    *((kind, name) for kind in ("Bilinear", "GRUCell") for name in ("inf", "-inf", "all inf")),
    *((kind, name) for kind in ("MultiLabelSoftMarginLoss", "BCEWithLogitsLoss") for name in ("inf", "-inf")),
    # A number for a variance; torch 2.11 takes a float alone.
    *(("GaussianNLLLoss", name) for name in ("an int", "a bool")),
}


def is_other_integers(value: Any) -> bool:
    """Whether these are integers of another width than torch's, which hold the same numbers."""
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "iu" or value.dtype == np.int64:
        return False
    return bool(np.all(value == value.astype(np.int64)) and np.all(value.astype(np.int64) >= -(2**31)))


@functools.cache
def sides(name: str, dtype: Any) -> tuple[nn.Module, torch.nn.Module, set[str]]:
    """The module, its twin, and the names by which it may call itself."""
    scratch.manual_seed(0)
    module = CASES[name].make(dtype)
    return module, mirror(module), {type(each).__name__ for each in module.modules()}


def mutated(value: Any, name: str) -> Any:
    """The input changed; of several arrays that are one input, the first."""
    if isinstance(value, tuple):
        return (MUTATIONS[name](value[0]), *value[1:])
    return MUTATIONS[name](value)


def our_pass(module: nn.Module, inputs: list[Any]) -> tuple[Any, list[Any]]:
    """The output, and the gradients of floating inputs and of parameters."""
    scratch.manual_seed(0)
    module.zero_grad()
    y = module(*inputs)
    floating = any(a is not None and a.dtype.kind in "fc" for _, a in leaves(y))
    dx = backward(module, noise(y)) if floating else ()
    return y, [*arrays(dx), *(p.grad for p in module.parameters() if p.grad is not None)]


def their_pass(twin: torch.nn.Module, inputs: list[Any], held: int | None = None) -> tuple[Any, list[Any]]:
    """The same of torch; the input ``held`` has no gradient."""
    torch.manual_seed(0)
    twin.zero_grad()
    tensors = [as_tensor(x, i != held) for i, x in enumerate(inputs)]
    y = twin(*tensors)
    shown = tuple(a for _, a in leaves(y) if a is not None and a.requires_grad)
    dy = noise(tuple(a.detach().numpy() for a in shown))
    torch.autograd.backward(shown, [torch.from_numpy(np.array(d)) for d in dy])
    given = [t for _, t in leaves(tuple(tensors)) if isinstance(t, torch.Tensor) and t.requires_grad]
    return y, [
        *(t.grad for t in given if t.grad is not None),
        *(p.grad for p in twin.parameters() if p.grad is not None),
    ]


@each(TRIALS, 40)
def test_bad_input_is_refused_clearly_or_has_the_numbers_of_torch(tried, trial) -> None:
    case, at, name, dtype = trial
    module, twin, names = sides(case.name, dtype)
    names = names | {"sigmoid"}  # the formula, which has no float16
    inputs = list(case.draw(dtype))
    inputs[at] = mutated(inputs[at], name)
    shown = f"{case.name} in {np.dtype(dtype)}, input {at}: {name}"
    ours, error = outcome_of(lambda: our_pass(module, inputs))
    if error is not None:
        module.zero_grad()
        if case.kind == "Identity":  # the gradient of anything
            return
        tried.add_error(error, shown, names)
        return
    given = inputs[at]
    if is_other_integers(given):
        name, inputs[at] = "other integers", given.astype(np.int64)
    if (
        case.kind == "Identity"
        or (isinstance(given, np.ndarray) and not given.size)
        or (case.kind, name) in DIFFERENT
    ):
        tried.add(DESIGNED, shown)
        return
    if not has_counterpart(inputs[at]):
        tried.add(ALONE if name in ("longdouble", "bytes swapped", "uint64") else WRONG, shown)
        return
    theirs, refusal = outcome_of(lambda: their_pass(twin, inputs, case.target))
    if isinstance(refusal, NotImplementedError):  # no kernel for integers, or for float16
        tried.add(ALONE, shown)
        return
    if refusal is not None:
        tried.add(DESIGNED if name in DESIGN else WRONG, shown, refusal)
        return
    # What is not finite has an output, if not a derivative.
    sides_of = [(side[0], *([] if name in NOT_FINITE else side[1])) for side in (ours, theirs)]
    wrong = differ(*map(tuple, sides_of))
    tried.add(WRONG if wrong else DESIGNED if name in DESIGN else FINE, shown, wrong)
