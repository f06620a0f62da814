"""check on layers in the many forms in which people write them: right ones pass, wrong ones are refused."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch

from sampled import one_in
from torch_ref import check, check_loss
from torch_ref.checker.check import Check

# Of the cases of each test; the others in make long.
ONE_IN = 2

RNG = np.random.default_rng(0)
X = RNG.standard_normal((4, 5))
LINEAR = torch.nn.Linear(5, 3)


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).standard_normal(shape)


def verdicts(found: Check) -> dict[str, str]:
    frame = found.comparisons["float64"].frame
    return dict(zip(frame["tensor"], frame["verdict"], strict=True))


class Base:
    """An affine layer; ``wrong`` makes the bias' gradient a mean."""

    wrong = False

    def __init__(self):
        self.W, self.b = normal(5, 3), normal(3)

    def product(self, x):
        self.x = x
        return x @ self.W + self.b

    def gradients(self, dy):
        return dy @ self.W.T, self.x.T @ dy, dy.mean(0) if self.wrong else dy.sum(0)


class ForwardProp(Base):
    def forward_prop(self, x):
        return self.product(x)

    def back_prop(self, delta):
        dx, self.dW, self.db = self.gradients(delta)
        return dx


class Fprop(Base):
    def fprop(self, x):
        return self.product(x)

    def bprop(self, grad):
        dx, self.W_gradient, self.b_gradient = self.gradients(grad)
        return dx


class CamelCase(Base):
    def forwardPropagation(self, x):
        return self.product(x)

    def backPropagation(self, gradOutput):
        dx, self.gradW, self.gradb = self.gradients(gradOutput)
        return dx


class Called(Base):
    def __call__(self, x):
        return self.product(x)

    def backpropagate(self, err):
        dx, self.nabla_W, self.nabla_b = self.gradients(err)
        return dx


class KeptOutput(Base):
    """forward and backward return nothing."""

    def __init__(self):
        self.weights, self.biases = normal(5, 3), np.zeros((1, 3))

    def forward(self, inputs):
        self.inputs = inputs
        self.output = inputs @ self.weights + self.biases

    def backward(self, dvalues):
        self.dweights = self.inputs.T @ dvalues
        reduce = np.mean if self.wrong else np.sum
        self.dbiases = reduce(dvalues, axis=0, keepdims=True)
        self.dinputs = dvalues @ self.weights.T


class OtherWords(Base):
    """dW beside weights."""

    def __init__(self):
        self.weights, self.bias = normal(5, 3), normal(3)

    def forward(self, x):
        self.x = x
        return x @ self.weights + self.bias

    def backward(self, dout):
        self.dW = self.x.T @ dout
        self.db = dout.mean(0) if self.wrong else dout.sum(0)
        return dout @ self.weights.T


class ReturnsFlat(Base):
    forward = Base.product

    def backward(self, dy):
        return self.gradients(dy)


class ReturnsOtherOrder(Base):
    forward = Base.product

    def backward(self, dy):
        dx, dW, db = self.gradients(dy)
        return dx, (db, dW)


class ReturnsInDict(Base):
    forward = Base.product

    def backward(self, dy):
        dx, dW, db = self.gradients(dy)
        return dx, {"W": dW, "b": db}


class ReturnsDict(Base):
    forward = Base.product

    def backward(self, dy):
        return dict(zip(("dx", "dW", "db"), self.gradients(dy), strict=True))


class Cached(Base):
    """An object that keeps nothing from forward to backward."""

    def forward(self, x):
        return x @ self.W + self.b, {"x": x}

    def backward(self, dout, cache):
        self.x = cache["x"]
        dx, self.dW, self.db = self.gradients(dout)
        return dx


class Closure(Base):
    def forward(self, x):
        y = self.product(x)

        def backward(dy):
            dx, self.dW, self.db = self.gradients(dy)
            return dx

        return y, backward

    def backward(self, dy, closure):
        return closure(dy)


class StepsByArgument(Base):
    forward = Base.product

    def backward(self, dy, learning_rate):
        dx, dW, db = self.gradients(dy)
        self.W -= learning_rate * dW
        self.b = self.b - learning_rate * db
        return dx


class StepsByOwnRate(Base):
    def __init__(self):
        super().__init__()
        self.learning_rate = 0.1

    forward = Base.product

    def backward(self, dy):
        dx, dW, db = self.gradients(dy)
        self.W, self.b = self.W - self.learning_rate * dW, self.b - self.learning_rate * db
        return dx


class InputAndGradient(Base):
    """backward(input, grad_output), with a rate of its own."""

    def __init__(self):
        super().__init__()
        self.lr = 0.01

    def forward(self, input):
        return input @ self.W + self.b

    def backward(self, input, grad_output):
        self.x = input
        dx, dW, db = self.gradients(grad_output)
        self.W -= self.lr * dW
        self.b -= self.lr * db
        return dx


class Dicts(Base):
    """Hyperparameters and None among the parameters."""

    def __init__(self):
        self.params = {
            "units": 3,
            "kind": "dense",
            "W": normal(5, 3),
            "b": normal(1, 3),
            "mask": None,
            "eps": 1e-8,
        }
        self.grads = {}

    def forward(self, x):
        self.x = x
        return x @ self.params["W"] + self.params["b"]

    def backward(self, dy):
        self.grads["dW"] = self.x.T @ dy
        self.grads["db"] = dy.mean(0) if self.wrong else dy.sum(0)
        return dy @ self.params["W"].T


class Lists(Base):
    """w beside dw, both lists; dw is made in backward."""

    def __init__(self):
        self.w = [normal(5, 3), normal(3)]

    def forward(self, x):
        self.x = x
        return x @ self.w[0] + self.w[1]

    def backward(self, dy):
        self.dw = [self.x.T @ dy, dy.mean(0) if self.wrong else dy.sum(0)]
        return dy @ self.w[0].T


class Lazy(Base):
    """The parameters are made in the first forward, as attributes."""

    def __init__(self):
        self.built = False

    def forward(self, x):
        if not self.built:
            self.W, self.b, self.built = normal(x.shape[1], 3), np.zeros(3), True
        return self.product(x)

    def backward(self, dy):
        dx, self.dW, self.db = self.gradients(dy)
        return dx


class LazyReturned(Lazy):
    def backward(self, dy):
        dx, *others = self.gradients(dy)
        return dx, others


class Counted(ForwardProp):
    def parameters(self):
        return self.W.size + self.b.size


class Variable:
    def __init__(self, value):
        self.value, self.gradient = value, None


class Variables(Base):
    """Objects with value and gradient, and no list of them."""

    def __init__(self):
        self.W, self.b = Variable(normal(5, 3)), Variable(normal(3))

    def forward(self, x):
        self.x = x
        return x @ self.W.value + self.b.value

    def backward(self, dy):
        self.W.gradient = self.x.T @ dy
        self.b.gradient = dy.mean(0) if self.wrong else dy.sum(0)
        return dy @ self.W.value.T


class DictVariables(Base):
    def __init__(self):
        self.W, self.b = {"val": normal(5, 3), "grad": 0}, {"val": normal(3), "grad": 0}

    def forward(self, x):
        self.x = x
        return x @ self.W["val"] + self.b["val"]

    def backward(self, dy):
        self.W["grad"] = self.x.T @ dy
        self.b["grad"] = dy.mean(0) if self.wrong else dy.sum(0)
        return dy @ self.W["val"].T


@dataclass
class Data(Base):
    W: np.ndarray = field(default_factory=lambda: normal(5, 3))
    b: np.ndarray = field(default_factory=lambda: normal(3))
    dW: Any = None
    db: Any = None

    forward = Base.product

    def backward(self, dy):
        dx, self.dW, self.db = self.gradients(dy)
        return dx


class PlainLists(Base):
    """No array anywhere."""

    def __init__(self):
        self.W, self.b = normal(3, 5).tolist(), [0.0, 0.0, 0.0]

    def forward(self, x):
        self.x = x
        return [
            [sum(w * v for w, v in zip(r, s, strict=True)) + b for r, b in zip(self.W, self.b, strict=True)]
            for s in x
        ]

    def backward(self, dy):
        n = len(self.x) if self.wrong else 1
        self.dW = [
            [sum(g[j] * s[i] for g, s in zip(dy, self.x, strict=True)) for i in range(5)] for j in range(3)
        ]
        self.db = [sum(g[j] for g in dy) / n for j in range(3)]
        return [[sum(g[j] * self.W[j][i] for j in range(3)) for i in range(5)] for g in dy]


class Flag(ForwardProp):
    """forward needs to be told whether it is in training."""

    def forward(self, x, is_training):
        assert is_training
        return self.product(x)


class Methods(Base):
    """Names that nobody can guess, given as a pair of methods."""

    def go(self, x):
        return self.product(x)

    def come_back(self, dy):
        dx, self.dW, self.db = self.gradients(dy)
        return dx


FORMS = [
    *(ForwardProp, Fprop, CamelCase, Called, KeptOutput, OtherWords, ReturnsFlat, ReturnsOtherOrder),
    *(ReturnsInDict, ReturnsDict, Cached, Closure, StepsByArgument, StepsByOwnRate, InputAndGradient),
    *(Dicts, Lists, Lazy, LazyReturned, Counted, Variables, DictVariables, Data, PlainLists, Flag),
]


def made(form: type, wrong: bool) -> Any:
    layer = form()
    layer.wrong = wrong
    return layer


@pytest.mark.parametrize("form", one_in(3, FORMS))
def test_right_layers_of_every_form_pass(form) -> None:
    found = check(made(form, False), LINEAR, X, dtypes=["float32"] if form is Data else ["float64"])
    assert found, str(found)


@pytest.mark.parametrize("form", one_in(3, FORMS))
def test_wrong_layers_of_every_form_are_refused(form) -> None:
    found = check(made(form, True), LINEAR, X, dtypes=["float64"])
    assert verdicts(found) == {
        "output": "agree",
        "input": "agree",
        "weight": "agree",
        "bias": "NumPy is wrong",
    }


@pytest.mark.parametrize("wrong", [False, True])
def test_methods_of_any_name_are_given_as_a_pair(wrong) -> None:
    layer = made(Methods, wrong)
    assert bool(check((layer.go, layer.come_back), LINEAR, X, dtypes="float64")) is not wrong


def test_dx_of_weights_that_backward_has_changed_already_is_named() -> None:
    class Updated(StepsByArgument):
        def backward(self, dy, lr):
            super().backward(dy, lr)
            return dy @ self.W.T

    found = check(Updated(), LINEAR, X, dtypes="float64")
    assert verdicts(found)["input"] == "NumPy is wrong"
    assert "computed with the weights after the update" in found.verdict


def test_weights_that_backward_moves_unasked_are_a_side_effect() -> None:
    class Moves(ForwardProp):
        def back_prop(self, delta):
            dx = super().back_prop(delta)
            self.W = self.W - 0.1 * self.dW
            return dx

    assert "a call changes weight" in check(Moves(), LINEAR, X, dtypes="float64").verdict


# ---- gradients that are missing, or of another shape


def test_a_parameter_without_any_gradient_is_refused() -> None:
    class Forgets(Base):
        forward = Base.product

        def backward(self, dy):
            dx, self.dW, _ = self.gradients(dy)
            return dx

    found = check(Forgets(), LINEAR, X, dtypes="float64")
    assert verdicts(found)["bias"] == "NumPy is wrong"
    assert found.causes[0].name == "no gradient arrives"


def test_a_backward_without_dx_is_told_that_data_may_be_held() -> None:
    class NoInput(Base):
        forward = Base.product

        def backward(self, dy):
            return list(self.gradients(dy)[1:])

    with pytest.raises(TypeError, match=r"check: mine: .*no gradient of input 0 \(4, 5\).*held=\[0\]"):
        check(NoInput(), LINEAR, X)
    assert check(NoInput(), LINEAR, X, held=0, dtypes="float64")
    assert not check(made(NoInput, True), LINEAR, X, held=0, dtypes="float64")


@pytest.mark.parametrize(
    ("db", "hint"),
    [(lambda dy: dy, "sum it over axis 0"), (lambda dy: dy.sum(0)[:2], "(2,), PyTorch's (3,)")],
)
def test_a_gradient_of_another_shape_is_a_disagreement(db, hint) -> None:
    class Misshapen(Base):
        forward = Base.product

        def backward(self, dy):
            dx, self.dW, _ = self.gradients(dy)
            self.db = db(dy)
            return dx

    found = check(Misshapen(), LINEAR, X, dtypes="float64")
    assert not found
    assert verdicts(found)["bias"] == "shapes differ"
    assert verdicts(found)["weight"] == "agree"
    assert hint in str(found)


def test_a_gradient_that_is_transposed_is_not_turned_by_the_check() -> None:
    class Turned(Base):
        forward = Base.product

        def backward(self, dy):
            dx, dW, self.db = self.gradients(dy)
            self.dW = dW.T
            return dx

    found = check(Turned(), LINEAR, X, dtypes="float64")
    assert verdicts(found)["weight"] == "shapes differ"
    assert "it is transposed" in str(found)


# ---- functions and their derivatives


class Softsign:
    def __call__(self, x):
        return x / (1 + np.abs(x))

    def gradient(self, x):
        return 1 / (1 + np.abs(x)) ** 2


class Logistic:
    """f' in terms of the output."""

    def function(self, x):
        return 1 / (1 + np.exp(-x))

    def derivative(self, output):
        return output * (1 - output)


class Stateful:
    """backward has the name of a derivative, and is given the incoming gradient."""

    def f(self, x):
        self.x = x
        return np.sin(x)

    def grad(self, dout):
        return dout * np.cos(self.x)


def jacobians(p):
    return p[:, :, None] * np.eye(p.shape[1]) - p[:, :, None] * p[:, None]


def softmax(x):
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


@pytest.mark.parametrize(
    ("mine", "reference"),
    [
        (Softsign(), torch.nn.functional.softsign),
        (Logistic(), torch.sigmoid),
        (Stateful(), torch.sin),
        ((np.sin, np.cos), torch.sin),
        ((np.tanh, lambda z: 1 - np.tanh(z) ** 2), torch.tanh),
        ((lambda x: 3 * x, lambda dy: 3 * dy), lambda x: 3 * x),
        ((softmax, lambda x: jacobians(softmax(x))), torch.nn.Softmax(1)),
        (lambda x: (np.sin(x), lambda g: g * np.cos(x)), torch.sin),
        ((lambda x: (np.sin(x), {"x": x}), lambda dy, c: dy * np.cos(c["x"])), torch.sin),
        ((lambda x: (np.sin(x), x), lambda cache, dout: dout * np.cos(cache)), torch.sin),
        ((np.sin, lambda x, dy: dy * np.cos(x)), torch.sin),
    ],
    ids=["gradient", "output", "grad", "pair", "z", "dy", "Jacobian", "vjp", "dict", "cache first", "x, dy"],
)
def test_derivatives_and_closures(mine, reference) -> None:
    found = check(mine, reference, X, dtypes="float64")
    assert found, str(found)


@pytest.mark.parametrize(
    "mine",
    [
        (np.tanh, lambda x: 1 - x**2),
        (softmax, lambda x: softmax(x) * (1 - softmax(x))),
        lambda x: (np.tanh(x), lambda g: g * (1 - x**2)),
    ],
)
def test_wrong_derivatives_are_refused(mine) -> None:
    reference = torch.nn.Softmax(1) if isinstance(mine, tuple) and mine[0] is softmax else torch.tanh
    assert not check(mine, reference, X, dtypes="float64")


def test_outputs_in_a_dict() -> None:
    def f(x):
        return {"s": np.sin(x), "c": np.cos(x)}

    def right(d, x):
        return d["s"] * np.cos(x) - d["c"] * np.sin(x)

    def wrong(d, x):
        return d["s"] * np.cos(x) + d["c"] * np.sin(x)

    def reference(x):
        return torch.sin(x), torch.cos(x)

    assert check((f, right), reference, X, dtypes="float64")
    assert check((f, lambda ds, dc, x: ds * np.cos(x) - dc * np.sin(x)), reference, X, dtypes="float64")
    assert not check((f, wrong), reference, X, dtypes="float64")


# ---- losses


class SquaredError:
    """forward(prediction, target), backward()."""

    wrong = False

    def forward(self, prediction, target):
        self.difference = prediction - target
        return np.mean(self.difference**2)

    def backward(self):
        return 2 * self.difference / (len(self.difference) if self.wrong else self.difference.size)


class KeptGradient:
    """backward(predictions, targets) leaves dinputs; calculate is the mean of what forward gives."""

    wrong = False

    def calculate(self, output, y):
        return np.mean(self.forward(output, y))

    def forward(self, y_pred, y_true):
        return np.mean((y_pred - y_true) ** 2, axis=-1)

    def backward(self, dvalues, y_true):
        samples, outputs = len(dvalues), len(dvalues[0])
        self.dinputs = 2 * (dvalues - y_true) / outputs
        if not self.wrong:
            self.dinputs = self.dinputs / samples


class SoftmaxLoss:
    """backward(probabilities, labels), the probabilities kept by forward."""

    wrong = False

    def forward(self, inputs, y_true):
        self.output = softmax(inputs)
        return -np.mean(np.log(self.output[range(len(y_true)), y_true]))

    def backward(self, dvalues, y_true):
        self.dinputs = dvalues.copy()
        self.dinputs[range(len(dvalues)), y_true] -= 1
        if not self.wrong:
            self.dinputs = self.dinputs / len(dvalues)


class LossAndGradient:
    wrong = False

    def loss(self, y_pred, y):
        return np.mean((y_pred - y) ** 2)

    def gradient(self, y_pred, y):
        return (1 if self.wrong else 2) * (y_pred - y) / y.size


LABELS = np.array([0, 4, 2, 1])


@pytest.mark.parametrize("wrong", [False, True])
@pytest.mark.parametrize(
    ("form", "reference", "target"),
    [
        (SquaredError, torch.nn.MSELoss(), X[::-1].copy()),
        (KeptGradient, torch.nn.MSELoss(), X[::-1].copy()),
        (LossAndGradient, torch.nn.MSELoss(), X[::-1].copy()),
        (SoftmaxLoss, torch.nn.CrossEntropyLoss(), LABELS),
    ],
)
def test_losses(form, reference, target, wrong) -> None:
    found = check(made(form, wrong), reference, X, target, dtypes="float64")
    assert bool(found) is not wrong, str(found)


@pytest.mark.parametrize("held", [1, "y_true", [-1]])
def test_a_function_and_its_derivative_by_the_prediction(held) -> None:
    def mse(y_pred, y_true):
        return np.mean((y_true - y_pred) ** 2)

    def mse_prime(y_pred, y_true):
        return 2 * (y_pred - y_true) / y_true.size

    def reference(a, b):
        return torch.mean((a - b) ** 2)

    assert check((mse, mse_prime), reference, X, X[::-1], held=held, dtypes="float64")
    wrong = (mse, lambda p, t: -mse_prime(p, t))
    assert not check(wrong, reference, X, X[::-1], held=1, dtypes="float64")


# ---- held inputs


MASK = np.where(np.tri(4, 5) > 0, 0.0, -np.inf)


@pytest.mark.parametrize("all_of_them", [False, True])
def test_a_mask_is_held(all_of_them) -> None:
    def f(s, mask):
        return softmax(s + mask)

    def b(dy, s, mask):
        p = softmax(s + mask)
        ds = p * (dy - np.sum(dy * p, 1, keepdims=True))
        return (ds, None) if all_of_them else ds

    def reference(s, mask):
        return torch.softmax(s + mask, 1)

    assert check((f, b), reference, X, MASK, held="mask")
    assert not check((f, lambda dy, s, m: b(dy, s, 0 * s)), reference, X, MASK, held=["mask"])


def test_a_number_is_held_and_handed_on_as_it_is() -> None:
    def f(x, power):
        assert type(power) is int
        return x**power

    def reference(x, power):
        assert type(power) is int
        return x**power

    assert check((f, lambda dy, x, power: dy * power * x ** (power - 1)), reference, X, 3, held=1)


@pytest.mark.parametrize("held", [2, "nothing", [0, 5], 1.5])
def test_what_cannot_be_held_is_told(held) -> None:
    with pytest.raises((ValueError, TypeError), match="check: held"):
        check((np.multiply, lambda dy, a, b: (dy * b, dy * a)), torch.mul, X, X, held=held)


# ---- the order of axes


class Convolution:
    """Channels last; the kernel is (kh, kw, in, out)."""

    wrong = False

    def __init__(self, channels=3, out=4):
        self.kernel, self.bias = normal(3, 2, channels, out), normal(1, 1, 1, out)

    def windows(self, a):
        h, w = self.x.shape[1] - 2, self.x.shape[2] - 1
        return ((i, j, a[:, i : i + h, j : j + w]) for i in range(3) for j in range(2))

    def forward(self, x):
        self.x = x
        return sum(each @ self.kernel[i, j] for i, j, each in self.windows(x)) + self.bias

    def backward(self, dy):
        dx, self.dkernel = np.zeros_like(self.x), np.zeros_like(self.kernel)
        for i, j, part in self.windows(dx):
            part += dy @ self.kernel[i, j].T
        for i, j, part in self.windows(self.x):
            self.dkernel[i, j] = np.einsum("nhwc,nhwo->co", part, dy)
        self.dbias = dy.sum((0, 1)) if self.wrong else dy.sum((0, 1, 2)).reshape(1, 1, 1, -1)
        return dx


@pytest.mark.parametrize("channels", [(3, 4), (2, 2), (3, 3)])
def test_channels_last(channels) -> None:
    x, reference = normal(2, 5, 6, channels[0]), torch.nn.Conv2d(*channels, (3, 2))
    assert check(Convolution(*channels), reference, x, layout="NHWC", dtypes="float64")
    wrong = Convolution(*channels)
    wrong.wrong = True
    found = check(wrong, reference, x, layout="NHWC", dtypes="float64")
    assert verdicts(found) == {
        "output": "agree",
        "input": "agree",
        "weight": "agree",
        "bias": "shapes differ",
    }


def test_pooling_of_sequences_whose_channels_come_last() -> None:
    def f(x):
        return x.reshape(2, 3, 2, 4).mean(2)

    def b(dy, x):
        return np.repeat(dy, 2, axis=1) / 2

    assert check((f, b), torch.nn.AvgPool1d(2), normal(2, 6, 4), layout="NLC", dtypes="float64")
    wrong = (f, lambda dy, x: 2 * b(dy, x))
    assert not check(wrong, torch.nn.AvgPool1d(2), normal(2, 6, 4), layout="NLC", dtypes="float64")


@pytest.mark.parametrize("wrong", [False, True])
def test_samples_are_columns(wrong) -> None:
    class Columns:
        def __init__(self):
            self.W, self.b = normal(3, 5), normal(3, 1)

        def forward(self, x):
            self.x = x
            return self.W @ x + self.b

        def backward(self, dy):
            self.dW = dy @ self.x.T
            self.db = (np.mean if wrong else np.sum)(dy, axis=1, keepdims=True)
            return self.W.T @ dy

    assert bool(check(Columns(), LINEAR, X.T, columns=True, dtypes="float64")) is not wrong


def test_another_layout_is_told() -> None:
    with pytest.raises(ValueError, match="check: layout is 'NHCW', expected 'NHWC'"):
        check(Convolution(), torch.nn.Conv2d(3, 4, (3, 2)), normal(2, 5, 6, 3), layout="NHCW")


def test_a_square_matrix_needs_to_be_told() -> None:
    class Square(ForwardProp):
        def __init__(self):
            self.W, self.b = normal(5, 5), normal(5)

    reference = torch.nn.Linear(5, 5)
    with pytest.raises(ValueError, match=r"the shape of W does not tell.*transposed=\['W'\]"):
        check(Square(), reference, X)
    assert check(Square(), reference, X, transposed="W", dtypes="float64")
    assert not check(made(Square, True), reference, X, transposed={"W": (1, 0)}, dtypes="float64")


# ---- layers that move their weights by an optimizer of their own


class Momentum:
    def __init__(self):
        self.before = 0.0

    def update(self, w, gradient):
        self.before = 0.9 * self.before + gradient
        return w - 0.01 * self.before


class KeepsOptimizers(Base):
    def __init__(self, optimizer=Momentum):
        super().__init__()
        self.W_opt, self.b_opt = optimizer(), optimizer()

    def forward_pass(self, x):
        return self.product(x)

    def backward_pass(self, accum_grad):
        before = self.W
        _, dW, db = self.gradients(accum_grad)
        self.W = self.W_opt.update(self.W, dW)
        self.b = self.b_opt.update(self.b, db)
        return accum_grad @ before.T


@pytest.mark.parametrize("optimizer", [Momentum, lambda: None])
@pytest.mark.parametrize("wrong", [False, True])
def test_the_gradient_is_that_which_the_optimizer_is_given(optimizer, wrong) -> None:
    layer = KeepsOptimizers(optimizer)
    layer.wrong = wrong
    assert bool(check(layer, LINEAR, X, dtypes="float64")) is not wrong


# ---- recurrent layers


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


class Lstm:
    """A cell with one bias and the gates in this order; joined, one matrix for input and hidden state."""

    wrong = False

    def __init__(self, order="ifgo", joined=False):
        self.order = order
        matrices = normal(3, 16), normal(4, 16)
        if joined:
            self.W = np.concatenate(matrices)
        else:
            self.Wx, self.Wh = matrices
        self.b = normal(16)

    def forward(self, x, state):
        h, c = state
        z = np.concatenate([x, h], 1)
        W = self.W if hasattr(self, "W") else np.concatenate([self.Wx, self.Wh])
        parts = dict(zip(self.order, np.split(z @ W + self.b, 4, axis=1), strict=True))
        i, f, o, g = sigmoid(parts["i"]), sigmoid(parts["f"]), sigmoid(parts["o"]), np.tanh(parts["g"])
        new = f * c + i * g
        self.kept = z, W, c, {"i": i, "f": f, "o": o, "g": g}, np.tanh(new)
        return o * np.tanh(new), new

    def backward(self, dh, dc):
        z, W, c, gates, t = self.kept
        i, f, o, g = (gates[name] for name in "ifog")
        dc = dc + dh * o * (1 - t**2)
        slopes = {"i": dc * g * i * (1 - i), "f": dc * c * f * (1 - f), "g": dc * i * (1 - g**2)}
        slopes["o"] = dh * t * o * (1 if self.wrong else 1 - o)
        da = np.concatenate([slopes[name] for name in self.order], 1)
        dW, dz = z.T @ da, da @ W.T
        if hasattr(self, "W"):
            self.dW = dW
        else:
            self.dWx, self.dWh = dW[:3], dW[3:]
        self.db = da.sum(0)
        return dz[:, :3], (dz[:, 3:], dc * f)


@pytest.mark.parametrize("wrong", [False, True])
@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize("order", one_in(3, ["fgio", "ifgo", "oifg"]))
def test_one_bias_one_matrix_and_gates_in_any_order(order, joined, wrong) -> None:
    layer = Lstm(order, joined)
    layer.wrong = wrong
    inputs = normal(5, 3), (normal(5, 4), normal(5, 4) / 2)
    found = check(layer, torch.nn.LSTMCell(3, 4), *inputs, dtypes="float64")
    assert bool(found) is not wrong, str(found)
    if order != "ifgo":
        assert f"its gates in the order {', '.join(order)}" in str(found)


# ---- one vector with views


class Flat(Base):
    """W and b are views on theta, their gradients on dtheta."""

    def __init__(self):
        self.theta, self.dtheta = normal(18), np.zeros(18)
        self.W, self.b = self.theta[:15].reshape(5, 3), self.theta[15:]
        self.dW, self.db = self.dtheta[:15].reshape(5, 3), self.dtheta[15:]

    forward = Base.product

    def backward(self, dy):
        dx, self.dW[...], self.db[...] = self.gradients(dy)
        return dx


class FlatInUse(Flat):
    """forward and backward use the vectors; the views are for people."""

    def forward(self, x):
        self.x = x
        return x @ self.theta[:15].reshape(5, 3) + self.theta[15:]

    def backward(self, dy):
        dx, dW, db = dy @ self.theta[:15].reshape(5, 3).T, self.x.T @ dy, self.gradients(dy)[2]
        self.dtheta[...] = np.concatenate([dW.ravel(), db])
        return dx


class FlatAlone(Base):
    """No views at all, in PyTorch's order."""

    def __init__(self):
        self.theta, self.dtheta = normal(18), None

    def forward(self, x):
        self.x, self.W, self.b = x, self.theta[:15].reshape(3, 5).T, self.theta[15:]
        return x @ self.W + self.b

    def backward(self, dy):
        dx, dW, db = self.gradients(dy)
        self.dtheta = np.concatenate([dW.T.ravel(), db])
        return dx


@pytest.mark.parametrize("wrong", [False, True])
@pytest.mark.parametrize("form", [Flat, FlatInUse, FlatAlone])
@pytest.mark.parametrize("dtype", one_in(2, ["float64", "float32"]))
def test_one_vector_of_all_parameters(form, wrong, dtype) -> None:
    found = check(made(form, wrong), LINEAR, X, dtypes=dtype)
    assert bool(found) is not wrong, str(found)


class GateByGate:
    """A cell with a matrix of hidden state and input, in this order, and a bias for each gate."""

    wrong = False

    def __init__(self):
        self.Wf, self.Wi, self.Wc, self.Wo = normal(4, 4, 7)
        self.bf, self.bi, self.bc, self.bo = normal(4, 4, 1)

    def forward(self, x, h, c):
        z = np.concatenate([h, x], 1)
        f, i, o = (
            sigmoid(z @ W.T + b.T) for W, b in ((self.Wf, self.bf), (self.Wi, self.bi), (self.Wo, self.bo))
        )
        g = np.tanh(z @ self.Wc.T + self.bc.T)
        new = f * c + i * g
        self.kept = z, f, i, o, g, c, np.tanh(new)
        return o * np.tanh(new), new

    def backward(self, dh, dc):
        z, f, i, o, g, c, t = self.kept
        dc = dc + dh * o * (1 - t**2)
        slopes = {"f": dc * c * f * (1 - f), "i": dc * g * i * (1 - i), "c": dc * i * (1 - g**2)}
        slopes["o"] = dh * t * o * (1 - o)
        for name, slope in slopes.items():
            setattr(self, f"dW{name}", slope.T @ z)
            setattr(self, f"db{name}", slopes["f" if self.wrong else name].sum(0)[:, None])
        dz = sum(slope @ getattr(self, f"W{name}") for name, slope in slopes.items())
        return dz[:, 4:], dz[:, :4], dc * f


@pytest.mark.parametrize("wrong", [False, True])
def test_arrays_for_each_gate(wrong) -> None:
    layer, inputs = made(GateByGate, wrong), (normal(5, 3), normal(5, 4), normal(5, 4) / 2)

    class Cell(torch.nn.LSTMCell):
        def forward(self, x, h, c):
            return super().forward(x, (h, c))

    cell = Cell(3, 4)
    found = check(layer, cell, *inputs, dtypes="float64")
    assert bool(found) is not wrong, str(found)
    assert {name for name, v in verdicts(found).items() if v != "agree"} == (
        {"bias_ih", "bias_hh"} if wrong else set()
    )
    assert "hidden state before those of the input" in str(found)


def test_a_layer_may_return_the_last_state_alone() -> None:
    class Recurrent:
        def __init__(self):
            self.Wx, self.Wh, self.b = normal(3, 4), normal(4, 4), normal(4)

        def forward(self, x):
            self.x, self.h = x, [np.zeros((len(x), 4))]
            for t in range(x.shape[1]):
                self.h.append(np.tanh(x[:, t] @ self.Wx + self.h[-1] @ self.Wh + self.b))
            return self.h[-1]

        def backward(self, dh):
            dx = np.zeros_like(self.x)
            self.dWx, self.dWh, self.db = np.zeros((3, 4)), np.zeros((4, 4)), np.zeros(4)
            for t in reversed(range(self.x.shape[1])):
                da = dh * (1 - self.h[t + 1] ** 2)
                self.dWx += self.x[:, t].T @ da
                self.dWh += self.h[t].T @ da
                self.db += da.sum(0)
                dx[:, t], dh = da @ self.Wx.T, da @ self.Wh.T
            return dx

    reference = torch.nn.RNN(3, 4, batch_first=True)
    layer = Recurrent()
    found = check(layer, reference, normal(2, 5, 3), transposed=["Wh"], dtypes="float64")
    assert found, str(found)


@pytest.mark.parametrize("wrong", [False, True])
def test_a_square_matrix_is_stored_as_the_others_are(wrong) -> None:
    class Two:
        def __init__(self):
            self.W1, self.W2 = normal(5, 3), normal(3, 3)

        def forward(self, x):
            self.x, self.h = x, np.tanh(x @ self.W1)
            return self.h @ self.W2

        def backward(self, dy):
            dz = dy @ self.W2.T * (1 - self.h ** (1 if wrong else 2))
            self.dW1, self.dW2 = self.x.T @ dz, self.h.T @ dy
            return dz @ self.W1.T

    linear = torch.nn.Linear
    reference = torch.nn.Sequential(linear(5, 3, bias=False), torch.nn.Tanh(), linear(3, 3, bias=False))
    assert bool(check(Two(), reference, X, dtypes="float64")) is not wrong


def test_labels_in_a_list_are_held() -> None:
    assert check(SoftmaxLoss(), torch.nn.CrossEntropyLoss(), X, LABELS.tolist(), dtypes="float64")
    with pytest.raises(TypeError, match=r"check: held input.* is a Tensor"):
        check(SoftmaxLoss(), torch.nn.CrossEntropyLoss(), X, torch.tensor(LABELS))


class Appends(Base):
    """Parameters made in the first forward; lists that grow until flush_gradients is called."""

    def __init__(self):
        self.parameters = {"W": None, "b": None}
        self.gradients, self.inputs = {"W": None, "b": None}, []

    def forward(self, x):
        if self.parameters["W"] is None:
            self.parameters = {"W": normal(x.shape[1], 3), "b": np.zeros((1, 3))}
            self.flush_gradients()
        self.inputs.append(x)
        return x @ self.parameters["W"] + self.parameters["b"]

    def flush_gradients(self):
        self.inputs = []
        self.gradients = {name: np.zeros_like(p) for name, p in self.parameters.items()}

    def backward(self, dy, retain=True):
        for x in self.inputs:
            self.gradients["W"] += x.T @ dy
            self.gradients["b"] += dy.mean(0) if self.wrong else dy.sum(0)
        return dy @ self.parameters["W"].T


@pytest.mark.parametrize("wrong", [False, True])
def test_lists_of_activations_do_not_outlive_the_first_forward(wrong) -> None:
    assert bool(check(made(Appends, wrong), LINEAR, X)) is not wrong


def test_an_array_that_the_output_does_not_depend_on_is_no_parameter() -> None:
    class Unused(ForwardProp):
        def __init__(self):
            super().__init__()
            self.centre, self.dcentre = normal(7), np.zeros(7)

    assert check(Unused(), LINEAR, X, dtypes="float64")
    assert not check(made(Unused, True), LINEAR, X, dtypes="float64")


@pytest.mark.parametrize("slope", [np.cos, np.sin])
def test_a_class_of_static_methods_is_a_pair(slope) -> None:
    class Sine:
        @staticmethod
        def forward(x):
            return np.sin(x)

        @staticmethod
        def backward(dy, x):
            return dy * slope(x)

    assert bool(check(Sine, torch.sin, X, dtypes="float64")) is (slope is np.cos)


def test_layers_of_a_network_that_move_their_own_weights() -> None:
    class Network:
        def __init__(self, *layers):
            self.layers = layers

        def forward(self, x):
            for layer in self.layers:
                x = layer.forward(x)
            return x

        def backward(self, dy, lr):
            for layer in reversed(self.layers):
                dy = layer.backward(dy, lr)
            return dy

    second = StepsByArgument()
    second.W = normal(3, 3)
    reference = torch.nn.Sequential(torch.nn.Linear(5, 3), torch.nn.Linear(3, 3))
    network = Network(StepsByArgument(), second)
    assert check(network, reference, X, dtypes="float64")
    second.wrong = True
    found = check(network, reference, X, dtypes="float64")
    assert {name for name, v in verdicts(found).items() if v != "agree"} == {"1.bias"}


def affine(x, w, b):
    return x @ w + b, (x, w)


def affine_backward(dout, cache):
    x, w = cache
    return dout @ w.T, x.T @ dout, dout.sum(0)


@pytest.mark.parametrize("reference", [LINEAR, torch.nn.Linear(5, 5)])
def test_a_pair_may_take_the_parameters_behind_the_inputs(reference) -> None:
    told = ["w"] if reference is not LINEAR else []
    assert check((affine, affine_backward), reference, X, transposed=told, dtypes="float64")

    def plain(x, w, b):
        return affine(x, w, b)[0]

    def again(dy, x, w, b):
        return affine_backward(dy, (x, w))

    assert check((plain, again), reference, X, transposed=told, dtypes="float64")
    wrong = (plain, lambda dy, x, w, b: (dy @ w.T, x.T @ dy, dy.mean(0)))
    found = check(wrong, reference, X, transposed=told, dtypes="float64")
    assert {name for name, v in verdicts(found).items() if v != "agree"} == {"bias"}


class GradientsFirst(Base):
    forward = Base.product

    def backward(self, dy):
        dx, *others = self.gradients(dy)
        return others, dx


class MomentumInside(Base):
    def __init__(self):
        super().__init__()
        self.vW, self.vb = np.zeros((5, 3)), np.zeros(3)

    forward = Base.product

    def backward(self, dy, lr):
        dx, dW, db = self.gradients(dy)
        self.vW, self.vb = 0.9 * self.vW - lr * dW, 0.9 * self.vb - lr * db
        self.W, self.b = self.W + self.vW, self.b + self.vb
        return dx


class ListOfTuples(Base):
    def __init__(self):
        self.layers = [(normal(5, 3), normal(3))]

    def forward(self, x):
        ((self.W, self.b),) = self.layers
        return self.product(x)

    def backward(self, dy):
        dx, *others = self.gradients(dy)
        self.dlayers = [tuple(others)]
        return dx


@pytest.mark.parametrize("wrong", [False, True])
@pytest.mark.parametrize("form", [GradientsFirst, MomentumInside, ListOfTuples])
def test_rarer_forms(form, wrong) -> None:
    found = check(made(form, wrong), LINEAR, X, dtypes="float64")
    assert {name for name, v in verdicts(found).items() if v != "agree"} == ({"bias"} if wrong else set())
    assert bool(found) is not wrong, str(found)


@pytest.mark.parametrize("mine", [lambda x: x**2, object(), np.tanh, (np.tanh,) * 3])
def test_a_thing_without_a_backward_is_told_what_is_expected(mine) -> None:
    with pytest.raises(TypeError, match=r"check: mine: .* has no forward and backward; expected an object"):
        check(mine, torch.square, X)


def test_a_number_called_alpha_that_forward_takes_too_is_no_learning_rate() -> None:
    def f(x, alpha, mode="cubic"):
        assert mode == "cubic"
        return alpha * x**3

    def reference(x, alpha):
        return alpha * x**3

    assert check(
        (f, lambda dy, x, alpha: 3 * alpha * x**2 * dy), reference, X, 0.5, held="alpha", dtypes="float64"
    )


def test_steps_beside_gradients_that_are_left_are_said_to_be_unjudged() -> None:
    class Eager:
        def __init__(self) -> None:
            self.W, self.b = np.ones((5, 3)), np.zeros(3)
            self.lr = 0.01

        def forward(self, x: np.ndarray) -> np.ndarray:
            self.x = x
            return x @ self.W + self.b

        def backward(self, dy: np.ndarray) -> np.ndarray:
            self.dW, self.db, dx = self.x.T @ dy, dy.sum(0), dy @ self.W.T
            self.W -= self.lr * 2 * self.dW
            self.b -= self.lr * self.db
            return dx

    found = check(Eager(), torch.nn.Linear(5, 3), X, dtypes="float64")
    assert "The gradients that backward leaves are judged, not the steps" in found.verdict
    assert "over the learning rate" not in found.verdict


# ---- the order of gradients that backward returns


class Scaled:
    """gamma · tanh(x) + beta, beta kept first."""

    def __init__(self):
        self.beta, self.gamma = normal(5), 1 + normal(5)

    def forward(self, x):
        self.t = np.tanh(x)
        return self.gamma * self.t + self.beta

    def parts(self, dy):
        return dy * self.gamma * (1 - self.t**2), (dy * self.t).sum(0), dy.sum(0)


class ByName(Scaled):
    def backward(self, dy):
        dx, dgamma, dbeta = self.parts(dy)
        return dx, dgamma, dbeta


class ByFalseNames(Scaled):
    def backward(self, dy):
        dx, dbeta, dgamma = self.parts(dy)
        return dx, dgamma, dbeta


class ByNoName(Scaled):
    def backward(self, dy):
        return self.parts(dy)


class ByNoNameAndHalf(Scaled):
    def backward(self, dy):
        dx, first, second = self.parts(dy)
        return dx, [first / 2, second]


@pytest.mark.parametrize(
    ("kind", "ok", "said"),
    [
        (ByName, True, ""),
        (ByFalseNames, False, "it is the gradient of beta (gamma)"),
        (ByNoName, True, "backward returns the gradients of beta, gamma in another order than they are kept"),
        (ByNoNameAndHalf, False, "NumPy is wrong: beta, gamma"),
    ],
)
def test_gradients_returned_in_another_order_than_the_arrays(kind, ok, said):
    found = check(kind(), None, normal(4, 5))
    assert found.ok == ok, str(found)
    assert said in found.verdict
    assert ok is False or said or "order" not in found.verdict


class Table:
    """An embedding whose array and gradient have names of their own."""

    def __init__(self, wrong):
        self.table, self.wrong = normal(6, 3), wrong

    def forward(self, indices):
        self.indices = indices
        return self.table[indices]

    def backward(self, dy):
        self.grad = np.zeros_like(self.table)
        if self.wrong:
            self.grad[self.indices] = dy
        else:
            np.add.at(self.grad, self.indices, dy)


@pytest.mark.parametrize("wrong", [False, True])
def test_the_only_array_beside_a_gradient_of_no_name(wrong):
    found = check(Table(wrong), None, np.array([[1, 2, 1], [0, 5, 1]]))
    assert found.ok == (not wrong), str(found)
    assert "table" in {*found.frame["tensor"]}


class Masked:
    """A fixed mask of the input's shape beside the gradient of the input: no parameter."""

    def __init__(self):
        self.mask = (normal(4, 5) > 0).astype(float)

    def forward(self, x):
        return x * self.mask

    def backward(self, dy):
        self.grad = dy * self.mask


def test_an_array_beside_the_gradient_of_the_input_is_no_parameter():
    found = check(Masked(), None, normal(4, 5))
    assert found, str(found)
    assert {*found.frame["tensor"]} == {"input"}


# ---- what people's code raises


class NotYet:
    """A property that fails before the first forward."""

    @property
    def parameters(self):
        return {"scale": self.scale["x"]}

    @property
    def slope(self):
        return 1 - self.y**2

    def forward(self, x):
        self.y = np.tanh(x)
        return self.y

    def backward(self, dy):
        return dy * self.slope


def test_a_property_that_cannot_be_read_yet():
    assert check(NotYet(), None, normal(4, 5))


class OfProbabilities:
    """A loss that asserts that its rows sum up to 1, and a derivative by the input that is not held."""

    def loss(self, y, p):
        assert np.allclose(p.sum(1), 1, rtol=1e-6)
        return -np.sum(y * np.log(p)) / len(y)

    def grad(self, y, p):
        return (-y / p / len(y),)


def test_a_forward_that_is_not_defined_beside_its_inputs():
    p = np.exp(normal(4, 3))
    found = check(OfProbabilities(), None, np.eye(3)[[0, 1, 2, 1]], p / p.sum(1, keepdims=True), held=0)
    assert found, str(found)


class OfTwoInputs:
    def loss(self, y, mean, scale):
        return np.sum((y - mean) ** 2 * scale)

    def grad(self, y, mean, scale):
        return 2 * (mean - y) * scale, (y - mean) ** 2


@pytest.mark.parametrize("held", [0, "y"])
def test_derivatives_by_the_inputs_that_are_not_held(held):
    assert check(OfTwoInputs(), None, *(normal(4, 3) for _ in range(3)), held=held)


def test_a_message_begins_with_check():
    with pytest.raises(ValueError, match=r"^check: no input and no parameter is floating"):
        check((lambda i: i * 2.0, lambda dy, i: None), None, np.array([1, 2]))


class Frozen:
    """Positions that are added and not learned, though a gradient is kept for them."""

    def __init__(self, trainable):
        self.trainable, self.weights, self.d_weights = trainable, normal(5), np.zeros(5)

    def forward(self, x):
        return x + self.weights

    def backward(self, dy):
        return dy


def test_parameters_that_are_said_to_be_frozen_are_held():
    found = check(Frozen(False), None, normal(4, 5))
    assert found, str(found)
    assert "Held, since there is no gradient of it: weights." in found.verdict
    assert "no gradient arrives (weights)" in check(Frozen(True), None, normal(4, 5)).verdict


class Summing:
    """Takes a list of arrays, and returns a list of gradients."""

    def forward(self, xs):
        self.count = len(xs)
        return sum(xs)

    def backward(self, dy):
        return [dy] * self.count


def test_a_list_of_arrays_is_several_inputs():
    assert check(Summing(), None, [normal(4, 5), normal(4, 5), normal(4, 5)])


class TwoOutputs:
    """The second output is x itself; the gradient of w, of which it knows nothing, is off by 2e-7."""

    def __init__(self):
        self.w, self.dw = normal(5), np.zeros(5)

    def forward(self, x):
        self.x = x
        return x * self.w, x.copy()

    def backward(self, da, db):
        self.dw = (da * self.x).sum(0) * (1 + 2e-7)
        return da * self.w + db


def test_an_output_that_has_no_part_in_a_gradient_is_not_its_cause():
    found = check(TwoOutputs(), None, normal(4, 5), dtypes="float64")
    assert not found
    assert "is left out" not in found.verdict


# ---- errors in people's code


class WithoutArray:
    """Its backward takes a list for an array."""

    def __init__(self):
        self.saved = []

    def forward(self, x):
        return x * x

    def backward(self, dy):
        return self.saved.swapaxes(0, 1)


def test_an_error_in_a_layer_says_whose_it_is_and_where():
    words = r"^check: WithoutArray.backward raises AttributeError: .*swapaxes.*\(test_adapters.py, line \d+"
    with pytest.raises(ValueError, match=words):
        check(WithoutArray(), None, np.ones(3))


def test_an_error_in_a_network_says_whose_it_is_and_where():
    def loss(params, X):
        return (params["W"] * X).sum(), params["V"]

    with pytest.raises(
        ValueError, match=r"^check_loss: .*loss raises KeyError: 'V' \(test_adapters.py, line"
    ):
        check_loss(loss, {"W": np.ones(3)}, np.ones(3))


def test_a_gradient_that_is_kept_in_fewer_digits_than_its_weight_is_refused():
    class Layer:
        def __init__(self):
            self.W = np.random.default_rng(0).standard_normal((5, 3))
            self.dW = np.zeros((5, 3), np.float16)

        def forward(self, x):
            self.x = x
            return x @ self.W

        def backward(self, dy):
            self.dW[:] = self.x.T @ dy
            return dy @ self.W.T

    assert "NumPy is wrong: weight" in check(Layer(), torch.nn.Linear(5, 3, bias=False), X).verdict


def test_an_error_of_the_checker_is_none_of_peoples(monkeypatch):
    monkeypatch.setattr("torch_ref.checker.check.usable", None)
    with pytest.raises(TypeError, match=r"^'NoneType' object is not callable"):
        check((lambda x: x, lambda dy, x: dy), None, np.ones(3))


class KeptGenerator:
    """Dropout that draws from a generator of its own."""

    def __init__(self, kind):
        self.rng = kind(0)

    def forward(self, x):
        self.mask = self.rng.uniform(size=x.shape) < 0.5
        return x * self.mask

    def backward(self, dy):
        return dy * self.mask


@pytest.mark.parametrize("kind", [np.random.default_rng, np.random.RandomState])
def test_dropout_with_a_generator_of_its_own_is_called_random(kind):
    found = check(KeptGenerator(kind), None, np.ones((4, 5)))

    assert not found
    assert "forward is random: it keeps a generator" in found.verdict
    assert "keeps state" not in found.verdict
