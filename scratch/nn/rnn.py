"""Recurrent layers (PyTorch, torch/nn/modules/rnn.py).

A cell makes the next state of an input and the state before, a layer does so along a sequence. The formulas
are derived in scratch/functional/rnn.py. A cell runs that of one step. A layer runs that of the loop along
time, once for each of its layers and directions, in the tuned version of rnn_fast.py.

Sequences of different lengths in one batch (torch's PackedSequence) are out of scope.
"""

import math
import warnings
from typing import Any, ClassVar

import numpy as np

from scratch import functional as F
from scratch.functional import rnn_fast
from scratch.nn import init
from scratch.nn.dropout import dropout_mask
from scratch.nn.module import Module
from scratch.nn.parameter import Parameter

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNCell"]


class _Recurrent(Module):
    """The parameters of cells and layers, and the checks of what is passed to them."""

    _formula: ClassVar[str]
    _gates: ClassVar[int] = 1
    _parts: ClassVar[tuple[str, ...]] = ("h",)  # of a state
    _arrays: ClassVar[tuple[str, ...]] = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    _options: ClassVar[tuple[str, ...]] = ()

    input_size: int
    hidden_size: int
    bias: bool
    proj_size = 0

    def _add_parameters(self, input_size: int, suffix: str, dtype: Any) -> None:
        rows, h_size = self._gates * self.hidden_size, self.proj_size or self.hidden_size
        shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, input_size), "weight_hh": (rows, h_size)}
        if self.bias:
            shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
        if self.proj_size:
            shapes["weight_hr"] = (self.proj_size, self.hidden_size)
        for name, shape in shapes.items():
            setattr(self, name + suffix, Parameter(np.empty(shape, dtype)))

    def reset_parameters(self) -> None:
        """Draw all parameters anew from U(-k, k), k = 1/sqrt(hidden_size), in their order."""
        k = 1 / math.sqrt(self.hidden_size)
        for p in self.parameters():
            init.uniform_(p, -k, k)

    def _arguments(self, suffix: str) -> tuple[list[Any], list[Any]]:
        """The parameters of one run of the formula, None for one that it does not have; and its arguments
        after the state: their arrays and the options.
        """
        parameters: list[Any] = []
        arguments: list[Any] = []
        for name in self._arrays:
            p = getattr(self, name + suffix, None)
            parameters.append(p)
            arguments.append(None if p is None else p.data)
        for name in self._options:
            arguments.append(getattr(self, name))
        return parameters, arguments

    # ---- what the user passes

    def _check_sizes(self, **sizes: Any) -> None:
        for name, size in sizes.items():
            if not isinstance(size, int) or isinstance(size, bool):
                raise TypeError(f"{type(self).__name__}: {name} is {size!r}, expected an integer")
            if size < 1:
                raise ValueError(f"{type(self).__name__}: {name} is {size}, expected 1 or more")

    def _check_flags(self, **flags: Any) -> None:
        for name, flag in flags.items():
            if not isinstance(flag, bool):
                raise TypeError(f"{type(self).__name__}: {name} is {flag!r}, expected True or False")

    def _check_nonlinearity(self, nonlinearity: str) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(
                f"{type(self).__name__}: nonlinearity is {nonlinearity!r}, expected 'tanh' or 'relu'"
            )

    def _state(self, name: str, value: Any, lead: tuple[int, ...], like: np.ndarray) -> list[np.ndarray]:
        """The parts of hx, a state, or of dhx, the gradient of one; zeros where there is none.

        ``lead`` are the axes of a state but for the last; the dtype is that of ``like``.
        """
        count = len(self._parts)
        parts = value if count > 1 and value is not None else (value,) * count
        if not isinstance(parts, tuple | list) or len(parts) != count:
            raise self._no_state(f"{name} is", value)
        state = []
        for part, array in zip(self._parts, parts, strict=True):
            shape = (*lead, self.proj_size or self.hidden_size if part == "h" else self.hidden_size)
            if array is None and (value is None or name == "dhx"):
                array = np.zeros_like(like, shape=shape)
            if type(array) is not np.ndarray:
                self.refuse_mask(array)
            if not isinstance(array, np.ndarray):
                raise self._no_state(f"{name} holds", array)
            elif (array.shape, array.dtype) != (shape, like.dtype):
                if name == "dhx":
                    raise self._grad_error(array, shape, like.dtype, part)
                found = f"{array.dtype} {array.shape}"
                raise ValueError(f"{self}: {part}_0 is {found}, expected {like.dtype} {shape}")
            state.append(array)
        return state

    def _no_state(self, where: str, value: Any) -> TypeError:
        expected = "an array" if len(self._parts) == 1 else "a tuple of two arrays, (h, c)"
        return TypeError(f"{self}: {where} {type(value).__name__}, expected {expected}")


class _Cell(_Recurrent):
    """One step."""

    weight_ih: Parameter

    def __init__(self, input_size: int, hidden_size: int, bias: bool, dtype: Any) -> None:
        self._check_sizes(input_size=input_size, hidden_size=hidden_size)
        self._check_flags(bias=bias)
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        self._add_parameters(input_size, "", dtype)
        if not bias:
            self.bias_ih = self.bias_hh = None
        self.reset_parameters()

    def forward(self, input: np.ndarray, hx: Any = None) -> Any:
        """The next state, h' or (h', c')."""
        if type(input) is not np.ndarray:
            self.refuse_mask(input)
        dtype, size = self.weight_ih.dtype, self.input_size
        if (
            not isinstance(input, np.ndarray)
            or input.dtype != dtype
            or input.ndim not in (1, 2)
            or input.shape[-1] != size
        ):
            raise self.input_error("input", input, dtype, f"(N, {size}) or ({size})")
        state = self._state("hx", hx, input.shape[:-1], input)
        parameters, arguments = self._arguments("")
        y, saved = getattr(F, self._formula)(input, *state, *arguments)
        self.save(input, parameters, saved, hx is not None)
        return y

    def _backward(self, dhx: Any) -> Any:
        x, parameters, saved, stateful = taken = self.saved()
        try:
            if dhx is None and len(self._parts) == 1:
                raise self._no_state("dhx is", dhx)
            dy = self._state("dhx", dhx, x.shape[:-1], x)
        except (TypeError, ValueError):
            self.put_back(taken)
            raise
        n = len(dy)
        f_backward = getattr(F, f"{self._formula}_backward")
        dx, *gradients = f_backward(dy if n > 1 else dy[0], saved, self.needs_input_grad)
        for p, gradient in zip(parameters, gradients[n:], strict=True):
            if p is not None:
                p.add_grad(gradient)
        dstate = tuple(gradients[:n]) if n > 1 else gradients[0]
        return (dx, dstate) if stateful else dx

    def extra_repr(self) -> str:
        """input_size, hidden_size; bias if there is none."""
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class _Layers(_Recurrent):
    """Layers one above the other, in one direction or in both."""

    weight_ih_l0: Parameter

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
            raise ValueError(f"{name}: dropout is {dropout}, expected a probability from 0 to 1")
        if dropout > 0 and num_layers == 1:
            message = f"{name}: dropout={dropout} does nothing, it stands between layers, but num_layers is 1"
            warnings.warn(message, stacklevel=4)
        if not 0 <= proj_size < hidden_size:
            raise ValueError(f"{name}: proj_size is {proj_size}, expected 0 to {hidden_size - 1}")
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout = bias, batch_first, float(dropout)
        self.bidirectional, self.proj_size = bidirectional, proj_size
        for layer in range(num_layers):
            below = (proj_size or hidden_size) * (1 + bidirectional) if layer else input_size
            for reverse in range(1 + bidirectional):
                self._add_parameters(below, f"_l{layer}" + "_reverse" * reverse, dtype)
        self.reset_parameters()

    def forward(self, input: np.ndarray, hx: Any = None) -> Any:
        """(y, h_n) or (y, (h_n, c_n))."""
        if type(input) is not np.ndarray:
            self.refuse_mask(input)
        dtype, size = self.weight_ih_l0.dtype, self.input_size
        if (
            not isinstance(input, np.ndarray)
            or input.dtype != dtype
            or input.ndim not in (2, 3)
            or input.shape[-1] != size
        ):
            axes = "N, T" if self.batch_first else "T, N"
            raise self.input_error("input", input, dtype, f"({axes}, {size}) or (T, {size})")
        batched = input.ndim == 3
        x = (input.swapaxes(0, 1) if self.batch_first else input) if batched else input[:, None]
        if len(x) == 0:
            raise ValueError(f"{self}: input has no steps, expected one or more")
        directions = 1 + self.bidirectional
        lead = (self.num_layers * directions, *x.shape[1 : 1 + batched])
        states = list(zip(*self._state("hx", hx, lead, x), strict=True))
        f = getattr(rnn_fast, self._formula)
        runs: list[Any] = []
        ends: list[Any] = []
        masks: list[Any] = []
        for layer in range(self.num_layers):
            masks.append(None)
            if layer and self.training and self.dropout:
                masks[layer] = dropout_mask(x, self.dropout)
                x = x * masks[layer]
            outputs = []
            for reverse in range(directions):
                parameters, arguments = self._arguments(f"_l{layer}" + "_reverse" * reverse)
                state = map(np.atleast_2d, states[len(runs)])
                (y, *end), saved = f(x[::-1] if reverse else x, *state, *arguments)
                outputs.append(y[::-1] if reverse else y)
                ends.append(end)
                runs.append((parameters, saved))
            x = np.concatenate(outputs, axis=-1) if self.bidirectional else outputs[0]
        y = (x.swapaxes(0, 1) if self.batch_first else x) if batched else x[:, 0]
        self.save(runs, masks, lead, y.shape, input, hx is not None)
        # Without a batch a run's state is one row, and they are put together without an axis for it.
        join: Any = np.stack if batched else np.concatenate
        end = tuple(map(join, zip(*ends, strict=True)))
        return y, end if len(end) > 1 else end[0]

    def backward(self, dy: Any, dhx: Any = None) -> Any:  # type: ignore[override]
        """dx, or (dx, dh_0), or (dx, (dh_0, dc_0)), from dy and dh_n or (dh_n, dc_n).

        dx is None if ``needs_input_grad`` is False.
        """
        runs, masks, lead, shape, x, stateful = taken = self.saved()
        if dy is None:
            dy = np.zeros_like(x, shape=shape)
        try:
            if not isinstance(dy, np.ndarray) or dy.shape != shape or dy.dtype != x.dtype:
                raise self._grad_error(dy, shape, x.dtype)
            dends = list(zip(*self._state("dhx", dhx, lead, x), strict=True))
        except (TypeError, ValueError):
            self.put_back(taken)
            raise
        batched = dy.ndim == 3
        dy = (dy.swapaxes(0, 1) if self.batch_first else dy) if batched else dy[:, None]
        f_backward = getattr(rnn_fast, f"{self._formula}_backward")
        n, directions = len(self._parts), 1 + self.bidirectional
        dx: Any = None
        dstarts: list[Any] = [None] * len(runs)
        for layer in reversed(range(self.num_layers)):
            need_dx = layer > 0 or self.needs_input_grad
            dx = None
            for reverse, dy_run in enumerate(np.split(dy, directions, axis=-1)):
                k = layer * directions + reverse
                parameters, saved = runs[k]
                dend = map(np.atleast_2d, dends[k])
                dx_run, *gradients = f_backward((dy_run[::-1] if reverse else dy_run, *dend), saved, need_dx)
                dstarts[k] = gradients[:n]
                for p, gradient in zip(parameters, gradients[n:], strict=True):
                    if p is not None:
                        p.add_grad(gradient)
                if need_dx:
                    dx = dx + dx_run[::-1] if reverse else dx_run
            dy = dx if masks[layer] is None else dx * masks[layer]
        if dx is not None:
            dx = (dx.swapaxes(0, 1) if self.batch_first else dx) if batched else dx[:, 0]
        if not stateful:
            return dx
        join: Any = np.stack if batched else np.concatenate
        dstart = tuple(map(join, zip(*dstarts, strict=True)))
        return dx, dstart if n > 1 else dstart[0]

    def extra_repr(self) -> str:
        """input_size, hidden_size, and the options that are not at their default."""
        defaults = {
            "proj_size": 0,
            "num_layers": 1,
            "bias": True,
            "batch_first": False,
            "dropout": 0,
            "bidirectional": False,
        }
        options = [
            f"{name}={getattr(self, name)}"
            for name, value in defaults.items()
            if getattr(self, name) != value
        ]
        return ", ".join([str(self.input_size), str(self.hidden_size), *options])


class RNNCell(_Cell):
    r"""$h' = f(W_{ih} x + b_{ih} + W_{hh} h + b_{hh})$, f tanh or relu: F.rnn_cell.

    Args:
        input_size: size of the last axis of x.
        hidden_size: size of the last axis of h.
        bias: whether there are b_ih and b_hh.
        nonlinearity: "tanh" or "relu".
        dtype: of the parameters, and so of the computation.

    Shape: forward(x) or forward(x, h) -> h'; backward(dh') -> dx, or (dx, dh) if h was given. Without it, it
    is 0. x (N, input_size), h and h' (N, hidden_size), or all without N. weight_ih (hidden_size, input_size),
    weight_hh (hidden_size, hidden_size), bias_ih and bias_hh (hidden_size,), all from U(-k, k),
    k = 1/sqrt(hidden_size).

    Raises:
        ValueError: a shape, a size, the nonlinearity, or the dtype of h is not one of these.
        TypeError: x has another dtype than the weights, or x or h is not an array.

    Example:
        >>> cell = RNNCell(3, 4)
        >>> cell(np.ones((5, 3), np.float32)).shape
        (5, 4)
        >>> cell.backward(np.ones((5, 4), np.float32)).shape
        (5, 3)
    """

    _formula = "rnn_cell"
    _options = ("nonlinearity",)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        dtype: Any = np.float32,
    ) -> None:
        self._check_nonlinearity(nonlinearity)
        self.nonlinearity = nonlinearity
        super().__init__(input_size, hidden_size, bias, dtype)

    def backward(self, dh: Any) -> Any:
        """dx, or (dx, dh) if a state was given, by F.rnn_cell_backward."""
        return self._backward(dh)

    def extra_repr(self) -> str:
        """input_size, hidden_size; bias and nonlinearity if not the default."""
        nonlinearity = "" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}"
        return super().extra_repr() + nonlinearity


class RNN(_Layers):
    r"""RNNCell along a sequence, in layers, in one direction or two: F.rnn.

    $y_t = h_t$ is what the next layer reads, or with dropout $m_t h_t$, m being Dropout's mask. A second
    direction has weights of its own and walks the sequence from its end; $y_t$ is then both h, side by side.
    So each direction gets its half of $dy_t$, and $dx_t$ is the sum of both directions' gradients.

    Args:
        input_size: size of the last axis of x.
        hidden_size: size of the last axis of h.
        num_layers: how many layers, each reading the one below.
        nonlinearity: "tanh" or "relu".
        bias: whether there are b_ih and b_hh.
        batch_first: whether the first axis of x and y is N, and not T.
        dropout: probability of an element between two layers to be zeroed, in training.
        bidirectional: whether there is a second direction.
        dtype: of the parameters, and so of the computation.

    Shape, with L = num_layers, D = 1 or, if bidirectional, 2, and H = hidden_size:
    forward(x) or forward(x, h_0) -> (y, h_n); backward(dy, dh_n) -> dx, or (dx, dh_0) if h_0 was given.
    Without it, it is 0; so is dy or dh_n if it is None.
    x (T, N, input_size), y (T, N, D·H), h_0 and h_n (L·D, N, H), the states of layer l from row l·D on; or
    all without N. The weights are those of RNNCell, their names ending with _l0, _l1, … and for the second
    direction with _l0_reverse, …

    Raises:
        ValueError: a shape, a size, the nonlinearity, or the dtype of h_0 is not one of these; T is 0.
        TypeError: x has another dtype than the weights, or x or h_0 is not an array.

    Warns:
        UserWarning: there is a dropout, and only one layer.

    Example:
        >>> rnn = RNN(3, 4, bidirectional=True)
        >>> y, h_n = rnn(np.ones((6, 5, 3), np.float32))
        >>> y.shape, h_n.shape, rnn.backward(np.ones_like(y)).shape
        ((6, 5, 8), (2, 5, 4), (6, 5, 3))
    """

    _formula = "rnn"
    _options = ("nonlinearity",)

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
        self._check_nonlinearity(nonlinearity)
        self.nonlinearity = nonlinearity
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype
        )


class LSTMCell(_Cell):
    r"""A cell with a memory c beside h, and gates that say what goes in, stays, and comes out: F.lstm_cell.

    Args:
        input_size: size of the last axis of x.
        hidden_size: size of the last axis of h and c.
        bias: whether there are b_ih and b_hh.
        dtype: of the parameters, and so of the computation.

    Shape: forward(x) or forward(x, (h, c)) -> (h', c'); backward(dh', dc') -> dx, or (dx, (dh, dc)) if a
    state was given. Without one, it is 0, and so is a gradient that is None.
    x (N, input_size), h, c, h' and c' (N, hidden_size), or all without N.
    weight_ih (4·hidden_size, input_size), weight_hh (4·hidden_size, hidden_size), bias_ih and
    bias_hh (4·hidden_size,), all from U(-k, k), k = 1/sqrt(hidden_size).

    Raises:
        ValueError: a shape, a size, or the dtype of the state is not one of these.
        TypeError: x is not an array or has another dtype than the weights; the state is not a tuple of two
            arrays.

    Example:
        >>> cell = LSTMCell(3, 4)
        >>> h, c = cell(np.ones((5, 3), np.float32))
        >>> h.shape, c.shape, cell.backward(np.ones_like(h)).shape
        ((5, 4), (5, 4), (5, 3))
    """

    _formula = "lstm_cell"
    _gates = 4
    _parts = ("h", "c")
    # F.lstm_cell has a W_hr too, which torch's cell has not.
    _arrays = (*_Cell._arrays, "weight_hr")

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, dtype: Any = np.float32) -> None:
        super().__init__(input_size, hidden_size, bias, dtype)

    def backward(self, dh: Any, dc: Any = None) -> Any:  # type: ignore[override]
        """dx, or (dx, (dh, dc)) if a state was given, by F.lstm_cell_backward."""
        return self._backward((dh, dc))


class LSTM(_Layers):
    r"""LSTMCell along a sequence, in layers, in one direction or two: F.lstm.

    RNN says what layers and directions do. With a proj_size the state is shorter than the memory (Sak, Senior
    and Beaufays 2014).

    Args:
        input_size: size of the last axis of x.
        hidden_size: size of the last axis of c, and of h if there is no proj_size.
        num_layers: how many layers, each reading the one below.
        bias: whether there are b_ih and b_hh.
        batch_first: whether the first axis of x and y is N, and not T.
        dropout: probability of an element between two layers to be zeroed, in training.
        bidirectional: whether there is a second direction.
        proj_size: size of the last axis of h, if not 0.
        dtype: of the parameters, and so of the computation.

    Shape, with L = num_layers, D = 1 or, if bidirectional, 2, H = hidden_size and P = proj_size or H:
    forward(x) or forward(x, (h_0, c_0)) -> (y, (h_n, c_n)); backward(dy, (dh_n, dc_n)) -> dx, or
    (dx, (dh_0, dc_0)) if a state was given. Without one, it is 0, and so is a gradient that is None.
    x (T, N, input_size), y (T, N, D·P), h_0 and h_n (L·D, N, P), c_0 and c_n (L·D, N, H), or all without N.
    The weights are those of LSTMCell, and weight_hr (P, H), their names ending as RNN's.

    Raises:
        ValueError: a shape, a size, or the dtype of the state is not one of these; T is 0; proj_size is not
            below hidden_size.
        TypeError: x is not an array or has another dtype than the weights; the state is not a tuple of two
            arrays.

    Warns:
        UserWarning: there is a dropout, and only one layer.

    Example:
        >>> lstm = LSTM(3, 4, num_layers=2)
        >>> y, (h_n, c_n) = lstm(np.ones((6, 5, 3), np.float32))
        >>> y.shape, c_n.shape, lstm.backward(np.ones_like(y)).shape
        ((6, 5, 4), (2, 5, 4), (6, 5, 3))
    """

    _formula = "lstm"
    _gates = 4
    _parts = ("h", "c")
    _arrays = (*_Layers._arrays, "weight_hr")

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


class GRUCell(_Cell):
    r"""A cell that mixes the old state with a new one, as much of each as a gate says: F.gru_cell.

    Args:
        input_size: size of the last axis of x.
        hidden_size: size of the last axis of h.
        bias: whether there are b_ih and b_hh.
        dtype: of the parameters, and so of the computation.

    Shape: forward(x) or forward(x, h) -> h'; backward(dh') -> dx, or (dx, dh) if h was given. Without it, it
    is 0. x (N, input_size), h and h' (N, hidden_size), or all without N.
    weight_ih (3·hidden_size, input_size), weight_hh (3·hidden_size, hidden_size), bias_ih and
    bias_hh (3·hidden_size,), all from U(-k, k), k = 1/sqrt(hidden_size).

    Raises:
        ValueError: a shape, a size, or the dtype of h is not one of these.
        TypeError: x has another dtype than the weights, or x or h is not an array.

    Example:
        >>> cell = GRUCell(3, 4)
        >>> cell(np.ones((5, 3), np.float32)).shape
        (5, 4)
        >>> cell.backward(np.ones((5, 4), np.float32)).shape
        (5, 3)
    """

    _formula = "gru_cell"
    _gates = 3

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, dtype: Any = np.float32) -> None:
        super().__init__(input_size, hidden_size, bias, dtype)

    def backward(self, dh: Any) -> Any:
        """dx, or (dx, dh) if a state was given, by F.gru_cell_backward."""
        return self._backward(dh)


class GRU(_Layers):
    """GRUCell along a sequence, in layers, in one direction or two: F.gru.

    RNN says what layers and directions do.

    Args:
        input_size: size of the last axis of x.
        hidden_size: size of the last axis of h.
        num_layers: how many layers, each reading the one below.
        bias: whether there are b_ih and b_hh.
        batch_first: whether the first axis of x and y is N, and not T.
        dropout: probability of an element between two layers to be zeroed, in training.
        bidirectional: whether there is a second direction.
        dtype: of the parameters, and so of the computation.

    Shape: as RNN; the weights are those of GRUCell, their names ending as RNN's.

    Raises:
        ValueError: a shape, a size, or the dtype of h_0 is not one of these; T is 0.
        TypeError: x has another dtype than the weights, or x or h_0 is not an array.

    Warns:
        UserWarning: there is a dropout, and only one layer.

    Example:
        >>> gru = GRU(3, 4)
        >>> y, h_n = gru(np.ones((6, 5, 3), np.float32))
        >>> y.shape, h_n.shape, gru.backward(np.ones_like(y)).shape
        ((6, 5, 4), (1, 5, 4), (6, 5, 3))
    """

    _formula = "gru"
    _gates = 3

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
