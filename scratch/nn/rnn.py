r"""Recurrent layers (PyTorch, torch/nn/modules/rnn.py).

A cell makes the next state, of an input and the state before. A layer does so along a sequence:
$h_t = f(x_t, h_{t-1})$, t = 1 … T. Both share one piece of code, a cell being a layer on a sequence of one.

Backpropagation through time (Werbos 1990). The state $h_t$ reaches the loss in two ways: as the output $y_t$,
and as what step t + 1 begins with. So the sequence is walked from its end, and at each step

$$dh_t = dy_t + \left(\frac{\partial h_{t+1}}{\partial h_t}\right)^\top dh_{t+1},$$

beginning with the gradient of the last state. Input and state enter a cell by
$a_t = W_{ih} x_t + b_{ih} + W_{hh} h_{t-1} + b_{hh}$, with the same weights at every step. So their gradients
are sums over the steps:

$$dW_{ih} = \sum_t da_t\, x_t^\top, \qquad dW_{hh} = \sum_t da_t\, h_{t-1}^\top, \qquad
  db_{ih} = db_{hh} = \sum_t da_t, \qquad dx_t = W_{ih}^\top da_t.$$

Only $W_{hh} h_{t-1}$, and on the way back $W_{hh}^\top da_t$, have to wait for their neighbour: they are one
product for each step. All other products are one for all steps.

A cell with gates has several a, one for each, which the weights have in their rows one below the other. They
are computed as (gates, T, N, hidden_size), each gate contiguous, which took a sixth off an LSTM's step; and
multiplied as rows, (T·N, gates·hidden_size).

Sequences of different lengths in one batch (torch's PackedSequence) are out of scope.
"""

import math
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from scratch.nn import init
from scratch.nn.activation import sigmoid
from scratch.nn.dropout import dropout_mask
from scratch.nn.module import Module
from scratch.nn.parameter import Parameter

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNCell"]


State = tuple[np.ndarray, ...]


class _Recurrent(Module):
    """One layer in one direction, of which cells and layers are made.

    In here x is (T, N, …), T steps of N sequences, and a state is a tuple, (h,) or (h, c). ``suffix`` is what
    the names of the weights end with. The formula of a step is the subclass's.
    """

    _gates = 1
    _parts: tuple[str, ...] = ("h",)  # of a state
    _runs = 1  # layers times directions

    input_size: int
    hidden_size: int
    bias: bool
    proj_size = 0

    def _unroll(self, a: np.ndarray, start: State, suffix: str) -> tuple[State, Any]:
        """The states, T + 1 of each part, and what _unroll_back needs.

        ``a`` is W_ih x plus _input_bias at all steps, gate by gate, and may be overwritten.
        """
        raise NotImplementedError

    def _unroll_back(
        self, dy: np.ndarray, dend: State, states: State, kept: Any, suffix: str
    ) -> tuple[np.ndarray, np.ndarray, State]:
        """The gradients of W_ih x + b_ih and of W_hh h + b_hh, as rows, and of the first state."""
        raise NotImplementedError

    def _input_bias(self, suffix: str) -> np.ndarray:
        return self._blocks("bias_ih", suffix) + self._blocks("bias_hh", suffix)

    def _run(self, x: np.ndarray, start: State, suffix: str) -> tuple[State, Any]:
        """The states, T + 1 of each part, and what _run_back needs."""
        a = np.matmul(_rows(x), self._blocks("weight_ih", suffix).swapaxes(1, 2))
        if self.bias:
            a += self._input_bias(suffix)
        states, kept = self._unroll(a.reshape(len(a), *x.shape[:2], self.hidden_size), start, suffix)
        return states, (x, states, kept)

    def _run_back(
        self, dy: np.ndarray, dend: State, run: Any, suffix: str, needs_input_grad: bool
    ) -> tuple[Any, State]:
        """dx, and the gradient of the first state."""
        x, states, kept = run
        da_ih, da_hh, dstart = self._unroll_back(dy, dend, states, kept, suffix)
        self._weight("weight_ih", suffix).accumulate(np.dot, da_ih.T, _rows(x))
        self._weight("weight_hh", suffix).accumulate(np.dot, da_hh.T, _rows(states[0][:-1]))
        if self.bias:
            db_ih = np.add.reduce(da_ih)
            self._weight("bias_ih", suffix).accumulate(np.positive, db_ih)
            db_hh = db_ih if da_hh is da_ih else np.add.reduce(da_hh)
            self._weight("bias_hh", suffix).accumulate(np.positive, db_hh)
        if not needs_input_grad:
            return None, dstart
        return np.dot(da_ih, self._weight("weight_ih", suffix).data).reshape(x.shape), dstart

    # ---- parameters

    def _add_parameters(self, input_size: int, suffix: str, dtype: Any) -> None:
        rows, h_size = self._gates * self.hidden_size, self.proj_size or self.hidden_size
        shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, input_size), "weight_hh": (rows, h_size)}
        if self.bias:
            shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
        if self.proj_size:
            shapes["weight_hr"] = (self.proj_size, self.hidden_size)
        for name, shape in shapes.items():
            setattr(self, name + suffix, Parameter(np.empty(shape, dtype)))

    def _weight(self, name: str, suffix: str) -> Parameter:
        return getattr(self, name + suffix)

    def _blocks(self, name: str, suffix: str) -> np.ndarray:
        """A weight (gates, hidden_size, columns) or a bias (gates, 1, hidden_size)."""
        data = self._weight(name, suffix).data
        return data.reshape(self._gates, *((1, -1) if data.ndim == 1 else (-1, data.shape[1])))

    def reset_parameters(self) -> None:
        """Draw all parameters anew from U(-k, k), k = 1/sqrt(hidden_size), in their order."""
        k = 1 / math.sqrt(self.hidden_size)
        for p in self.parameters():
            init.uniform_(p, -k, k)

    # ---- what the user passes

    def _check_sizes(self, **sizes: Any) -> None:
        for name, size in sizes.items():
            if not isinstance(size, int) or isinstance(size, bool):
                raise TypeError(f"{type(self).__name__}: {name} is {size!r}, wanted an integer")
            if size < 1:
                raise ValueError(f"{type(self).__name__}: {name} is {size}, wanted 1 or more")

    def _check_flags(self, **flags: Any) -> None:
        for name, flag in flags.items():
            if not isinstance(flag, bool):
                raise TypeError(f"{type(self).__name__}: {name} is {flag!r}, wanted True or False")

    def _check_input(self, x: np.ndarray, *axes: str) -> None:
        if x.ndim not in {names.count(",") + 1 for names in axes} or x.shape[-1] != self.input_size:
            wanted = " or ".join(f"({names}{self.input_size})" for names in axes)
            raise ValueError(f"{self}: x has shape {x.shape}, wanted {wanted}")
        dtype = next(self.parameters()).dtype
        if x.dtype != dtype:
            raise TypeError(f"{self}: x is {x.dtype}, the weights {dtype}; convert one of them")

    def _start(self, hx: Any, lead: tuple[int, ...], x: np.ndarray) -> State:
        """The first state of every run, (runs, N, …), of zeros where none is given.

        ``lead`` are the axes of a state, as the user has it, but for the last.
        """
        start = []
        for part, state, shape in self._state("hx", hx, lead):
            if state is not None and (state.shape, state.dtype) != (shape, x.dtype):
                given = f"{state.dtype} {state.shape}"
                raise ValueError(f"{self}: {part}_0 is {given}, wanted {x.dtype} {shape}")
            start.append(np.zeros_like(x, shape=shape) if state is None else state)
        return tuple(state.reshape(self._runs, -1, state.shape[-1]) for state in start)

    def _end_grad(self, dhx: Any, lead: tuple[int, ...], x: np.ndarray) -> State:
        """The gradient of every run's last state, (runs, N, …), of zeros where none is given."""
        parts = (self._grad(d, shape, x, part) for part, d, shape in self._state("dhx", dhx, lead))
        return tuple(d.reshape(self._runs, -1, d.shape[-1]) for d in parts)

    def _grad(self, d: np.ndarray | None, shape: tuple[int, ...], x: np.ndarray, name: str) -> np.ndarray:
        if d is None:
            return np.zeros_like(x, shape=shape)
        self.check_grad(d, shape, x.dtype, name)
        return d

    def _state(
        self, name: str, value: Any, lead: tuple[int, ...]
    ) -> Iterator[tuple[str, Any, tuple[int, ...]]]:
        """Each part of a state, or of the gradient of one: its name, what the user passed, its shape."""
        sizes = {"h": self.proj_size or self.hidden_size, "c": self.hidden_size}
        count = len(self._parts)
        parts = value if count > 1 and value is not None else (value,) * count
        wanted = "an array" if count == 1 else "a tuple of two arrays, (h, c)"
        if not isinstance(parts, tuple | list) or len(parts) != count:
            raise TypeError(f"{self}: {name} is {type(value).__name__}, wanted {wanted}")
        for part, array in zip(self._parts, parts, strict=True):
            if array is not None and not isinstance(array, np.ndarray):
                raise TypeError(f"{self}: {name} holds {type(array).__name__}, wanted {wanted}")
            yield part, array, (*lead, sizes[part])


def _rows(x: np.ndarray) -> np.ndarray:
    """All but the first two axes, and the first two, as one axis each."""
    return x.reshape(x.shape[0] * x.shape[1], math.prod(x.shape[2:]))


def _stacked(gates: np.ndarray) -> np.ndarray:
    """(gates, T, N, hidden_size) as (T·N, gates·hidden_size)."""
    return _rows(np.moveaxis(gates, 0, 2))


def _each(state: State, k: int) -> State:
    return tuple(part[k] for part in state)


def _given(state: Any, lead: tuple[int, ...]) -> Any:
    """A state as the user has it: with these axes but for the last, and bare if h is all there is."""
    parts = tuple(part.reshape(*lead, part.shape[-1]) for part in state)
    return parts if len(parts) > 1 else parts[0]


class _Cell(_Recurrent):
    """One step."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool, dtype: Any) -> None:
        self._check_sizes(input_size=input_size, hidden_size=hidden_size)
        self._check_flags(bias=bias)
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        self._add_parameters(input_size, "", dtype)
        if not bias:
            self.bias_ih = self.bias_hh = None
        self.reset_parameters()

    def forward(self, x: np.ndarray, hx: Any = None) -> Any:
        """The next state."""
        self._check_input(x, "N, ", "")
        lead = x.shape[:-1]
        start = self._start(hx, lead, x)
        states, run = self._run(x.reshape(1, *start[0].shape[1:2], x.shape[-1]), _each(start, 0), "")
        self.save(run, lead, hx is not None)
        return _given(_each(states, -1), lead)

    def _backward(self, dhx: Any, needs_input_grad: bool) -> Any:
        run, lead, stateful = self.saved()
        x = run[0]
        dend = self._end_grad(dhx, lead, x)
        dx, dstart = self._run_back(np.zeros_like(dend[0]), _each(dend, 0), run, "", needs_input_grad)
        if needs_input_grad:
            dx = dx.reshape(*lead, x.shape[-1])
        return (dx, _given(dstart, lead)) if stateful else dx

    def extra_repr(self) -> str:
        """input_size, hidden_size; bias if there is none."""
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class _Layers(_Recurrent):
    """Layers one above the other, in one direction or in both."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        bias: bool,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
        dtype: Any,
        proj_size: int = 0,
    ) -> None:
        name = type(self).__name__
        self._check_sizes(input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        self._check_flags(bias=bias, batch_first=batch_first, bidirectional=bidirectional)
        if isinstance(dropout, bool) or not 0 <= dropout <= 1:
            raise ValueError(f"{name}: dropout is {dropout}, wanted a probability from 0 to 1")
        if dropout > 0 and num_layers == 1:
            message = f"{name}: dropout={dropout} does nothing, it stands between layers, but num_layers is 1"
            warnings.warn(message, stacklevel=4)
        if not 0 <= proj_size < hidden_size:
            raise ValueError(f"{name}: proj_size is {proj_size}, wanted 0 to {hidden_size - 1}")
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout = bias, batch_first, float(dropout)
        self.bidirectional, self.proj_size = bidirectional, proj_size
        self._runs = num_layers * (1 + bidirectional)
        for layer in range(num_layers):
            below = (proj_size or hidden_size) * (1 + bidirectional) if layer else input_size
            for suffix, _ in self._directions(layer):
                self._add_parameters(below, suffix, dtype)
        self.reset_parameters()

    def _directions(self, layer: int) -> list[tuple[str, slice]]:
        """Of each direction, what the names of its weights end with and the order of its steps."""
        both = [(f"_l{layer}", slice(None)), (f"_l{layer}_reverse", slice(None, None, -1))]
        return both[: 1 + self.bidirectional]

    def forward(self, x: np.ndarray, hx: Any = None) -> Any:
        """(y, h_n) or (y, (h_n, c_n))."""
        self._check_input(x, "N, T, " if self.batch_first else "T, N, ", "T, ")
        batched = x.ndim == 3
        x = self._time_first(x)
        if len(x) == 0:
            raise ValueError(f"{self}: x has no steps, wanted one or more")
        lead = (self._runs, x.shape[1]) if batched else (self._runs,)
        start = self._start(hx, lead, x)
        runs: list[Any] = []
        ends: list[State] = []
        masks: list[Any] = []
        for layer in range(self.num_layers):
            masks.append(None)
            if layer and self.training and self.dropout:
                masks[layer] = dropout_mask(x, self.dropout)
                x = x * masks[layer]
            outputs = []
            for suffix, order in self._directions(layer):
                states, run = self._run(x[order], _each(start, len(runs)), suffix)
                outputs.append(states[0][1:][order])
                ends.append(_each(states, -1))
                runs.append(run)
            x = np.concatenate(outputs, axis=-1) if self.bidirectional else outputs[0]
        y = self._as_given(x, batched)
        self.save(runs, masks, lead, y.shape, hx is not None)
        return y, _given([np.stack(part) for part in zip(*ends, strict=True)], lead)

    def backward(  # type: ignore[override]
        self, dy: Any, dhx: Any = None, needs_input_grad: bool = True
    ) -> Any:
        """dx, or (dx, dh_0), or (dx, (dh_0, dc_0)), from dy and dh_n or (dh_n, dc_n)."""
        runs, masks, lead, y_shape, stateful = self.saved()
        x = runs[0][0]
        dend = self._end_grad(dhx, lead, x)
        dy = self._time_first(self._grad(dy, y_shape, x, "y"))
        dstarts: list[Any] = [None] * len(runs)
        for layer in reversed(range(self.num_layers)):
            needed = layer > 0 or needs_input_grad
            directions = self._directions(layer)
            dys = np.split(dy, len(directions), axis=-1)
            dxs: list[Any] = []
            for i, (suffix, order) in enumerate(directions):
                k = layer * len(directions) + i
                dx, dstarts[k] = self._run_back(dys[i][order], _each(dend, k), runs[k], suffix, needed)
                dxs.append(dx[order] if needed else None)
            dy = dxs[0] + dxs[1] if needed and len(dxs) == 2 else dxs[0]
            if masks[layer] is not None:
                dy = dy * masks[layer]
        dx = self._as_given(dy, len(lead) == 2) if needs_input_grad else None
        if not stateful:
            return dx
        return dx, _given([np.stack(part) for part in zip(*dstarts, strict=True)], lead)

    def _time_first(self, x: np.ndarray) -> np.ndarray:
        if x.ndim == 2:
            return x[:, None]
        return x.swapaxes(0, 1) if self.batch_first else x

    def _as_given(self, y: np.ndarray, batched: bool) -> np.ndarray:
        if not batched:
            return y[:, 0]
        return y.swapaxes(0, 1) if self.batch_first else y

    def extra_repr(self) -> str:
        """input_size, hidden_size, and what is not at its default."""
        defaults = {
            "proj_size": 0,
            "num_layers": 1,
            "bias": True,
            "batch_first": False,
            "dropout": 0,
            "bidirectional": False,
        }
        told = [
            f"{name}={getattr(self, name)}"
            for name, value in defaults.items()
            if getattr(self, name) != value
        ]
        return ", ".join([str(self.input_size), str(self.hidden_size), *told])


# ---- the formulas


class _Elman(_Recurrent):
    """The steps of RNN, derived in RNNCell."""

    nonlinearity: str

    def _set_nonlinearity(self, nonlinearity: str) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(
                f"{type(self).__name__}: nonlinearity is {nonlinearity!r}, wanted 'tanh' or 'relu'"
            )
        self.nonlinearity = nonlinearity

    def _unroll(self, a: np.ndarray, start: State, suffix: str) -> tuple[State, Any]:
        f = np.tanh if self.nonlinearity == "tanh" else _relu
        a, hs = a[0], _all_states(start[0], a)
        W = self._weight("weight_hh", suffix).data.T.copy()
        for t in range(len(a)):
            hs[t + 1] = f(a[t] + np.dot(hs[t], W))
        return (hs,), None

    def _unroll_back(
        self, dy: np.ndarray, dend: State, states: State, kept: Any, suffix: str
    ) -> tuple[np.ndarray, np.ndarray, State]:
        (dh,), h = dend, states[0][1:]
        W = self._weight("weight_hh", suffix).data
        slope = 1 - h * h if self.nonlinearity == "tanh" else h.real > 0
        da = np.empty_like(h)
        for t in reversed(range(len(da))):
            da[t] = (dy[t] + dh) * slope[t]
            dh = np.dot(da[t], W)
        da = _rows(da)
        return da, da, (dh,)


def _relu(a: np.ndarray) -> np.ndarray:
    return np.where(a.real <= 0, 0, a)


def _all_states(first: np.ndarray, a: np.ndarray) -> np.ndarray:
    """Room for the states at t = 0 … T, the first of which is known."""
    states = np.empty_like(a, shape=(a.shape[1] + 1, *first.shape))
    states[0] = first
    return states


class RNNCell(_Elman, _Cell):
    r"""$h' = f(a)$ with $a = W_{ih} x + b_{ih} + W_{hh} h + b_{hh}$ and $f$ tanh or relu.

    Derivation: with $f' = 1 - h'^2$ for tanh, and 1 or 0 as $h' > 0$ or not for relu,

    $$da = f'\, dh', \qquad dx = W_{ih}^\top da, \qquad dh = W_{hh}^\top da, \qquad
      dW_{ih} = da\, x^\top, \qquad dW_{hh} = da\, h^\top, \qquad db_{ih} = db_{hh} = da,$$

    the last three summed over the batch.

    Source: Elman 1990.

    Args:
        input_size: size of the last axis of x.
        hidden_size: size of the last axis of h.
        bias: whether there are b_ih and b_hh.
        nonlinearity: "tanh" or "relu".
        dtype: of the parameters, and so of what it computes in.

    Shape: forward(x) or forward(x, h) -> h'; backward(dh') -> dx, or (dx, dh) if h was given. Without it, it
    is 0. x (N, input_size), h and h' (N, hidden_size), or all without N. weight_ih (hidden_size, input_size),
    weight_hh (hidden_size, hidden_size), bias_ih and bias_hh (hidden_size,), all from U(-k, k),
    k = 1/sqrt(hidden_size).

    Raises:
        ValueError: a shape, a size or the nonlinearity is not one of these.
        TypeError: x or h has another dtype than the weights, or is no array.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        dtype: Any = np.float32,
    ) -> None:
        self._set_nonlinearity(nonlinearity)
        super().__init__(input_size, hidden_size, bias, dtype)

    def backward(self, dh: Any, needs_input_grad: bool = True) -> Any:
        """da = f' dh'; dx = W_ihᵀ da, dh = W_hhᵀ da."""
        return self._backward(dh, needs_input_grad)

    def extra_repr(self) -> str:
        """input_size, hidden_size; bias and nonlinearity if not the default."""
        told = "" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}"
        return super().extra_repr() + told


class RNN(_Elman, _Layers):
    r"""RNNCell along a sequence, in layers, in one direction or two.

    The derivation of a step is in RNNCell, that of a sequence at the head of this file. $y_t = h_t$ is what
    the next layer reads, or with dropout $m_t h_t$, m being Dropout's mask. A second direction has weights of
    its own and walks the sequence from its end; $y_t$ is then both h, side by side. So each direction gets
    its half of $dy_t$, and $dx_t$ is the sum of what the two give.

    Args:
        input_size: size of the last axis of x.
        hidden_size: size of the last axis of h.
        num_layers: how many layers, each reading the one below.
        nonlinearity: "tanh" or "relu".
        bias: whether there are b_ih and b_hh.
        batch_first: whether the first axis of x and y is N, and not T.
        dropout: probability of an element between two layers to be zeroed, in training.
        bidirectional: whether there is a second direction.
        dtype: of the parameters, and so of what it computes in.

    Shape, with L = num_layers, D = 1 or, if bidirectional, 2, and H = hidden_size:
    forward(x) or forward(x, h_0) -> (y, h_n); backward(dy, dh_n) -> dx, or (dx, dh_0) if h_0 was given.
    Without it, it is 0; so is dy or dh_n if it is None.
    x (T, N, input_size), y (T, N, D·H), h_0 and h_n (L·D, N, H), the states of layer l from row l·D on; or
    all without N. The weights are those of RNNCell, their names ending with _l0, _l1, … and for the second
    direction with _l0_reverse, …

    Raises:
        ValueError: a shape, a size or the nonlinearity is not one of these; T is 0.
        TypeError: x or h_0 has another dtype than the weights, or is no array.

    Warns:
        UserWarning: there is a dropout, and only one layer.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        dtype: Any = np.float32,
    ) -> None:
        self._set_nonlinearity(nonlinearity)
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype
        )


class _LongShortTerm(_Recurrent):
    """The steps of LSTM, derived in LSTMCell."""

    _gates = 4
    _parts = ("h", "c")

    def _unroll(self, a: np.ndarray, start: State, suffix: str) -> tuple[State, Any]:
        hs, cs = (_all_states(first, a) for first in start)
        W = self._blocks("weight_hh", suffix).swapaxes(1, 2).copy()
        i, f, g, o = a
        tanh_c = np.empty_like(g)
        for t in range(len(g)):
            a[:, t] += np.matmul(hs[t], W)
            a[:2, t] = sigmoid(a[:2, t])
            np.tanh(g[t], out=g[t])
            o[t] = sigmoid(o[t])
            np.add(f[t] * cs[t], i[t] * g[t], out=cs[t + 1])
            np.tanh(cs[t + 1], out=tanh_c[t])
            h = o[t] * tanh_c[t]
            hs[t + 1] = np.dot(h, self._weight("weight_hr", suffix).data.T) if self.proj_size else h
        return (hs, cs), (a, tanh_c)

    def _unroll_back(
        self, dy: np.ndarray, dend: State, states: State, kept: Any, suffix: str
    ) -> tuple[np.ndarray, np.ndarray, State]:
        (dh, dc), c, (a, tanh_c) = dend, states[1][:-1], kept
        W = self._blocks("weight_hh", suffix)
        i, f, g, o = a
        # First, at all steps at once, what stands beside dc (i, f, g) or dh (o) in da; then da, step by step.
        da = 1 - a
        da *= a
        da[0] *= g
        da[1] *= c
        da[2] = i * (1 - g * g)
        da[3] *= tanh_c
        c_slope = o * (1 - tanh_c * tanh_c)
        dhs = np.empty_like(dy) if self.proj_size else None
        for t in reversed(range(len(dy))):
            dh = dh + dy[t]
            if dhs is not None:
                dhs[t] = dh
                dh = np.dot(dh, self._weight("weight_hr", suffix).data)
            dc = dc + dh * c_slope[t]
            da[:3, t] *= dc
            da[3, t] *= dh
            dc = dc * f[t]
            dh = np.add.reduce(np.matmul(da[:, t], W))
        if dhs is not None:
            self._weight("weight_hr", suffix).accumulate(np.dot, _rows(dhs).T, _rows(o * tanh_c))
        da = _stacked(da)
        return da, da, (dh, dc)


class LSTMCell(_LongShortTerm, _Cell):
    r"""A cell that keeps a memory c beside h, and gates that say what goes in, stays, and comes out.

    With $a = W_{ih} x + b_{ih} + W_{hh} h + b_{hh}$, in which i, f, g and o follow each other,

    $$i = \sigma(a_i), \quad f = \sigma(a_f), \quad g = \tanh a_g, \quad o = \sigma(a_o), \qquad
      c' = f c + i g, \qquad h' = o \tanh c'.$$

    Derivation: $c'$ reaches the loss by itself and by $h'$, so what arrives at it is

    $$dc = dc' + dh'\, o\, (1 - \tanh^2 c'),$$

    and from it, by $\sigma' = \sigma (1 - \sigma)$ and $\tanh' = 1 - \tanh^2$,

    $$da_i = dc\, g\, i (1 - i), \quad da_f = dc\, c\, f (1 - f), \quad da_g = dc\, i\, (1 - g^2), \quad
      da_o = dh' \tanh c'\, o (1 - o).$$

    The old memory gets $dc\, f$: along a sequence no more than the forget gates stands between a loss and a
    memory long before it, which is the point of the cell. All else is as at the head of this file:
    $dx = W_{ih}^\top da$, $dh = W_{hh}^\top da$, $dW_{ih} = da\, x^\top$, $dW_{hh} = da\, h^\top$,
    $db_{ih} = db_{hh} = da$.

    Source: Hochreiter and Schmidhuber 1997; the forget gate of Gers, Schmidhuber and Cummins 2000.

    Args:
        input_size: size of the last axis of x.
        hidden_size: size of the last axis of h and c.
        bias: whether there are b_ih and b_hh.
        dtype: of the parameters, and so of what it computes in.

    Shape: forward(x) or forward(x, (h, c)) -> (h', c'); backward(dh', dc') -> dx, or (dx, (dh, dc)) if a
    state was given. Without one, it is 0, and so is a gradient that is None.
    x (N, input_size), h, c, h' and c' (N, hidden_size), or all without N.
    weight_ih (4·hidden_size, input_size), weight_hh (4·hidden_size, hidden_size), bias_ih and
    bias_hh (4·hidden_size,), all from U(-k, k), k = 1/sqrt(hidden_size).

    Raises:
        ValueError: a shape or a size is not one of these.
        TypeError: x has another dtype than the weights; the state is no tuple of two arrays.
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, dtype: Any = np.float32) -> None:
        super().__init__(input_size, hidden_size, bias, dtype)

    def backward(  # type: ignore[override]
        self, dh: Any, dc: Any = None, needs_input_grad: bool = True
    ) -> Any:
        """dc = dc' + dh' o (1 - tanh²c'); da as derived; dx = W_ihᵀ da, dh = W_hhᵀ da, dc f."""
        return self._backward((dh, dc), needs_input_grad)


class LSTM(_LongShortTerm, _Layers):
    r"""LSTMCell along a sequence, in layers, in one direction or two.

    The derivation of a step is in LSTMCell, that of a sequence at the head of this file, what layers and
    directions do is in RNN. With a proj_size the state is shorter than the memory (Sak, Senior and Beaufays
    2014):

    $$m = o \tanh c', \quad h' = W_{hr} m, \qquad \text{so} \qquad
      dm = W_{hr}^\top dh', \quad dW_{hr} = \sum_t dh'_t\, m_t^\top,$$

    and dm stands where the cell's derivation has dh'.

    Args:
        input_size: size of the last axis of x.
        hidden_size: size of the last axis of c, and of h if there is no proj_size.
        num_layers: how many layers, each reading the one below.
        bias: whether there are b_ih and b_hh.
        batch_first: whether the first axis of x and y is N, and not T.
        dropout: probability of an element between two layers to be zeroed, in training.
        bidirectional: whether there is a second direction.
        proj_size: size of the last axis of h, if not 0.
        dtype: of the parameters, and so of what it computes in.

    Shape, with L = num_layers, D = 1 or, if bidirectional, 2, H = hidden_size and P = proj_size or H:
    forward(x) or forward(x, (h_0, c_0)) -> (y, (h_n, c_n)); backward(dy, (dh_n, dc_n)) -> dx, or
    (dx, (dh_0, dc_0)) if a state was given. Without one, it is 0, and so is a gradient that is None.
    x (T, N, input_size), y (T, N, D·P), h_0 and h_n (L·D, N, P), c_0 and c_n (L·D, N, H), or all without N.
    The weights are those of LSTMCell, and weight_hr (P, H), their names ending as RNN's.

    Raises:
        ValueError: a shape or a size is not one of these; T is 0; proj_size is not below hidden_size.
        TypeError: x has another dtype than the weights; the state is no tuple of two arrays.

    Warns:
        UserWarning: there is a dropout, and only one layer.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        dtype: Any = np.float32,
    ) -> None:
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype, proj_size
        )


class _Gated(_Recurrent):
    """The steps of GRU, derived in GRUCell."""

    _gates = 3

    def _input_bias(self, suffix: str) -> np.ndarray:
        return self._blocks("bias_ih", suffix)

    def _unroll(self, a: np.ndarray, start: State, suffix: str) -> tuple[State, Any]:
        hs = _all_states(start[0], a)
        W = self._blocks("weight_hh", suffix).swapaxes(1, 2).copy()
        r, z, n = a
        u_n = np.empty_like(n)
        for t in range(len(n)):
            u = np.matmul(hs[t], W)
            if self.bias:
                u += self._blocks("bias_hh", suffix)
            u_n[t] = u[2]
            a[:2, t] = sigmoid(a[:2, t] + u[:2])
            n[t] = np.tanh(n[t] + r[t] * u[2])
            np.add(n[t], z[t] * (hs[t] - n[t]), out=hs[t + 1])
        return (hs,), (a, u_n)

    def _unroll_back(
        self, dy: np.ndarray, dend: State, states: State, kept: Any, suffix: str
    ) -> tuple[np.ndarray, np.ndarray, State]:
        (dh,), h = dend, states[0][:-1]
        a, u_n = kept
        r, z, n = a
        W = self._blocks("weight_hh", suffix)
        # First, at all steps at once, what stands beside dh in da and du; then these, step by step.
        da = np.empty_like(a)
        da[2] = (1 - z) * (1 - n * n)
        da[1] = (h - n) * z * (1 - z)
        da[0] = da[2] * u_n * r * (1 - r)
        du = da.copy()
        du[2] *= r
        dhs = np.empty_like(h)
        for t in reversed(range(len(dy))):
            dhs[t] = dh + dy[t]
            du[:, t] *= dhs[t]
            dh = dhs[t] * z[t] + np.add.reduce(np.matmul(du[:, t], W))
        da *= dhs
        return _stacked(da), _stacked(du), (dh,)


class GRUCell(_Gated, _Cell):
    r"""A cell that mixes the old state with a new one, as much of each as a gate says.

    With $a = W_{ih} x + b_{ih}$ and $u = W_{hh} h + b_{hh}$, in which r, z and n follow each other,

    $$r = \sigma(a_r + u_r), \quad z = \sigma(a_z + u_z), \quad n = \tanh(a_n + r\, u_n), \qquad
      h' = (1 - z)\, n + z\, h.$$

    The reset gate r stands behind the product $W_{hh} h$, as in torch and cuDNN. The paper (Cho et al. 2014)
    has it before, $W_{hh} (r h)$, which is another function.

    Derivation: of $h' = n + z (h - n)$, by $\sigma' = \sigma (1 - \sigma)$ and $\tanh' = 1 - \tanh^2$,

    $$da_n = dh' (1 - z)(1 - n^2), \qquad da_z = dh' (h - n)\, z (1 - z), \qquad
      da_r = da_n\, u_n\, r (1 - r),$$

    $$du_r = da_r, \qquad du_z = da_z, \qquad du_n = da_n\, r, \qquad dh = dh'\, z + W_{hh}^\top du,$$

    and $dx = W_{ih}^\top da$, $dW_{ih} = da\, x^\top$, $db_{ih} = da$, $dW_{hh} = du\, h^\top$,
    $db_{hh} = du$.

    Args:
        input_size: size of the last axis of x.
        hidden_size: size of the last axis of h.
        bias: whether there are b_ih and b_hh.
        dtype: of the parameters, and so of what it computes in.

    Shape: forward(x) or forward(x, h) -> h'; backward(dh') -> dx, or (dx, dh) if h was given. Without it, it
    is 0. x (N, input_size), h and h' (N, hidden_size), or all without N.
    weight_ih (3·hidden_size, input_size), weight_hh (3·hidden_size, hidden_size), bias_ih and
    bias_hh (3·hidden_size,), all from U(-k, k), k = 1/sqrt(hidden_size).

    Raises:
        ValueError: a shape or a size is not one of these.
        TypeError: x has another dtype than the weights, or h is no array.
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, dtype: Any = np.float32) -> None:
        super().__init__(input_size, hidden_size, bias, dtype)

    def backward(self, dh: Any, needs_input_grad: bool = True) -> Any:
        """da and du as derived; dx = W_ihᵀ da, dh = dh' z + W_hhᵀ du."""
        return self._backward(dh, needs_input_grad)


class GRU(_Gated, _Layers):
    """GRUCell along a sequence, in layers, in one direction or two.

    The derivation of a step is in GRUCell, that of a sequence at the head of this file, what layers and
    directions do is in RNN.

    Args:
        input_size: size of the last axis of x.
        hidden_size: size of the last axis of h.
        num_layers: how many layers, each reading the one below.
        bias: whether there are b_ih and b_hh.
        batch_first: whether the first axis of x and y is N, and not T.
        dropout: probability of an element between two layers to be zeroed, in training.
        bidirectional: whether there is a second direction.
        dtype: of the parameters, and so of what it computes in.

    Shape: as RNN; the weights are those of GRUCell, their names ending as RNN's.

    Raises:
        ValueError: a shape or a size is not one of these; T is 0.
        TypeError: x has another dtype than the weights, or h_0 is no array.

    Warns:
        UserWarning: there is a dropout, and only one layer.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        dtype: Any = np.float32,
    ) -> None:
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype
        )
