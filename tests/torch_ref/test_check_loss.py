"""check_loss: whole networks in the forms in which people write them, right and with one mistake."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from torch_ref import check_loss

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
        objects, two_functions, mlp, method, closure, softmax_regression, logistic_columns, plain_python,
        lists_of_lists, rnn, draws_a_mask,
    )
} | {
    f"gradients named {pattern}": named(pattern, NAMES[::-1])
    for pattern in ("{}", "grad_{}", "{}_grad", "d_{}", "nabla_{}", "g{}", "dL_d{}", "delta{}", "{}.grad")
} | {
    f"an object, {kind.__name__}": lambda wrong, kind=kind: (kind(wrong), None, (X, Y))
    for kind in (Book, Trained, Graded)
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_right_network_agrees(form):
    f, params, data = form(False)
    found = check_loss(f, params, *data)
    assert found, str(found)
    assert "agrees with the numeric derivative" in found.verdict


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_wrong_network_does_not(form):
    f, params, data = form(True)
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
