"""Code of tensors as the side that is checked: autograd.Functions, operators, modules, plain functions."""

import functools

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from sampled import one_in
from torch_ref import check
from torch_ref.adapters import TensorCode, takes_tensors

# Of the cases of each test; the others in make long.
ONE_IN = 2


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def refuses(mine, reference, *inputs, **options):
    """The verdict of what is refused, with its reference and without."""
    found = check(mine, reference, *inputs, **options)
    assert not found, str(found)
    assert not check(mine, None, *inputs, **options)
    return found.verdict


def accepts(mine, reference, *inputs, **options):
    for judge in (reference, None):
        found = check(mine, judge, *inputs, **options)
        assert found, str(found)


# ---- forms, each right and with a mistake


class Cube(Function):
    factor = 3.0

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @classmethod
    def backward(cls, ctx, g):
        (x,) = ctx.saved_tensors
        return Cube.factor * g * x**2


class LateContext(Function):
    """With setup_context, as torch.func wants it."""

    factor = 3.0

    @staticmethod
    def forward(x):
        return x**3

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return LateContext.factor * g * x**2


class Cuber:
    """A callable object."""

    def __call__(self, x):
        return Cube.apply(x)


class CubeModule(torch.nn.Module):
    def forward(self, x):
        return Cube.apply(x)


@torch.library.custom_op("gradmirror_tests::cube", mutates_args=())
def cube_operator(x: torch.Tensor) -> torch.Tensor:
    return x**3


def _keep_inputs(ctx, inputs, output):
    ctx.save_for_backward(*inputs)


def _operator_backward(ctx, g):
    (x,) = ctx.saved_tensors
    return Cube.factor * g * x**2


cube_operator.register_autograd(_operator_backward, setup_context=_keep_inputs)


def cube_function(x):
    return Cube.apply(x) + 0 * x


def cube(x):
    return x**3


FORMS = [
    *(
        Cube,
        Cube.apply,
        Cuber(),
        CubeModule(),
        CubeModule().forward,
        cube_function,
        functools.partial(Cube.apply),
    ),
    *(lambda x: Cube.apply(x), lambda x: cube_function(x), cube_operator, lambda x: cube_operator(x)),
    *(torch.ops.gradmirror_tests.cube, torch.ops.gradmirror_tests.cube.default),
    *(torch.nn.Sequential(CubeModule()), functools.partial(Cube.apply)),
]


@pytest.mark.parametrize(
    "form", one_in(6, FORMS, lambda form: getattr(form, "__name__", type(form).__name__))
)
def test_every_form_is_right_or_wrong(form, monkeypatch):
    assert takes_tensors(form)
    accepts(form, cube, normal(3, 4))
    monkeypatch.setattr(Cube, "factor", 2.0)
    assert "yours is wrong: input" in refuses(form, cube, normal(3, 4))


def test_setup_context_is_understood(monkeypatch):
    accepts(LateContext, cube, normal(3, 4))
    monkeypatch.setattr(LateContext, "factor", 1.5)
    refuses(LateContext, cube, normal(3, 4))


@pytest.mark.parametrize(
    "thing",
    [
        *(np.sin, lambda x: np.sin(x), lambda x: (x, lambda g: g), 3, CubeModule),
        (cube_function, cube_function),
    ],
)
def test_code_of_arrays_is_not_taken_for_code_of_tensors(thing):
    assert not takes_tensors(thing)


def test_a_module_with_a_backward_of_its_own_is_not_judged_by_autograd():
    class Own(torch.nn.Module):
        def forward(self, x):
            return x**3

        def backward(self, dy):
            return dy

    assert not takes_tensors(Own())


# ---- what Functions do


class Scaled(Function):
    """Of a tensor, a number and a word, with two outputs, one of which has no gradient."""

    wrong = ""

    @staticmethod
    def forward(ctx, x, w, power, mode=None):
        assert isinstance(power, int)
        assert mode in (None, "sum")
        ctx.save_for_backward(x, w)
        ctx.power = power
        near = x.round()
        ctx.mark_non_differentiable(near)
        return w * x**power, near

    @staticmethod
    def backward(ctx, g, g_near):
        x, w = ctx.saved_tensors
        dx = dw = None
        if ctx.needs_input_grad[0]:
            dx = g * w * ctx.power * x ** (ctx.power - 1)
        if ctx.needs_input_grad[1]:
            dw = g * x**ctx.power
        if Scaled.wrong == "order":
            dx, dw = dw, dx
        if Scaled.wrong == "needs":
            dw = dw if dx is not None else 0 * w
        return dx, dw, None, None


def scaled(x, w, power, mode=None):
    return w * x**power, x.round().detach()


@pytest.mark.parametrize("more", one_in(3, [(2, "sum"), (2,), (2, None)]))
def test_arguments_that_are_no_tensors_and_outputs_without_a_gradient(more):
    accepts(Scaled, scaled, normal(3, 4), normal(3, 4, seed=1), *more)


def test_what_is_no_array_goes_through_the_module_as_it_is():
    x, w = normal(3, 4), normal(3, 4, seed=1)
    module = TensorCode(Scaled)
    y, _ = module(x, w, 2, "sum")
    dx, dw, *others = module.backward(np.ones_like(y), np.ones_like(y))
    assert np.allclose(y, w * x**2)
    assert np.allclose(dx, 2 * w * x)
    assert np.allclose(dw, x**2)
    assert others == [None, None]


def test_gradients_for_each_others_inputs_are_refused(monkeypatch):
    monkeypatch.setattr(Scaled, "wrong", "order")
    verdict = refuses(Scaled, scaled, normal(3, 4), normal(3, 4, seed=1), 2)
    assert "yours is wrong: input 0, input 1" in verdict


def test_a_gradient_that_depends_on_which_others_are_needed_is_refused(monkeypatch):
    monkeypatch.setattr(Scaled, "wrong", "needs")
    verdict = refuses(Scaled, scaled, normal(3, 4), normal(3, 4, seed=1), 2)
    assert "another gradient of input 1 if that of input 1 is the only one that is needed" in verdict


def test_an_output_that_only_yours_gives_no_gradient_for_is_refused():
    class Detached(torch.nn.Module):
        def forward(self, x):
            return Cube.apply(x), Cube.apply(x).detach()

    refuses(Detached(), lambda x: (x**3, x**3), normal(3, 4))


def of_square(backward, forward=torch.square):
    """A Function of one input with this backward(x, g)."""

    class Square(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return forward(x)

        @staticmethod
        def backward(ctx, g):
            return backward(*ctx.saved_tensors, g)

    return Square


@pytest.mark.parametrize(
    "backward",
    one_in(
        2,
        [
            lambda x, g: 2 * x,  # the incoming gradient is ignored
            lambda x, g: None,  # none
            lambda x, g: 2 * x * g * (x > 0),  # not where x is negative
            lambda x, g: torch.empty_like(x),
            lambda x, g: torch.rand_like(x),
            lambda x, g: 2 * x.mul_(1) * g.mul_(2),  # dy is changed
        ],
    ),
)
def test_mistakes_are_refused(backward):
    refuses(of_square(backward), torch.square, normal(3, 4))


@pytest.mark.parametrize(
    "backward",
    one_in(
        3,
        [
            lambda x, g: 2 * x * g,
            lambda x, g: (2 * x * g).contiguous(),
            lambda x, g: g.clone().mul_(x).mul_(2),
            once_differentiable(lambda x, g: 2 * x * g),
            lambda x, g: torch.from_numpy(2 * x.numpy() * g.numpy()),
        ],
    ),
)
def test_right_ones_are_accepted(backward):
    accepts(of_square(backward), torch.square, normal(3, 4))


@pytest.mark.parametrize(
    ("backward", "words"),
    [
        (lambda x, g: 2 * x * g.view(-1).view(x.shape), "raises an error"),
        (
            lambda x, g: 2 * x * torch.as_strided(g, x.shape, x.stride()),
            "gives another gradient of input",
        ),
    ],
)
def test_an_incoming_gradient_that_is_not_contiguous_is_tried(backward, words):
    verdict = refuses(of_square(backward), torch.square, normal(3, 4))
    assert f"{words} for an incoming gradient that is not contiguous" in verdict
    assert "call .contiguous() on it" in verdict


def test_a_wrong_number_of_gradients_is_told():
    with pytest.raises(TypeError, match="check: mine: backward of Square returns a wrong number of"):
        check(of_square(lambda x, g: (g, g)), torch.square, normal(3, 4))


def test_an_error_in_backward_is_told():
    with pytest.raises(ValueError, match=r"check: mine: backward of Square raises RuntimeError: The size of"):
        check(of_square(lambda x, g: g * torch.ones(7)), torch.square, normal(3, 4))


def test_a_gradient_of_a_wrong_shape_is_a_disagreement_with_its_numbers():
    class Affine(Function):
        @staticmethod
        def forward(ctx, x, b):
            ctx.save_for_backward(x)
            return x * x + b

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return 2 * x * g, g[:, :2]

    found = check(Affine, lambda x, b: x * x + b, normal(3, 4), normal(4, seed=1), dtypes="float64")
    shapes = {t.name: (t.ours.shape, t.verdict) for t in found.comparisons["float64"].tensors}
    assert shapes["input 0"] == ((3, 4), "agree")
    assert shapes["input 1"] == ((3, 2), "shapes differ")
    assert "input 1: yours has shape (3, 2), the reference's (4,)" in str(found)


def test_an_input_that_is_changed_in_place_is_told():
    class Changes(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x.clone())
            return x.mul_(x)

        @staticmethod
        def backward(ctx, g):
            return 2 * ctx.saved_tensors[0] * g

    assert "is changed in place" in check(Changes, torch.square, normal(3, 4)).verdict


# ---- modules


class Product(Function):
    mean = False

    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return x @ w.T

    @staticmethod
    def backward(ctx, g):
        x, w = ctx.saved_tensors
        return g @ w, g.T @ x / (len(x) if Product.mean else 1)


class Layer(torch.nn.Module):
    """Linear, of other names; with a running mean as a buffer."""

    def __init__(self, n, m, forgets=False):
        super().__init__()
        self.kernel = torch.nn.Parameter(torch.randn(m, n))
        self.offset = torch.nn.Parameter(torch.randn(m))
        self.register_buffer("seen", torch.zeros(m))
        self.forgets = forgets

    def forward(self, x):
        y = Product.apply(x, self.kernel) + self.offset
        if self.training and not self.forgets:
            self.seen.mul_(0.9).add_(0.1 * y.detach().mean(0))
        return y


class Plain(torch.nn.Module):
    def __init__(self, n, m):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(m, n))
        self.bias = torch.nn.Parameter(torch.randn(m))
        self.register_buffer("seen", torch.zeros(m))

    def forward(self, x):
        y = F.linear(x, self.weight, self.bias)
        if self.training:
            self.seen.mul_(0.9).add_(0.1 * y.detach().mean(0))
        return y


@pytest.mark.long
def test_a_module_gets_the_weights_of_the_reference_and_stays_as_it_is(monkeypatch):
    mine = Layer(5, 3)
    before = {name: value.clone() for name, value in mine.state_dict().items()}
    found = check(mine, Plain(5, 3), normal(4, 5))
    names = [t.name for t in found.comparisons["float64"].tensors]
    assert found, str(found)
    assert names == ["output", "buffer seen", "input", "weight", "bias"]
    assert all(torch.equal(value, before[name]) for name, value in mine.state_dict().items())
    assert check(mine, None, normal(4, 5))
    monkeypatch.setattr(Product, "mean", True)
    assert "yours is wrong: weight" in check(mine, Plain(5, 3), normal(4, 5)).verdict
    assert "the weight gradient alone is averaged over the batch" in check(mine, None, normal(4, 5)).verdict


def test_a_buffer_that_is_not_kept_up_is_seen():
    assert "buffer seen" in check(Layer(5, 3, forgets=True), Plain(5, 3), normal(4, 5)).verdict


def test_a_parameter_that_gets_no_gradient_is_refused():
    class Frozen(Layer):
        def forward(self, x):
            return Product.apply(x, self.kernel.detach()) + self.offset

    assert "kernel" in check(Frozen(5, 3), None, normal(4, 5)).verdict


def test_weights_stored_the_other_way_round():
    class Turned(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.kernel = torch.nn.Parameter(torch.randn(5, 3))

        def forward(self, x):
            return Product.apply(x, self.kernel.T)

    assert check(Turned(), torch.nn.Linear(5, 3, bias=False), normal(4, 5), transposed="kernel")


def test_dropout_draws_the_same_numbers_as_the_reference():
    class Dropped(torch.nn.Module):
        def forward(self, x):
            return Cube.apply(F.dropout(x, 0.5, self.training))

    class Reference(torch.nn.Module):
        def forward(self, x):
            return F.dropout(x, 0.5, self.training) ** 3

    assert check(Dropped(), Reference(), normal(6, 7), dtypes="float64")


def test_a_loss_holds_its_target():
    class Loss(torch.nn.Module):
        def forward(self, input, target):
            return Product.apply(input - target, input - target).diagonal().sum() / input.numel()

    # Product's gradient for its second argument is right, since both are the same.
    assert check(Loss(), torch.nn.MSELoss(), normal(4, 5), normal(4, 5, seed=1))


# ---- precisions


@pytest.mark.parametrize("name", one_in(3, ["bfloat16", "float16", torch.bfloat16]))
def test_low_precision_by_the_measuring_stick(name):
    right, wrong = (of_square(lambda x, g, k=k: k * x * g) for k in (2, 1.8))
    x = normal(8, 16)
    accepts(right, torch.square, x, dtypes=name)
    verdict = refuses(wrong, torch.square, x, dtypes=name)
    assert "yours is wrong: input" in verdict


def test_the_rounding_of_the_inputs_is_not_counted_as_an_error():
    """sin(300 x) is off by far more if x is rounded only on one side."""

    class Sine(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return torch.sin(300 * x.float()).to(x.dtype)

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return (300 * torch.cos(300 * x.float()) * g.float()).to(x.dtype)

    def reference(x):
        return torch.sin(300 * x.double()).to(x.dtype)

    found = check(Sine, reference, normal(8, 16), dtypes="bfloat16")
    assert found, str(found)
    assert found.comparisons["bfloat16"].frame["detection_limit"].max() < 0.05


def test_sums_in_low_precision_are_worse_than_the_reference_and_refused():
    class Mean(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.shape = x.shape
            total = torch.zeros((), dtype=x.dtype)
            for each in x.reshape(-1):
                total = total + each
            return total / x.numel()

        @staticmethod
        def backward(ctx, g):
            return (g / 4096).expand(ctx.shape)

    found = check(Mean, torch.mean, np.exp(normal(64, 64)), dtypes="bfloat16")
    assert "bfloat16: yours is wrong: output" in found.verdict


def test_low_precision_is_for_code_of_tensors():
    with pytest.raises(
        ValueError, match=r"dtypes is \['bfloat16'\], expected some of \['float64', 'float32'\]"
    ):
        check((lambda x: x, lambda dy, x: dy), lambda x: x, normal(3), dtypes="bfloat16")


def test_a_kernel_for_bfloat16_alone_is_judged_in_it():
    class Kernel(Function):
        @staticmethod
        def forward(ctx, x):
            assert x.dtype == torch.bfloat16
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            return 2 * ctx.saved_tensors[0] * g

    assert check(Kernel, torch.square, normal(3, 4), dtypes="bfloat16")


def test_a_kernel_for_float32_alone_is_judged_in_it_with_a_sentence():
    def strict(x):
        if x.dtype != torch.float32:
            raise RuntimeError("expected scalar type Float but found Double")
        return x * x

    right, wrong = (of_square(lambda x, g, k=k: k * x * g, strict) for k in (2, 2.01))
    found = check(right, torch.square, normal(3, 4))
    assert found, str(found)
    assert "Judged in float32 alone: in float64 your code does not run (expected scalar type" in found.verdict
    assert "Judged in float32 alone" in refuses(wrong, torch.square, normal(3, 4))


def test_a_gradient_that_is_rounded_to_float32_is_told():
    mine = of_square(lambda x, g: (2 * x * g).float())
    found = check(mine, torch.square, normal(3, 4))
    assert found
    assert "Judged in float32 alone: your code computes in it" in found.verdict
    refuses(mine, torch.square, normal(3, 4), dtypes="float64")


def test_tensors_are_inputs():
    x = torch.randn(3, 4, requires_grad=True)
    assert check(Cube, cube, x)
    assert check(Cube, cube, x.bfloat16(), dtypes="bfloat16")


# ---- double backward


@pytest.mark.long
def test_double_backward():
    found = check(Cube, cube, normal(3, 4), double_backward=True)
    assert found, str(found)
    assert [t.name for t in found.comparisons["float64, double backward"].tensors] == [
        *("output", "input 0", "input 1")
    ]
    assert check(Cube, None, normal(3, 4), double_backward=True)
    assert check(Layer(5, 3), Plain(5, 3), normal(4, 5), double_backward=True)
    assert check(Scaled, scaled, normal(3, 4), normal(3, 4, seed=1), 2, double_backward=True)


@pytest.mark.long
def test_a_gradient_that_is_right_and_cannot_be_differentiated_again():
    def constant(x, g):
        return 2 * x.detach() * g

    detached, once = of_square(constant), of_square(None)
    once.backward = staticmethod(once_differentiable(lambda ctx, g: 2 * ctx.saved_tensors[0] * g))
    for mine, words in (
        (detached, "float64, double backward: yours is wrong: input 0"),
        (once, "double backward: backward of GradientOf raises RuntimeError: trying to differentiate twice"),
    ):
        accepts(mine, torch.square, normal(3, 4))
        assert words in refuses(mine, torch.square, normal(3, 4), double_backward=True)


@pytest.mark.long
def test_statistics_that_are_saved_are_constants_to_the_second_derivative():
    """A well known trap: the first gradient is right, and a formula of x has become a number."""

    class Norm(Function):
        @staticmethod
        def forward(ctx, x, eps):
            r = torch.rsqrt(x.var(-1, unbiased=False, keepdim=True) + eps)
            h = (x - x.mean(-1, keepdim=True)) * r
            ctx.save_for_backward(h, r)
            return h

        @staticmethod
        def backward(ctx, g):
            h, r = ctx.saved_tensors
            return (g - g.mean(-1, keepdim=True) - h * (g * h).mean(-1, keepdim=True)) * r, None

    def reference(x, eps):
        return F.layer_norm(x, (8,), eps=eps)

    accepts(Norm, reference, normal(4, 8), 1e-5)
    found = check(Norm, reference, normal(4, 8), 1e-5, double_backward=True)
    assert found.verdict == "float64, double backward: yours is wrong: input 0."


def test_a_wrong_gradient_is_not_differentiated_again():
    found = check(of_square(lambda x, g: x * g), torch.square, normal(3, 4), double_backward=True)
    assert not any("double" in name for name in found.comparisons)


def test_double_backward_is_for_code_of_tensors():
    with pytest.raises(TypeError, match="double_backward is for code of tensors"):
        check((lambda x: x, lambda dy, x: dy), None, normal(3), double_backward=True)


# ---- words


def test_the_sides_are_called_yours_and_the_reference():
    verdict = str(check(of_square(lambda x, g: x * g), torch.square, normal(3, 4)))
    assert "NumPy" not in verdict
    assert "yours − reference" in verdict
    assert "PyTorch" not in verdict


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_tensors_on_a_gpu():
    class OnGPU(Function):
        @staticmethod
        def forward(ctx, x):
            assert x.is_cuda
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, g):
            assert g.is_cuda
            return 2 * ctx.saved_tensors[0] * g

    x = torch.randn(3, 4, device="cuda")
    accepts(OnGPU, torch.square, x)
    assert check(OnGPU, torch.square, x, dtypes="bfloat16")


def test_a_name_that_no_parameter_has_is_refused_as_anywhere():
    with pytest.raises(ValueError, match=r"check: transposed: there is no parameter \['W'\]"):
        check(torch.nn.Linear(4, 3), torch.nn.Linear(4, 3), np.ones((2, 4)), transposed="W")
