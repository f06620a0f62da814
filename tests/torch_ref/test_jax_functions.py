"""Functions of JAX as the side that is checked: custom_vjps, plain functions, whole networks."""

import functools
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from torch_ref import check, check_loss

jax = pytest.importorskip("jax")
jnp = jax.numpy


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def layer_norm(backward):
    """LayerNorm without ε, its backward as a function of (x̂, 1/σ, w, dy)."""

    def forward(x, w, b):
        centred = x - x.mean(-1, keepdims=True)
        r = 1 / jnp.sqrt((centred**2).mean(-1, keepdims=True))
        return centred * r * w + b, (centred * r, r, w)

    @jax.custom_vjp
    def norm(x, w, b):
        return forward(x, w, b)[0]

    norm.defvjp(forward, lambda saved, dy: backward(*saved, dy))
    return norm


def right(x̂, r, w, dy):
    d = dy * w
    dx = r * (d - d.mean(-1, keepdims=True) - x̂ * (d * x̂).mean(-1, keepdims=True))
    return dx, (dy * x̂).sum(0), dy.sum(0)


def without_variance(x̂, r, w, dy):
    d = dy * w
    return r * (d - d.mean(-1, keepdims=True)), (dy * x̂).sum(0), dy.sum(0)


def without_bias(x̂, r, w, dy):
    return *right(x̂, r, w, dy)[:2], None


def not_summed(x̂, r, w, dy):
    return *right(x̂, r, w, dy)[:2], dy


def in_torch(x, w, b):
    return F.layer_norm(x, (5,), w, b, 0.0)


def in_jax(x, w, b):
    return (x - x.mean(-1, keepdims=True)) / jnp.std(x, -1, keepdims=True) * w + b


REFERENCES = [None, in_torch, in_jax]
INPUTS = normal(4, 5), normal(5, seed=1), normal(5, seed=2)


@pytest.mark.parametrize("reference", REFERENCES)
def test_a_right_backward_is_accepted_in_both_precisions(reference):
    found = check(layer_norm(right), reference, *INPUTS)

    assert found, str(found)
    assert {"float64", "float32"} <= {*found.comparisons}
    assert not jax.config.jax_enable_x64  # float64 for the time of a call alone


@pytest.mark.parametrize("reference", REFERENCES)
@pytest.mark.parametrize(
    ("backward", "cause"),
    [
        (without_variance, "the gradient through the variance is missing"),
        (without_bias, "no gradient arrives"),
        (not_summed, "it is not summed over axis 0"),
    ],
)
def test_a_wrong_backward_is_refused_and_named(reference, backward, cause):
    found = check(layer_norm(backward), reference, *INPUTS, dtypes="float64")

    assert not found
    assert [c.name for c in found.causes if c.name.startswith(cause)], found.verdict


@pytest.mark.parametrize("reference", [None, in_torch])
def test_a_small_error_shows_in_float64(reference):
    """The tolerance is measured by rounding every operation, not guessed."""
    backward = lambda *given: tuple(g * (1 + 1e-9) for g in right(*given))  # noqa: E731

    assert not check(layer_norm(backward), reference, *INPUTS)


def squarer(factor):
    @jax.custom_vjp
    def square(x):
        return x**2

    square.defvjp(lambda x: (x**2, x), lambda x, dy: (factor * x * dy,))
    return square


FORMS = [
    squarer,
    lambda factor: jax.jit(squarer(factor)),
    lambda factor: lambda x: squarer(factor)(x),
    lambda factor: functools.partial(lambda n, x: n * squarer(factor)(x), 3.0),
]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_right_or_wrong(form):
    assert check(form(2), None, normal(3, 4))
    assert not check(form(1), None, normal(3, 4))


def test_arguments_that_are_no_arrays_are_handed_on():
    @functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
    def power(x, n):
        return x**n

    power.defvjp(lambda x, n: (x**n, x), lambda n, x, dy: (n * x ** (n - 1) * dy,))

    assert check(power, lambda x, n: x**n, normal(3, 4), 3)
    power.defvjp(lambda x, n: (x**n, x), lambda n, x, dy: (x ** (n - 1) * dy,))
    assert not check(power, lambda x, n: x**n, normal(3, 4), 3)


@pytest.mark.parametrize(("add", "is_right"), [(True, True), (False, False)])
def test_indices_have_no_gradient(add, is_right):
    def backward(saved, dy):
        table, rows = saved
        at = jnp.zeros_like(table).at[rows]
        return (at.add if add else at.set)(dy), None

    @jax.custom_vjp
    def embedding(table, rows):
        return table[rows]

    embedding.defvjp(lambda table, rows: (table[rows], (table, rows)), backward)
    found = check(embedding, None, normal(5, 3), np.array([0, 1, 1, 4]))

    assert bool(found) == is_right, found.verdict


@pytest.mark.parametrize("make", [jax.random.key, jax.random.PRNGKey])
def test_random_numbers_of_a_key_are_judged_where_they_are_the_same(make):
    def dropout(x, key):
        return jnp.where(jax.random.bernoulli(key, 0.5, x.shape), x / 0.5, 0)

    found = check(dropout, None, normal(4, 5), make(0))

    assert found, str(found)
    assert [*found.comparisons] == ["float64"]
    assert "Judged in float64 alone" in found.verdict


def test_a_loop_is_judged():
    def rnn(x, h):
        def step(h, x):
            h = jnp.tanh(x + h)
            return h, h

        h, every = jax.lax.scan(step, h, x)
        return every, h

    assert check(rnn, None, normal(3, 2), normal(2), dtypes="float64")


def test_branches_of_python_are_judged():
    def branch(x):
        return jnp.sin(x) if x.sum() > 0 else jnp.cos(x)

    for x in (abs(normal(3)), -abs(normal(3))):
        assert check(branch, None, x, dtypes="float64")


def test_a_forward_of_defvjp_that_computes_something_else_is_seen():
    @jax.custom_vjp
    def sine(x):
        return jnp.sin(x)

    sine.defvjp(lambda x: (1.001 * jnp.sin(x), x), lambda x, dy: (jnp.cos(x) * dy,))
    found = check(sine, None, normal(3))

    assert not found
    assert "another output where it is differentiated" in found.verdict


def without_vjp():
    return jax.custom_vjp(lambda x: jnp.sin(x))


def returning(gradients):
    sine = jax.custom_vjp(lambda x: jnp.sin(x))
    sine.defvjp(lambda x: (jnp.sin(x), x), lambda x, dy: gradients(jnp.cos(x) * dy))
    return sine


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (without_vjp(), "without a backward; expected one, given by .*defvjp"),
        (returning(lambda dx: dx), "return \\(dx,\\)"),
        (returning(lambda dx: (dx, None)), "a tuple of one gradient for each argument"),
        (lambda x: jnp.sin(np.asarray(x)), "hands an array to NumPy"),
        (lambda x: (jnp.sin(x), "y"), "returns .*str, expected arrays of JAX"),
    ],
)
def test_what_cannot_be_differentiated_is_refused_with_a_reason(function, message):
    with pytest.raises(TypeError, match=f"^check: mine: .*{message}"):
        check(function, None, normal(3))


def test_arrays_of_jax_are_inputs():
    assert check(jax.nn.silu, F.silu, jnp.array(normal(3, 4)))


# ---- networks


def mean_squares(params, X, Y):
    return jnp.mean((jnp.tanh(X @ params["W"] + params["b"]) - Y) ** 2)


def by_hand(params, X, Y, mean=False):
    y = jnp.tanh(X @ params["W"] + params["b"])
    dz = 2 / y.size * (y - Y) * (1 - y**2)
    return jnp.mean((y - Y) ** 2), {"dW": X.T @ dz, "db": dz.mean(0) if mean else dz.sum(0)}


@pytest.mark.parametrize("f", [jax.value_and_grad(mean_squares), by_hand, jax.jit(by_hand)])
@pytest.mark.parametrize("array", [np.array, jnp.array])
def test_a_network_is_judged_in_both_precisions(f, array):
    params = {"W": array(normal(5, 3)), "b": array(normal(3))}
    found = check_loss(f, params, normal(4, 5), normal(4, 3))

    assert found, str(found)
    assert [*found.comparisons] == ["float64", "float32"]


def test_a_wrong_network_is_refused_and_named():
    f = functools.partial(by_hand, mean=True)
    found = check_loss(f, {"W": normal(5, 3), "b": normal(3)}, normal(4, 5), normal(4, 3))

    assert not found
    assert ["divided by the number of samples" in cause.name for cause in found.causes] == [True]


def test_loss_and_gradient_may_be_two_functions():
    params = {"W": normal(5, 3), "b": normal(3)}

    assert check_loss((mean_squares, jax.grad(mean_squares)), params, normal(4, 5), normal(4, 3))


# ---- the command, and what is imported

FILE = """
import jax
import jax.numpy as jnp

@jax.custom_vjp
def swish(x):
    return x * jax.nn.sigmoid(x)

def backward(x, dy):
    s = jax.nn.sigmoid(x)
    return (({}) * dy,)

swish.defvjp(lambda x: (swish(x), x), backward)
"""


@pytest.mark.parametrize(("derivative", "code"), [("s + x * s * (1 - s)", 0), ("s", 1)])
def test_the_command_takes_a_custom_vjp(tmp_path, derivative, code):
    (tmp_path / "mine.py").write_text(FILE.format(derivative))
    command = [
        "import sys; from reports.cli import main; sys.exit(main())",
        "check",
        "mine.py:swish",
        "--input",
        "4x16",
    ]
    done = subprocess.run(
        [sys.executable, "-c", *command], capture_output=True, text=True, cwd=tmp_path, check=False
    )

    assert done.returncode == code, done.stdout + done.stderr
    assert ("the second term of the product rule is missing" in done.stdout) == bool(code)


def test_jax_is_not_imported_for_code_that_has_none_of_it():
    script = (
        "import sys, numpy as np; from torch_ref import check, check_loss\n"
        "check((lambda x: x**2, lambda dy, x: 2 * x * dy), None, np.ones(3))\n"
        "check_loss(lambda w, x: ((w * x).sum(), x), np.ones(3), np.ones(3))\n"
        "print('jax' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["False"]


def test_a_torch_function_beside_jax_stays_one():
    assert check(torch.nn.functional.silu, jax.nn.silu, normal(3, 4))
