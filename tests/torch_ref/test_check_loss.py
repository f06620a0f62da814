"""check_loss: whole networks in the forms in which people write them, right and with one mistake."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sampled import one_in
from torch_ref import check_loss

# Of the cases of each test; the others in make long.
ONE_IN = 2

RNG = np.random.default_rng(3)
X, Y = RNG.normal(size=(6, 4)), RNG.normal(size=(6, 2))
LABELS = np.array([0, 2, 1, 1, 0, 2])


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def weights():
    return normal(4, 3), normal(3, seed=1), normal(3, 2, seed=2), normal(2, seed=3)


def two_layers(W1, b1, W2, b2, X, Y, wrong=False):
    """Loss and gradients of a network with a hidden layer of tanh, and half the mean squared error."""
    h = np.tanh(X @ W1 + b1)
    e = h @ W2 + b2 - Y
    d = e / len(X)
    dh = d @ W2.T * (1 if wrong else 1 - h**2)
    return 0.5 * np.sum(e**2) / len(X), (X.T @ dh, dh.sum(0), h.T @ d, d.sum(0))


NAMES = ("W1", "b1", "W2", "b2")


def parameters():
    return dict(zip(NAMES, weights(), strict=True))


# Each form: of ``wrong``, gives f, params and the data.


def dict_and_dict(wrong):
    def f(p, X, Y):
        loss, grads = two_layers(**p, X=X, Y=Y, wrong=wrong)
        return loss, {f"d{k}": g for k, g in zip(NAMES, grads, strict=True)}

    return f, parameters(), (X, Y)


def named(pattern, order=NAMES):
    """A dict of gradients, named by a pattern, in any order."""

    def form(wrong):
        def f(p, X, Y):
            loss, grads = two_layers(**p, X=X, Y=Y, wrong=wrong)
            given = dict(zip(NAMES, grads, strict=True))
            return loss, {pattern.format(k): given[k] for k in order}

        return f, parameters(), (X, Y)

    return form


def with_activations(wrong):
    def f(p, X, Y):
        loss, grads = two_layers(**p, X=X, Y=Y, wrong=wrong)
        given = {f"d{k}": g for k, g in zip(NAMES, grads, strict=True)}
        return loss, {"dZ2": X[:, :2], "A1": X, "W1": p["W1"], **given, "dA1": X}

    return f, parameters(), (X, Y)


def hyperparameters_among_them(wrong):
    def f(p, X, Y):
        loss, grads = two_layers(*(p[k] for k in NAMES), X, Y, wrong=wrong)
        loss = p["scale"] * loss
        return loss, {f"grad_{k}": p["scale"] * g for k, g in zip(NAMES, grads, strict=True)}

    return f, parameters() | {"scale": 0.5, "units": 3, "name": "net", "cache": None}, (X, Y)


def in_a_list(wrong):
    return lambda p, X, Y: two_layers(*p, X, Y, wrong=wrong), list(weights()), (X, Y)


def one_behind_the_other(wrong):
    def f(p, X, Y):
        loss, grads = two_layers(*p, X, Y, wrong=wrong)
        return (loss, *grads, X[-1])

    return f, weights(), (X, Y)


def separate_arguments(wrong):
    def f(W1, b1, W2, b2, X, Y):
        loss, (dW1, db1, dW2, db2) = two_layers(W1, b1, W2, b2, X, Y, wrong)
        return loss, {"dW2": dW2, "db2": db2, "dW1": dW1, "db1": db1}

    return f, weights(), (X, Y)


def loss_last(wrong):
    def f(p, X, Y):
        loss, grads = two_layers(*p, X, Y, wrong=wrong)
        return list(grads), loss

    return f, weights(), (X, Y)


def names_for_both(wrong):
    def f(p, X, Y):
        loss, grads = two_layers(*p, X, Y, wrong=wrong)
        return {"loss": np.array([[loss]]), "gradients": grads, "accuracy": 0.5}

    return f, weights(), (X, Y)


def flat(wrong):
    shapes = [w.shape for w in weights()]

    def unrolled(theta):
        parts = np.split(theta, np.cumsum([math.prod(s) for s in shapes])[:-1])
        return [part.reshape(s) for part, s in zip(parts, shapes, strict=True)]

    def f(theta, X, Y):
        loss, grads = two_layers(*unrolled(theta), X, Y, wrong=wrong)
        return loss, np.concatenate([g.ravel() for g in grads])

    return f, np.concatenate([w.ravel() for w in weights()]), (X, Y)


def layers_of_dicts(wrong):
    def f(layers, X, Y):
        loss, g = two_layers(*(layer[k] for layer in layers for k in ("W", "b")), X, Y, wrong=wrong)
        return loss, [{"dW": g[0], "db": g[1]}, {"dW": g[2], "db": g[3]}]

    W1, b1, W2, b2 = weights()
    return f, [{"W": W1, "b": b1}, {"W": W2, "b": b2}], (X, Y)


def by_kind(wrong):
    def f(layers, X, Y):
        loss, g = two_layers(*(w for layer in layers for w in layer), X, Y, wrong=wrong)
        return loss, [g[0], g[2]], [g[1], g[3]]

    W1, b1, W2, b2 = weights()
    return f, [(W1, b1), (W2, b2)], (X, Y)


def weights_and_biases(wrong):
    def f(p, X, Y):
        (W1, W2), (b1, b2) = p["weights"], p["biases"]
        loss, g = two_layers(W1, b1, W2, b2, X, Y, wrong=wrong)
        return loss, {"dweights": [g[0], g[2]], "dbiases": [g[1], g[3]]}

    W1, b1, W2, b2 = weights()
    return f, {"weights": [W1, W2], "biases": [b1, b2]}, (X, Y)


def objects(wrong):
    def f(layers, X, Y):
        first, second = layers
        loss, g = two_layers(first.W, first.b, second.W, second.b, X, Y, wrong=wrong)
        first.dW, first.db, second.dW, second.db = g
        return loss

    W1, b1, W2, b2 = weights()
    return f, [SimpleNamespace(W=W1, b=b1, dW=None), SimpleNamespace(W=W2, b=b2)], (X, Y)


def two_functions(wrong):
    def loss(p, X, Y):
        return float(two_layers(*p, X, Y)[0])

    return (loss, lambda p, X, Y: two_layers(*p, X, Y, wrong=wrong)[1]), list(weights()), (X, Y)


class Book:
    """As in a book: a loss, and beside it a gradient that knows the layers; layers share the arrays."""

    def __init__(self, wrong):
        self.wrong, self.params = wrong, parameters()
        self.first = SimpleNamespace(W=self.params["W1"], b=self.params["b1"])

    def predict(self, x):
        return np.tanh(x @ self.first.W + self.first.b) @ self.params["W2"] + self.params["b2"]

    def loss(self, x, t):
        return 0.5 * np.sum((self.predict(x) - t) ** 2) / len(x)

    def gradient(self, x, t):
        return dict(zip(NAMES, two_layers(**self.params, X=x, Y=t, wrong=self.wrong)[1], strict=True))


class Trained:
    """Keeps weights as attributes; backward takes a step with a learning rate."""

    def __init__(self, wrong):
        self.wrong = wrong
        self.W1, self.b1, self.W2, self.b2 = weights()
        self.history = []

    def forward(self, X):
        self.hidden = np.tanh(X @ self.W1 + self.b1)
        return self.hidden @ self.W2 + self.b2

    def compute_loss(self, y_pred, y_true):
        return np.mean((y_pred - y_true) ** 2)

    def backward(self, X, y, output, learning_rate=0.1):
        d = 2 * (output - y) / y.size
        dh = d @ self.W2.T * (1 if self.wrong else 1 - self.hidden**2)
        self.W2 -= learning_rate * self.hidden.T @ d
        self.b2 -= learning_rate * d.sum(0)
        self.W1 -= learning_rate * X.T @ dh
        self.b1 -= learning_rate * dh.sum(0)


class Graded:
    """Its loss gives a number, and leaves the gradients in a dict."""

    def __init__(self, wrong):
        self.wrong, self.params, self.grads = wrong, parameters(), {}

    def loss(self, X, y):
        loss, grads = two_layers(**self.params, X=X, Y=y, wrong=self.wrong)
        self.grads = dict(zip(NAMES, grads, strict=True))
        return loss


class Layers:
    """Layers with the gradients beside the weights, and a training loop of their own."""

    def __init__(self, wrong):
        W1, b1, W2, b2 = weights()
        self.layers, self.wrong = [Dense(W1, b1), Dense(W2, b2)], wrong

    def loss(self, X, y):
        self.X, (first, second) = X, self.layers
        self.h = np.tanh(X @ first.W + first.b)
        self.e = self.h @ second.W + second.b - y
        return 0.5 * np.sum(self.e**2)

    def train(self, X, y, epochs=100, learning_rate=0.01):
        for _ in range(epochs):
            self.loss(X, y)
            first, second = self.layers
            second.dW, second.db = self.h.T @ self.e, self.e.sum(0)
            d = self.e @ second.W.T * (1 if self.wrong else 1 - self.h**2)
            first.dW, first.db = X.T @ d, d.sum(0)
            for layer in self.layers:
                layer.W -= learning_rate * layer.dW
                layer.b -= learning_rate * layer.db


class Dense:
    def __init__(self, W, b):
        self.W, self.b, self.dW = W, b, None


class Stepping:
    """Keeps its data as well; its backprop takes no arguments, and the step is the gradient."""

    def __init__(self, wrong):
        self.wrong, self.input, self.y, self.output = wrong, X, Y, np.zeros(Y.shape)
        self.weights1, _, self.weights2, _ = weights()

    def feedforward(self):
        self.layer1 = np.tanh(self.input @ self.weights1)
        self.output = self.layer1 @ self.weights2

    def backprop(self):
        d = 2 * (self.y - self.output)
        d1 = d @ self.weights2.T * (1 if self.wrong else 1 - self.layer1**2)
        self.weights1 += self.input.T @ d1
        self.weights2 += self.layer1.T @ d


class Fitted:
    """A loss of the output of forward, hyperparameters as attributes, and a loop with a step of its own."""

    def __init__(self, wrong):
        self.W, self.b, self.lr, self.losses, self.wrong = normal(4, 2), np.zeros((1, 2)), 0.1, [], wrong

    def forward(self, X):
        return np.tanh(X @ self.W + self.b)

    def loss(self, y_hat, y):
        return np.mean((y_hat - y) ** 2)

    def fit(self, X, y, n_iter):
        for _ in range(n_iter):
            out = self.forward(X)
            self.losses.append(self.loss(out, y))
            d = 2 * (out - y) * (1 if self.wrong else 1 - out**2) / y.size
            self.W -= self.lr * X.T @ d
            self.b -= self.lr * d.sum(axis=0, keepdims=True)


def fitted_method(wrong):
    return Fitted(wrong).loss, None, (X, Y)


def data_first(wrong):
    def f(X, y, params):
        return two_layers(*params, X, y, wrong)

    return f, weights(), (X, Y)


def data_first_and_separate(wrong):
    def f(X, y, W1, b1, W2, b2):
        loss, grads = two_layers(W1, b1, W2, b2, X, y, wrong)
        return (loss, *grads)

    return f, weights(), (X, Y)


def a_cache_beside_the_loss(wrong):
    def loss(p, X, Y):
        return two_layers(*p, X, Y)[0], (X, *p, Y)

    return (loss, lambda p, X, Y: two_layers(*p, X, Y, wrong=wrong)[1]), list(weights()), (X, Y)


class Cached(Graded):
    """Its loss gives a cache, with the weights in it; gradients come from another method."""

    def loss(self, X, y):
        return two_layers(**self.params, X=X, Y=y)[0], (X, *self.params.values())

    def backward(self, X, y):
        return dict(zip(NAMES, two_layers(**self.params, X=X, Y=y, wrong=self.wrong)[1], strict=True))


def without_data(wrong):
    def loss(net):
        net.feedforward()
        return np.sum((net.y - net.output) ** 2)

    return (loss, Stepping.backprop), Stepping(wrong), ()


def mlp(wrong):
    """Loss and gradients of an object without a loss, said by two functions."""
    return (lambda net, X, y: np.mean((net.forward(X) - y) ** 2), Trained.backward), Trained(wrong), (X, Y)


def method(wrong):
    net = Graded(wrong)
    return net.loss, net.params, (X, Y)


def closure(wrong):
    net = Graded(wrong)

    def run(X, Y):
        loss = net.loss(X, Y)
        return loss, net.grads

    return run, net.params, (X, Y)


def softmax_regression(wrong):
    def f(W, X, y, reg):
        z = X @ W
        z -= z.max(axis=1, keepdims=True)
        p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        loss = -np.log(p[np.arange(len(X)), y]).mean() + reg * np.sum(W * W)
        p[np.arange(len(X)), y] -= 1
        return loss, X.T @ p / len(X) + (1 if wrong else 2) * reg * W

    return f, normal(4, 3), (X, LABELS, 0.1)


def logistic_columns(wrong):
    """Samples are columns; b is a number that begins as 0."""

    def propagate(w, b, X, Y):
        m = X.shape[1]
        A = 1 / (1 + np.exp(-(w.T @ X + b)))
        cost = np.squeeze(-np.sum(Y * np.log(A) + (1 - Y) * np.log(1 - A)) / m)
        return {"dw": X @ (A - Y).T / m, "db": np.sum(A - Y) / (1 if wrong else m)}, cost

    return propagate, (normal(4, 1), 0), (X.T, (LABELS > 0)[None].astype(float))


def plain_python(wrong):
    """Numbers of Python's, a sample at a time."""

    def f(net, samples):
        loss, dw, db = 0.0, [0.0] * 2, 0.0
        for *x, target in samples:
            y = 1 / (1 + math.exp(-sum(w * each for w, each in zip(net["w"], x, strict=True)) - net["b"]))
            loss += (y - target) ** 2
            d = 2 * (y - target) * (1 if wrong else y * (1 - y))
            dw = [g + d * each for g, each in zip(dw, x, strict=True)]
            db += d
        return loss, {"w": dw, "b": db}

    return f, {"w": [0.3, -0.5], "b": 0.1, "lr": 0.5}, ([(0, 1, 1), (1, 1, 0), (1, 0, 1)],)


def lists_of_lists(wrong):
    """Layers of other sizes, as lists of lists of Python's numbers."""

    def f(layers, x, t):
        (w, v), (z,) = layers[0], layers[1]
        h = [math.tanh(sum(a * b for a, b in zip(row, x, strict=True))) for row in (w, v)]
        e = sum(a * b for a, b in zip(z, h, strict=True)) - t
        dh = [e * a * (1 if wrong else 1 - b * b) for a, b in zip(z, h, strict=True)]
        return e * e / 2, [[[d * b for b in x] for d in dh], [[e * b for b in h]]]

    return f, [[[0.1, 0.2, -0.4], [0.3, 0.5, 0.7]], [[0.6, -0.8]]], ([1.0, -0.5, 2.0], 0.25)


def rnn(wrong):
    """A loss, a gradient for each weight, and the last state."""

    def f(Wx, Wh, Wy, inputs, targets, start):
        hs, loss = {-1: np.copy(start)}, 0
        for t, x in enumerate(inputs):
            hs[t] = np.tanh(Wx[:, [x]] + Wh @ hs[t - 1])
            loss += np.sum((Wy @ hs[t])[targets[t]] ** 2)
        dWx, dWh, dWy, dnext = np.zeros_like(Wx), np.zeros_like(Wh), np.zeros_like(Wy), np.zeros_like(hs[0])
        for t in reversed(range(len(inputs))):
            dy = np.zeros((len(Wy), 1))
            dy[targets[t]] = 2 * (Wy @ hs[t])[targets[t]]
            dWy += dy @ hs[t].T
            draw = (Wy.T @ dy + dnext) * (1 - hs[t] ** 2)
            dWx[:, [inputs[t]]] += draw
            dWh += draw @ hs[t - 1].T
            dnext = 0 if wrong else Wh.T @ draw
        return loss, dWx, dWh, dWy, hs[len(inputs) - 1]

    return f, (normal(3, 5), 0.5 * normal(3, 3), normal(5, 3)), ([0, 3, 1, 3], [3, 1, 3, 2], np.zeros((3, 1)))


def draws_a_mask(wrong):
    """Dropout, the mask drawn anew from the global generator in each call."""

    def f(p, X, Y):
        mask = (np.random.rand(*X.shape) < 0.5) / (1 if wrong else 0.5)
        loss, grads = two_layers(**p, X=X * mask, Y=Y)
        if wrong:
            grads = (grads[0] / 2, *grads[1:])
        return loss, grads

    return f, parameters(), (X, Y)


FORMS = {
    form.__name__: form
    for form in (
        dict_and_dict, with_activations, hyperparameters_among_them, in_a_list, one_behind_the_other,
        separate_arguments, loss_last, names_for_both, flat, layers_of_dicts, by_kind, weights_and_biases,
        objects, two_functions, without_data, mlp, method, closure, softmax_regression, logistic_columns,
        plain_python, lists_of_lists, rnn, draws_a_mask, fitted_method, data_first, a_cache_beside_the_loss,
        data_first_and_separate,
    )
} | {
    f"gradients named {pattern}": named(pattern, NAMES[::-1])
    for pattern in ("{}", "grad_{}", "{}_grad", "d_{}", "nabla_{}", "g{}", "dL_d{}", "delta{}", "{}.grad")
} | {
    f"an object, {kind.__name__}": lambda wrong, kind=kind: (kind(wrong), None, (X, Y))
    for kind in (Book, Trained, Graded, Layers, Fitted, Cached)
}  # fmt: skip


@pytest.mark.parametrize("form", one_in(5, FORMS))
def test_a_right_network_agrees(form):
    f, params, data = FORMS[form](False)
    found = check_loss(f, params, *data)
    assert found, str(found)
    assert "agrees with the numeric derivative" in found.verdict


@pytest.mark.parametrize("form", one_in(5, FORMS))
def test_a_wrong_network_does_not(form):
    f, params, data = FORMS[form](True)
    found = check_loss(f, params, *data)
    assert not found
    assert found.verdict.startswith("float64: NumPy is wrong"), str(found)
    assert not found.side_effects


# ---- beside PyTorch


def by_torch(p, X, Y):
    h = torch.tanh(X @ p["W1"] + p["b1"])
    return 0.5 * torch.sum((h @ p["W2"] + p["b2"] - Y) ** 2) / len(X)


def test_beside_a_function_of_tensors():
    f, params, data = dict_and_dict(False)
    found = check_loss(f, params, *data, reference=by_torch)
    assert found, str(found)
    assert "The two sides agree in 5 tensors" in found.verdict


def test_beside_a_function_of_tensors_the_wrong_side_is_named():
    f, params, data = dict_and_dict(True)
    found = check_loss(f, params, *data, reference=by_torch)
    assert found.verdict.startswith("float64: NumPy is wrong: W1, b1.")


def test_beside_another_loss_the_forwards_differ():
    f, params, data = dict_and_dict(False)
    found = check_loss(f, params, *data, reference=lambda p, X, Y: 2 * by_torch(p, X, Y))
    assert found.verdict.startswith("float64: The forwards differ, in loss.")


@pytest.mark.parametrize("form", [separate_arguments, layers_of_dicts, plain_python])
def test_the_reference_is_called_as_f_is(form):
    def reference(*arguments):
        if form is separate_arguments:
            return by_torch(dict(zip(NAMES, arguments[:4], strict=True)), *arguments[4:])
        if form is layers_of_dicts:
            first, second = arguments[0]
            named = {"W1": first["W"], "b1": first["b"], "W2": second["W"], "b2": second["b"]}
            return by_torch(named, *arguments[1:])
        net, samples = arguments
        w, b = net["w"], net["b"]
        ys = [(1 / (1 + torch.exp(-(w[0] * x + w[1] * y + b))), t) for x, y, t in samples]
        return sum((y - t) ** 2 for y, t in ys)

    f, params, data = form(False)
    found = check_loss(f, params, *data, reference=reference)
    assert found, str(found)
    assert found.verdict.startswith("The two sides agree")


@pytest.mark.parametrize("reference", [torch.nn.Linear(4, 3), 3])
def test_another_reference_is_refused(reference):
    f, params, data = dict_and_dict(False)
    with pytest.raises(
        TypeError, match=r"check_loss: reference is a .*, expected a function of torch tensors"
    ):
        check_loss(f, params, *data, reference=reference)


# ---- what is refused, and what is said


def line(p, x, t):
    """A line through points; the gradient of its slope and of its offset."""
    e = p["w"] * x + p["b"] - t
    return np.mean(e**2), {"dw": np.mean(2 * e * x, keepdims=True), "db": np.mean(2 * e, keepdims=True)}


def start():
    return {"w": np.array([0.5]), "b": np.array([0.25])}


POINTS = (np.array([1.0, 2.0, 4.0]), np.array([1.5, 1.0, 3.0]))


def test_nothing_of_yours_is_changed():
    p, before = start(), start()
    x, t = (each.copy() for each in POINTS)
    assert check_loss(line, p, x, t)
    assert p == before
    assert np.array_equal(x, POINTS[0])
    assert np.array_equal(t, POINTS[1])


@pytest.mark.parametrize("factor", [1, 2])
def test_a_gradient_may_be_the_weight_itself(factor):
    found = check_loss(lambda w: (factor * np.sum(w**2) / 2, w), normal(4))
    assert found.ok == (factor == 1)


def test_what_a_closure_reads_is_put_back():
    p = start()
    w = p["w"]
    assert check_loss(lambda: line(p, *POINTS), p)
    assert p["w"] is w
    assert w == 0.5


def test_a_missing_gradient_is_a_wrong_one_and_named():
    def f(p, x, t):
        loss, grads = line(p, x, t)
        return loss, {"dw": grads["dw"], "dbb": grads["db"]}

    found = check_loss(f, start(), *POINTS)
    assert not found
    assert "there is no gradient (b): f returns a dict of dw, dbb. Fix: return it" in found.verdict


def test_a_gradient_left_by_an_earlier_call_is_none_of_this_one():
    class Stale(Graded):
        def loss(self, X, y):
            loss, grads = two_layers(**self.params, X=X, Y=y)
            self.grads["W1"] = grads[0]
            return loss

    net = Stale(False)
    Graded.loss(net, X, Y)
    found = check_loss(net.loss, net.params, X, Y)
    assert found.verdict.startswith("float64: NumPy is wrong: b1, W2, b2.")


@pytest.mark.parametrize(
    ("f", "params", "message"),
    [
        (
            lambda p, x, t: line(p, x, t)[0],
            start(),
            "f returns None, in which there is no gradient of any param",
        ),
        (lambda p, x, t: line(p, x, t)[1], start(), "f returns a dict of dw, db, in which there is no loss"),
        (line, {"units": 3}, "params is a dict of units, expected floating numbers"),
        (line, None, "params is None, expected floating numbers"),
        ("line", start(), "f is 'line', expected a function"),
        (lambda p: line(p, *POINTS), start(), "f is <lambda>.p., which takes neither params and 2 data nor"),
        (lambda p, x, t: line(start(), x, t), start(), "the loss of f does not depend on params .w, b."),
        (SimpleNamespace(), start(), "f is a SimpleNamespace, expected a function"),
    ],
)
def test_what_cannot_be_used_is_refused_with_what_is_expected(f, params, message):
    with pytest.raises(TypeError, match=f"^check_loss: {message}"):
        check_loss(f, params, *POINTS)


def test_an_object_without_a_loss_is_told_how_to_say_it():
    with pytest.raises(
        TypeError, match=r"check_loss\(\(lambda net, X, y: .* Stepping.backprop\), net, X, y\)"
    ):
        check_loss(Stepping(False), None)


def test_a_gradient_of_a_wrong_shape_is_a_disagreement():
    def f(p, X, Y):
        loss, (dW1, db1, dW2, _) = two_layers(*p, X, Y)
        return loss, [dW1, db1, dW2, np.ones((6, 2))]

    found = check_loss(f, weights(), X, Y)
    assert found.verdict.startswith("float64: shapes differ: params[3].")
    assert "params[3]: NumPy's has shape (6, 2), expected (2,)" in str(found)


def test_a_step_in_place_is_a_side_effect():
    def f(p, X, Y):
        loss, grads = two_layers(*p, X, Y)
        p[0][...] -= 0.1 * grads[0]
        return loss, grads

    found = check_loss(f, weights(), X, Y)
    assert found.verdict == "a call changes params[0], expected the weights left to the optimizer"


def test_data_changed_in_place_are_a_side_effect():
    def f(p, X, Y):
        X -= X.mean()
        return two_layers(*p, X, Y)

    found = check_loss(f, weights(), X.copy(), Y)
    assert not found
    assert "a call changes data 0 in place" in found.verdict


def test_random_numbers_of_its_own_generator_are_no_evidence():
    generator = np.random.default_rng(0)
    found = check_loss(lambda p, X, Y: two_layers(*p, generator.random(X.shape), Y), weights(), X, Y)
    assert found.verdict.startswith("forward is random")


def test_a_generator_among_the_data_draws_alike():
    def f(p, X, Y, generator):
        return two_layers(*p, generator.random(X.shape), Y)

    assert check_loss(f, weights(), X, Y, np.random.default_rng(0))


@pytest.mark.parametrize("factor", [1, 1.001])
def test_a_network_of_float32_is_judged_there(factor):
    def f(W, X, y):
        e = X @ W.astype(np.float32) - y
        return np.mean(e**2), factor * 2 * X.T @ e / len(X)

    found = check_loss(f, normal(4), X.astype(np.float32), X[:, 0].astype(np.float32))
    assert found.ok == (factor == 1)
    assert [*found.comparisons] == ["float32"]
    assert "Judged in float32 alone, since the network computes in float32" in str(found)


def test_numbers_of_python_are_judged_in_float64():
    f, params, data = plain_python(False)
    found = check_loss(f, params, *data)
    assert [*found.comparisons] == ["float64"]
    assert "Held, since there is no gradient of it: lr." in found.verdict
    assert "Not tried in float32" in found.verdict


@pytest.mark.parametrize("dtypes", [(), "float16"])
def test_other_dtypes_are_refused(dtypes):
    with pytest.raises(ValueError, match="check_loss: dtypes is"):
        check_loss(line, start(), *POINTS, dtypes=dtypes)


# ---- causes


def causes(f, params, *data):
    found = check_loss(f, params, *data)
    assert not found
    return [str(cause) for cause in found.causes]


def test_the_number_of_samples_is_named_if_fewer_samples_confirm_it():
    def f(p, X, Y):
        loss, (dW1, db1, dW2, db2) = two_layers(*p, X, Y)
        return loss, (dW1, db1 * len(X), dW2, db2 / len(X))

    by_n, by_one = causes(f, weights(), X, Y)
    assert by_n.startswith(
        "a factor of the number of samples, 6, too much (params[1]): on 5 samples it is 5."
    )
    assert by_one.startswith("divided by the number of samples, 6, once too often (params[3])")


def test_another_factor_that_is_the_number_of_samples_by_chance_is_not_called_so():
    def f(p, X, Y):
        loss, (dW1, db1, dW2, db2) = two_layers(*p, X, Y)
        return loss, (dW1, db1 * 6, dW2, db2)

    assert "samples" not in "".join(causes(f, weights(), X, Y))


@pytest.mark.long
def test_what_is_not_handed_on_in_time_is_right_for_one_step():
    (cause,) = causes(*rnn(True)[:2], *rnn(True)[2])
    assert cause.startswith("right for one sample or time step alone, and wrong for several (")


@pytest.mark.parametrize(
    ("in_loss", "in_gradient", "cause"),
    [
        (
            0.1,
            0,
            "the gradient of the regularisation is missing (W1, W2): ",
        ),
        (
            0.1,
            0.05,
            "the gradient of the regularisation is half of what it should be (W1, W2): ",
        ),
        (
            0,
            0.1,
            "weight decay is in the gradient and not, or not so much, in the loss (W1, W2): without 0.1",
        ),
    ],
)
def test_regularisation_in_one_place_alone_is_seen(in_loss, in_gradient, cause):
    def f(p, X, Y):
        loss, grads = two_layers(**p, X=X, Y=Y)
        grads = {k: g + in_gradient * p[k] * (k[0] == "W") for k, g in zip(NAMES, grads, strict=True)}
        return loss + in_loss / 2 * (np.sum(p["W1"] ** 2) + np.sum(p["W2"] ** 2)), grads

    (found,) = causes(f, parameters(), X, Y)
    assert found.startswith(cause)


def test_interchanged_gradients_are_seen():
    def f(p, X):
        e = np.tanh(X @ p[0]) @ p[1] - X
        d = 2 * e @ p[1].T * (1 - np.tanh(X @ p[0]) ** 2)
        return np.sum(e**2), (2 * np.tanh(X @ p[0]).T @ e, X.T @ d)

    (cause,) = causes(f, (normal(4, 4), normal(4, 4, seed=1)), X)
    assert cause.startswith("the two gradients are interchanged (params[0], params[1])")


# ---- large networks


def wide(wrong):
    def f(p, X, y):
        z = X @ p["W1"] + p["b1"]
        h = np.maximum(z, 0)
        e = h @ p["W2"] - y
        dh = np.outer(e, p["W2"]) * (z > 0)
        dW1 = X.T @ dh
        dW1[17, 3] *= 1.5 if wrong else 1
        return e @ e, {"W2": 2 * h.T @ e, "dW1": 2 * dW1, "db1": 2 * dh.sum(0)}

    params = {"W1": 0.1 * normal(300, 70), "b1": np.zeros(70), "W2": normal(70, seed=1)}
    return f, params, (normal(5, 300), normal(5))


def test_of_many_entries_some_are_tried_and_all_together():
    f, params, data = wide(False)
    found = check_loss(f, params, *data, dtypes="float64", budget=200)  # however slow the machine is
    assert found, str(found)
    assert (
        "Not all of the 21,140 entries were tried by themselves, but 16 each of W1, b1, W2" in found.verdict
    )
    assert {"W1", "W1 along directions"} <= {*found.frame["tensor"]}
    # Fewer, the longer a call takes beside the budget.
    found = check_loss(f, params, *data, dtypes="float64", budget=1e-3)
    assert found, str(found)
    assert "but 2 each of W1, b1, W2, and all together along 3 random directions" in found.verdict


def test_one_wrong_entry_among_many_is_found():
    f, params, data = wide(True)
    found = check_loss(f, params, *data, dtypes="float64", budget=200)
    assert found.verdict.startswith("float64: NumPy is wrong: W1, W1 along directions.")
    assert "\nW1[17, 3]   NumPy " in str(found)
    assert "ratio 1.5\n" in str(found)
    assert "alone" not in found.verdict


@pytest.mark.parametrize("kind", [list, tuple])
def test_of_two_lists_as_long_the_order_decides(kind):
    def f(params, X, y):
        V, w = params
        e = X @ V @ w - y
        dV, dw = X.T @ np.outer(e, w), V.T @ X.T @ e
        return np.sum(e**2) / 2, kind([dw, dV])

    # Of a tuple people take the parts by name, as they do of what a function returns.
    found = check_loss(f, [normal(4, 3), normal(3)], X, X[:, 0], dtypes="float64")
    assert found.ok == (kind is tuple)
    assert found or "shapes differ" in found.verdict


@pytest.mark.parametrize("y", [1.0, np.array([1.0, 0.0])])
def test_the_default_of_an_argument_is_a_learning_rate(y):
    class Neuron:
        def __init__(self):
            self.w = np.array([0.3, -0.4])

        def loss(self, x, y):
            return 0.5 * np.sum((x @ self.w - y) ** 2)

        def step(self, x, y, lr=0.01):
            self.w = self.w - lr * x.T @ np.atleast_1d(x @ self.w - y)

    x = np.array([[0.5, 1.5], [-1.0, 0.7]])[: np.size(y)]
    neuron = Neuron()

    assert check_loss((neuron.loss, neuron.step), {"w": neuron.w}, x, y)


# ---- new weights in the place of gradients

RATE = 0.05


def after_a_step(p, X, Y, rate, wrong=False):
    loss, grads = two_layers(**p, X=X, Y=Y, wrong=wrong)
    return loss, {name: p[name] - rate * g for name, g in zip(NAMES, grads, strict=True)}


def training(kind, wrong):
    """f, and the data behind X and Y."""

    def given(p, X, Y, lr):
        return after_a_step(p, X, Y, lr, wrong)

    def by_default(p, X, Y, learning_rate=0.01):
        return after_a_step(p, X, Y, learning_rate, wrong)

    def train_step(p, X, Y):
        return after_a_step(p, X, Y, RATE, wrong)

    return {"given": (given, (0.1,)), "by default": (by_default, ()), "global": (train_step, ())}[kind]


@pytest.mark.parametrize("wrong", [False, True])
@pytest.mark.parametrize("kind", one_in(3, ["given", "by default", "global"]))
def test_a_training_function_that_returns_new_weights(kind, wrong):
    f, more = training(kind, wrong)
    found = check_loss(f, parameters(), X, Y, *more)
    assert found.ok == (not wrong), str(found)
    assert "What is returned are new weights: read as the steps to them" in found.verdict
    assert set(found.frame.query("verdict != 'agree'")["tensor"]) == ({"W1", "b1"} if wrong else set())


def test_a_function_named_as_a_step_may_return_gradients():
    def train_step(p, X, Y):
        loss, grads = two_layers(**p, X=X, Y=Y)
        return loss, dict(zip(NAMES, grads, strict=True))

    found = check_loss(train_step, parameters(), X, Y)
    assert found, str(found)
    assert "new weights" not in found.verdict


def test_a_rate_that_nobody_can_know_is_named():
    def step(p, X, Y):
        return after_a_step(p, X, Y, 0.25)

    found = check_loss(step, parameters(), X, Y)
    assert not found
    assert "the learning rate of the step is not known; 0.25 would make all" in found.verdict


# ---- lists by kind


@pytest.mark.parametrize("wrong", [False, True])
@pytest.mark.parametrize("params_by_kind", [False, True])
def test_gradients_by_kind_of_parameters_by_layer(params_by_kind, wrong):
    order = [0, 2, 1, 3]

    def f(params, X, Y):
        given = [params[order.index(i)] for i in range(4)] if params_by_kind else params
        loss, grads = two_layers(*given, X, Y, wrong=wrong)
        return loss, list(grads) if params_by_kind else [grads[i] for i in order]

    params = [weights()[i] for i in order] if params_by_kind else [*weights()]
    found = check_loss(f, params, X, Y)
    assert found.ok == (not wrong), str(found)
    assert "The gradients are not in the order of the parameters" in found.verdict


# ---- gradients of an earlier call


class Kept:
    """A network of one layer that keeps its gradients."""

    def __init__(self):
        self.params = {"W": normal(4, 2), "b": normal(2)}
        self.grads = {}

    def loss(self, X, Y):
        e = X @ self.params["W"] + self.params["b"] - Y
        e = np.tanh(e)
        d = e * (1 - e**2)
        self.keep({"W": X.T @ d, "b": d.sum(0)})
        return np.sum(e**2) / 2

    def keep(self, grads):
        self.grads = grads


class FilledOnce(Kept):
    def keep(self, grads):
        for name, g in grads.items():
            self.grads.setdefault(name, g)


class AddedUp(Kept):
    def keep(self, grads):
        for name, g in grads.items():
            self.grads[name] = self.grads.get(name, 0) + g


class AddedUpAndZeroed(AddedUp):
    def zero_grad(self):
        self.grads = {}


@pytest.mark.parametrize(
    ("kind", "effect"),
    [
        (Kept, ""),
        (FilledOnce, "after one with other parameters and data, its gradients are not those of its loss"),
        (AddedUp, "a call adds its gradients of W, b to those of the call before"),
        (AddedUpAndZeroed, ""),
    ],
)
def test_gradients_of_an_earlier_call(kind, effect):
    found = check_loss(kind(), None, X, Y)
    assert found.ok == (not effect), str(found)
    assert effect in found.verdict


def test_gradients_of_the_first_call_kept_in_a_closure():
    kept = {}

    def f(p, X, Y):
        e = np.tanh(X @ p["W"]) - Y
        d = e * (1 - (e + Y) ** 2)
        return np.sum(e**2) / 2, {"W": kept.setdefault("W", X.T @ d)}

    found = check_loss(f, {"W": normal(4, 2)}, X, Y)
    assert (
        "after one with other parameters and data, its gradients are not those of its loss" in found.verdict
    )


def test_parameters_with_data_and_grad_kept_by_a_network():
    class Param:
        def __init__(self, data):
            self.data, self.grad = data, np.zeros_like(data)

    class Net:
        def __init__(self, factor):
            self.W, self.factor = Param(normal(4, 2)), factor

        def loss(self, X, Y):
            e = X @ self.W.data - Y
            self.W.grad += self.factor * X.T @ e
            return np.sum(e**2) / 2

    assert check_loss(Net(1.0), None, X, Y)
    assert "a factor of 2 too much (W.data)" in check_loss(Net(2.0), None, X, Y).verdict


# ---- like


def cross_entropy(p, y):
    """Without the mean's 1/N."""
    z = p["z"] - p["z"].max(1, keepdims=True)
    q = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    return -np.log(q[range(len(y)), y]).mean(), {"z": q - np.eye(3)[y]}


@pytest.mark.parametrize(
    ("like", "cause"),
    [
        (None, "a factor of 6 too much (z)"),
        ("cross_entropy", "the mean's 1/N is missing in the loss's gradient"),
    ],
)
def test_the_formula_that_a_loss_is_may_be_said(like, cause):
    found = check_loss(cross_entropy, {"z": normal(6, 3)}, LABELS, like=like)
    assert cause in found.verdict


def test_like_is_a_formula_of_ours():
    with pytest.raises(ValueError, match=r"check_loss: like is 'cross', expected the name of a formula"):
        check_loss(cross_entropy, {"z": normal(6, 3)}, LABELS, like="cross")


# ---- a learning rate that the network's own loop holds


class OwnLoop:
    """tanh and squares, trained by its own loop; ``factor`` is 2 in a right gradient."""

    factor = 2.0

    def __init__(self):
        self.W, self.V = normal(3, 4), normal(4, 2)

    def loss(self, X, y):
        self.h = np.tanh(X @ self.W)
        return ((self.h @ self.V - y) ** 2).sum()

    def _slopes(self, X, y):
        self.loss(X, y)
        d = self.factor * (self.h @ self.V - y)
        return X.T @ (d @ self.V.T * (1 - self.h**2)), self.h.T @ d


class HeldRate(OwnLoop):
    def train(self, X, y, epochs=1):
        lr = 0.1
        for _ in range(epochs):
            dW, dV = self._slopes(X, y)
            self.W -= lr * dW
            self.V -= lr * dV


class RateInSteps(OwnLoop):
    def train(self, X, y):
        dW, dV = self._slopes(X, y)
        self.W -= 0.01 * dW
        self.V -= dV * 0.01


class RateInAnotherMethod(OwnLoop):
    def train(self, X, y):
        self._move(*self._slopes(X, y))

    def _move(self, dW, dV):
        learning_rate = 0.05
        self.W -= learning_rate * dW
        self.V -= learning_rate * dV


class UnnamedRate(OwnLoop):
    def train(self, X, y):
        dW, dV = self._slopes(X, y)
        little = 0.3
        self.W = self.W - little * dW
        self.V = self.V - little * dV


@pytest.mark.parametrize("kind", one_in(3, [HeldRate, RateInSteps, RateInAnotherMethod]))
def test_a_learning_rate_in_the_source_is_found(kind, monkeypatch):
    assert check_loss(kind(), None, normal(6, 3), normal(6, 2))
    monkeypatch.setattr(OwnLoop, "factor", 1.0)
    found = check_loss(kind(), None, normal(6, 3), normal(6, 2))

    assert [cause.name for cause in found.causes] == ["a factor of 1/2 too much"]


def test_a_learning_rate_that_is_not_found_is_asked_for():
    found = check_loss(UnnamedRate(), None, normal(6, 3), normal(6, 2), dtypes="float64")
    (cause,) = found.causes

    assert cause.name.startswith("the learning rate of the step is not known; 0.3 would make all gradients")
    assert cause.fix.startswith("call it lr or learning_rate")
