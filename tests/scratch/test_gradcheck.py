"""The numeric gradients and the checks that use them: they are right, and they can fail."""

from functools import lru_cache

import numpy as np
import pytest
import torch

import scratch
from sampled import one_in
from scratch import models, nn, random
from scratch.datasets import mnist5k
from scratch.gradcheck import (
    Gradients,
    Objective,
    Step,
    check_directions,
    differentiate,
    gradcheck,
    numeric,
    numerical_gradient,
)
from scratch.gradcheck.chain import Chain
from torch_ref import compare, mirror

# Of the cases of each test; the others in make long.
ONE_IN = 2

EPS = np.finfo(np.float64).eps


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def linear(inputs: int, outputs: int) -> nn.Linear:
    return nn.Linear(inputs, outputs, dtype=np.float64)


class Scale(nn.Module):
    """y = x w, one factor for each column: a layer of somebody else's, linear in w."""

    def __init__(self, size: int) -> None:
        self.w = nn.Parameter(normal(size, seed=size))

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.save(x)
        return x * self.w.data

    def backward(self, dy: np.ndarray) -> np.ndarray:
        (x,) = self.saved()
        self.w.add_grad((x * dy).sum(0))
        return dy * self.w.data


class Softplus(nn.Module):
    """y = x + log(1 + exp w): not linear in w."""

    def __init__(self, size: int) -> None:
        self.w = nn.Parameter(normal(size, seed=size))

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.save()
        return x + np.log1p(np.exp(self.w.data))

    def backward(self, dy: np.ndarray) -> np.ndarray:
        self.saved()
        self.w.add_grad(dy.sum(0) / (1 + np.exp(-self.w.data)))
        return dy


class Center(nn.Module):
    """y = x less its mean over the samples, so that each sample's output depends on all."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        return x - np.mean(x, axis=0)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        return dy - np.mean(dy, axis=0)


class Mix(nn.Module):
    """y = x W with rows of W that reach every column: no channel is one row's own."""

    def __init__(self, size: int) -> None:
        self.w = nn.Parameter(normal(size, size, seed=size))

    def forward(self, x: np.ndarray) -> np.ndarray:
        self.save(x)
        return x @ self.w.data

    def backward(self, dy: np.ndarray) -> np.ndarray:
        (x,) = self.saved()
        self.w.add_grad(x.T @ dy)
        return dy @ self.w.data.T


class Product(nn.Module):
    """y = a b, of two inputs."""

    def forward(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        self.save(a, b)
        return a * b

    def backward(self, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        a, b = self.saved()
        return dy * b, dy * a


class Residual(nn.Module):
    """y = x + f(x): a module with a module inside, whose forward is no chain."""

    def __init__(self, inside: nn.Module) -> None:
        self.inside = inside

    def forward(self, x: np.ndarray) -> np.ndarray:
        return x + self.inside(x)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        return dy + self.inside.backward(dy)


TIED = linear(4, 4)

MODELS = {
    "a chain": (lambda: nn.Sequential(linear(4, 5), nn.ReLU(), linear(5, 3)), (6, 4)),
    "Flatten": (lambda: nn.Sequential(nn.Flatten(), linear(8, 5), nn.Tanh(), linear(5, 3)), (6, 2, 4)),
    "more axes": (lambda: nn.Sequential(linear(4, 5), nn.Sigmoid(), nn.Flatten(), linear(15, 2)), (6, 3, 4)),
    "nested": (
        lambda: nn.Sequential(nn.Sequential(linear(4, 5), nn.Sequential(nn.Tanh())), linear(5, 3)),
        (6, 4),
    ),
    "as many samples as features": (lambda: nn.Sequential(linear(4, 4), nn.Tanh(), linear(4, 4)), (4, 4)),
    "one sample": (lambda: nn.Sequential(linear(4, 5), nn.Tanh(), linear(5, 3)), (1, 4)),
    "one sample without an axis": (lambda: nn.Sequential(linear(4, 5), nn.Tanh(), linear(5, 3)), (4,)),
    "another's layer": (lambda: nn.Sequential(linear(4, 5), Scale(5), nn.Tanh(), linear(5, 3)), (6, 4)),
    "not linear in a parameter": (lambda: nn.Sequential(linear(4, 5), Softplus(5), nn.Tanh()), (6, 4)),
    "rows that reach all columns": (lambda: nn.Sequential(linear(4, 5), Mix(5), nn.Tanh()), (6, 4)),
    "coupled samples": (lambda: nn.Sequential(linear(4, 5), nn.Tanh(), Center(), linear(5, 3)), (6, 4)),
    "softmax over the samples": (lambda: nn.Sequential(linear(4, 5), nn.Tanh(), nn.Softmax(dim=0)), (6, 4)),
    "a residual": (
        lambda: nn.Sequential(linear(4, 4), Residual(nn.Sequential(linear(4, 4), nn.Tanh()))),
        (6, 4),
    ),
    "tied weights": (lambda: nn.Sequential(TIED, nn.Tanh(), TIED), (6, 4)),
    "dropout": (lambda: nn.Sequential(linear(4, 5), nn.Dropout(0.4), nn.Tanh(), linear(5, 3)), (6, 4)),
    "dropout first": (lambda: nn.Sequential(nn.Dropout(0.4), linear(4, 5), nn.Dropout(0.2)), (6, 4)),
    "rare dropout": (lambda: nn.Sequential(linear(4, 4), nn.Dropout(0.01), linear(4, 3)), (5, 4)),
    "nothing to learn": (lambda: nn.Sequential(nn.Tanh(), nn.LogSoftmax(dim=1)), (6, 4)),
}
models_ = pytest.mark.parametrize(("make", "shape"), MODELS.values(), ids=MODELS.keys())


@pytest.fixture(autouse=True)
def seed() -> None:
    scratch.manual_seed(0)


def assert_equal(one: Gradients, other: Gradients, relative: float) -> None:
    named = [*zip(one.inputs, other.inputs, strict=True)]
    named += [(one.parameters[name], other.parameters[name]) for name in one.parameters]
    largest = max(np.max(np.abs(b)) for _, b in named)
    for a, b in named:
        assert a.shape == b.shape
        assert np.max(np.abs(a - b)) <= relative * largest


# ---- they agree


@models_
def test_backward_passes_both_checks(make, shape) -> None:
    model, x = make(), normal(*shape)
    result = gradcheck(model, x)
    assert result, str(result)
    assert (found := check_directions(model, x)), str(found)


@models_
@pytest.mark.parametrize("method", ["complex", "central"])
def test_the_fast_route_gives_what_a_forward_for_each_entry_gives(make, shape, method, monkeypatch) -> None:
    model, x = make(), normal(*shape)
    fast = numerical_gradient(model, x, method=method)
    with monkeypatch.context() as slow:
        slow.setattr(numeric, "find_patterns", lambda *args: None)
        slow.setattr(Chain, "treats_samples_apart", lambda *args: False)
        entries = numerical_gradient(model, x, method=method)
    # Central differences divide the rounding of L by h = 6e-6.
    assert_equal(fast, entries, relative=64 * EPS if method == "complex" else 1e-9)


@models_
def test_central_differences_have_nine_digits_of_the_complex_step(make, shape) -> None:
    model, x = make(), normal(*shape)
    assert_equal(numerical_gradient(model, x, method="central"), numerical_gradient(model, x), relative=1e-9)
    assert gradcheck(model, x, method="central")


@pytest.mark.parametrize(
    ("loss_fn", "target"),
    [
        (nn.CrossEntropyLoss(), np.array([0, 2, 1, 1, 0, 2])),
        (nn.CrossEntropyLoss(weight=np.array([1.0, 2.0, 0.5]), ignore_index=1), np.array([0, 2, 1, 1, 0, 2])),
        (nn.CrossEntropyLoss(label_smoothing=0.1, reduction="sum"), np.array([0, 2, 1, 1, 0, 2])),
        (nn.MSELoss(), normal(6, 3, seed=5)),
        (nn.MSELoss(reduction="sum"), normal(6, 3, seed=5)),
        (nn.BCEWithLogitsLoss(pos_weight=np.array([1.0, 2.0, 0.5])), normal(6, 3, seed=5) ** 2),
    ],
    ids=repr,
)
def test_a_loss_behind_the_model_is_differentiated_with_it(loss_fn, target, monkeypatch) -> None:
    model, x = nn.Sequential(linear(4, 5), nn.Tanh(), linear(5, 3)), normal(6, 4)
    assert gradcheck(model, x, loss_fn=loss_fn, target=target)
    assert check_directions(model, x, loss_fn=loss_fn, target=target)
    fast = numerical_gradient(model, x, loss_fn=loss_fn, target=target)
    monkeypatch.setattr(numeric, "find_patterns", lambda *args: None)
    assert_equal(fast, numerical_gradient(model, x, loss_fn=loss_fn, target=target), relative=64 * EPS)


def test_probabilities_stay_probabilities_when_the_samples_are_tried_apart() -> None:
    model, x = nn.Sequential(linear(4, 3), nn.Sigmoid(), nn.Identity()), normal(6, 4)
    target = np.random.default_rng(1).uniform(size=(6, 3))
    assert gradcheck(model, x, loss_fn=nn.BCELoss(), target=target)
    assert gradcheck(nn.Identity(), target, loss_fn=nn.BCELoss(), target=target[::-1])


def test_two_inputs_have_two_gradients_and_integers_none() -> None:
    a, b = normal(4, 3), normal(4, 3, seed=1)
    result = gradcheck(Product(), a, b)
    assert result
    assert [row.name for row in result.rows] == ["input 0", "input 1"]
    assert check_directions(Product(), a, b)
    assert numerical_gradient(Product(), a, b, wrt_inputs=False).inputs == (None, None)

    class Look(nn.Module):
        def forward(self, x, rows):
            self.save(x.shape, rows)
            return x[rows]

        def backward(self, dy):
            shape, rows = self.saved()
            dx = np.zeros(shape, dy.dtype)
            np.add.at(dx, rows, dy)
            return dx, None

    result = gradcheck(Look(), a, np.array([0, 2, 2]))
    assert result, str(result)
    assert [row.name for row in result.rows] == ["input 0"]


def test_the_fast_route_is_taken_where_it_may_be(monkeypatch) -> None:
    """Else the test of the two routes would have compared one with itself."""

    def refuse(*args):
        raise AssertionError("an entry had a forward of its own")

    monkeypatch.setattr(numeric, "_by_entries", refuse)
    for name in (
        "a chain",
        "Flatten",
        "more axes",
        "nested",
        "another's layer",
        "as many samples as features",
    ):
        make, shape = MODELS[name]
        numerical_gradient(make(), normal(*shape), method="complex")
    for name in (
        "coupled samples",
        "not linear in a parameter",
        "rows that reach all columns",
        "tied weights",
    ):
        make, shape = MODELS[name]
        with pytest.raises(AssertionError, match="forward of its own"):
            numerical_gradient(make(), normal(*shape), method="complex")


@models_
def test_a_check_changes_nothing(make, shape) -> None:
    model, x = make(), normal(*shape)
    for p in model.parameters():
        p.grad = normal(*p.shape, seed=9)
    kept = [(p.data.copy(), p.grad.copy()) for p in model.parameters()]
    before, x_before = random.get_rng_state(), x.copy()
    gradcheck(model, x)
    check_directions(model, x)
    numerical_gradient(model, x, method="central")
    np.testing.assert_array_equal(random.get_rng_state(), before)
    np.testing.assert_array_equal(x, x_before)
    for p, (data, grad) in zip(model.parameters(), kept, strict=True):
        np.testing.assert_array_equal(p.data, data)
        np.testing.assert_array_equal(p.grad, grad)
    with pytest.raises(RuntimeError, match="called without a matching forward"):
        next(m for m in model.modules() if not isinstance(m, nn.Sequential | Center)).backward(x)


def test_a_float32_model_is_differentiated_in_float64() -> None:
    model, x = MODELS["a chain"][0]().to(np.float32), normal(6, 4).astype(np.float32)
    exact = numerical_gradient(model, x)
    double = numerical_gradient(model.to(np.float64), x.astype(np.float64))
    assert all(g.dtype == np.float64 for g in exact.parameters.values())
    # The cotangent is rounded to float32 in one and not in the other.
    assert_equal(exact, double, relative=8 * np.finfo(np.float32).eps)
    assert gradcheck(model.to(np.float32), x)


@pytest.mark.parametrize("seed", one_in(10, range(50)))
def test_no_false_alarm_in_fifty_networks(seed) -> None:
    scratch.manual_seed(seed)
    model = nn.Sequential(linear(20, 30), nn.ReLU(), linear(30, 10))
    x, target = normal(8, 20, seed=seed), np.random.default_rng(seed).integers(0, 10, 8)
    loss = {"loss_fn": nn.CrossEntropyLoss(), "target": target}
    assert (found := check_directions(model, x, **loss, seed=seed)), str(found)
    assert (result := gradcheck(model, x, **loss)), str(result)


# ---- they can fail


class Planted(nn.Linear):
    """A Linear whose weight gradient, or input gradient, is wrong at some places."""

    wrong: tuple = ()
    wrong_input: tuple = ()
    factor = 1 + 1e-6

    def backward(self, dy: np.ndarray) -> np.ndarray:
        dx = super().backward(dy)
        for at in self.wrong:
            self.weight.grad[at] *= self.factor
        for at in self.wrong_input:
            dx[at] *= self.factor
        return dx


@lru_cache
def images() -> tuple[np.ndarray, np.ndarray]:
    train = mnist5k(dtype=np.float64).train
    return train.tensors[0][:3], train.tensors[1][:3]


def planted(**attributes) -> tuple[nn.Sequential, dict]:
    """784-50-10 on three digits, its first layer wrong."""
    model = nn.Sequential(Planted(784, 50, dtype=np.float64), nn.ReLU(), linear(50, 10))
    for name, value in attributes.items():
        setattr(model[0], name, value)
    return model, {"loss_fn": nn.CrossEntropyLoss(), "target": images()[1]}


def live_entries(count: int, seed: int) -> list[tuple[int, int]]:
    """Some entries of the first weight, anywhere, whose gradient is not 0."""
    model, loss = planted()
    gradient = Objective(model, images()[0], **loss).backward().parameters["0.weight"]
    rows, columns = np.nonzero(np.abs(gradient) > 1e-4 * np.max(np.abs(gradient)))
    chosen = np.random.default_rng(seed).choice(len(rows), count, replace=False)
    return sorted((int(rows[i]), int(columns[i])) for i in chosen)


@pytest.mark.parametrize("seed", one_in(4, range(4)))
@pytest.mark.parametrize("count", [1, 5])
def test_directions_find_exactly_the_wrong_entries_of_39760(seed, count) -> None:
    scratch.manual_seed(seed)
    entries = live_entries(count, seed)
    scratch.manual_seed(seed)
    model, loss = planted(wrong=entries)
    found = check_directions(model, images()[0], **loss, seed=seed)
    assert not found
    assert [(entry.name, entry.at) for entry in found.wrong] == [("0.weight", at) for at in entries]
    for entry in found.wrong:
        assert entry.backward / entry.numeric == pytest.approx(1 + 1e-6, rel=1e-9)
    # Halving 42,112 numbers takes 16 steps of two forwards; a forward for each would take 42,112.
    assert found.slopes <= 40 * count


def test_directions_find_a_whole_row() -> None:
    model, loss = planted(wrong=[np.s_[7]])
    scratch.manual_seed(0)
    row = Objective(model, images()[0], **loss).backward().parameters["0.weight"][7]
    found = check_directions(model, images()[0], **loss, most=1000)
    assert [entry.at for entry in found.wrong] == [(7, int(j)) for j in np.flatnonzero(row)]
    assert len(found.wrong) > 50


def test_directions_stop_when_they_have_found_as_many_as_wanted() -> None:
    model, loss = planted(wrong=[np.s_[:]])
    assert len(check_directions(model, images()[0], **loss, most=3).wrong) == 3


def test_directions_find_a_wrong_input_gradient() -> None:
    model, loss = planted(wrong_input=[(1, 300), (2, 5)])
    found = check_directions(model, images()[0], **loss)
    assert [(entry.name, entry.at) for entry in found.wrong] == [("input", (1, 300)), ("input", (2, 5))]


@pytest.mark.long
def test_gradcheck_names_the_tensor_and_the_entry() -> None:
    (at,) = live_entries(1, 0)
    scratch.manual_seed(0)
    model, loss = planted(wrong=[at])
    result = gradcheck(model, images()[0], **loss)
    assert [row.name for row in result.rows if not row.ok] == ["0.weight"]
    assert f"WRONG at {list(at)}" in str(result)
    (row,) = (row for row in result.rows if not row.ok)
    assert row.worst == at
    assert row.backward / row.numeric == pytest.approx(1 + 1e-6, rel=1e-9)


@pytest.mark.parametrize("factor", [0.0, -1.0, 2.0, 1 + 1e-9, np.nan], ids=lambda f: f"times {f:.10g}")
@pytest.mark.parametrize("scale", one_in(3, [1e-8, 1.0, 1e8], lambda s: f"gradients of {s:g}"))
def test_a_wrong_factor_is_refused_at_any_size_of_the_gradients(factor, scale) -> None:
    model = nn.Sequential(Planted(4, 5, dtype=np.float64), nn.Tanh(), linear(5, 3))
    x, cotangent = normal(6, 4), scale * normal(6, 3, seed=1)
    assert gradcheck(model, x, cotangent=cotangent)
    model[0].factor, model[0].wrong = factor, (np.s_[:],)
    result = gradcheck(model, x, cotangent=cotangent)
    assert [row.name for row in result.rows if not row.ok] == ["0.weight"]
    assert "WRONG" in str(result)
    found = check_directions(model, x, cotangent=cotangent, most=100)
    assert len(found.wrong) == 20
    # The central difference has nine digits, so it may miss the ninth.
    assert gradcheck(model, x, cotangent=cotangent, method="central").ok == (factor == 1 + 1e-9)


@pytest.mark.parametrize(
    "break_it",
    [
        lambda dy, x: dy,
        lambda dy, x: dy * (x < 0),
        lambda dy, x: np.zeros_like(dy),
    ],
    ids=["no mask", "the other half", "zero"],
)
def test_a_wrong_relu_is_refused(break_it) -> None:
    class Broken(nn.ReLU):
        def forward(self, x):
            self.x = x
            return super().forward(x)

        def backward(self, dy):
            super().backward(dy)
            return break_it(dy, self.x)

    x = normal(6, 4)
    x[0, 0], x[3] = 0.0, np.abs(x[3])
    assert gradcheck(nn.ReLU(), x)
    assert not gradcheck(Broken(), x)
    assert not check_directions(Broken(), x)


class Own(nn.Module):
    """A function by its forward and, of x and dy, its backward."""

    def __init__(self, function, slope) -> None:
        super().__init__()
        self.function, self.slope = function, slope

    def forward(self, x):
        self.save(x)
        return self.function(x)

    def backward(self, dy):
        (x,) = self.saved()
        return self.slope(x, dy)


def row_by_row(x):
    y = np.zeros(x.shape)
    for i, row in enumerate(x):
        y[i] = row**2
    return y


NO_FORMULAS = {
    "np.abs": (lambda x: x**2 + np.abs(x), lambda x, dy: dy * (2 * x + np.sign(x)), lambda x, dy: dy * 2 * x),
    "np.linalg.norm": (
        lambda x: x / np.linalg.norm(x),
        lambda x, dy: dy / np.linalg.norm(x) - x * np.sum(x * dy) / np.linalg.norm(x) ** 3,
        lambda x, dy: dy / np.linalg.norm(x),
    ),
    "np.zeros": (row_by_row, lambda x, dy: 2 * x * dy, lambda x, dy: x * dy),
    "x.real": (
        lambda x: x**2 + 1e-3 * x.real,
        lambda x, dy: dy * (2 * x + 1e-3),
        lambda x, dy: dy * 2 * x,
    ),
}


@pytest.mark.parametrize("form", NO_FORMULAS)
def test_a_forward_that_no_complex_step_differentiates_is_judged_all_the_same(form) -> None:
    function, right, wrong = NO_FORMULAS[form]
    x = normal(4, 5)
    for judge in (gradcheck, check_directions):
        found = judge(Own(function, right), x)
        assert found, str(found)
        assert found.method.startswith("central differences")
        assert not judge(Own(function, wrong), x)
    layer = Own(function, right)
    layer(x)
    expected = Gradients((layer.backward(np.ones_like(x)),), {})
    assert_equal(numerical_gradient(layer, x, cotangent=np.ones_like(x)), expected, 1e-9)


def test_at_a_kink_either_slope_will_do() -> None:
    x = normal(6, 4)
    x[0, 0] = 0.0
    for slope in (lambda x, dy: dy * (x > 0), lambda x, dy: dy * (x >= 0)):
        assert gradcheck(Own(lambda x: np.maximum(x, 0), slope), x)


def test_a_forward_that_takes_no_other_numbers_cannot_be_differentiated() -> None:
    x = normal(3)

    def strict(given):
        assert np.array_equal(given, x)
        return np.tanh(given)

    for ask in (gradcheck, numerical_gradient):
        with pytest.raises(ValueError, match="no numeric derivative, since forward raises an error"):
            ask(Own(strict, lambda x, dy: dy), x)


def test_entries_of_very_different_sizes_have_steps_of_their_own() -> None:
    """An additive mask: with one step for all of them, the scores beside -1e9 would not move."""

    def softmax(z):
        e = np.exp(z - z.max(axis=-1, keepdims=True))
        out = np.zeros(z.shape)  # takes no complex numbers
        out[...] = e / e.sum(axis=-1, keepdims=True)
        return out

    def slope(z, dy):
        y = softmax(z)
        return y * (dy - np.sum(dy * y, axis=-1, keepdims=True))

    mask = np.where(np.arange(5) < 3, normal(4, 5), -1e9)
    assert gradcheck(Own(softmax, slope), mask)
    assert not gradcheck(Own(softmax, lambda z, dy: softmax(z) * dy), mask)


def test_a_gradient_that_is_truly_zero_is_reported_as_inconclusive() -> None:
    # Centering takes the bias out again: its gradient is the rounding of others.
    model = nn.Sequential(linear(4, 5), Center(), nn.Tanh())
    result = gradcheck(model, normal(6, 4))
    assert {row.name: row.ok for row in result.rows} == {"input": True, "0.weight": True, "0.bias": False}
    assert "inconclusive" in str(result)
    assert "WRONG" not in str(result)

    model = nn.Sequential(linear(4, 5), nn.ReLU(), linear(5, 3))
    model[0].bias.data = np.full(5, -100.0)
    result = gradcheck(model, normal(6, 4))
    unjudged = ["input", "0.weight", "0.bias", "2.weight"]
    assert [row.name for row in result.rows if not row.ok] == unjudged
    assert [row.detection_limit for row in result.rows[:4]] == [np.inf] * 4


def test_every_row_states_its_detection_limit() -> None:
    """An error just above the stated limit is seen, one well below is not."""
    model, x = nn.Sequential(Planted(4, 5, dtype=np.float64), nn.Tanh(), linear(5, 3)), normal(6, 4)
    row = gradcheck(model, x).rows[1]
    gradient = numerical_gradient(model, x).parameters["0.weight"]
    model[0].wrong = (np.unravel_index(np.argmax(np.abs(gradient)), gradient.shape),)
    for share, ok in ((0.5, True), (2, False)):
        model[0].factor = 1 + share * row.detection_limit
        assert gradcheck(model, x).ok == ok
    assert row.detection_limit < 1e-13


# ---- which side is wrong


class WrongSquare(torch.autograd.Function):
    """tanh, forward; tanh a little off, backward."""

    @staticmethod
    def forward(ctx, x):
        y = torch.tanh(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, dy):
        (y,) = ctx.saved_tensors
        return dy * (1 - y * y) * (1 + 1e-6)


class WrongTorchTanh(torch.nn.Module):
    def forward(self, x):
        return WrongSquare.apply(x)


def verdicts(model: nn.Module, twin: torch.nn.Module, **options) -> dict[str, str]:
    result = compare(model, twin, normal(6, 4), **options)
    assert bool(result) == result.ok == (set(result.frame["verdict"]) == {"agree"})
    return dict(zip(result.frame["tensor"], result.frame["verdict"], strict=True))


RIGHT = {"output": "agree", "2.weight": "agree", "2.bias": "agree"}


def tanh_net() -> tuple[nn.Sequential, torch.nn.Sequential]:
    model = nn.Sequential(linear(4, 5), nn.Tanh(), linear(5, 3))
    return model, mirror(model)


def break_numpy(monkeypatch) -> None:
    right = nn.Tanh.backward
    monkeypatch.setattr(nn.Tanh, "backward", lambda self, dy, *args: right(self, dy, *args) * (1 + 2e-6))


def test_compare_says_that_numpy_is_wrong(monkeypatch) -> None:
    model, twin = tanh_net()
    assert set(verdicts(model, twin).values()) == {"agree"}
    break_numpy(monkeypatch)
    behind = dict.fromkeys(("input", "0.weight", "0.bias"), "NumPy is wrong")
    assert verdicts(model, twin) == RIGHT | behind


def test_compare_says_that_torch_is_wrong() -> None:
    model, twin = tanh_net()
    twin[1] = WrongTorchTanh()
    behind = dict.fromkeys(("input", "0.weight", "0.bias"), "PyTorch is wrong")
    assert verdicts(model, twin) == RIGHT | behind


def test_compare_says_that_both_are_wrong(monkeypatch) -> None:
    model, twin = tanh_net()
    twin[1] = WrongTorchTanh()
    break_numpy(monkeypatch)
    behind = dict.fromkeys(("input", "0.weight", "0.bias"), "both are wrong")
    assert verdicts(model, twin) == RIGHT | behind


def test_compare_sees_that_both_make_the_same_mistake(monkeypatch) -> None:
    """Two sides that agree may both be wrong; the numeric derivative is a third."""
    model, twin = tanh_net()
    twin[1] = WrongTorchTanh()
    right = nn.Tanh.backward
    monkeypatch.setattr(nn.Tanh, "backward", lambda self, dy, *args: right(self, dy, *args) * (1 + 1e-6))
    assert verdicts(model, twin)["0.weight"] == "the same on both sides, and no derivative of the forward"
    assert set(verdicts(model, twin, numeric=False).values()) == {"agree"}


def test_compare_without_the_numeric_derivative_says_only_that_they_differ(monkeypatch) -> None:
    model, twin = tanh_net()
    break_numpy(monkeypatch)
    assert verdicts(model, twin, numeric=False)["0.weight"] == "differ"


def test_compare_sees_a_nan(monkeypatch) -> None:
    model, twin = tanh_net()
    right = nn.Tanh.backward
    monkeypatch.setattr(nn.Tanh, "backward", lambda self, dy, *args: right(self, dy, *args) * np.nan)
    assert verdicts(model, twin)["0.weight"] == "NumPy is wrong"
    assert verdicts(model, twin, numeric=False)["0.weight"] == "differ"


def test_compare_sees_a_wrong_output(monkeypatch) -> None:
    model, twin = tanh_net()
    right = nn.Tanh.forward
    monkeypatch.setattr(nn.Tanh, "forward", lambda self, x: right(self, x) + 1e-9)
    assert verdicts(model, twin)["output"] == "differ"


def test_compare_changes_neither_side() -> None:
    model = nn.Sequential(linear(4, 5), nn.Dropout(0.5), nn.Tanh(), linear(5, 3))
    twin = mirror(model)
    torch.manual_seed(4)
    x = normal(6, 4)
    twin(torch.tensor(x)).sum().backward()
    for p in model.parameters():
        p.grad = normal(*p.shape)
    before = {name: (p.data.copy(), p.grad.copy()) for name, p in model.named_parameters()}
    theirs = {name: p.grad.clone() for name, p in twin.named_parameters()}
    states = random.get_rng_state(), torch.get_rng_state()
    assert (result := compare(model, twin, x)), str(result)
    np.testing.assert_array_equal(random.get_rng_state(), states[0])
    assert torch.equal(torch.get_rng_state(), states[1])
    for name, p in model.named_parameters():
        np.testing.assert_array_equal(p.data, before[name][0])
        np.testing.assert_array_equal(p.grad, before[name][1])
        assert torch.equal(twin.get_parameter(name).grad, theirs[name])


def test_the_numeric_gradients_of_the_lesson_take_no_minute() -> None:
    """39,760 parameters, 3 digits: the fast route's forwards are batches, a few hundred in all."""
    scratch.manual_seed(0)
    model = models.two_layer_net(dtype=np.float64)
    x, target = images()
    calls = []
    right = nn.CrossEntropyLoss.forward

    class Counted(nn.CrossEntropyLoss):
        def forward(self, x, target):
            calls.append(1)
            return right(self, x, target)

    numerical_gradient(model, x, loss_fn=Counted(), target=target)
    assert len(calls) < 500


def test_a_saturated_module_is_not_taken_for_a_linear_one() -> None:
    """tanh of ±60 does not change with a bias, but a bias of 2⁴⁰ turns its sign."""
    cell = nn.RNNCell(1, 4, dtype=np.float64)
    cell.weight_ih.data = np.array([[-67.0], [62.0], [-27.0], [172.0]])
    x, h = np.ones((1, 1)), np.zeros((1, 4))
    slopes = differentiate(Objective(cell, x, h), Step("complex", None, np.dtype(np.float64)))
    assert np.max(np.abs(slopes.parameters["bias_ih"])) < 1e-20


class Bounded(nn.Module):
    """Something large and, beside it, something bounded."""

    def __init__(self, large: float) -> None:
        self.weight = nn.Parameter(np.full(2, -60.0))
        self.large = np.array([large, 1.0])

    def forward(self, x: np.ndarray) -> np.ndarray:
        return x * self.large + np.tanh(x * self.weight)


class HalfLinear(Bounded):
    """One channel is linear in the weight, one bounded."""

    def forward(self, x: np.ndarray) -> np.ndarray:
        return np.where([True, False], x * self.weight * self.large, np.tanh(x * self.weight))


@pytest.mark.parametrize("large", [1.0, 1e3, 1e6, 1e9])
@pytest.mark.parametrize("kind", [Bounded, HalfLinear])
def test_nothing_large_hides_that_a_module_is_saturated(kind: type[Bounded], large: float) -> None:
    objective = Objective(kind(large), np.ones((1, 2)))
    slopes = differentiate(objective, Step("complex", None, np.dtype(np.float64)))
    assert abs(slopes.parameters["weight"][1]) < 1e-20


def test_the_complex_step_of_mish_keeps_its_digits() -> None:
    x = np.linspace(-30, 40, 701)
    mish = nn.Mish()
    numeric = mish(x + 1e-30j).imag / 1e-30
    mish(x)
    np.testing.assert_allclose(mish.backward(np.ones_like(x)), numeric, rtol=4e-15, atol=1e-16)
