"""compare(model, twin, x): outputs and gradients of both sides, beside each other and beside the truth.

Three numbers for every entry of every tensor: NumPy's, PyTorch's, and one that is neither (truth.py). Where
the two frameworks differ, the third says which of them is wrong. How far apart they may be is measured and
not guessed (precision.py), and each tensor tells the smallest error that it would have shown (judge.py).
"""

import copy
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch

from scratch import nn
from scratch.gradcheck.numeric import Gradients, Objective, named
from scratch.gradcheck.rounding import Tensors, jitter, numpy_spreads, spreads
from scratch.nested import leaves, unflatten_as
from torch_ref.checker.numeric import Truth, truth
from torch_ref.checker.verdict import Tensor, largest
from torch_ref.twin.mirror import torch_generator


@dataclass(frozen=True)
class Comparison:
    """What compare found; truthy if the two sides agree.

    Args:
        tensors: all that was compared, outputs first.
        method: how the truth was found, or "" if it was not asked for, or not found.
        skipped: buffers of PyTorch's side that NumPy's does not have.

    ``frame`` has a row for each tensor:

    * tensor, shape
    * scale: the largest entry in absolute value
    * numpy_torch: the largest difference of the two sides; relative is that by the scale
    * numpy_truth, torch_truth: how far each is from the truth (nan where there is none)
    * roundings: NumPy's largest error, in units of what rounding does to that entry; up to 8 may be
    * tolerance: how far an entry may be off; sensitivity is that by the scale, the smallest relative error
      that could not have been missed
    * kinks: entries that cannot be judged, since a rounding changes the branch that they take
    * verdict: "agree"; "NumPy is wrong", "PyTorch is wrong", "both are wrong"; without a truth "differ";
      "shapes differ"; "fits NumPy's forward", where PyTorch's is another; "too blind to say"
    """

    tensors: tuple[Tensor, ...]
    method: str = ""
    skipped: tuple[str, ...] = ()

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The table."""
        return pd.DataFrame([tensor.row for tensor in self.tensors])

    @property
    def ok(self) -> bool:
        """Whether every tensor agrees."""
        return all(tensor.verdict == "agree" for tensor in self.tensors)

    def __bool__(self) -> bool:
        return self.ok

    @property
    def wrong(self) -> list[Tensor]:
        """The tensors that do not agree."""
        return [tensor for tensor in self.tensors if tensor.verdict != "agree"]

    @property
    def verdict(self) -> str:
        """One sentence. If the forwards differ it says no more: all gradients then differ with them."""
        forward = [t for t in self.wrong if t.truth is None and t.verdict in _OTHER]
        if forward and self.method:
            return f"The forwards differ, in {_names(forward)}. Look there first."
        if self.wrong:
            verdicts = dict.fromkeys(t.verdict for t in self.wrong)
            told = [f"{v}: {_names([t for t in self.wrong if t.verdict == v])}" for v in verdicts]
            return "; ".join(told) + "."
        seen = max((t.sensitivity for t in self.tensors), default=0.0)
        agree = f"agree in {len(self.tensors)} tensors; an error of {seen:.1e} would have shown"
        if kinks := sum(t.kinks for t in self.tensors):
            entries = sum(t.wanted.size for t in self.tensors)
            agree += f"; {kinks:,} of {entries:,} entries sit on kinks and are not judged"
        return f"The two sides {agree}."

    def details(self, count: int = 3) -> str:
        """The first wrong entries of each wrong tensor: index, values, truth, and NumPy's ratio to it."""
        lines = []
        for t in self.wrong:
            if t.verdict == "shapes differ":
                lines.append(f"{t.name}: NumPy's has shape {t.numpy.shape}, PyTorch's {t.torch.shape}")
            for index, ours, theirs, exact in t.worst(count):
                wanted = theirs if np.isnan(exact) else exact
                ratio = f"   ratio {ours / wanted:.6g}" if wanted else ""
                known = "" if np.isnan(exact) else f"   truth {exact:.9g}"
                at = ", ".join(map(str, index))
                lines.append(f"{t.name}[{at}]   NumPy {ours:.9g}   PyTorch {theirs:.9g}{known}{ratio}")
        return "\n".join(lines)

    @property
    def table(self) -> str:
        """The frame in short, as Markdown, and what is to be said of it."""
        headings = {k: told for k, told in _HEADINGS.items() if k != "kinks" or self.frame["kinks"].any()}
        short = self.frame[[*headings]].rename(columns=headings)
        table = short.astype(object).where(short.notna(), None).to_markdown(index=False, floatfmt=".2g")
        notes: list[str] = []
        if faint := [t for t in self.tensors if t.is_faint]:
            told = "Hardly larger than roundings, and so judged relative to the largest of all"
            notes.append(f"{told}: {_names(faint)}.")
        if self.skipped:
            notes.append(f"Not compared, since NumPy's side has none: {', '.join(self.skipped)}.")
        return "\n".join([table, *(["", *notes] if notes else [])])

    def __str__(self) -> str:
        return "\n\n".join(part for part in (self.verdict, self.table, self.details()) if part)

    def _repr_html_(self) -> str:
        return self.frame.to_html(index=False, float_format="{:.2g}".format)


# What is said of an output of another function.
_OTHER = ("differ", "shapes differ")

_HEADINGS = {
    "tensor": "tensor",
    "shape": "shape",
    "scale": "largest",
    "numpy_torch": "NumPy − PyTorch",
    "numpy_truth": "NumPy − truth",
    "torch_truth": "PyTorch − truth",
    "sensitivity": "would see",
    "kinks": "not judged",
    "verdict": "verdict",
}


def _names(tensors: list[Tensor]) -> str:
    return ", ".join(t.name for t in tensors)


def compare(
    model: nn.Module,
    twin: torch.nn.Module,
    *inputs: Any,
    loss_fn: nn.Loss | None = None,
    twin_loss_fn: torch.nn.Module | None = None,
    target: np.ndarray | None = None,
    cotangent: Any = None,
    truth: bool = True,
) -> Comparison:
    """Run both sides forward and backward on the same inputs and compare all that comes out.

    Args:
        model: the NumPy side.
        twin: the PyTorch side, with the same names of parameters; mirror(model), or a model of one's own
            with equal weights.
        inputs: NumPy arrays, or tuples of them; the floating ones are differentiated by.
        loss_fn: a loss of scratch.nn; goes with twin_loss_fn and target. Without it, a random weighted sum
            of the outputs is differentiated.
        twin_loss_fn: the same loss of torch.nn.
        target: what both losses compare with.
        cotangent: the weights of that sum; see scratch.gradcheck.numeric.Objective.
        truth: whether to differentiate numerically as well, once for each entry: for networks of up to some
            hundred thousand parameters a matter of a second.

    Neither side is changed: gradients, buffers and random generators are afterwards as before. Both draw
    their dropout masks from torch's generator as it stands.

    Raises:
        ValueError: the two sides have other parameters, other shapes, or there is nan in the output; they
            return other numbers of arrays, or backward of gradients;
            loss_fn, twin_loss_fn and target are not given together.
        TypeError: an input is no NumPy array.
    """
    if len({loss_fn is None, twin_loss_fn is None, target is None}) > 1:
        raise ValueError("compare: loss_fn, twin_loss_fn and target go together, and one of them is missing")
    for i, (_, x) in enumerate(leaves(inputs)):
        if x is not None and not isinstance(x, np.ndarray):
            raise TypeError(f"compare: input {i} is {type(x).__name__}, wanted a NumPy array")
    check_same_start(model, twin, "compare")
    with torch_generator(advance=False):
        objective = Objective(model, *inputs, loss_fn=loss_fn, target=target, cotangent=cotangent)
    return compare_objective(objective, twin, twin_loss_fn, truth)


def compare_objective(
    objective: Objective,
    twin: torch.nn.Module,
    twin_loss_fn: torch.nn.Module | None,
    truth: bool = True,
    ties: bool = False,
    theirs: Tensors | None = None,
) -> Comparison:
    """compare, from an objective that knows model, inputs, loss and cotangent.

    With ``ties``, numbers of an input that are equal stay equal under noise: whose gradient theirs is, is not
    a matter of rounding. Given ``theirs``, some of the tensors as another framework or device computed them,
    those are judged, and the twin only tells how far rounding moves each entry.
    """
    outputs, gradients = objective.run()
    ours, exactly = outputs | gradients.named(), run_torch(twin, objective, twin_loss_fn)
    theirs = exactly if theirs is None else theirs
    counts = [sum(name.startswith("output") for name in side) for side in (ours, exactly)]
    if counts[0] != counts[1]:
        raise ValueError(f"compare: NumPy's forward returns {counts[0]} arrays, PyTorch's {counts[1]}")
    found: Truth | None = _truth(objective) if truth else None
    exact = found.gradients if found else {}
    rng = np.random.default_rng(0)
    spread = spreads(exactly, (run_torch(twin, objective, twin_loss_fn, rng, ties) for _ in range(8)))
    with suppress(Exception):  # code that cannot take a subclass of ndarray, or no other dtype
        for name, off in numpy_spreads(objective).items():
            if name in spread and off.shape == spread[name].shape:
                spread[name] = np.maximum(spread[name], off)
    standard = largest(
        *(exact.get(name, theirs.get(name)) for name in gradients.named()),
        *(c for _, c in leaves(objective.cotangent)),
    )
    tensors: list[Tensor] = []
    for name in (name for name in theirs if name in ours):
        outputs_agree = not any(t.verdict in _OTHER for t in tensors if t.truth is None)
        doubt = found.errors[name] if found and name in exact else 0.0
        tensors.append(
            Tensor(
                name,
                _numbers(ours[name]),
                _numbers(theirs[name]),
                exact.get(name),
                spread[name],
                doubt,
                objective.dtype,
                standard if name in gradients.named() else max(1.0, largest(theirs[name])),
                outputs_agree,
            )
        )
    skipped = tuple(name for name in theirs if name not in ours)
    return Comparison(tuple(tensors), found.method if found else "", skipped)


_truth = truth


def check_same_start(model: nn.Module, twin: torch.nn.Module, asked: str) -> None:
    """Refuse, in the name of the function that was asked, two sides of other parameters or other weights.

    Raises:
        ValueError: a name, a shape or a value differs.
    """
    ours = {name: p.data for name, p in model.named_parameters()}
    theirs = {name: p.detach().numpy() for name, p in twin.named_parameters()}
    if [*ours] != [*theirs]:
        raise ValueError(f"{asked}: model has parameters {[*ours]}, twin has {[*theirs]}")
    ours |= {name: b for name, b in model.named_buffers()}
    buffers = {name: b.numpy() for name, b in twin.named_buffers()}
    theirs |= {name: b for name, b in buffers.items() if name in ours}
    for name, value in ours.items():
        if name in theirs and value.shape != theirs[name].shape:
            raise ValueError(f"{asked}: {name} is {value.shape} in model, {theirs[name].shape} in twin")
        if name in theirs and not np.array_equal(value, theirs[name], equal_nan=value.dtype.kind in "fc"):
            raise ValueError(f"{asked}: {name} differs between model and twin; start from the same weights")


def run_torch(
    twin: torch.nn.Module,
    objective: Objective,
    loss_fn: torch.nn.Module | None = None,
    rng: np.random.Generator | None = None,
    ties: bool = False,
) -> Tensors:
    """Outputs, buffers and gradients of a torch module, on the inputs, target and cotangent of an objective.

    Given ``rng``, inputs, cotangent and weights are off by an ulp: the spread of the results is what rounding
    may do to them, whoever computes them. With ``ties``, equal numbers of an input stay equal.
    """

    def shaken(array: np.ndarray, alike: bool = False) -> np.ndarray:
        return array if rng is None or array.dtype.kind != "f" else jitter(array, rng, alike)

    model = copy.deepcopy(twin)
    model.zero_grad()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.from_numpy(shaken(p.numpy())))
    flat = [x for _, x in leaves(objective.inputs)]
    tensors = [
        None if x is None else torch.tensor(np.array(shaken(x, ties)), requires_grad=x.dtype.kind == "f")
        for x in flat
    ]
    with torch.random.fork_rng(devices=[]):
        y = model(*unflatten_as(objective.inputs, iter(tensors)))
        results = [each for _, each in leaves(y)]
        outputs = named("output", [_array(each) for each in results])
        if [y.shape for y in outputs.values()] != [np.shape(y) for _, y in leaves(objective.y)]:
            return outputs  # no gradient of these can be compared with one of those
        if loss_fn is None:
            weights = [c for _, c in leaves(objective.cotangent)]
            pairs = [
                (r, c) for r, c in zip(results, weights, strict=True) if c is not None and r.requires_grad
            ]
            torch.autograd.backward([r for r, _ in pairs], [torch.from_numpy(shaken(c)) for _, c in pairs])
        else:
            loss = loss_fn(y, torch.from_numpy(objective.target))
            outputs["loss"] = _array(loss)
            loss.backward()
    buffers = {f"buffer {name}": _array(b) for name, b in model.named_buffers() if b.is_floating_point()}
    gradients = Gradients(
        tuple(_grad(x) if x is not None and x.requires_grad else None for x in tensors),
        {name: _grad(p) for name, p in model.named_parameters()},
    )
    return outputs | buffers | gradients.named()


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().numpy()


def _numbers(array: Any) -> np.ndarray:
    """Floating ones, to be subtracted: of a mask, 0 and 1."""
    array = np.asarray(array)
    return array if array.dtype.kind in "fc" else array.astype(np.float64)


def _grad(tensor: torch.Tensor) -> np.ndarray:
    return np.zeros(tensor.shape, np.float64) if tensor.grad is None else tensor.grad.numpy()
