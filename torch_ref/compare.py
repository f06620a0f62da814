"""compare(model, twin, x): outputs and gradients of both sides, beside each other and beside the truth.

Three numbers for every tensor: NumPy's, PyTorch's, and one that is neither, the complex step through the
NumPy forward (scratch/numerical.py). Where the two frameworks differ, the third says which of them is wrong.
"""

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from scratch import nn
from scratch.gradcheck import judge
from scratch.numerical import Gradients, Objective, Step, differentiate, named
from scratch.structure import leaves, like
from torch_ref.mirror import torch_generator


@dataclass(frozen=True)
class Comparison:
    """What compare found; truthy if the two sides agree.

    ``frame`` has a row for each tensor:

    * tensor, shape
    * scale: the largest entry in absolute value
    * numpy_torch: the largest difference of the two sides; relative is that by the scale
    * numpy_truth, torch_truth: how far each is from the complex step (nan where that was not asked for)
    * tolerance: how far apart they may be, by rounding; sensitivity is that by the scale: the smallest
      relative error that would have been seen
    * verdict: "agree", "NumPy is wrong", "PyTorch is wrong", "both are wrong", "differ" (without a truth) or
      "too blind to say"
    """

    frame: pd.DataFrame

    @property
    def ok(self) -> bool:
        """Whether every tensor agrees."""
        return bool((self.frame["verdict"] == "agree").all())

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        return self.frame.to_markdown(index=False, floatfmt=".2g")

    def _repr_html_(self) -> str:
        return self.frame.to_html(index=False, float_format="{:.2g}".format)


def compare(
    model: nn.Module,
    twin: torch.nn.Module,
    *inputs: Any,
    loss_fn: nn.Loss | None = None,
    twin_loss_fn: torch.nn.Module | None = None,
    target: np.ndarray | None = None,
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
        truth: whether to differentiate numerically as well, once for each entry: for networks of up to some
            hundred thousand parameters a matter of a second.

    Neither side is changed: gradients, buffers and random generators are afterwards as before. Both draw
    their dropout masks from torch's generator as it stands.

    Raises:
        ValueError: the two sides have other parameters, other shapes, or there is nan in the output;
            loss_fn, twin_loss_fn and target are not given together.
        TypeError: an input is no NumPy array.
    """
    if len({loss_fn is None, twin_loss_fn is None, target is None}) > 1:
        raise ValueError("compare: loss_fn, twin_loss_fn and target go together, and one of them is missing")
    for i, (_, x) in enumerate(leaves(inputs)):
        if not isinstance(x, np.ndarray):
            raise TypeError(f"compare: input {i} is {type(x).__name__}, wanted a NumPy array")
    _check_names(model, twin)
    with torch_generator(advance=False):
        objective = Objective(model, *inputs, loss_fn=loss_fn, target=target)
        ours_out, ours = objective.run()
    theirs, theirs_out = _torch_side(twin, inputs, twin_loss_fn, target, objective.cotangent)
    unit = float(np.finfo(objective.dtype).eps)
    exact = None
    if truth:
        with torch_generator(advance=False):
            exact = differentiate(objective, Step("complex", None, objective.dtype))
    rows = _rows(_as_gradients(ours_out), _as_gradients(theirs_out), None, unit)
    return Comparison(pd.DataFrame(rows + _rows(ours, theirs, exact, unit)))


def _check_names(model: nn.Module, twin: torch.nn.Module) -> None:
    ours = {name: p.shape for name, p in model.named_parameters()}
    theirs = {name: tuple(p.shape) for name, p in twin.named_parameters()}
    if ours != theirs:
        raise ValueError(f"compare: model has parameters {ours}, twin has {theirs}")
    state = twin.state_dict()
    for name, value in model.state_dict().items():
        if not np.array_equal(value, state[name].numpy(), equal_nan=True):
            raise ValueError(f"compare: {name} differs between model and twin; start from the same weights")


def _torch_side(
    twin: torch.nn.Module,
    inputs: tuple[Any, ...],
    loss_fn: torch.nn.Module | None,
    target: np.ndarray | None,
    cotangent: Any,
) -> tuple[Gradients, dict[str, np.ndarray]]:
    model = copy.deepcopy(twin)
    model.zero_grad()
    tensors = [torch.tensor(x, requires_grad=x.dtype.kind == "f") for _, x in leaves(inputs)]
    with torch.random.fork_rng(devices=[]):
        y = model(*like(inputs, iter(tensors)))
        results = [each for _, each in leaves(y)]
        outputs = named("output", [each.detach().numpy() for each in results])
        if loss_fn is None:
            torch.autograd.backward(results, [torch.from_numpy(c) for _, c in leaves(cotangent)])
        else:
            loss = loss_fn(y, torch.from_numpy(target))
            outputs["loss"] = loss.detach().numpy()
            loss.backward()
    gradients = Gradients(
        tuple(_grad(x) if x.requires_grad else None for x in tensors),
        {name: _grad(p) for name, p in model.named_parameters()},
    )
    return gradients, outputs


def _grad(tensor: torch.Tensor) -> np.ndarray:
    return np.zeros(tensor.shape, np.float64) if tensor.grad is None else tensor.grad.numpy()


def _as_gradients(outputs: dict[str, np.ndarray]) -> Gradients:
    return Gradients((), outputs)


def _rows(ours: Gradients, theirs: Gradients, exact: Gradients | None, unit: float) -> list[dict[str, Any]]:
    against = [judge(ours, theirs, unit)]
    if exact is not None:
        against += [judge(ours, exact, unit), judge(theirs, exact, unit)]
    rows = []
    for pair, *truths in zip(*against, strict=True):
        rows.append(
            {
                "tensor": pair.name,
                "shape": "×".join(map(str, pair.shape)) or "scalar",
                "scale": pair.scale,
                "numpy_torch": pair.error,
                "relative": pair.error / pair.scale if pair.scale else 0.0 if pair.error == 0 else np.inf,
                "numpy_truth": truths[0].error if truths else np.nan,
                "torch_truth": truths[1].error if truths else np.nan,
                "tolerance": pair.tolerance,
                "sensitivity": pair.sensitivity,
                "verdict": _verdict(pair, truths),
            }
        )
    return rows


def _verdict(pair: Any, truths: list[Any]) -> str:
    if pair.ok and all(each.ok for each in truths):
        return "agree"
    wrong = [
        side
        for side, each in zip(("NumPy", "PyTorch"), truths, strict=False)
        if not each.error <= each.tolerance  # nan is wrong
    ]
    if wrong:
        return "both are wrong" if len(wrong) == 2 else f"{wrong[0]} is wrong"
    return "too blind to say" if pair.error <= pair.tolerance else "differ"
