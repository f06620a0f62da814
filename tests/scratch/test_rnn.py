"""RNN, LSTM, GRU and their cells: all options together against torch, and what only they can do wrong."""

import copy
import itertools
import re
import warnings
from typing import Any

import numpy as np
import pytest
import torch

import scratch
from all_in_one import all_in_one, dtypes
from rounding import (
    Pass,
    arrays,
    assert_agree,
    assert_torch_agrees,
    each,
    gradients,
    noise,
    numpy_pass,
    shakes,
)
from sampled import one_in
from scratch import functional as F
from scratch import nn, optim
from scratch.functional import rnn_fast
from scratch.nested import leaves, unflatten_as
from torch_ref import mirror
from torch_ref.catalog import MODULES
from torch_ref.faults import replaced

# Of the cases of each test; the others in make long.
ONE_IN = 2

KINDS = ("RNN", "LSTM", "GRU")
kinds = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(autouse=True)
def seed() -> None:
    scratch.manual_seed(0)
    torch.manual_seed(0)


def normal(*shape: int, dtype: Any = np.float64, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def a_state(kind: str, *lead: int, h: int, c: int, dtype: Any = np.float64) -> Any:
    state = normal(*lead, h, dtype=dtype, seed=2), normal(*lead, c, dtype=dtype, seed=3)
    return state if kind.startswith("LSTM") else state[0]


# ---- against torch

LAYERS = [
    (kind, dict(zip(("num_layers", "bidirectional", "batch_first", "bias"), values, strict=True)), extra)
    for kind, extras in {
        "RNN": ({}, {"nonlinearity": "relu"}),
        "LSTM": ({}, {"proj_size": 2}),
        "GRU": ({},),
    }.items()
    for extra in extras
    for values in itertools.product((1, 3), (False, True), (False, True), (True, False))
]


@pytest.mark.parametrize("layer", one_in(5, LAYERS, str))
@all_in_one("stateful", {"from 0": False, "from a state": True})
@all_in_one("batched", {"batch": True, "no batch": False})
@dtypes
def test_all_options_together_give_torchs_numbers(layer, stateful, batched, dtype) -> None:
    kind, options, extra = layer
    module = getattr(nn, kind)(5, 4, **options, **extra, dtype=dtype)
    T, N = 6, 3
    steps = (T,) if not batched else (N, T) if options["batch_first"] else (T, N)
    inputs: tuple[Any, ...] = (normal(*steps, 5, dtype=dtype),)
    if stateful:
        runs = options["num_layers"] * (1 + options["bidirectional"])
        lead = (runs, N) if batched else (runs,)
        inputs += (a_state(kind, *lead, h=extra.get("proj_size", 4), c=4, dtype=dtype),)
    assert_torch_agrees(module, *inputs)


@pytest.mark.parametrize("kind", ["RNNCell", "LSTMCell", "GRUCell"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("stateful", [False, True], ids=["from 0", "from a state"])
@pytest.mark.parametrize("lead", [(3,), ()], ids=["batch", "no batch"])
@dtypes
def test_a_cell_gives_torchs_numbers(kind, bias, stateful, lead, dtype) -> None:
    module = getattr(nn, kind)(5, 4, bias, dtype=dtype)
    inputs: tuple[Any, ...] = (normal(*lead, 5, dtype=dtype),)
    if stateful:
        inputs += (a_state(kind, *lead, h=4, c=4, dtype=dtype),)
    else:
        # weight_hh meets a state of 0.
        twin = mirror(module)
        _, y = leaves(twin(torch.from_numpy(inputs[0])))[0]
        y.sum().backward()
        assert not twin.weight_hh.grad.any()
    assert_torch_agrees(module, *inputs)


@kinds
@dtypes
@pytest.mark.parametrize("p", [0.3, 1.0])
def test_between_layers_the_masks_are_torchs(kind, p, dtype) -> None:
    module = getattr(nn, kind)(3, 4, 3, dropout=p, bidirectional=True, batch_first=True, dtype=dtype)
    x = normal(2, 5, 3, dtype=dtype)
    assert_torch_agrees(module, x)
    first, second = module(x)[0], module(x)[0]
    assert np.array_equal(first, second) == (p == 1)
    assert_torch_agrees(module.eval(), x)
    assert np.array_equal(module(x)[0], module(x)[0])


@kinds
def test_gates_that_are_shut_or_wide_open_are_torchs(kind) -> None:
    module = getattr(nn, kind)(3, 4)
    for p in module.parameters():
        p.data *= 1e4
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_torch_agrees(module, 100 * normal(5, 2, 3, dtype=np.float32))


@kinds
def test_a_batch_of_none(kind) -> None:
    module = getattr(nn, kind)(3, 4, dtype=np.float64)
    assert_torch_agrees(module, np.zeros((5, 0, 3)))
    with pytest.raises(ValueError, match="input has no steps"):
        module(np.zeros((0, 2, 3)))


@kinds
def test_the_same_words_describe_it(kind) -> None:
    for options in (
        {},
        {"num_layers": 2, "dropout": 0.5, "bias": False},
        {"batch_first": True, "bidirectional": True},
    ):
        module = getattr(nn, kind)(3, 4, **options)
        assert repr(module) == repr(mirror(module))
    assert repr(nn.LSTM(3, 4, proj_size=2)) == repr(torch.nn.LSTM(3, 4, proj_size=2))
    cell = nn.RNNCell(3, 4, bias=False, nonlinearity="relu")
    assert repr(cell) == repr(mirror(cell))


# ---- the formulas


@pytest.mark.parametrize("case", [case for case in MODULES if case.kind in KINDS], ids=lambda case: case.name)
@dtypes
def test_the_tuned_loops_give_the_numbers_of_the_plain_ones(case, dtype) -> None:
    module, inputs = case.make(dtype), case.draw(dtype)
    with replaced({}):  # the plain formulas stand in for the tuned ones
        assert rnn_fast.lstm is F.lstm
        plain = numpy_pass(module, inputs)
        runs = [numpy_pass(module, inputs, shake=shake) for shake in shakes()]
    assert rnn_fast.lstm is not F.lstm
    assert_agree(numpy_pass(module, inputs), plain, runs)


# ---- the mirror


@kinds
def test_the_mirror_runs_on_shared_memory_without_a_warning(kind) -> None:
    module = getattr(nn, kind)(3, 4, num_layers=2, bidirectional=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        twin = mirror(module)
        for net in (twin, copy.deepcopy(twin)):
            net.flatten_parameters()
            net(torch.zeros(5, 2, 3))[0].sum().backward()
    # torch computes with a list that it made of its parameters.
    for tensor, (name, p) in zip(twin._flat_weights, module.named_parameters(), strict=True):
        assert tensor is twin.get_parameter(name)
        assert tensor.data_ptr() == p.data.ctypes.data
    before = twin(torch.ones(5, 2, 3))[0]
    module.weight_ih_l1_reverse.data += 1
    assert not torch.equal(twin(torch.ones(5, 2, 3))[0], before)


def test_parameters_lie_end_to_end() -> None:
    module = nn.LSTM(3, 4, num_layers=2, bidirectional=True, proj_size=2)
    assert len(nn.parameter.runs(module.parameters())) == 1


# ---- what a sequence is made of


@kinds
def test_a_layer_is_its_cell_step_by_step(kind) -> None:
    layer, cell = (
        getattr(nn, kind)(3, 4, dtype=np.float64),
        getattr(nn, f"{kind}Cell")(3, 4, dtype=np.float64),
    )
    cell.load_state_dict({name.removesuffix("_l0"): value for name, value in layer.state_dict().items()})
    x, state = normal(5, 2, 3), a_state(kind, 2, h=4, c=4)
    inputs = x, each(state, lambda part: part[None])
    expected = numpy_pass(layer, inputs)
    dy, *dstate = (noise(part) for part in expected.outputs[: 1 + len(arrays(state))])

    outputs = []
    for x_t in x:
        state = cell(x_t, state)
        outputs.append(arrays(state)[0])
    end = [part[None] for part in arrays(state)]
    dstate = [d[0] for d in dstate]
    dxs = []
    for dy_t in dy[::-1]:
        dstate[0] = dstate[0] + dy_t
        dx_t, before = cell.backward(*dstate)
        dstate = arrays(before)
        dxs.append(dx_t)
    weights = [p.data for p in cell.parameters()]
    steps = [np.stack(dxs[::-1]), *(d[None] for d in dstate), *gradients(cell)]
    runs = (numpy_pass(layer, inputs, shake=shake) for shake in shakes())
    assert_agree(Pass([np.stack(outputs), *end, *weights], steps), expected, runs)


@kinds
def test_a_sequence_in_two_parts_is_the_sequence(kind) -> None:
    module, x = getattr(nn, kind)(3, 4, num_layers=2, dtype=np.float64), normal(6, 2, 3)

    def cotangent(y: np.ndarray) -> np.ndarray:
        """A cotangent of the outputs alone: the state at the end has none."""
        return noise(y) if len(y) == len(x) else np.zeros_like(y)

    expected = numpy_pass(module, (x,), cotangent)
    dy = noise(expected.outputs[0])

    first, middle = module(x[:2])
    second, last = module(x[2:], middle)
    dx2, dmiddle = module.backward(dy[2:])
    dx1 = module.backward(dy[:2], dmiddle)
    outputs = [np.concatenate([first, second]), *arrays(last), *(p.data for p in module.parameters())]
    runs = (numpy_pass(module, (x,), cotangent, shake=shake) for shake in shakes())
    assert_agree(Pass(outputs, [np.concatenate([dx1, dx2]), *gradients(module)]), expected, runs)


@kinds
def test_no_state_is_a_state_of_zeros_and_no_gradient_one_of_zeros(kind) -> None:
    module, x = getattr(nn, kind)(3, 4, dtype=np.float64), normal(5, 2, 3)
    y, end = module(x)
    zeros = unflatten_as(end, (np.zeros_like(part) for part in arrays(end)))
    dy, dend = noise((y, end))
    dx = module.backward(dy, dend)
    bare = [p.grad.copy() for p in module.parameters()]
    module.zero_grad()
    module(x, zeros)
    dx_too, _ = module.backward(dy, dend)
    np.testing.assert_array_equal(dx, dx_too)
    for p, g in zip(module.parameters(), bare, strict=True):
        np.testing.assert_array_equal(p.grad, g)

    for given, full in (((dy,), (dy, zeros)), ((None, dend), (np.zeros_like(dy), dend))):
        module(x)
        short = module.backward(*given)
        module(x)
        np.testing.assert_array_equal(short, module.backward(*full))
    if kind == "LSTM":
        module(x)
        short = module.backward(None, (None, dend[1]))
        module(x)
        np.testing.assert_array_equal(short, module.backward(np.zeros_like(dy), (zeros[0], dend[1])))


@kinds
def test_an_input_gradient_that_nobody_needs_is_left_out(kind) -> None:
    module, x = getattr(nn, kind)(3, 4, num_layers=2, bidirectional=True, dtype=np.float64), normal(5, 2, 3)
    dy = noise(module(x)[0])
    module.backward(dy)
    once = [p.grad.copy() for p in module.parameters()]
    module.zero_grad()
    module(x)
    module.backward_parameters(dy)
    for p, g in zip(module.parameters(), once, strict=True):
        np.testing.assert_array_equal(p.grad, g)
    module(x, a_state(kind, 4, 2, h=4, c=4))
    module.needs_input_grad = False
    dx, dstart = module.backward(dy)
    assert dx is None
    assert all(part.shape == (4, 2, 4) for part in arrays(dstart))
    cell = getattr(nn, f"{kind}Cell")(3, 4, dtype=np.float64)
    h = arrays(cell(x[0]))[0]
    cell.needs_input_grad = False
    assert cell.backward(h) is None
    module(x)
    assert module.backward(dy) is None


# ---- bad arguments and inputs


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0, 4), ValueError, "input_size is 0, expected 1 or more"),
        ((3, 4.0), TypeError, "hidden_size is 4.0, expected an integer"),
        ((3, 4, 0), ValueError, "num_layers is 0"),
        ((3, 4, 1, 7), TypeError, "bias is 7, expected True or False"),
        ((3, 4, 1, True, 1), TypeError, "batch_first is 1"),
        ((3, 4, 2, True, False, 1.5), ValueError, "dropout is 1.5, expected a probability"),
        ((3, 4, 2, True, False, True), ValueError, "dropout is True"),
    ],
)
def test_a_bad_argument_is_named(arguments, error, message) -> None:
    for kind in ("LSTM", "GRU"):
        with pytest.raises(error, match=f"{kind}: {re.escape(message)}"):
            getattr(nn, kind)(*arguments)


def test_bad_options_are_named() -> None:
    with pytest.raises(ValueError, match=r"LSTM: proj_size is 4, expected 0 to 3"):
        nn.LSTM(3, 4, proj_size=4)
    for kind in ("RNN", "RNNCell"):
        with pytest.raises(ValueError, match=rf"{kind}: nonlinearity is 'gelu', expected 'tanh' or 'relu'"):
            getattr(nn, kind)(3, 4, nonlinearity="gelu")
    with pytest.raises(TypeError, match="GRUCell: bias is 'no'"):
        nn.GRUCell(3, 4, "no")


@kinds
def test_dropout_with_one_layer_is_warned_of_where_it_was_written(kind) -> None:
    with pytest.warns(UserWarning, match=rf"{kind}: dropout=0.5 does nothing") as caught:
        getattr(nn, kind)(3, 4, dropout=0.5)
    assert caught[0].filename == __file__


def test_bad_inputs_are_named() -> None:
    x = np.zeros((5, 2, 3), np.float32)
    for module, expected in (
        (nn.LSTM(3, 4), "(T, N, 3) or (T, 3)"),
        (nn.GRU(3, 4, batch_first=True), "(N, T, 3) or (T, 3)"),
        (nn.RNNCell(3, 4), "(N, 3) or (3)"),
    ):
        with pytest.raises(ValueError, match=re.escape(f"input has shape (5, 2, 3, 3), expected {expected}")):
            module(np.zeros((5, 2, 3, 3), np.float32))
        with pytest.raises(ValueError, match=re.escape("input has shape (5, 2), expected")):
            module(np.zeros((5, 2), np.float32))
    for module in (nn.LSTM(3, 4), nn.LSTMCell(3, 4)):
        for bad in (x.tolist(), torch.zeros(5, 2, 3), None):
            with pytest.raises(TypeError, match=f"input is a {type(bad).__name__}, expected an array"):
                module(input=bad, hx=None)
    with pytest.raises(TypeError, match="input is float64, the weight float32"):
        nn.LSTM(3, 4)(x.astype(np.float64))
    with pytest.raises(TypeError, match=r"hx is ndarray, expected a tuple of two arrays, \(h, c\)"):
        nn.LSTM(3, 4)(x, np.zeros((2, 2, 4), np.float32))
    with pytest.raises(TypeError, match="hx holds tuple, expected an array"):
        nn.GRU(3, 4)(x, (np.zeros((1, 2, 4), np.float32),) * 2)
    with pytest.raises(ValueError, match=re.escape("c_0 is float32 (1, 2, 5), expected float32 (1, 2, 4)")):
        nn.LSTM(3, 4)(x, (np.zeros((1, 2, 4), np.float32), np.zeros((1, 2, 5), np.float32)))
    with pytest.raises(ValueError, match=re.escape("h_0 is float64 (1, 2, 4), expected float32 (1, 2, 4)")):
        nn.RNN(3, 4)(x, np.zeros((1, 2, 4)))
    with pytest.raises(ValueError, match=re.escape("h_0 is float32 (1, 4), expected float32 (1, 2, 4)")):
        nn.RNN(3, 4)(x, np.zeros((1, 4), np.float32))


# ---- a model of letters


class Letters(nn.Module):
    """Which letter comes next, of each letter of a text: one-hot letters, an LSTM, scores."""

    def __init__(self, letters: int, hidden: int) -> None:
        self.lstm = nn.LSTM(letters, hidden, num_layers=2, dropout=0.2, batch_first=True, dtype=np.float64)
        self.head = nn.Linear(hidden, letters, dtype=np.float64)

    def forward(self, x: np.ndarray, state: Any = None) -> Any:
        y, state = self.lstm(x, state) if state is not None else self.lstm(x)
        return self.head(y), state

    def backward(self, dy: np.ndarray, dstate: Any = None) -> Any:
        return self.lstm.backward(self.head.backward(dy), dstate)


class TorchLetters(torch.nn.Module):
    def __init__(self, letters: int, hidden: int) -> None:
        super().__init__()
        options = {"num_layers": 2, "dropout": 0.2, "batch_first": True, "dtype": torch.float64}
        self.lstm = torch.nn.LSTM(letters, hidden, **options)
        self.head = torch.nn.Linear(hidden, letters, dtype=torch.float64)

    def forward(self, x: torch.Tensor, state: Any = None) -> Any:
        y, state = self.lstm(x, state)
        return self.head(y), state


def test_the_same_seed_learns_the_same_letters() -> None:
    text = "the quick brown fox jumps over the lazy dog. pack my box with five dozen liquor jugs. " * 4
    alphabet = sorted(set(text))
    numbers = np.array([alphabet.index(letter) for letter in text])
    streams = numbers[: len(numbers) // 4 * 4].reshape(4, -1)
    one_hot = np.eye(len(alphabet))

    ours, theirs = Letters(len(alphabet), 16), TorchLetters(len(alphabet), 16)
    loss_fn, their_loss_fn = nn.CrossEntropyLoss(), torch.nn.CrossEntropyLoss()
    optimizer = optim.Adam(ours.parameters(), lr=0.03)
    their_optimizer = torch.optim.Adam(theirs.parameters(), lr=0.03)
    losses = []
    for _ in range(6):
        state, their_state = None, None
        for start in range(0, streams.shape[1] - 17, 16):
            x, target = one_hot[streams[:, start : start + 16]], streams[:, start + 1 : start + 17]
            # The state is carried over, its gradient is not: truncated backpropagation through time.
            optimizer.zero_grad()
            y, state = ours(x, state)
            loss = loss_fn(y.swapaxes(1, 2), target)
            ours.backward_parameters(np.ascontiguousarray(loss_fn.backward().swapaxes(1, 2)))
            optimizer.step()

            their_optimizer.zero_grad()
            their_y, their_state = theirs(torch.from_numpy(x), their_state)
            their_state = tuple(part.detach() for part in their_state)
            their_loss = their_loss_fn(their_y.swapaxes(1, 2), torch.from_numpy(target))
            their_loss.backward()
            their_optimizer.step()
            losses.append(loss)
            assert abs(loss - their_loss.item()) <= 1e-9
    assert losses[-1] < 0.8 * losses[0]
    for name, value in theirs.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[name], value.numpy(), rtol=1e-7, atol=1e-9)
