"""The frameworks being timed: how each builds a training step of a network of networks.py.

``COLUMNS`` has them by name. Each trains the same network from the same seed, by SGD on the same batch, in
the form that its own documentation recommends. For JAX and HIPS autograd a network is one function of its
parameters (functions.py).
"""

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib.util import find_spec
from time import perf_counter
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch

from reports.runner.functions import Namespace, Parameters, lacking, loss_function
from reports.runner.networks import Network
from scratch import nn, optim, random
from scratch.gradcheck import Objective
from torch_ref.checker.compare import compare_objective
from torch_ref.checker.comparison import Comparison
from torch_ref.twin.memory import torch_generator

PHASES = ("forward", "backward", "update", "step")
TORCH_OPTIONS: dict[str, dict[str, Any]] = {
    "SGD": {},
    "SGD(foreach=True)": {"foreach": True},
    "SGD(fused=True)": {"fused": True},
}
_LR = 0.1
# The prefix that torch.compile gives to the names of a model's parameters.
_COMPILED = "_orig_mod."

Gradients = dict[str, np.ndarray]


class Trainable(Protocol):
    """A model with its data and its optimizer, ready to step."""

    def block(self, steps: int) -> dict[str, float]:
        """Train; seconds for each phase of one step, the mean of ``steps``. "step" is always there."""

    def gradients(self) -> Gradients:
        """The gradients by name of parameter, copied, at the weights as they stand; nothing is updated."""


@dataclass(frozen=True)
class Column:
    """A framework, or one of its settings, to be timed.

    Args:
        title: for people.
        build: from network, dtype and seed; what compiles has compiled when it returns. The global random
            generators are left as Network.build leaves them.
        why_not: the reason why it cannot be timed, or "".
    """

    title: str
    build: Callable[[Network, str, int], Trainable]
    why_not: Callable[[Network, str], str]


def compare_column(column: Column, network: Network, dtype: str, seed: int) -> Comparison:
    """The gradients of a column beside NumPy's, judged by what rounding does to NumPy's and to PyTorch's.

    The parameters only, no outputs and no numeric derivative: it is done before every timing.

    Raises:
        ValueError: the column has gradients of other parameters.
    """
    gradients = column.build(network, dtype, seed).gradients()
    model, twin = network.build(dtype, seed)
    names = [name for name, _ in model.named_parameters()]
    if {*names} != {*gradients}:
        raise ValueError(f"compare_column: {column.title} has gradients of {[*gradients]}, expected {names}")
    theirs = {name: gradients[name] for name in names}
    x, target = network.batch(dtype)
    with torch_generator(advance=False):
        objective = Objective(model, x, loss_fn=nn.CrossEntropyLoss(), target=target)
    return compare_objective(objective, twin, torch.nn.CrossEntropyLoss(), numeric=False, theirs=theirs)


@dataclass(frozen=True)
class Side:
    """One side's training, ready to step: ``backward`` gets the loss that forward gave."""

    model: Any
    loss_fn: Callable[[Any, Any], Any]
    optimizer: Any
    backward: Callable[[Any], Any]
    x: Any
    target: Any

    def block(self, steps: int) -> dict[str, float]:
        """Seconds for each phase of one step, the mean of ``steps``."""
        forward = backward = update = 0.0
        start = perf_counter()
        for _ in range(steps):
            self.optimizer.zero_grad()
            t0 = perf_counter()
            loss = self.loss_fn(self.model(self.x), self.target)
            t1 = perf_counter()
            self.backward(loss)
            t2 = perf_counter()
            self.optimizer.step()
            t3 = perf_counter()
            forward += t1 - t0
            backward += t2 - t1
            update += t3 - t2
        step = perf_counter() - start
        return {phase: s / steps for phase, s in zip(PHASES, (forward, backward, update, step), strict=True)}

    def gradients(self) -> Gradients:
        """The gradients by name of parameter, copied, of the batch at the weights as they stand."""
        self.optimizer.zero_grad()
        self.backward(self.loss_fn(self.model(self.x), self.target))
        named = self.model.named_parameters()
        return {name.removeprefix(_COMPILED): np.asarray(p.grad).copy() for name, p in named}


def numpy_side(network: Network, dtype: str, seed: int) -> Side:
    """A NumPy model of its own, with SGD."""
    model, _ = network.build(dtype, seed)
    loss_fn = nn.CrossEntropyLoss()
    return Side(
        model,
        loss_fn,
        optim.SGD(model.parameters(), lr=_LR),
        lambda loss: model.backward_parameters(loss_fn.backward()),
        *network.batch(dtype),
    )


def torch_side(network: Network, dtype: str, seed: int, options: dict[str, Any]) -> Side:
    """A PyTorch model of its own, with SGD so set."""
    _, model = network.build(dtype, seed)
    return Side(
        model,
        torch.nn.CrossEntropyLoss(),
        torch.optim.SGD(model.parameters(), lr=_LR, **options),
        lambda loss: loss.backward(),
        *map(torch.from_numpy, network.batch(dtype)),
    )


def _compiled_side(network: Network, dtype: str, seed: int) -> Side:
    """torch_side with fused SGD and its model compiled, forward and backward."""
    side = torch_side(network, dtype, seed, TORCH_OPTIONS["SGD(fused=True)"])
    # Not model.compile(), which leaves torch's own Sequential as it is.
    compiled = replace(side, model=torch.compile(side.model))
    compiled.gradients()
    return compiled


def _no_compiler(network: Network, dtype: str) -> str:
    modules = _numpy_model(network, dtype).named_modules()
    if any(isinstance(module, nn.Dropout) and module.p for _, module in modules):
        return "torch.compile draws other dropout masks, so its gradients cannot be compared"
    return _compile_error()


@cache
def _compile_error() -> str:
    """Why torch.compile does not work here, or ""."""
    compiler = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
    if shutil.which(compiler) is None:
        return f"torch.compile needs a C++ compiler, and {compiler} is not there"
    try:
        torch.compile(torch.square)(torch.ones(2))
    except Exception as error:  # of many classes: no Python.h, a Python that is too new, a full disk
        lines = str(error).strip().splitlines() or [type(error).__name__]
        return f"torch.compile does not work here: {lines[0]}"
    return ""


class _Start(NamedTuple):
    """The start of both frameworks without layers: the parameters by name, and labels that are one-hot."""

    model: nn.Module
    parameters: dict[str, np.ndarray]
    x: np.ndarray
    target: np.ndarray


def _start(network: Network, dtype: str, seed: int) -> _Start:
    model, _ = network.build(dtype, seed)
    x, target = network.batch(dtype)
    classes = model(x[:1]).shape[1]
    parameters = {name: p.data.copy() for name, p in model.named_parameters()}
    return _Start(model, parameters, x, np.eye(classes, dtype=dtype)[target])


class _Jax:
    """One step under jit, the old parameters donated to the new ones; float64 within this side only."""

    def __init__(self, network: Network, dtype: str, seed: int) -> None:
        self._jax = jax = _start_jax()
        self._double = dtype == "float64"
        start = _start(network, dtype, seed)
        value_and_grad = jax.value_and_grad(
            loss_function(start.model, Namespace(jax.numpy, jax.scipy.special.logsumexp))
        )

        def step(parameters: Parameters, x: Any, target: Any) -> tuple[Parameters, Any]:
            loss, gradients = value_and_grad(parameters, x, target)
            return jax.tree.map(lambda p, g: p - _LR * g, parameters, gradients), loss

        self._value_and_grad = jax.jit(value_and_grad)
        self._step = jax.jit(step, donate_argnums=0)
        with jax.enable_x64(self._double):
            self.parameters, self._x, self._target = jax.device_put(start[1:], jax.devices("cpu")[0])
            jax.block_until_ready(
                self._step(jax.tree.map(jax.numpy.copy, self.parameters), self._x, self._target)
            )

    def block(self, steps: int) -> dict[str, float]:
        """Seconds of one step, the mean of ``steps``; the last one is waited for."""
        with self._jax.enable_x64(self._double):
            start = perf_counter()
            for _ in range(steps):
                self.parameters, _ = self._step(self.parameters, self._x, self._target)
            self._jax.block_until_ready(self.parameters)
            return {"step": (perf_counter() - start) / steps}

    def gradients(self) -> Gradients:
        """The gradients by name of parameter, copied, of the batch at the weights as they stand."""
        with self._jax.enable_x64(self._double):
            _, gradients = self._value_and_grad(self.parameters, self._x, self._target)
        return {name: np.array(gradient) for name, gradient in gradients.items()}


@cache
def _start_jax() -> Any:
    """JAX with as many threads as PyTorch has now: its CPU backend asks NPROC, once, when it starts."""
    import jax

    before = os.environ.get("NPROC")
    os.environ["NPROC"] = str(torch.get_num_threads())
    try:
        jax.devices("cpu")
    finally:
        del os.environ["NPROC"]
        os.environ |= {} if before is None else {"NPROC": before}
    return jax


class _Autograd:
    """HIPS autograd: a tape of NumPy's calls, written anew every step, and an update in NumPy."""

    def __init__(self, network: Network, dtype: str, seed: int) -> None:
        import autograd
        import autograd.numpy
        import autograd.scipy.special

        model, self.parameters, self._x, self._target = _start(network, dtype, seed)
        xp = Namespace(autograd.numpy, autograd.scipy.special.logsumexp)
        self._value_and_grad = autograd.value_and_grad(loss_function(model, xp))

    def block(self, steps: int) -> dict[str, float]:
        """Seconds of one step, the mean of ``steps``."""
        start = perf_counter()
        for _ in range(steps):
            _, gradients = self._value_and_grad(self.parameters, self._x, self._target)
            for name, gradient in gradients.items():
                self.parameters[name] -= _LR * gradient
        return {"step": (perf_counter() - start) / steps}

    def gradients(self) -> Gradients:
        """The gradients by name of parameter, copied, of the batch at the weights as they stand."""
        _, gradients = self._value_and_grad(self.parameters, self._x, self._target)
        return {name: np.array(gradient) for name, gradient in gradients.items()}


def _always(network: Network, dtype: str) -> str:
    return ""


def _no_function(package: str, title: str, network: Network, dtype: str) -> str:
    if find_spec(package) is None:
        return f"{package} is not installed"
    if kind := lacking(_numpy_model(network, dtype)):
        return f"this network has a {kind}, which the {title} side does not have"
    return ""


def _numpy_model(network: Network, dtype: str) -> nn.Module:
    """A model to look at: the random generator stays as it is."""
    state = random.get_rng_state()
    try:
        return network.ours(dtype=np.dtype(dtype))
    finally:
        random.set_rng_state(state)


COLUMNS: dict[str, Column] = {
    "numpy": Column("NumPy", numpy_side, _always),
    "torch-default": Column("PyTorch, default", partial(torch_side, options={}), _always),
    "torch-foreach": Column("PyTorch, foreach", partial(torch_side, options={"foreach": True}), _always),
    "torch-fused": Column("PyTorch, fused", partial(torch_side, options={"fused": True}), _always),
    "torch-compile": Column("PyTorch, compiled", _compiled_side, _no_compiler),
    "jax": Column("JAX, jit", _Jax, partial(_no_function, "jax", "JAX")),
    "autograd": Column("HIPS autograd", _Autograd, partial(_no_function, "autograd", "autograd")),
}
