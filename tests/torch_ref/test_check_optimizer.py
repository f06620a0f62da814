"""check_optimizer passes every right optimizer, and refuses and names every mistake."""

from functools import partial

import numpy as np
import pytest
import torch

from sampled import one_in
from scratch import nn, optim
from torch_ref import check_optimizer
from torch_ref.catalog import OPTIMIZERS
from torch_ref.faults import OPTIMIZER_FAULTS, switch_on

# Of the cases of each test; the others in make long.
ONE_IN = 2

every = pytest.mark.parametrize("case", OPTIMIZERS, ids=lambda case: case.name)


def broken(case, fault):
    """Makes ours, with the mistake."""

    def make(params):
        optimizer = case.make(params)
        switch_on(fault, optimizer)
        return optimizer

    return make


@every
def test_every_right_optimizer_passes(case):
    found = check_optimizer(case.make, case.make_torch)
    assert found, str(found)
    assert found.detection_limit < 1e-8


@pytest.mark.campaign
@every
def test_every_mistake_is_named_with_all_options(case):
    for fault in OPTIMIZER_FAULTS:
        if fault.applies(case.make([nn.Parameter(np.zeros(2))])):
            found = check_optimizer(broken(case, fault), case.make_torch)
            # On some options it changes nothing.
            assert found or fault.name in [cause.name for cause in found.causes], f"{fault.name}\n{found}"


@pytest.mark.parametrize("fault", one_in(3, OPTIMIZER_FAULTS, lambda f: f"{f.name}-{f.kinds[0]}"))
def test_every_mistake_is_refused_and_named(fault):
    cases = [case for case in OPTIMIZERS if case.kind in fault.kinds]
    for case in cases:
        found = check_optimizer(broken(case, fault), case.make_torch)
        if not found:  # with these options it changes something
            assert fault.name in [cause.name for cause in found.causes], str(found)
            return
    raise AssertionError("passed with all options")


class BookAdam:
    """As many write it: one dict of weights, one of gradients."""

    def __init__(self, lr=0.001, epsilon_inside=False):
        self.lr, self.epsilon_inside = lr, epsilon_inside
        self.t, self.m, self.v = 0, {}, {}

    def update(self, params, grads):
        self.t += 1
        for key, g in grads.items():
            self.m[key] = 0.9 * self.m.get(key, 0) + 0.1 * g
            self.v[key] = 0.999 * self.v.get(key, 0) + 0.001 * g**2
            m, v = self.m[key] / (1 - 0.9**self.t), self.v[key] / (1 - 0.999**self.t)
            bottom = np.sqrt(v + 1e-8) if self.epsilon_inside else np.sqrt(v) + 1e-8
            params[key] -= self.lr * m / bottom


def torch_adam(params):
    return torch.optim.Adam(params, lr=0.001)


def test_a_book_optimizer_passes_and_is_not_changed():
    mine = BookAdam()
    found = check_optimizer(mine, torch_adam)
    assert found, str(found)
    assert mine.t == 0
    assert mine.lr == 0.001
    assert "agree in 40 steps" in str(found)


def test_a_book_optimizer_with_a_mistake_is_told_where_and_why():
    found = check_optimizer(BookAdam(epsilon_inside=True), torch_adam)
    assert not found
    assert found.parts_at == 1
    assert [cause.name for cause in found.causes] == ["ε stands inside the root"]
    assert "part at step 1, " in found.verdict
    assert "yours" in found.worst
    assert "Fix: √v + ε" in str(found)


def test_an_unknown_mistake_has_no_name():
    class Halved(optim.SGD):
        def update(self, w, g, state, group):
            where = np.arange(g.size) == np.argmax(np.abs(g))
            super().update(w, g * np.where(where, 0.5, 1), state, group)

    found = check_optimizer(lambda params: Halved(params, lr=1.0), lambda p: torch.optim.SGD(p, lr=1.0))
    assert not found
    assert found.causes == ()
    assert found.parts_at == 1
    assert "yours" in found.worst


def test_what_becomes_nan_is_refused():
    class Late(BookAdam):
        def update(self, params, grads):
            super().update(params, grads)
            if self.t == 3:
                params["W"][0, 0] = np.nan

    found = check_optimizer(Late(), torch_adam)
    assert found.parts_at == 3
    assert found.worst.startswith("W[0, 0]: yours nan")


def test_what_cannot_move_is_inconclusive():
    found = check_optimizer(
        lambda params: optim.SGD(params, lr=0.0), lambda params: torch.optim.SGD(params, lr=0.0)
    )
    assert not found
    assert found.verdict.startswith("Inconclusive")


def torch_sgd(params):
    return torch.optim.SGD(params, lr=0.01)


class ByLists:
    lr = 0.01

    def update(self, params, grads):
        for i in range(len(params)):
            params[i] -= self.lr * grads[i]


def test_lists_are_taken_for_dicts():
    assert check_optimizer(ByLists(), torch_sgd)


class RateInside:
    def __init__(self, **rate):
        vars(self).update(rate)
        (self.rate,), self.v = rate, {}

    def update(self, params, grads):
        for key, g in grads.items():
            self.v[key] = 0.9 * self.v.get(key, 0) - getattr(self, self.rate) * g
            params[key] += self.v[key]


def torch_momentum(params):
    return torch.optim.SGD(params, lr=1, momentum=0.9)


@pytest.mark.parametrize("rate", [{"lr": 1}, {"learning_rate": 1.0}, {"eta": 1.0}, {"alpha": 1}])
def test_the_rate_is_halved_under_all_its_names_and_as_any_number(rate):
    found = check_optimizer(RateInside(**rate), torch_momentum)
    assert [cause.name for cause in found.causes] == ["the learning rate is inside the momentum's buffer"]


def test_a_rate_that_could_not_be_halved_is_told():
    found = check_optimizer(RateInside(speed=1), torch_momentum)
    assert found
    assert found.verdict.endswith(
        "Not tried: half the learning rate, since yours has no number called lr or learning_rate."
    )


class ChangesGradients:
    lr = 0.01

    def update(self, params, grads):
        for key in params:
            grads[key] += 0.1 * params[key]
            params[key] -= self.lr * grads[key]


class StepChangesGradients:
    def __init__(self, params):
        self.params, self.lr = params, 0.01

    def step(self):
        for p in self.params:
            if p.grad is not None:
                p.grad += 0.1 * p.data
                p.data -= self.lr * p.grad


@pytest.mark.parametrize("mine", [ChangesGradients(), StepChangesGradients])
def test_gradients_that_are_changed_are_told(mine):
    found = check_optimizer(mine, lambda params: torch.optim.SGD(params, lr=0.01, weight_decay=0.1))
    assert found.parts_at is None
    assert not found
    assert "changes the gradients" in found.verdict


def test_a_weight_without_gradient_is_skipped():
    class Zeroes(optim.SGD):
        def step(self, closure=None):
            for p in self.param_groups[0]["params"]:
                if p.grad is None:
                    p.data[...] = 0
            return super().step(closure)

    class Fails(StepChangesGradients):
        def step(self):
            for p in self.params:
                p.data -= self.lr * p.grad

    found = check_optimizer(lambda params: Zeroes(params, lr=0.01), torch_sgd)
    assert not found
    assert found.verdict.startswith("a weight whose grad is None is not skipped")
    found = check_optimizer(Fails, torch_sgd)
    assert found
    assert found.untried == ("a weight without gradient, at which step() raises TypeError",)


def test_another_epsilon_is_named_alone_and_beside_a_mistake():
    found = check_optimizer(BookAdam(), lambda params: torch.optim.Adam(params, eps=1e-7))
    assert [cause.name for cause in found.causes] == ["ε is 1e-08, not 1e-07"]
    found = check_optimizer(BookAdam(epsilon_inside=True), lambda params: torch.optim.Adam(params, eps=1e-7))
    assert [cause.name for cause in found.causes] == ["ε stands inside the root, and ε is 1e-08, not 1e-07"]


class Reshapes:
    def update(self, params, grads):
        params["W"] = params["W"].T


@pytest.mark.parametrize(
    ("mine", "reference", "options", "error", "message"),
    [
        (3, torch_adam, {}, TypeError, "mine is int, expected an object with update"),
        (lambda params: None, torch_adam, {}, TypeError, r"mine makes NoneType without step\(\)"),
        (
            torch.optim.SGD([torch.nn.Parameter(torch.ones(1))]),
            torch_adam,
            {},
            TypeError,
            "mine is SGD of other parameters, expected a function that makes it",
        ),
        (BookAdam(), lambda params: None, {}, TypeError, "reference makes NoneType"),
        (BookAdam(), 3, {}, TypeError, "reference makes int"),
        (
            BookAdam(),
            torch_adam([torch.nn.Parameter(torch.ones(1))]),
            {},
            TypeError,
            "reference is Adam of other parameters, expected a function that makes",
        ),
        (Reshapes(), torch_adam, {}, ValueError, r"params\['W'\] of shape \(4, 3\), expected \(3, 4\)"),
        (BookAdam(), torch_adam, {"steps": 0}, ValueError, "steps is 0, expected 1 or more"),
    ],
)
def test_bad_arguments(mine, reference, options, error, message):
    with pytest.raises(error, match=message):
        check_optimizer(mine, reference, **options)


# ---- forms


class Momentum:
    """The update that all forms below make."""

    def __init__(self, lr=0.1, mu=0.9):
        self.lr, self.mu, self.v = lr, mu, {}

    def of(self, key, w, g, scale=1.0):
        self.v[key] = self.mu * self.v.get(key, 0) + scale * g
        return w - self.lr * self.v[key]


def torch_sgd_momentum(params):
    return torch.optim.SGD(params, lr=0.1, momentum=0.9)


class OneArray(Momentum):
    def update(self, w, grad_wrt_w):
        return self.of(0, w, grad_wrt_w)


class OneArrayInPlace(Momentum):
    def step(self, grad, param):
        param[...] = self.of(0, param, grad)


class ByNumberedNames(Momentum):
    def update(self, params, grads):
        for layer in range(1, len(params) // 2 + 1):
            for kind in "Wb":
                key = f"{kind}{layer}"
                params[key] = self.of(key, params[key], grads["d" + key])


class ByFixedNames(Momentum):
    def update(self, params, grads):
        for key in ("W1", "b1", "W2", "b2"):
            params[key] -= params[key] - self.of(key, params[key], grads[key + "_grad"])


class ReturnsDict(Momentum):
    def update_parameters(self, parameters, grads):
        return {key: self.of(key, w, grads["d" + key]) for key, w in parameters.items()}


class Flat(Momentum):
    def update(self, t, w, b, dw, db):
        assert t == self.__dict__.setdefault("count", 0) + 1
        self.count = t
        return self.of("w", w, dw), self.of("b", b, db)


class KerasLike(Momentum):
    def apply_gradients(self, grads_and_vars):
        for i, (g, w) in enumerate(grads_and_vars):
            w[...] = self.of(i, w, g)


class LayerLike(Momentum):
    def __init__(self):
        super().__init__()
        self.learning_rate, self.current_learning_rate = 0.1, 0.1

    def pre_update_params(self):
        self.lr = self.current_learning_rate

    def update_params(self, layer):
        layer.weights = self.of("weights", layer.weights, layer.dweights)
        layer.biases = self.of("biases", layer.biases, layer.dbiases)

    def post_update_params(self):
        self.done = True


class KeepsArrays(Momentum):
    def __init__(self, params):
        super().__init__()
        self.params = params

    def step(self, grads):
        for i, (w, g) in enumerate(zip(self.params, grads, strict=True)):
            w -= w - self.of(i, w, g)


class KeepsDict(Momentum):
    def __init__(self, params):
        super().__init__()
        self.params = params
        self.v = {key: np.zeros_like(w) for key, w in params.items()}

    def step(self, grads):
        for key in self.params:
            self.params[key] = self.of(key, self.params[key], grads[key])


class MadeForANetwork(Momentum):
    """Its state is already there, in the shapes of a network of its own."""

    def __init__(self):
        super().__init__()
        self.v = {"kernel": np.zeros((2, 7)), "offset": np.zeros(7)}

    def update(self, params, grads):
        for key in self.v:
            params[key] = self.of(key, params[key], grads[key])


class Nested:
    """The learning rate is one level down."""

    def __init__(self):
        self.inner = Momentum()

    def update(self, params, grads):
        for key in params:
            params[key] = self.inner.of(key, params[key], grads[key])


def with_config(w, dw, config=None):
    config = config or {"learning_rate": 0.1, "momentum": 0.9}
    v = config.get("velocity", 0) * config["momentum"] + dw
    return w - config["learning_rate"] * v, {**config, "velocity": v}


class OfTorch(torch.optim.Optimizer):
    def __init__(self, params, lr=0.1, mu=0.9):
        super().__init__(params, {"lr": lr, "mu": mu})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    v = self.state[p]["v"] = group["mu"] * self.state[p].get("v", 0) + p.grad
                    p.sub_(group["lr"] * v)


class OnTensors(Momentum):
    """Not of torch.optim, but on its parameters."""

    def __init__(self, params):
        super().__init__()
        self.params = list(params)
        assert all(isinstance(p, torch.nn.Parameter) for p in self.params)

    def step(self):
        for i, p in enumerate(self.params):
            p.data = self.of(i, p.data, p.grad)


FORMS = [
    *(OneArray(), OneArray, OneArrayInPlace(), ByNumberedNames(), ByFixedNames(), ReturnsDict(), Flat()),
    *(KerasLike(), LayerLike(), KeepsArrays, KeepsDict, MadeForANetwork(), Nested(), with_config, OfTorch),
    *(lambda params: OfTorch(params, lr=0.1), OnTensors),
]


def name_of(form):
    return getattr(form, "__name__", type(form).__name__)


@pytest.mark.parametrize("form", one_in(3, FORMS, name_of))
def test_every_form_is_right_beside_its_twin_and_wrong_beside_another(form):
    found = check_optimizer(form, torch_sgd_momentum)
    assert found, str(found)
    assert "half the learning rate" not in found.verdict or form is with_config
    assert not check_optimizer(form, lambda params: torch.optim.SGD(params, lr=0.1, momentum=0.8))


def test_the_worst_weight_has_the_users_own_name():
    class OneIsWrong(ByNumberedNames):
        def update(self, params, grads):
            super().update(params, grads)
            params["b2"] *= 1.001

    assert check_optimizer(OneIsWrong(), torch_sgd_momentum).worst.startswith("b2[")


def test_a_mistake_in_one_parameter_is_named_with_it():
    class NotSquaredForB(BookAdam):
        def update(self, params, grads):
            self.t += 1
            for key, g in grads.items():
                square = g**2 if key == "W" else abs(g)
                self.m[key] = 0.9 * self.m.get(key, 0) + 0.1 * g
                self.v[key] = 0.999 * self.v.get(key, 0) + 0.001 * square
                m, v = self.m[key] / (1 - 0.9**self.t), self.v[key] / (1 - 0.999**self.t)
                params[key] -= self.lr * m / (np.sqrt(v) + 1e-8)

    found = check_optimizer(NotSquaredForB(), torch_adam)
    assert [(cause.name, cause.tensors) for cause in found.causes] == [
        ("v is a mean of |g|, not of g²", ("b",))
    ]


@pytest.mark.long
@pytest.mark.parametrize("first", [21, 30])
def test_a_mistake_after_the_twentieth_step_is_seen(first):
    class Late(BookAdam):
        def update(self, params, grads):
            super().update(params, grads)
            if self.t >= first:
                params["b"] *= 0.999

    found = check_optimizer(Late(), torch_adam)
    assert found.parts_at == first
    assert found.worst.startswith("b[")


def test_a_form_that_is_not_known_is_refused_with_the_lines_to_write():
    class Strange:
        def improve(self, w):
            return w

    with pytest.raises(
        TypeError, match=r"mine is Strange, expected an object with update.*write: class Mine"
    ):
        check_optimizer(Strange(), torch_adam)


def test_an_update_that_moves_nothing_is_told():
    class Forgets:
        def update(self, params, grads):
            for key, w in params.items():
                w = w - 0.1 * grads[key]

    found = check_optimizer(Forgets(), torch_sgd)
    assert found.parts_at == 1
    assert "no weight moves: the update neither changes what it is given nor returns weights" in found.verdict


class ByLayer:
    """update(layer_index, w, g), with a velocity for each index."""

    def __init__(self, momentum=0.9):
        self.lr, self.momentum, self.v = 0.01, momentum, {}

    def update(self, layer_index, w, w_grad, b=None, b_grad=None):
        v = self.v.get(layer_index, 0)
        self.v[layer_index] = self.momentum * v + w_grad
        w -= self.lr * self.v[layer_index]


class ByName(ByLayer):
    """optimizer(w, g, name) gives the new array; its step() counts."""

    def step(self):
        self.count = getattr(self, "count", 0) + 1

    update = None

    def __call__(self, param, param_grad, param_name):
        self.v[param_name] = self.momentum * self.v.get(param_name, 0) + param_grad
        return param - self.lr * self.v[param_name]


@pytest.mark.parametrize("kind", [ByLayer, ByName])
def test_a_name_or_number_beside_the_array(kind):
    right = partial(torch.optim.SGD, lr=0.01, momentum=0.9)
    assert check_optimizer(kind(), right)
    assert not check_optimizer(kind(0.8), right)


class OfLayers:
    """update(layer) between pre_update() and post_update(), as in a book, under shorter names."""

    def __init__(self, momentum=0.9):
        self.lr, self.now, self.momentum, self.count = 0.01, 0.0, momentum, 0

    def pre_update(self):
        self.now = self.lr

    def update(self, layer):
        if not hasattr(layer, "vw"):
            layer.vw, layer.vb = np.zeros_like(layer.dw), np.zeros_like(layer.db)
        layer.vw = self.momentum * layer.vw + layer.dw
        layer.vb = self.momentum * layer.vb + layer.db
        layer.weights -= self.now * layer.vw
        layer.biases -= self.now * layer.vb

    def post_update(self):
        self.count += 1


def test_a_layer_of_weights_and_dw_between_hooks():
    right = partial(torch.optim.SGD, lr=0.01, momentum=0.9)
    assert check_optimizer(OfLayers(), right)
    assert not check_optimizer(OfLayers(0.8), right)
