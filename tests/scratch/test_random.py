"""scratch.random against torch: the same seeds, the same bits, the same number of words taken."""

import copy
import math
import re
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rounding import same_draws
from scratch import random
from scratch.random import avx_math
from scratch.random import generator as generator_module

# Of the cases of each test; the others in make long.
ONE_IN = 2

SIZES = [0, 1, 2, 3, 15, 16, 17, 31, 32, 100, 1000, 100_003]
SEEDS = [0, 1, -7, 2**32 + 5, 2**63 + 1]
FLOATS = ["float32", "float64"]
INTEGERS = ["uint8", "int8", "int16", "int32", "int64"]

# name: (NumPy, torch), each from n, a dtype's name and a generator.
CALLS = {
    "rand": (
        lambda n, d, g: random.rand(n, dtype=d, generator=g),
        lambda n, d, g: torch.rand(n, dtype=getattr(torch, d), generator=g),
    ),
    "randn": (
        lambda n, d, g: random.randn(n, dtype=d, generator=g),
        lambda n, d, g: torch.randn(n, dtype=getattr(torch, d), generator=g),
    ),
    "uniform_": (
        lambda n, d, g: random.uniform_(np.empty(n, d), -0.3, 0.777, generator=g),
        lambda n, d, g: torch.empty(n, dtype=getattr(torch, d)).uniform_(-0.3, 0.777, generator=g),
    ),
    "normal_": (
        lambda n, d, g: random.normal_(np.empty(n, d), 0.1, 0.37, generator=g),
        lambda n, d, g: torch.empty(n, dtype=getattr(torch, d)).normal_(0.1, 0.37, generator=g),
    ),
    "bernoulli_": (
        lambda n, d, g: random.bernoulli_(np.empty(n, d), 0.3, generator=g),
        lambda n, d, g: torch.empty(n, dtype=getattr(torch, d)).bernoulli_(0.3, generator=g),
    ),
    "bernoulli": (
        lambda n, d, g: random.bernoulli(random.rand(n, dtype=d, generator=g), generator=g),
        lambda n, d, g: torch.bernoulli(torch.rand(n, dtype=getattr(torch, d), generator=g), generator=g),
    ),
    "random_": (
        lambda n, d, g: random.random_(np.empty(n, d), generator=g),
        lambda n, d, g: torch.empty(n, dtype=getattr(torch, d)).random_(generator=g),
    ),
    "randint": (
        lambda n, d, g: random.randint(1, 100, (n,), dtype=d, generator=g),
        lambda n, d, g: torch.randint(1, 100, (n,), dtype=getattr(torch, d), generator=g),
    ),
    "randperm": (
        lambda n, d, g: random.randperm(n, dtype=d, generator=g),
        lambda n, d, g: torch.randperm(n, dtype=getattr(torch, d), generator=g),
    ),
}


def generators(seed: int) -> tuple[random.Generator, torch.Generator]:
    """One of each, from the same seed."""
    return random.Generator().manual_seed(seed), torch.Generator().manual_seed(seed)


def assert_same(ours: np.ndarray, theirs: torch.Tensor) -> None:
    """Same dtype, shape and bits."""
    expected = theirs.numpy()
    assert (ours.dtype, ours.shape) == (expected.dtype, expected.shape)
    unsigned = f"u{ours.itemsize}"
    different = np.count_nonzero(ours.ravel().view(unsigned) != expected.ravel().view(unsigned))
    assert different == 0, f"{different} of {ours.size} differ"


def assert_same_state(ours: random.Generator, theirs: torch.Generator) -> None:
    """Same 5056 bytes."""
    np.testing.assert_array_equal(ours.get_state(), theirs.get_state().numpy())


@same_draws
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", CALLS)
def test_same_bits_at_every_size(name, dtype):
    numpy_call, torch_call = CALLS[name]
    for size in SIZES:
        for seed in SEEDS if size <= 1000 else SEEDS[:1]:
            ours, theirs = generators(seed)
            for _ in range(2):
                assert_same(numpy_call(size, dtype, ours), torch_call(size, dtype, theirs))
            assert_same_state(ours, theirs)


@same_draws
@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(
    st.integers(-(2**63), 2**64 - 1),
    st.lists(
        st.tuples(st.sampled_from(list(CALLS)), st.sampled_from(FLOATS), st.integers(0, 40)), max_size=20
    ),
)
def test_same_bits_in_any_sequence(seed, calls):
    ours, theirs = generators(seed)
    for name, dtype, size in calls:
        numpy_call, torch_call = CALLS[name]
        assert_same(numpy_call(size, dtype, ours), torch_call(size, dtype, theirs))
        assert_same_state(ours, theirs)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers(dtype):
    bounds = np.iinfo(dtype)
    ranges = [(0, 1), (0, 10), (-5, 100), (0, 2**28 - 1), (0, 2**28), (-(2**31), 2**31 - 1), (0, 2**32 + 1)]
    ranges += [(0, 2**63 - 1), (-(2**63), 2**63 - 1), (int(bounds.min), int(bounds.max))]
    ours, theirs = generators(3)
    for low, high in ranges:
        if bounds.min <= low and high - 1 <= bounds.max:
            expected = torch.randint(low, high, (3, 41), dtype=getattr(torch, dtype), generator=theirs)
            assert_same(random.randint(low, high, (3, 41), dtype=dtype, generator=ours), expected)
    for name in "random_", "bernoulli_", "randperm":
        numpy_call, torch_call = CALLS[name]
        assert_same(numpy_call(100, dtype, ours), torch_call(100, dtype, theirs))
    assert_same_state(ours, theirs)


@same_draws
@pytest.mark.parametrize("dtype", FLOATS)
def test_bounds_means_and_deviations_of_every_size(dtype):
    ours, theirs = generators(0)
    for a, b in [(-1 / 28, 1 / 28), (1e-3, 1e-3), (-1e30, 2e30), (1, 1 + 1e-6), (3e-39, 5e-39)]:
        x = random.uniform_(np.empty(20_000, dtype), a, b, generator=ours)
        assert_same(x, torch.empty(20_000, dtype=getattr(torch, dtype)).uniform_(a, b, generator=theirs))
    edge = 2 ** (np.finfo(dtype).nmant + 1)
    expected = torch.randint(-edge, edge + 1, (999,), dtype=getattr(torch, dtype), generator=theirs)
    assert_same(random.randint(-edge, edge + 1, (999,), dtype=dtype, generator=ours), expected)
    for size, mean, std in [(9, 5, 1e-3), (2000, 5, 1e-3), (2000, -1e-8, 1e8), (2000, 0, 0), (3, 2, 0)]:
        x = random.normal_(np.empty(size, dtype), mean, std, generator=ours)
        expected = torch.empty(size, dtype=getattr(torch, dtype)).normal_(mean, std, generator=theirs)
        assert_same(x, expected)


@same_draws
@pytest.mark.parametrize("seed", [0, -1, -(2**63), 2**32, 2**63, 2**64 - 1, np.int64(-3), np.uint64(2**63)])
def test_seeds(seed):
    ours, theirs = generators(int(seed))
    assert ours.manual_seed(seed) is ours
    assert ours.initial_seed() == theirs.initial_seed()
    assert_same_state(ours, theirs)
    assert_same(random.rand(3, generator=ours), torch.rand(3, generator=theirs))


def test_a_new_generator_is_torchs_and_a_seed_from_the_system_is_not():
    ours = random.Generator()
    assert_same_state(ours, torch.Generator())
    seeds = {ours.seed() for _ in range(10)}
    assert len(seeds) == 10
    assert max(seeds) < 2**53
    again = random.Generator().manual_seed(ours.initial_seed())
    np.testing.assert_array_equal(random.rand(5, generator=again), random.rand(5, generator=ours))


@same_draws
def test_default_generator():
    assert random.manual_seed(11) is random.default_generator
    torch.manual_seed(11)
    assert random.initial_seed() == torch.initial_seed() == 11
    state = random.get_rng_state()
    for numpy_call, torch_call in CALLS.values():
        assert_same(numpy_call(5, "float32", None), torch_call(5, "float32", None))
    np.testing.assert_array_equal(random.get_rng_state(), torch.get_rng_state().numpy())
    random.set_rng_state(state)
    np.testing.assert_array_equal(random.get_rng_state(), state)


@same_draws
# Never drawn from; an owed normal; the last word of a block; the first of the next; anywhere.
@pytest.mark.parametrize(("words", "normals"), [(0, 0), (0, 3), (624, 0), (625, 1), (1000, 14), (1248, 0)])
def test_state_goes_to_a_file_and_to_torch_and_back(words, normals, tmp_path):
    ours, theirs = generators(2**40 + 9)
    for g, rand, randn in (ours, random.rand, random.randn), (theirs, torch.rand, torch.randn):
        rand(words, generator=g)
        randn(normals, generator=g)
    state = ours.get_state()
    assert (state.dtype, state.shape) == (np.uint8, (5056,))
    assert_same_state(ours, theirs)
    np.save(tmp_path / "state.npy", state, allow_pickle=False)
    expected = random.randn(700, generator=ours), random.randn(3, generator=ours)

    restored = random.Generator().set_state(np.load(tmp_path / "state.npy", allow_pickle=False))
    assert restored.initial_seed() == 2**40 + 9
    from_torch = random.Generator().set_state(theirs.get_state().numpy())
    to_torch = torch.Generator()
    to_torch.set_state(torch.from_numpy(state))
    copied = copy.deepcopy(restored)
    for g in restored, from_torch, copied:
        np.testing.assert_array_equal(g.get_state(), state)
        np.testing.assert_array_equal(random.randn(700, generator=g), expected[0])
        np.testing.assert_array_equal(random.randn(3, generator=g), expected[1])
    assert_same(expected[0], torch.randn(700, generator=to_torch))
    assert_same(expected[1], torch.randn(3, generator=to_torch))


@same_draws
def test_a_seed_forgets_the_owed_normal():
    ours, theirs = generators(1)
    for g, randn in (ours, random.randn), (theirs, torch.randn):
        randn(1, generator=g)
        g.manual_seed(1)
    assert_same(random.randn(3, generator=ours), torch.randn(3, generator=theirs))


@same_draws
def test_many_small_normals():
    ours, theirs = generators(2)
    for _ in range(500):
        expected = torch.randn(15, dtype=torch.float64, generator=theirs)
        assert_same(random.randn(15, dtype=np.float64, generator=ours), expected)


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_number_equal_to_its_probability_is_a_zero(dtype):
    ours, theirs = generators(3)
    p = random.rand(50, dtype=dtype, generator=ours)
    x = random.bernoulli(p, generator=ours.manual_seed(3))
    assert not x.any()
    assert_same(x, torch.bernoulli(torch.from_numpy(p), generator=theirs))


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_dropout_mask(p):
    x = torch.ones(40, 50)
    torch.manual_seed(4)
    expected = torch.nn.functional.dropout(x, p)
    noise = random.bernoulli_(np.empty((40, 50), np.float32), 1 - p, random.Generator().manual_seed(4))
    noise /= 1 - p
    assert_same(noise, expected)


@same_draws
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("fan_in", "fan_out"), [(784, 50), (50, 10), (3, 2), (1, 1)])
def test_linear_initial_weights(fan_in, fan_out, dtype):
    torch.manual_seed(5)
    linear = torch.nn.Linear(fan_in, fan_out, dtype=getattr(torch, dtype))
    generator = random.Generator().manual_seed(5)
    gain = math.sqrt(2.0 / (1 + math.sqrt(5) ** 2))
    bound = math.sqrt(3.0) * (gain / math.sqrt(fan_in))
    weight = random.uniform_(np.empty((fan_out, fan_in), dtype), -bound, bound, generator)
    bound = 1 / math.sqrt(fan_in)
    bias = random.uniform_(np.empty(fan_out, dtype), -bound, bound, generator)
    assert_same(weight, linear.weight.detach())
    assert_same(bias, linear.bias.detach())


def test_order_of_a_shuffling_data_loader():
    torch.manual_seed(6)
    sampler = torch.utils.data.RandomSampler(range(1000))
    source = random.Generator().manual_seed(6)
    for _ in range(3):
        seed = int(random.random_(np.empty((), np.int64), source))
        order = random.randperm(1000, generator=random.Generator().manual_seed(seed))
        assert order.tolist() == list(sampler)


@same_draws
def test_shapes():
    for size in [(3,), (2, 3), ((2, 3),), ([4],), ((),), (0, 5), (np.int32(2), 1)]:
        assert random.rand(*size).shape == random.randn(*size).shape == torch.rand(*size).shape
    ours, theirs = generators(0)
    calls = [((9, (2, 3)), {}), ((4, 9, [5]), {}), ((9,), {"size": (4,)}), ((), {"high": 9, "size": (4,)})]
    for args, names in calls:
        expected = torch.randint(*args, **names, generator=theirs)
        assert_same(random.randint(*args, **names, generator=ours), expected)
    p = random.rand(3, generator=ours)
    assert_same(
        random.bernoulli_(np.empty((2, 3), bool), p, ours),
        torch.empty(2, 3, dtype=torch.bool).bernoulli_(torch.rand(3, generator=theirs), generator=theirs),
    )


@pytest.mark.parametrize("fill", [random.uniform_, random.normal_, random.bernoulli_, random.random_])
def test_fillers_fill_any_view_in_index_order(fill):
    expected = fill(np.empty((6, 5)), generator=random.Generator())
    rest = np.full((12, 10), 7.0)
    for view in rest.copy()[::2, ::2], np.empty((5, 6)).T, np.empty((6, 5))[::-1, ::-1]:
        assert fill(view, generator=random.Generator()) is view
        np.testing.assert_array_equal(view, expected)
    fill(rest[::2, ::2], generator=random.Generator())
    assert (rest[1::2] == 7).all()
    assert (rest[:, 1::2] == 7).all()
    scalar = fill(np.empty(()), generator=random.Generator())
    assert scalar == fill(np.empty(1), generator=random.Generator())


@pytest.mark.parametrize("dtype", [np.longdouble, np.complex64, np.complex128])
@pytest.mark.parametrize("fill", [random.uniform_, random.normal_])
def test_finer_and_complex_arrays_get_the_float64_numbers(fill, dtype):
    for size in 5, 50:
        expected = fill(np.empty(size), generator=random.Generator())
        x = fill(np.empty(size, dtype), generator=random.Generator())
        assert x.dtype == dtype
        np.testing.assert_array_equal(x, expected.astype(dtype))


def exactly_rounded(x: float, y: float, z: float, dtype: str) -> float:
    """x·y + z from exact fractions: of the floats around the float64 of it, the nearest, even on a tie."""
    exact = Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z))
    guess, inf = np.dtype(dtype).type(float(exact)), np.dtype(dtype).type(np.inf)
    candidates = [guess, np.nextafter(guess, inf), np.nextafter(guess, -inf)]
    return min(candidates, key=lambda c: (abs(Fraction(float(c)) - exact), c.view(f"u{c.itemsize}") & 1))


@pytest.mark.parametrize(("dtype", "bits"), [("float32", 24), ("float64", 53)])
def test_multiply_add_rounds_once(dtype, bits):
    # (1 + 2⁻ᵏ)² + z and (1 − 2⁻ᵏ)(1 + 2⁻ᵏ) + z end half a place beyond the last bit, but for a tiny z.
    half = 2.0 ** -(bits // 2)
    tiny = [sign * 2.0**-e for sign in (-1, 1) for e in (60, 90, 118)]
    rows = [(1 + s * half, 1 + t * half, z) for s in (-1, 1) for t in (-1, 1) for z in [*tiny, 0.0]]
    noise = np.random.default_rng(0).standard_normal((3000, 3)) * [1, 1, 2**-10]
    rows += [tuple(row) for row in noise] + [(x, y, -x * y) for x, y, _ in noise[:500]]
    x, y, z = np.array(rows, dtype).T
    expected = [exactly_rounded(*row, dtype) for row in zip(x, y, z, strict=True)]
    np.testing.assert_array_equal(avx_math.fma(x, y, z), np.array(expected, dtype))


@pytest.mark.parametrize(
    ("function", "ours", "scale"),
    [(np.log, avx_math.log, 1.0), (np.sin, 0, 2 * np.pi), (np.cos, 1, 2 * np.pi)],
)
def test_float32_functions_are_accurate(function, ours, scale):
    x = (np.arange(1, 2**16, dtype=np.float32) * np.float32(2**-16)) * np.float32(scale)
    y = ours(x) if callable(ours) else avx_math.sincos(x)[ours]
    exact = function(x.astype(np.float64))
    assert y.dtype == np.float32
    assert np.max(np.abs(y - exact) / np.maximum(np.abs(exact), 2**-3)) < 2**-22


def state_with(**values: int) -> np.ndarray:
    """A new generator's state with some fields overwritten."""
    state = random.Generator().get_state().view(generator_module._STATE)
    for name, value in values.items():
        state[name] = value
    return state.view(np.uint8)


NAN, INF = math.nan, math.inf
F4, F8 = np.zeros(2, np.float32), np.zeros(2)
BAD_ARGUMENTS = [
    ("manual_seed", (1.5,), TypeError, "seed is 1.5, expected an integer"),
    ("manual_seed", (True,), TypeError, "seed is True, expected an integer"),
    ("manual_seed", (2**64,), ValueError, f"seed is {2**64}, expected {-(2**63)} to {2**64 - 1}"),
    ("manual_seed", (-(2**63) - 1,), ValueError, f"seed is {-(2**63) - 1}, expected {-(2**63)} to"),
    ("set_state", (bytes(5056),), TypeError, "state is a bytes, expected a NumPy array"),
    ("set_state", (np.zeros(5056),), TypeError, "state is of dtype float64, expected uint8"),
    ("set_state", (np.zeros(9, np.uint8),), ValueError, "state has shape (9,), expected (5056,)"),
    ("set_state", (state_with(seeded=0),), ValueError, "state has left=1, next=624, seeded=0, expected left"),
    ("set_state", (state_with(left=0),), ValueError, "state has left=0, next=0, seeded=1, expected left"),
    ("set_state", (state_with(left=0, next=625),), ValueError, "state has left=0, next=625, seeded=1,"),
    ("set_state", (state_with(left=9, next=9),), ValueError, "state has left=9, next=9, seeded=1, expected"),
    ("rand", (-1,), ValueError, "size is -1, expected 0 to"),
    ("randn", (2, 1.0), TypeError, "size is 1.0, expected an integer"),
    ("uniform_", ([1.0],), TypeError, "array is a list, expected a NumPy array"),
    ("uniform_", (np.zeros(2, int),), TypeError, "dtype is int64, expected float32, float64, longdouble or"),
    ("uniform_", (F8, 2, 1), ValueError, "a is 2, b is 1, expected a ≤ b"),
    ("uniform_", (F8[:0], 2, 1), ValueError, "a is 2, b is 1, expected a ≤ b"),
    ("uniform_", (F8, 0, NAN), ValueError, "b is nan, expected a number within ±"),
    ("uniform_", (F8, -INF), ValueError, "a is -inf, expected a number within ±"),
    ("uniform_", (F4, 0, 1e39), ValueError, "b is 1e+39, expected a number within ±3.403e+38"),
    ("uniform_", (F4, -3e38, 3e38), ValueError, "b − a is 6e+38, expected a number within ±3.403e+38"),
    ("uniform_", (F8, 0, 1, np.random), TypeError, "generator is a builtins.module, expected a scratch."),
    ("normal_", (np.zeros(2, np.float16),), TypeError, "dtype is float16, expected float32"),
    ("normal_", (F8[:0], 0, -1), ValueError, "std is -1, expected 0 or more"),
    ("normal_", (F8, 0, NAN), ValueError, "std is nan, expected a number within ±"),
    ("normal_", (F8, INF), ValueError, "mean is inf, expected a number within ±"),
    ("bernoulli_", ([1],), TypeError, "array is a list, expected a NumPy array"),
    ("bernoulli_", (F8, 1.1), ValueError, "p is 1.1, expected a probability from 0 to 1"),
    ("bernoulli_", (F8, NAN), ValueError, "p is nan, expected a probability from 0 to 1"),
    (
        "bernoulli_",
        (F8, np.array([0.5, -0.25])),
        ValueError,
        "p is -0.25, expected a probability from 0 to 1",
    ),
    (
        "bernoulli_",
        (F8, np.ones((2, 2))),
        ValueError,
        "p has shape (2, 2), the array (2,), expected a p that",
    ),
    ("bernoulli_", (F8, np.array([0, 1])), TypeError, "p is of dtype int64, expected float32 or float64"),
    ("bernoulli", (0.5,), TypeError, "input is a float, expected a NumPy array"),
    ("random_", (3,), TypeError, "array is a int, expected a NumPy array"),
    ("random_", (F8.astype(complex),), TypeError, "dtype is complex128, expected uint8, int8 to int64,"),
    ("randint", (5,), TypeError, "size is None, expected a tuple of integers"),
    ("randint", (1, 5, 3), TypeError, "size is 3, expected a tuple of integers"),
    ("randint", (0.5, 3, (2,)), TypeError, "low is 0.5, expected an integer"),
    ("randint", (3, 3, (2,)), ValueError, "low is 3, high is 3, expected low < high"),
    ("randint", (0, (2,)), ValueError, "low is 0, high is 0, expected low < high"),
    ("randint", (2**63, (2,)), ValueError, f"high is {2**63}, expected {-(2**63)} to {2**63 - 1}"),
    ("randint", (257, (2,), np.uint8), ValueError, "high is 257, expected 0 to 256"),
    ("randint", (-129, 0, (2,), np.int8), ValueError, "low is -129, expected -128 to 127"),
    ("randint", (9, (2,), bool), TypeError, "dtype is bool, expected uint8, int8 to int64,"),
    ("randperm", (2.0,), TypeError, "n is 2.0, expected an integer"),
    ("randperm", (-1,), ValueError, "n is -1, expected 0 to 214748363"),
    ("randperm", (214748364,), ValueError, "n is 214748364, expected 0 to 214748363"),
    ("randperm", (257, np.uint8), ValueError, "n is 257, expected 0 to 256"),
]


@pytest.mark.parametrize(("name", "arguments", "error", "message"), BAD_ARGUMENTS)
def test_bad_arguments_are_named_and_take_no_words(name, arguments, error, message):
    function = getattr(random, name, random.default_generator.set_state)
    keywords = {}
    if isinstance(arguments[-1], type):
        *arguments, keywords["dtype"] = arguments
    before = random.get_rng_state()
    with pytest.raises(error, match="^" + re.escape(f"{name}: {message}")):
        function(*arguments, **keywords)
    np.testing.assert_array_equal(random.get_rng_state(), before)


def test_generators_change_places():
    one, other = random.Generator().manual_seed(1), random.Generator().manual_seed(2)
    one.normal(1)  # it owes one
    states = one.get_state(), other.get_state()
    one.swap(other)
    assert np.array_equal(one.get_state(), states[1])
    assert np.array_equal(other.get_state(), states[0])
    assert (one.initial_seed(), other.initial_seed()) == (2, 1)


def test_the_state_is_read_the_same_whether_numpy_keeps_it_in_memory_or_not(monkeypatch):
    own = random.Generator().manual_seed(5)
    own.random(700)
    fast = own.get_state()
    following = own.random(5)
    monkeypatch.setattr(generator_module, "_IS_IN_MEMORY", False)
    own.set_state(fast)
    assert np.array_equal(own.get_state(), fast)
    assert np.array_equal(own.random(5), following)
