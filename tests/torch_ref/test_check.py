"""check: right layers of every form pass, wrong ones are refused, and it says which side, where and why."""

import logging

import numpy as np
import pytest
import torch

from reports.runner.detectors import WRONG_IN_TORCH, defined
from scratch import nn
from torch_ref import check, mirror
from torch_ref.catalog import LOSSES, MODULES, Case, first_of_each_kind
from torch_ref.checker.check import Check
from torch_ref.checker.kinks import TIES
from torch_ref.checker.side_effects import RANDOM, STATEFUL

# Of the cases of each test; the others in make long.
ONE_IN = 2

RNG = np.random.default_rng(0)
X = RNG.standard_normal((4, 5))


def verdicts(found: Check, made_in: str = "float64") -> dict[str, str]:
    frame = found.comparisons[made_in].frame
    return dict(zip(frame["tensor"], frame["verdict"], strict=True))


# One of each kind but the one of thousands of entries; all of them, and other scales, in the campaign.
FIRST = [case for case in first_of_each_kind((*MODULES, *LOSSES)) if case.kind != "Transformer"]
OTHERS = [(case, 1.0) for case in (*MODULES, *LOSSES) if case not in FIRST]
OTHERS += [(case, scale) for case in FIRST for scale in (1e-3, 1e3)]
SCALED = [
    pytest.param(case, 1.0, id=case.name, marks=[pytest.mark.long] if i % 3 else [])
    for i, case in enumerate(FIRST)
]
SCALED += [
    pytest.param(*each, id=f"{each[0].name}-{each[1]:g}", marks=pytest.mark.campaign) for each in OTHERS
]


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides the total loss")
@pytest.mark.parametrize(("case", "scale"), SCALED)
def test_every_right_module_passes(case: Case, scale: float) -> None:
    module, inputs = case.make(np.float64), case.draw(np.float64, 1, scale)
    if not defined(module, inputs):
        pytest.skip("not finite there, or not PyTorch's")
    found = check(module, mirror(module), *inputs)
    if case.kind in WRONG_IN_TORCH:
        if scale == 1e3:  # saturated, so its constant is met on ties and kinks alone, and not known
            assert set(found.frame["verdict"]) <= {"agree", "differ"}
            return
        assert found, str(found)
        # 1/6 and 0.3 are no numbers of float32; 1, CELU's α by default, is.
        rounded = case.name in ("Hardsigmoid()", "CELU(alpha=0.3)")
        assert ("has a constant of float32; yours is exact." in found.verdict) == rounded
    elif scale == 1e3 or case.kind == "Tanhshrink":
        # Where all is saturated, or cancels, float32 has no digit of some gradients, and the check says so.
        assert set(found.frame["verdict"]) <= {"agree", "inconclusive"}, str(found)
    else:
        assert found, str(found)


# ---- the forms in which people write layers


class Affine:
    """As in the book: W is (in, out), gradients beside it."""

    def __init__(self, wrong: bool = False) -> None:
        self.W, self.b = np.zeros((5, 3)), np.zeros(3)
        self.dW, self.db = None, None
        self.wrong = wrong

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, dout):
        self.dW = self.x.T @ dout
        self.db = dout.mean(axis=0) if self.wrong else dout.sum(axis=0)
        return dout @ self.W.T


class Listed(Affine):
    """As in the book's second volume: lists, and gradients written in place."""

    def __init__(self, wrong: bool = False) -> None:
        self.params = [np.zeros((3, 5)), np.zeros(3)]
        self.grads = [np.zeros((3, 5)), np.zeros(3)]
        self.wrong = wrong

    def forward(self, x):
        W, b = self.params
        self.x = x
        return x @ W.T + b

    def backward(self, dout):
        self.grads[0][...] = dout.T @ self.x
        self.grads[1][...] = dout.mean(axis=0) if self.wrong else dout.sum(axis=0)
        return dout @ self.params[0]


class Weight:
    def __init__(self, data) -> None:
        self.data, self.grad = data, None


class WithParameters:
    """parameters() of objects with data and grad."""

    def __init__(self, wrong: bool = False) -> None:
        self.weight, self.bias = Weight(np.zeros((3, 5))), Weight(np.zeros(3))
        self.wrong = wrong

    def parameters(self):
        return [self.weight, self.bias]

    def forward(self, x):
        self.x = x
        return x @ self.weight.data.T + self.bias.data

    def backward(self, dy):
        self.weight.grad = dy.T @ self.x
        self.bias.grad = dy.mean(axis=0) if self.wrong else dy.sum(axis=0)
        return dy @ self.weight.data


class InDicts:
    """params and grads by name, the gradients there after the first backward only."""

    def __init__(self, wrong: bool = False) -> None:
        self.params, self.grads = {"W": np.zeros((3, 5)), "b": np.zeros(3)}, {}
        self.wrong = wrong

    def forward(self, x):
        self.x = x
        return x @ self.params["W"].T + self.params["b"]

    def backward(self, dy):
        self.grads = {"W": dy.T @ self.x, "b": dy.mean(axis=0) if self.wrong else dy.sum(axis=0)}
        return dy @ self.params["W"]


class LateGradients:
    """Arrays whose gradients the constructor does not mention."""

    def __init__(self, wrong: bool = False) -> None:
        self.W, self.b = np.zeros((5, 3)), np.zeros(3)
        self.unrelated = np.zeros(7)
        self.wrong = wrong

    def forward(self, x):
        self.x = x
        return x @ self.W + self.b

    def backward(self, dy):
        self.W_grad = self.x.T @ dy
        self.b_grad = dy.mean(axis=0) if self.wrong else dy.sum(axis=0)
        return dy @ self.W.T


class AsModule(nn.Module):
    """A module of scratch.nn with names of its own."""

    def __init__(self, wrong: bool = False) -> None:
        self.gamma, self.beta = nn.Parameter(np.zeros((3, 5))), nn.Parameter(np.zeros(3))
        self.wrong = wrong

    def forward(self, x):
        self.save(x)
        return x @ self.gamma.data.T + self.beta.data

    def backward(self, dy):
        (x,) = self.saved()
        self.gamma.add_grad(dy.T @ x)
        self.beta.add_grad(dy.mean(0) if self.wrong else dy.sum(0))
        return dy @ self.gamma.data


FORMS = [
    (Affine, ("W",)),
    (LateGradients, ("W",)),
    (Listed, ()),
    (InDicts, ()),
    (WithParameters, ()),
    (AsModule, ()),
]


@pytest.mark.parametrize(("form", "transposed"), FORMS, ids=lambda form: getattr(form, "__name__", ""))
def test_layers_of_every_form_pass(form, transposed) -> None:
    found = check(form(), torch.nn.Linear(5, 3), X, transposed=transposed)
    assert found, str(found)


@pytest.mark.parametrize(("form", "transposed"), FORMS, ids=lambda form: getattr(form, "__name__", ""))
def test_wrong_layers_of_every_form_are_refused_and_the_cause_is_named(form, transposed) -> None:
    found = check(form(wrong=True), torch.nn.Linear(5, 3), X, transposed=transposed)
    assert not found
    assert verdicts(found) == {
        "output": "agree",
        "input": "agree",
        "weight": "agree",
        "bias": "NumPy is wrong",
    }
    (cause,) = found.causes
    assert cause.name == "the bias gradient is averaged over the batch"
    assert "ratio 0.25" in str(found)


def test_a_pair_of_functions() -> None:
    def forward(x, y):
        return x * y

    def backward(dz, x, y):
        return dz * y, dz * x

    assert check((forward, backward), torch.mul, X, X[::-1])
    assert verdicts(check((forward, lambda dz, x, y: (dz * y, dz * y)), torch.mul, X, X[::-1])) == {
        "output": "agree",
        "input 0": "agree",
        "input 1": "NumPy is wrong",
    }


def test_several_outputs_each_get_a_cotangent() -> None:
    def forward(x):
        return np.sin(x), np.cos(x)

    pair = (forward, lambda ds, dc, x: ds * np.cos(x) - dc * np.sin(x))
    assert check(pair, lambda x: (torch.sin(x), torch.cos(x)), X)
    wrong = (forward, lambda ds, dc, x: ds * np.cos(x) + dc * np.sin(x))
    assert not check(wrong, lambda x: (torch.sin(x), torch.cos(x)), X)


def test_a_loss_has_its_target_as_the_last_input() -> None:
    class SquaredError:
        def forward(self, x, t):
            self.difference = x - t
            return np.mean(self.difference**2)

        def backward(self, dout=1.0):
            return 2 * dout * self.difference / self.difference.size

    found = check(SquaredError(), torch.nn.MSELoss(), X, X[::-1].copy())
    assert found, str(found)


# ---- where people keep parameters, gradients and state


class Aliased(Affine):
    """params is made of the arrays that forward uses by their names."""

    def __init__(self) -> None:
        self.W, self.b, self.dW, self.db = np.zeros((5, 3)), np.zeros(3), np.zeros((5, 3)), np.zeros(3)
        self.params, self.grads = [self.W, self.b], [self.dW, self.db]

    def backward(self, dy):
        self.dW += self.x.T @ dy
        self.db += dy.sum(axis=0)
        return dy @ self.W.T


class Property(Affine):
    """params is made anew at each look."""

    params = property(lambda self: (self.W, self.b))
    grads = property(lambda self: (self.dW, self.db))


class ZeroGradients(Affine):
    """Gradients that are 0 at first, and added to."""

    def __init__(self) -> None:
        self.W, self.b, self.dW, self.db = np.zeros((5, 3)), np.zeros(3), 0, 0.0

    def backward(self, dy):
        self.dW += self.x.T @ dy
        self.db += dy.sum(axis=0)
        return dy @ self.W.T


class NoGradientsYet(Affine):
    """A list of gradients that is empty before the first backward."""

    def __init__(self) -> None:
        self.params, self.grads = (np.zeros((5, 3)), np.zeros(3)), []

    def forward(self, x):
        self.x = x
        return x @ self.params[0] + self.params[1]

    def backward(self, dy):
        self.grads += [self.x.T @ dy, dy.sum(axis=0)]
        return dy @ self.params[0].T


class GradientsByOtherKeys(Affine):
    """As in CS231n: W in params, dW in grads."""

    def __init__(self, keys=("dW", "db")) -> None:
        self.params, self.grads, self.keys = {"W": np.zeros((5, 3)), "b": np.zeros(3)}, {}, keys

    def forward(self, x):
        self.x = x
        return x @ self.params["W"] + self.params["b"]

    def backward(self, dy):
        self.grads = dict(zip(self.keys, (self.x.T @ dy, dy.sum(axis=0)), strict=True))
        return dy @ self.params["W"].T


class OtherOrder(Affine):
    """The bias first, and a row."""

    def __init__(self) -> None:
        self.b, self.W = np.zeros((1, 3)), np.zeros((5, 3))

    def backward(self, dy):
        self.dW, self.db = self.x.T @ dy, dy.sum(axis=0, keepdims=True)
        return dy @ self.W.T


class Slots:
    __slots__ = ("W", "b", "dW", "db", "wrong", "x")
    __init__, forward, backward = Affine.__init__, Affine.forward, Affine.backward


class Called:
    """__call__ in the place of forward."""

    __init__, __call__, backward = Affine.__init__, Affine.forward, Affine.backward


@pytest.mark.parametrize(
    ("form", "transposed"),
    [
        (Aliased, "params[0]"),
        (Property, "params[0]"),
        (ZeroGradients, "W"),
        (NoGradientsYet, "params[0]"),
        (GradientsByOtherKeys, "W"),
        (OtherOrder, "W"),
        (Slots, "W"),
        (Called, "W"),
    ],
)
def test_arrays_are_found_wherever_they_are_kept(form, transposed) -> None:
    found = check(form(), torch.nn.Linear(5, 3), X, transposed=transposed, dtypes="float64")
    assert found, str(found)


class Network:
    """Layers one after the other."""

    def __init__(self, *layers) -> None:
        self.layers = layers

    def forward(self, x):
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def backward(self, dy):
        for layer in reversed(self.layers):
            dy = layer.backward(dy)
        return dy


class Square:
    params, grads = (), ()

    def forward(self, x):
        self.x = x
        return x**2

    def backward(self, dy):
        return 2 * dy * self.x


class TorchSquare(torch.nn.Module):
    def forward(self, x):
        return x**2


class Collected(Network):
    """As in the book's second volume: the lists of all layers in one."""

    def __init__(self) -> None:
        super().__init__(Listed(), Square(), Listed())
        self.layers[2].params[0], self.layers[2].grads[0] = np.zeros((3, 3)), np.zeros((3, 3))
        self.params, self.grads = [], []
        for layer in self.layers:
            self.params += layer.params
            self.grads += layer.grads


class Shared(Network):
    """As in the book's first volume: a dict whose arrays the layers keep as well."""

    def __init__(self) -> None:
        self.params = {"W1": np.zeros((5, 3)), "b1": np.zeros(3), "W2": np.zeros((3, 3)), "b2": np.zeros(3)}
        self.grads = {}
        super().__init__(Affine(), Square(), Affine())
        for i, layer in ((1, self.layers[0]), (2, self.layers[2])):
            layer.W, layer.b = self.params[f"W{i}"], self.params[f"b{i}"]

    def backward(self, dy):
        dx = super().backward(dy)
        for i, layer in ((1, self.layers[0]), (2, self.layers[2])):
            self.grads |= {f"W{i}": layer.dW, f"b{i}": layer.db}
        return dx


class Nested(Network):
    """Parameters in the layers alone, of several forms."""

    def __init__(self) -> None:
        second = WithParameters()
        second.weight.data = np.zeros((3, 3))
        super().__init__(Affine(), Square(), second)


@pytest.mark.parametrize(
    ("form", "transposed"),
    [(Collected, ()), (Shared, ("W1", "W2")), (Nested, ("layers[0].W",))],
)
def test_networks_share_arrays_with_their_layers(form, transposed) -> None:
    reference = torch.nn.Sequential(torch.nn.Linear(5, 3), TorchSquare(), torch.nn.Linear(3, 3))
    found = check(form(), reference, X, transposed=transposed, dtypes="float64")
    assert found, str(found)


@pytest.mark.parametrize("grads", ["attributes", "list", "tuple"])
def test_a_gradient_that_backward_forgets_does_not_arrive(grads) -> None:
    class Forgets(Affine):
        def __init__(self) -> None:
            self.W, self.b = np.zeros((5, 3)), np.zeros(3)
            if grads != "attributes":
                self.params, self.grads = [self.W, self.b], ()

        def backward(self, dy):
            self.dW = self.x.T @ dy
            self.grads = (self.dW,) if grads == "tuple" else [self.dW]
            if len(dy) < 4:
                self.db = dy.sum(axis=0)
            return dy @ self.W.T

    transposed = "W" if grads == "attributes" else "params[0]"
    found = check(Forgets(), torch.nn.Linear(5, 3), X, transposed=transposed, dtypes="float64")
    assert [(cause.name, cause.tensors) for cause in found.causes] == [("no gradient arrives", ("bias",))]


def test_an_object_may_keep_modules() -> None:
    layer = Network(nn.Linear(5, 3), nn.Tanh())
    layer.unused, layer.log = torch.nn.Linear(5, 3), logging.getLogger()
    assert check(layer, torch.nn.Sequential(torch.nn.Linear(5, 3), torch.nn.Tanh()), X)


def test_what_a_layer_keeps_from_an_earlier_pass_is_no_parameter() -> None:
    class Used(Affine):
        def backward(self, dy):
            self.dx = super().backward(dy)
            return self.dx

    used = Used()
    used.backward(used.forward(X))
    assert check(used, torch.nn.Linear(5, 3), X, transposed="W", dtypes="float64")


class BatchNorm:
    """Training and evaluation, and running statistics, here of a row."""

    momentum = 0.1

    def __init__(self) -> None:
        self.gamma, self.beta = np.ones(5), np.zeros(5)
        self.running_mean, self.running_var = np.zeros((1, 5)), np.ones((1, 5))
        self.train_flg = True

    def forward(self, x):
        n, mean, var = len(x), x.mean(axis=0, keepdims=True), x.var(axis=0, keepdims=True)
        if self.train_flg:
            keep = 1 - self.momentum
            self.running_mean = keep * self.running_mean + self.momentum * mean
            self.running_var = keep * self.running_var + self.momentum * var * n / (n - 1)
        else:
            mean, var = self.running_mean, self.running_var
        self.std = np.sqrt(var + 1e-5)
        self.xhat = (x - mean) / self.std
        return self.gamma * self.xhat + self.beta

    def backward(self, dy):
        self.dgamma, self.dbeta = (dy * self.xhat).sum(axis=0), dy.sum(axis=0)
        g = dy * self.gamma
        if self.train_flg:
            g = g - g.mean(axis=0) - self.xhat * (g * self.xhat).mean(axis=0)
        return g / self.std


class BatchNormModule(nn.Module):
    """The same as a module, with parameters of other names and no buffers."""

    momentum, forward = BatchNorm.momentum, BatchNorm.forward
    gamma, beta = property(lambda self: self.scale.data), property(lambda self: self.shift.data)
    train_flg = property(lambda self: self.training)

    def __init__(self) -> None:
        self.scale, self.shift = nn.Parameter(np.ones(5)), nn.Parameter(np.zeros(5))
        self.running_mean, self.running_var = np.zeros((1, 5)), np.ones((1, 5))

    def backward(self, dy):
        dx = BatchNorm.backward(self, dy)
        self.scale.add_grad(self.dgamma)
        self.shift.add_grad(self.dbeta)
        return dx


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("form", [BatchNorm, BatchNormModule])
def test_running_statistics_start_from_the_references_and_are_compared(form, training) -> None:
    reference = torch.nn.BatchNorm1d(5)
    reference(torch.from_numpy(X).float())
    layer = form()
    found = check(layer, reference.train(training), X, dtypes="float64")
    assert found, str(found)
    assert {"buffer running_mean", "buffer running_var"} <= set(verdicts(found))
    layer.momentum = 0.2
    assert bool(check(layer, reference, X, dtypes="float64")) is not training


def test_train_and_eval_of_an_object_are_called() -> None:
    class Dropout:
        keep = 0.0

        def train(self):
            self.keep = 0.0

        def eval(self):
            self.keep = 1.0

        def forward(self, x):
            return x * self.keep

        def backward(self, dy):
            return dy * self.keep

    assert check(Dropout(), torch.nn.Dropout(1.0), X, dtypes="float64")
    assert check(Dropout(), torch.nn.Dropout(1.0).eval(), X, dtypes="float64")


def test_functions_that_return_a_cache() -> None:
    def forward(x, w, b):
        return x @ w + b, (x, w)

    def backward(dout, cache):
        x, w = cache
        return dout @ w.T, x.T @ dout, dout.sum(axis=0)

    inputs = X, RNG.standard_normal((5, 3)), RNG.standard_normal(3)
    assert check((forward, backward), lambda x, w, b: x @ w + b, *inputs, dtypes="float64")
    relu = (lambda x: (np.where(x.real > 0, x, 0), x), lambda dy, x: dy * (x > 0))
    assert check(relu, torch.relu, X, dtypes="float64")


def test_a_backward_may_return_a_list() -> None:
    assert check((np.multiply, lambda dz, x, y: [dz * y, dz * x]), torch.mul, X, X[::-1], dtypes="float64")
    assert check((np.tanh, lambda dy, x: [dy / np.cosh(x) ** 2]), torch.tanh, X, dtypes="float64")


def test_a_backward_may_take_the_gradients_of_all_outputs_as_a_tuple() -> None:
    class SinCos:
        def forward(self, x):
            self.x = x
            return [np.sin(x), np.cos(x)]

        def backward(self, dy):
            return dy[0] * np.cos(self.x) - dy[1] * np.sin(self.x)

    assert check(SinCos(), lambda x: (torch.sin(x), torch.cos(x)), X, dtypes="float64")


@pytest.mark.parametrize("x", [[1.0, 2.0], 2.0])
def test_lists_and_numbers_are_arrays(x) -> None:
    assert check(Square(), TorchSquare(), x, dtypes=[np.float64])


# ---- which side, and where


def test_pytorch_is_wrong_if_its_backward_is() -> None:
    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return torch.tanh(x)

        @staticmethod
        def backward(ctx, dy):
            return dy

    found = check(nn.Tanh(), Wrong.apply, X)
    assert verdicts(found) == {"output": "agree", "input": "PyTorch is wrong"}


def test_the_forward_is_told_before_the_gradients() -> None:
    pair = (lambda x: x**2, lambda dy, x: 2 * dy * x)
    found = check(pair, lambda x: x**3, X)
    assert found.verdict.startswith("float64: The forwards differ, in output.")
    assert verdicts(found) == {
        "output": "differ",
        "input": "correct for your forward, which differs from PyTorch's",
    }


def test_another_shape_of_the_output_is_told() -> None:
    found = check((lambda x: x[:, None], lambda dy, x: dy[:, 0]), lambda x: x, X)
    assert verdicts(found) == {"output": "shapes differ"}
    assert "NumPy's has shape (4, 1, 5), PyTorch's (4, 5)" in str(found)


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e3])
def test_one_wrong_entry_is_found_and_named(scale) -> None:
    def backward(dy, x):
        dx = dy * (1 - np.tanh(x) ** 2)
        dx[2, 3] *= 1 + 1e-6
        return dx

    x = np.clip(X * scale, -3, 3)
    found = check((np.tanh, backward), torch.tanh, x)
    ((index, ours, theirs, numeric),) = found.comparisons["float64"].wrong[0].worst(3)
    assert index == (2, 3)
    assert ours / numeric == pytest.approx(1 + 1e-6, rel=1e-9)
    assert theirs == pytest.approx(numeric, rel=1e-12)
    assert "1 of 20 entries is wrong, the worst at [2, 3]" in found.verdict


def test_a_zero_backward_is_refused_however_small_the_gradient() -> None:
    pair = (lambda x: 1e-9 * np.tanh(x), lambda dy, x: np.zeros_like(dy))
    found = check(pair, lambda x: 1e-9 * torch.tanh(x), X)
    assert verdicts(found)["input"] == "NumPy is wrong"
    assert found.causes[0].name == "no gradient arrives"


def test_a_kink_is_decided_at_the_kink() -> None:
    def forward(x):
        return np.where(x.real > 0, x, 0)

    found = check((forward, lambda dy, x: dy * (x >= 0)), torch.relu, X)
    assert found.comparisons["float64"]
    assert verdicts(found, f"float64, {TIES}") == {"output": "agree", "input": "differ"}
    assert found.causes[0].name == "the slope at 0 is 1"


def test_a_forward_that_complex_numbers_break_is_differentiated_in_long_doubles() -> None:
    def forward(x):
        return np.linalg.norm(x, axis=1)

    found = check(
        (lambda x: np.sqrt(np.sum(np.abs(x) ** 2, axis=1)), lambda dy, x: (dy / forward(x))[:, None] * x),
        lambda x: x.norm(dim=1),
        X,
    )
    assert found.comparisons["float64"], str(found)
    assert found.comparisons["float64"].method.startswith("central differences in")


# ---- ties and kinks


def test_a_target_takes_part_in_ties() -> None:
    class AbsoluteError:
        """1 where x is the target; PyTorch has 0 there."""

        def forward(self, x, target):
            self.difference = x - target
            return np.mean(np.abs(self.difference))

        def backward(self, dy):
            return dy * np.where(self.difference >= 0, 1.0, -1.0) / self.difference.size

    found = check(AbsoluteError(), torch.nn.L1Loss(), X, X[::-1].copy())
    assert verdicts(found, f"float64, {TIES}") == {"output": "agree", "input": "differ"}


def test_a_target_of_probabilities_stays_one() -> None:
    class CrossEntropy:
        """Right where a row of the target has the sum 1, and there alone."""

        def forward(self, x, target):
            e = np.exp(x - x.max(axis=1, keepdims=True))
            self.y, self.target = e / e.sum(axis=1, keepdims=True), target
            return -np.sum(target * np.log(self.y)) / len(x)

        def backward(self, dy):
            return dy * (self.y - self.target) / len(self.y)

    target = np.exp(X) / np.exp(X).sum(axis=1, keepdims=True)
    assert check(CrossEntropy(), torch.nn.CrossEntropyLoss(), X, target, dtypes=["float64"])


def only_between_0_and_1(p):
    assert np.all((p > 0) & (p < 1))
    return p**2


def test_an_input_that_must_be_positive_stays_so_and_the_others_sit_on_kinks() -> None:
    pair = (
        lambda x, p: np.where(x > 0, x, 0) + np.log(p),
        lambda dy, x, p: (dy * (x >= 0), dy / p),
    )
    found = check(pair, lambda x, p: torch.relu(x) + torch.log(p), X, np.abs(X), dtypes=["float64"])
    assert verdicts(found, f"float64, {TIES}")["input 0"] == "differ"
    assert not found.untried


@pytest.mark.parametrize(
    ("pair", "reference", "x"),
    [
        ((only_between_0_and_1, lambda dy, p: 2 * p * dy), torch.square, np.abs(np.tanh(X))),
        (
            (lambda x: np.sqrt(np.abs(x)), lambda dy, x: dy * np.sign(x) / (2 * np.sqrt(np.abs(x)))),
            lambda x: x.abs().sqrt(),
            X,
        ),
    ],
    ids=["between 0 and 1", "no derivative at 0"],
)
def test_where_a_function_is_not_defined_on_some_kinks_others_are_tried(pair, reference, x) -> None:
    found = check(pair, reference, x, dtypes=["float64"])
    assert found, str(found)
    assert not found.untried


def test_what_is_defined_on_no_kink_says_so_and_passes() -> None:
    def forward(x):
        if len(np.unique(x)) < x.size:
            raise ZeroDivisionError("equal numbers")
        return x**2

    found = check((forward, lambda dy, x: 2 * x * dy), torch.square, X, dtypes=["float64"])
    assert found
    assert f"float64, {TIES}" not in found.comparisons
    assert "Not tried on ties and kinks: equal numbers." in str(found)


def test_ties_are_compared_in_a_precision_that_was_asked_for() -> None:
    found = check(nn.ReLU(), torch.nn.ReLU(), X, dtypes=["float32"])
    assert {name.partition(",")[0] for name in found.comparisons} == {"float32"}
    assert f"float32, {TIES}" in found.comparisons


# ---- side effects


def test_a_forward_that_changes_its_input_is_told() -> None:
    def forward(x):
        x *= 2
        return x + 0

    assert "changed in place" in check((forward, lambda dy, x: 2 * dy), lambda x: 2 * x, X.copy()).verdict


def test_a_backward_that_overwrites_gradients_is_told() -> None:
    class Overwrites(nn.Linear):
        def backward(self, dy):
            self.zero_grad_only()
            return super().backward(dy)

        def zero_grad_only(self):
            for p in self.parameters():
                p.grad = None

    found = check(Overwrites(5, 3, dtype=np.float64), torch.nn.Linear(5, 3), X)
    assert "overwrites the gradient of weight, bias" in found.verdict


class StaleMask:
    """Keeps the mask of its first forward."""

    mask = None

    def forward(self, x):
        if self.mask is None:
            self.mask = x > 0
        return np.maximum(x, 0)

    def backward(self, dy):
        return dy * self.mask


class AddsUpErrors:
    """Its dx is the sum over all calls."""

    passed_on = 0.0

    def forward(self, x):
        self.x = x
        return np.tanh(x)

    def backward(self, dy):
        self.passed_on = self.passed_on + dy * (1 - np.tanh(self.x) ** 2)
        return self.passed_on


class AddsUpGradients(Affine):
    """In an array of its own, that nobody sets to 0."""

    total = 0.0

    def backward(self, dout):
        dx = super().backward(dout)
        self.total = self.total + self.dW
        self.dW = self.total
        return dx


class StepsInPlace(Affine):
    def backward(self, dout):
        dx = super().backward(dout)
        self.W -= 0.1 * self.dW
        return dx


class Steps(Affine):
    def backward(self, dout):
        dx = super().backward(dout)
        self.W = self.W - 0.1 * self.dW
        return dx


class KeepsItsOutput:
    """As a recurrent layer that goes on from the hidden state of the call before."""

    before = 0.0

    def forward(self, x):
        self.before = np.tanh(x + self.before)
        return self.before

    def backward(self, dy):
        return dy * (1 - self.before**2)


STALE = "a call keeps state: after another one, backward gives another gradient of "


@pytest.mark.parametrize(
    ("mine", "reference", "message"),
    [
        (StaleMask, torch.nn.ReLU(), STALE + "input"),
        (AddsUpErrors, torch.nn.Tanh(), STALE + "input"),
        (AddsUpGradients, torch.nn.Linear(5, 3), STALE + "weight"),
        (
            StepsInPlace,
            torch.nn.Linear(5, 3),
            "a call changes weight, expected the weights left to the optimizer",
        ),
        (Steps, torch.nn.Linear(5, 3), "a call changes weight, expected the weights left to the optimizer"),
        (KeepsItsOutput, torch.nn.Tanh(), STATEFUL),
    ],
)
def test_what_reaches_into_the_next_call_is_reported(mine, reference, message) -> None:
    transposed = ["W"] if issubclass(mine, Affine) else []
    found = check(mine(), reference, X, dtypes=["float64"], transposed=transposed)
    assert found.side_effects == (message,)
    assert found.verdict == message
    assert not found


def test_a_slope_that_is_the_same_on_negated_numbers_is_called_on_others() -> None:
    class OfTheFirst:
        y = None

        def forward(self, x):
            y = 1 / (1 + np.exp(-x))
            self.y = y if self.y is None else self.y
            return y

        def backward(self, dy):
            return dy * self.y * (1 - self.y)

    found = check(OfTheFirst(), torch.sigmoid, X, dtypes=["float64"])
    assert found.side_effects == (STALE + "input",)


def test_what_is_not_defined_for_negative_numbers_is_called_on_others() -> None:
    class StaleLog:
        p = None

        def forward(self, p):
            self.p = p if self.p is None else self.p
            return np.log(p)

        def backward(self, dy):
            return dy / self.p

    assert check(StaleLog(), torch.log, np.abs(X), dtypes=["float64"]).side_effects == (STALE + "input",)


def test_a_random_forward_is_told_and_nothing_else_is_made_of_it() -> None:
    class Dropout:
        rng = np.random.default_rng(0)

        def __deepcopy__(self, memo):
            return self

        def forward(self, x):
            self.mask = (self.rng.random(x.shape) > 0.5) / 0.5
            return x * self.mask

        def backward(self, dy):
            return dy * self.mask

    found = check(Dropout(), torch.nn.Dropout(0.5), X)
    assert found.causes == ()
    assert found.verdict == RANDOM


def test_neither_side_is_changed() -> None:
    layer, reference, x = Affine(), torch.nn.Linear(5, 3), X.copy()
    before = {name: p.clone() for name, p in reference.named_parameters()}
    check(layer, reference, x, transposed=["W"])
    assert not np.any(layer.W)
    assert layer.dW is None
    assert np.array_equal(x, X)
    assert all(torch.equal(p, before[name]) for name, p in reference.named_parameters())


# ---- what cannot be compared


@pytest.mark.parametrize(
    ("mine", "reference", "options", "message"),
    [
        (
            Affine(),
            torch.nn.Linear(4, 3),
            {},
            r"your W has shape \(5, 3\), the reference's weight \(3, 4\)",
        ),
        (Affine(), torch.nn.Linear(5, 3, bias=False), {}, "mine has 2 parameters.*the reference has 1"),
        (Affine(), torch.nn.Linear(5, 3), {"transposed": ["V"]}, r"there is no parameter \['V'\]"),
        (object(), torch.nn.Tanh(), {}, "object has no forward and backward"),
        (nn.Tanh(), "torch.nn.Tanh", {}, "reference is str, expected a torch module, a function or None"),
        ((lambda x: x / 0, lambda dy, x: dy), lambda x: x, {}, "nan or inf"),
        (
            Affine(),
            torch.nn.Linear(3, 5),
            {"transposed": "W"},
            r"has shape \(5, 3\), the reference's weight \(5, 3\); it is not stored the other way round",
        ),
        (Affine(), torch.nn.Linear(5, 3), {"transposed": True}, "transposed is True, expected names"),
        (
            GradientsByOtherKeys(keys="xy"),
            torch.nn.Linear(5, 3),
            {"transposed": "W"},
            r"leaves the gradients \['x', 'y'\] in grads, expected 'W' or 'dW' for W",
        ),
        (Square, torch.nn.Tanh(), {}, r"Square is a class, expected an object made of it, Square\(…\)"),
        (Square(), torch.nn.Tanh, {}, "reference is the class Tanh, expected a torch module"),
        ((lambda x: {x.size}, lambda dy, x: dy), torch.tanh, {}, "forward returns set, expected an array"),
        (
            (lambda x: None, lambda dy, x: dy),
            torch.tanh,
            {},
            "forward returns nothing, and leaves no output in an attribute",
        ),
        (
            (lambda x: x, lambda: 0),
            torch.tanh,
            {},
            r"backward\(\) is to be given 1 arguments: dy, one for",
        ),
        (Square(), TorchSquare(), {"dtypes": "float16"}, r"dtypes is \['float16'\], expected some of"),
        (
            Square(),
            TorchSquare(),
            {"dtypes": []},
            r"dtypes is \[\], expected some of \['float64', 'float32'\]",
        ),
    ],
    ids=[
        "shape",
        "count",
        "unknown name",
        "no backward",
        "no module",
        "inf",
        "not transposed",
        "no names",
        "other keys",
        "class",
        "reference class",
        "set",
        "None",
        "no arguments",
        "float16",
        "no dtype",
    ],
)
def test_what_cannot_be_compared_is_told(mine, reference, options, message) -> None:
    with pytest.raises((TypeError, ValueError), match=message), np.errstate(all="ignore"):
        check(mine, reference, X, **options)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.ones(3), "input 0 is a Tensor, expected a NumPy array"),
        ("ones", "input 0 is a str, expected a NumPy array"),
        (np.arange(3), "no input and no parameter is floating"),
    ],
)
def test_inputs_that_are_no_floating_arrays_are_told(x, message) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        check(Square(), TorchSquare(), x)


def test_a_hint_at_transposed_is_given_for_matrices_alone() -> None:
    kernel, inputs = Affine(), X.reshape(1, 1, 4, 5)
    kernel.W, kernel.b = np.zeros((3, 2, 1, 4)), np.zeros(4)
    with pytest.raises(ValueError, match=r"your W has shape .*the reference's weight \(4, 1, 2, 3\)$"):
        check(kernel, torch.nn.Conv2d(1, 4, (2, 3)), inputs)


def test_a_gradient_of_another_shape_is_told() -> None:
    class NotSummed(Affine):
        def backward(self, dout):
            dx = super().backward(dout)
            self.db = dout
            return dx

    found = check(NotSummed(), torch.nn.Linear(5, 3), X, transposed=["W"])
    assert verdicts(found)["bias"] == "shapes differ"
    assert not found
    assert not found.side_effects
    assert "NumPy's has shape (4, 3), PyTorch's (3,): sum it over axis 0" in str(found)


class RowByRow(nn.Linear):
    """Adds up one row after the other, as code for time steps does."""

    adds = True

    def forward(self, x):
        self.x = x
        return x @ self.weight.data.T + self.bias.data

    def backward(self, dy):
        if not self.adds:
            self.weight.grad = None
        for x, row in zip(self.x, dy, strict=True):
            for p, g in ((self.weight, np.outer(row, x)), (self.bias, row)):
                p.grad = g if p.grad is None else p.grad + g
        return dy @ self.weight.data


def test_gradients_of_a_backward_before_the_check_are_forgotten() -> None:
    layer = nn.Linear(5, 3, dtype=np.float64)
    layer.weight.grad = np.full((3, 5), np.nan)
    layer.bias.grad = np.full(3, 7.0)
    assert check(layer, torch.nn.Linear(5, 3), X)


def test_a_gradient_of_nan_is_wrong_and_no_side_effect() -> None:
    class NoNumber(Affine):
        def backward(self, dout):
            dx = super().backward(dout)
            self.db = self.db * np.nan
            return dx

    found = check(NoNumber(), torch.nn.Linear(5, 3), X, transposed=["W"])
    assert not found
    assert not found.side_effects


def test_gradients_added_up_row_by_row_are_not_taken_for_overwritten(monkeypatch) -> None:
    assert check(RowByRow(5, 3), torch.nn.Linear(5, 3), X / 3)
    monkeypatch.setattr(RowByRow, "adds", False)
    found = check(RowByRow(5, 3), torch.nn.Linear(5, 3), X / 3)
    assert found.side_effects == (
        "backward overwrites the gradient of weight, expected it added to what is there",
    )
