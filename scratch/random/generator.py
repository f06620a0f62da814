"""torch's random numbers on the CPU, bit for bit (PyTorch, ATen/CPUGeneratorImpl.cpp).

There is one stream: the 32-bit words of the Mersenne Twister MT19937, whose 2¹⁹⁹³⁷ − 1 long orbit NumPy
walks too. A seed picks where on it to start, and every function below is a way of reading on:

    a real in [0, 1)      float32: the low 24 bits of one word; float64: the low 53 bits of two
    a coin                is such a real below p?
    an integer            a word (or two, for a wide range) modulo the range
    a permutation         n − 1 such integers, each naming the next swap
    a normal pair         two reals, as the radius and the angle of a point in the plane (Box and Muller 1958)

So equal numbers need two things: to take as many words as torch takes, in its order, and to round where it
rounds. That is why each docstring counts words and roundings. "torch" is torch 2.13: of a million numbers of
each kind none differs in a bit. Its roundings are not the same on every processor: ``set_kernel`` (kernel.py)
chooses, and starts with those of AVX2. Without AVX2, torch differs from that in the last places: in half of
``uniform_``, which then rounds twice, and in 38% of the float32 normals of large arrays.

The fillers (names in ``_``) fill any view in the order of its indices, as torch fills a contiguous tensor;
torch itself goes through a transposed tensor in the order of memory. Longdouble and complex arrays are
sampled in float64 and have no imaginary part, so that the network of a complex step starts from the weights
of its float64 twin.
"""

import ctypes
import math
import operator
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from scratch.random import avx_math, kernel, libm

_DEFAULT_SEED = 67280421310721
_WIDE_RANGE = 2**28
_LONGEST_PERMUTATION = (2**32 - 1) // 20 - 1

# CPUGeneratorImplState: the bytes of torch.get_rng_state().
_STATE = np.dtype(
    [
        ("seed", "u8"),
        ("left", "i4"),
        ("seeded", "i4"),
        ("next", "u8"),
        ("key", "u8", 624),
        ("normal_x", "f8"),
        ("normal_y", "f8"),
        ("normal_rho", "f8"),
        ("normal_is_valid", "i4"),
        ("unused", "V12"),
    ]
)


def _integer(where: str, name: str, value: Any, low: int = 0, high: int = 2**63 - 1) -> int:
    """``value`` as an int, if it is an integer from ``low`` to ``high``."""
    if isinstance(value, bool | np.bool_) or not hasattr(value, "__index__"):
        raise TypeError(f"{where}: {name} is {value!r}, expected an integer")
    number = operator.index(value)
    if not low <= number <= high:
        raise ValueError(f"{where}: {name} is {number}, expected {low} to {high}")
    return number


def _words_of(engine: np.random.MT19937) -> tuple[np.ndarray, int]:
    """The engine's 624 words, and which of them is next."""
    if _IS_IN_MEMORY:
        words = _memory(engine).copy()
        return words[:-1], int(words[-1])
    state = engine.state["state"]
    return state["key"], int(state["pos"])


def _set_words(engine: np.random.MT19937, key: np.ndarray, position: int) -> None:
    if _IS_IN_MEMORY:
        memory = _memory(engine)
        memory[:-1], memory[-1] = key, position
    else:
        engine.state = {"bit_generator": "MT19937", "state": {"key": key, "pos": position}}


def _memory(engine: np.random.MT19937) -> np.ndarray:
    """The engine's own words, and behind them the position: its ``state`` copies them one by one, slowly."""
    words = (ctypes.c_uint32 * 625).from_address(engine.ctypes.state_address)
    return np.frombuffer(memoryview(words), np.uint32)


def _is_in_memory() -> bool:
    """Whether the engine's words lie in memory as they should: NumPy might lay them out otherwise one day."""
    engine = np.random.MT19937(1)
    engine.random_raw(3)
    state, words = engine.state["state"], _memory(engine)
    return bool(np.array_equal(words[:-1], state["key"]) and words[-1] == state["pos"])


_IS_IN_MEMORY = _is_in_memory()


class Generator:
    """A place in the stream, and the normal sample it owes (PyTorch, torch.Generator).

    A new one starts at torch's default seed, 67280421310721.
    """

    def __init__(self) -> None:
        self._engine = np.random.MT19937()
        self.manual_seed(_DEFAULT_SEED)

    def manual_seed(self, seed: int) -> "Generator":
        """Go to where ``seed`` starts. Only its low 32 bits choose; a negative seed is taken modulo 2⁶⁴.

        Raises:
            TypeError: seed is no integer.
            ValueError: seed is not in [-2⁶³, 2⁶⁴).
        """
        self._seed = _integer("manual_seed", "seed", seed, -(2**63), 2**64 - 1) % 2**64
        self._engine._legacy_seeding(self._seed % 2**32)
        self._owed_normal: float | None = None
        return self

    def initial_seed(self) -> int:
        """The last seed, modulo 2⁶⁴."""
        return self._seed

    def seed(self) -> int:
        """Start from a seed of the operating system's choice, 53 random bits, and return it."""
        self.manual_seed(int.from_bytes(os.urandom(8), "little") >> 11)
        return self._seed

    def get_state(self) -> np.ndarray:
        """The whole state, as uint8 (5056): the same bytes as torch's ``get_state().numpy()``.

        So a state can be saved as a plain array, and handed to torch and back.
        """
        key, position = _words_of(self._engine)
        # In a state that no word was drawn from torch counts from 0, and the first word is still the seed.
        untouched = position == 624 and key[0] == self._seed % 2**32
        state = np.zeros(1, _STATE)
        state["seed"], state["seeded"], state["key"] = self._seed, 1, key
        state["left"], state["next"] = 625 - position, 0 if untouched else position
        if self._owed_normal is not None:
            state["normal_is_valid"], state["normal_y"] = 1, self._owed_normal
        return state.view(np.uint8)

    def set_state(self, state: np.ndarray) -> "Generator":
        """Go to where ``get_state``, this one or torch's, was called.

        Raises:
            TypeError: state is no uint8 array.
            ValueError: its shape is not (5056,), or no generator has such a state.
        """
        _check_array("set_state", "state", state)
        if state.dtype != np.uint8:
            raise TypeError(f"set_state: state is of dtype {state.dtype}, expected uint8")
        if state.shape != (_STATE.itemsize,):
            raise ValueError(f"set_state: state has shape {state.shape}, expected ({_STATE.itemsize},)")
        fields = np.ascontiguousarray(state).view(_STATE)[0]
        left, position = int(fields["left"]), int(fields["next"])
        if left == 1:
            position = 624
        if not fields["seeded"] or not 1 <= left <= 624 or left + position != 625:
            given = f"left={left}, next={position}, seeded={fields['seeded']}"
            raise ValueError(f"set_state: state has {given}, expected left + next = 625, seeded=1")
        self._seed = int(fields["seed"])
        _set_words(self._engine, fields["key"].astype(np.uint32), position)
        self._owed_normal = float(fields["normal_y"]) if fields["normal_is_valid"] else None
        return self

    def swap(self, other: "Generator") -> None:
        """Change places with another generator: each goes on where the other stands."""
        self._engine, other._engine = other._engine, self._engine
        self._seed, other._seed = other._seed, self._seed
        self._owed_normal, other._owed_normal = other._owed_normal, self._owed_normal

    def random(self, n: int) -> np.ndarray:
        """The next n words of 32 bits, as uint64 (n,)."""
        return self._engine.random_raw(n)

    def random64(self, n: int) -> np.ndarray:
        """The next n pairs of words as uint64 (n,), the high word first."""
        high, low = self.random(2 * n).reshape(n, 2).T
        return high << 32 | low

    def uniform(self, n: int, dtype: DTypeLike) -> np.ndarray:
        """n reals k/2ᵇ in [0, 1) (n,): k the low b = 24 bits of a word (float32) or b = 53 of two (float64).

        Source: ATen/core/TransformationHelper.h, uniform_real.
        """
        if np.dtype(dtype) == np.float32:
            return (self.random(n) & (2**24 - 1)).astype(np.float32) * np.float32(2**-24)
        return (self.random64(n) & (2**53 - 1)) * 2.0**-53

    def normal(self, n: int) -> np.ndarray:
        """n standard normals, float64 (n,), by Box and Muller, a pair at a time.

        Two float64 reals u₁, u₂ give the radius √(−2 ln(1 − u₂)) and the angle 2π u₁. The cosine's sample is
        returned, the sine's is owed to the next call, which then takes no words.

        Source: ATen/core/DistributionsHelper.h, normal_distribution.
        """
        samples = []
        for _ in range(n):
            if self._owed_normal is not None:
                samples.append(self._owed_normal)
                self._owed_normal = None
            else:
                u1, u2 = self.uniform(2, np.float64).tolist()
                radius, angle = math.sqrt(-2 * math.log1p(-u2)), 2 * math.pi * u1
                samples.append(radius * math.cos(angle))
                self._owed_normal = radius * math.sin(angle)
        return np.array(samples)

    def normal_blocks(self, n: int, dtype: DTypeLike) -> np.ndarray:
        """n ≥ 16 standard normals (n,) by Box and Muller, sixteen at a time: what torch does when it can.

        One real per sample. In each 16, uⱼ and uⱼ₊₈ give the radius √(−2 ln(1 − uⱼ)) and the angle 2π uⱼ₊₈;
        the cosine goes to j, the sine to j + 8. If 16 does not divide n, the last 16 are drawn once more.

        Log, sine and cosine in float32 are the kernel's: the polynomials of avx_math.py, and with them an
        angle multiplied in float32; or the C library's, and an angle multiplied in float64, then rounded.

        Source: ATen/native/cpu/DistributionTemplates.h, normal_fill.
        """
        polynomials = np.dtype(dtype) == np.float32 and kernel.current().polynomials
        functions, π = (avx_math, np.float32(np.pi)) if polynomials else (libm, np.float64(np.pi))

        def box_muller(u: np.ndarray) -> np.ndarray:
            u1, u2 = u.reshape(-1, 2, 8).swapaxes(0, 1)
            radius = np.sqrt(-2 * functions.log(1 - u1))
            sin, cos = functions.sincos((2 * π * u2).astype(dtype))
            return np.stack([radius * cos, radius * sin], 1).ravel()

        u = self.uniform(n, dtype)
        whole = n // 16 * 16
        u[:whole] = box_muller(u[:whole])
        if whole < n:
            u[-16:] = box_muller(self.uniform(16, dtype))
        return u


default_generator = Generator()
default_generator.seed()


def manual_seed(seed: int) -> Generator:
    """Seed the default generator and return it (PyTorch, torch.manual_seed)."""
    return default_generator.manual_seed(seed)


def initial_seed() -> int:
    """The default generator's seed (PyTorch, torch.initial_seed)."""
    return default_generator.initial_seed()


def get_rng_state() -> np.ndarray:
    """The default generator's state, uint8 (5056) (PyTorch, torch.get_rng_state)."""
    return default_generator.get_state()


def set_rng_state(new_state: np.ndarray) -> None:
    """Set the default generator's state (PyTorch, torch.set_rng_state)."""
    default_generator.set_state(new_state)


def _pick(where: str, generator: Generator | None) -> Generator:
    if generator is None:
        return default_generator
    if not isinstance(generator, Generator):
        given = f"{type(generator).__module__}.{type(generator).__name__}"
        raise TypeError(f"{where}: generator is a {given}, expected a scratch.random.Generator")
    return generator


def _shape(where: str, size: Sequence[Any]) -> tuple[int, ...]:
    """torch's two ways to write a shape: ``f(2, 3)`` and ``f((2, 3))``."""
    if len(size) == 1 and isinstance(size[0], Sequence):
        size = size[0]
    return tuple(_integer(where, "size", n) for n in size)


def _check_array(where: str, name: str, value: Any) -> None:
    if not isinstance(value, np.ndarray):
        raise TypeError(f"{where}: {name} is a {type(value).__name__}, expected a NumPy array")


def _sampled_dtype(where: str, array: np.ndarray) -> np.dtype:
    """The dtype to sample in: the array's if it is float32, float64 if it is finer or complex."""
    _check_array(where, "array", array)
    if array.dtype.kind not in "fc" or array.dtype == np.float16:
        raise TypeError(f"{where}: dtype is {array.dtype}, expected float32, float64, longdouble or complex")
    return np.dtype(np.float32 if array.dtype == np.float32 else np.float64)


def _within(where: str, dtype: np.dtype, **values: float) -> None:
    """Check that numbers are finite in ``dtype``, and small enough for ``avx_math.fma``."""
    limit = min(float(np.finfo(dtype).max), 2.0**990)
    for name, value in values.items():
        if not -limit <= value <= limit:
            raise ValueError(f"{where}: {name} is {value}, expected a number within ±{limit:.4g}")


def _put(array: np.ndarray, values: np.ndarray) -> np.ndarray:
    array[...] = values.reshape(array.shape)
    return array


def _multiply_add(x: np.ndarray, y: float, z: float) -> np.ndarray:
    """x·y + z, rounded once where the kernel fuses, and twice where it does not."""
    return avx_math.fma(x, y, z) if kernel.current().fused else x * y + z


def uniform_(
    array: np.ndarray, a: float = 0.0, b: float = 1.0, generator: Generator | None = None
) -> np.ndarray:
    """Fill with reals of [a, b) and return the array.

    x = u (b − a) + a with u from ``Generator.uniform``, b − a and then x rounded once each, or the product as
    well where the kernel does not fuse; an x that rounds up to b becomes a.

    Raises:
        TypeError: array is not of a real or complex dtype of 32 bits or more.
        ValueError: not a ≤ b, or a bound, or b − a, too large for the dtype.

    Source: ATen/native/cpu/DistributionTemplates.h, uniform_kernel.
    """
    dtype = _sampled_dtype("uniform_", array)
    _within("uniform_", dtype, a=a, b=b)
    if a > b:
        raise ValueError(f"uniform_: a is {a}, b is {b}, expected a ≤ b")
    _within("uniform_", dtype, **{"b − a": float(b) - float(a)})
    low, high = dtype.type(a), dtype.type(b)
    x = _multiply_add(_pick("uniform_", generator).uniform(array.size, dtype), high - low, low)
    x[x == high] = low
    return _put(array, x)


def normal_(
    array: np.ndarray, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None
) -> np.ndarray:
    """Fill with normal samples and return the array.

    x = z std + mean, rounded once. Fewer than 16 elements take z from ``Generator.normal``, float64 whatever
    their dtype, and round the product as well where the kernel does not fuse; more take z from
    ``Generator.normal_blocks``.

    Raises:
        TypeError: array is not of a real or complex dtype of 32 bits or more.
        ValueError: std < 0, or mean or std not finite.

    Source: ATen/native/cpu/DistributionTemplates.h, normal_kernel.
    """
    dtype = _sampled_dtype("normal_", array)
    _within("normal_", dtype, mean=mean, std=std)
    if std < 0:
        raise ValueError(f"normal_: std is {std}, expected 0 or more")
    source = _pick("normal_", generator)
    if array.size < 16:
        return _put(array, _multiply_add(source.normal(array.size), std, mean))
    return _put(array, avx_math.fma(source.normal_blocks(array.size, dtype), std, mean))


def bernoulli_(
    array: np.ndarray, p: float | np.ndarray = 0.5, generator: Generator | None = None
) -> np.ndarray:
    """Fill with ones, with probability p, and zeros, and return the array, of any dtype.

    x = 1 if u < p. A number p is compared with a float64 u, two words an element whatever the array's dtype;
    an array p, broadcast to the array's shape, with a u of its own dtype.

    Raises:
        TypeError: p is an array of a dtype other than float32 and float64.
        ValueError: p, or an element of it, is not in [0, 1], or its shape does not fit.

    Source: ATen/native/cpu/DistributionTemplates.h, bernoulli_kernel.
    """
    _check_array("bernoulli_", "array", array)
    if isinstance(p, np.ndarray) and p.dtype not in (np.float32, np.float64):
        raise TypeError(f"bernoulli_: p is of dtype {p.dtype}, expected float32 or float64")
    p = np.asarray(p, p.dtype if isinstance(p, np.ndarray) else np.float64)
    wrong = p[~((p >= 0) & (p <= 1))]
    if wrong.size:
        raise ValueError(f"bernoulli_: p is {wrong[0]}, expected a probability from 0 to 1")
    try:
        p = np.broadcast_to(p, array.shape)
    except ValueError:
        given = f"p has shape {p.shape}, the array {array.shape}"
        raise ValueError(f"bernoulli_: {given}, expected a p that broadcasts to the array") from None
    u = _pick("bernoulli_", generator).uniform(array.size, p.dtype)
    return _put(array, u.reshape(array.shape) < p)


def random_(array: np.ndarray, generator: Generator | None = None) -> np.ndarray:
    """Fill with integers from 0 to the largest of the array's dtype, or to 2²⁴ (float32), 2⁵³ (float64).

    x = w mod (largest + 1), w one word, or two for a dtype of 64 bits.
    ``int(random_(np.empty((), np.int64)))`` is the seed that torch's RandomSampler draws for each epoch.

    Raises:
        TypeError: array is not of one of torch's integer dtypes, float32 or float64.

    Source: ATen/core/TransformationHelper.h, uniform_int.
    """
    _check_array("random_", "array", array)
    largest = _largest_integer("random_", array.dtype)
    source = _pick("random_", generator)
    words = source.random64(array.size) if array.itemsize == 8 else source.random(array.size)
    return _put(array, words % np.uint64(largest + 1))


def _largest_integer(where: str, dtype: np.dtype) -> int:
    """The end of the integers that ``dtype`` holds without gaps."""
    if dtype == np.uint8 or dtype.kind == "i":
        return int(np.iinfo(dtype).max)
    if dtype in (np.float32, np.float64):
        return 2 ** (np.finfo(dtype).nmant + 1)
    raise TypeError(f"{where}: dtype is {dtype}, expected uint8, int8 to int64, float32 or float64")


def rand(
    *size: int | Sequence[int], generator: Generator | None = None, dtype: DTypeLike = np.float32
) -> np.ndarray:
    """Reals of [0, 1), shape ``size``; see ``uniform_`` (PyTorch, torch.rand).

    Raises:
        TypeError, ValueError: a size is no integer, or negative; a dtype that ``uniform_`` refuses.
    """
    return uniform_(np.empty(_shape("rand", size), dtype), generator=generator)


def randn(
    *size: int | Sequence[int], generator: Generator | None = None, dtype: DTypeLike = np.float32
) -> np.ndarray:
    """Standard normal samples, shape ``size``; see ``normal_`` (PyTorch, torch.randn).

    Raises:
        TypeError, ValueError: a size is no integer, or negative; a dtype that ``normal_`` refuses.
    """
    return normal_(np.empty(_shape("randn", size), dtype), generator=generator)


def randint(
    low: int = 0,
    high: int | Sequence[int] | None = None,
    size: Sequence[int] | None = None,
    *,
    generator: Generator | None = None,
    dtype: DTypeLike = np.int64,
) -> np.ndarray:
    """Integers from low to high − 1, shape ``size``: ``randint(high, size)`` or ``randint(low, high, size)``.

    x = low + w mod (high − low), w one word, or two from a range of 2²⁸ on, whatever the dtype.

    Raises:
        TypeError: a bound or a size is no integer, size is missing, or a dtype that ``random_`` refuses.
        ValueError: not low < high, or the dtype does not hold all of low to high − 1.

    Source: PyTorch, torch.randint; ATen/core/DistributionsHelper.h, uniform_int_from_to_distribution.
    """
    if isinstance(high, Sequence):
        high, size = None, high
    if high is None:
        low, high = 0, low
    if not isinstance(size, Sequence):
        raise TypeError(f"randint: size is {size!r}, expected a tuple of integers")
    shape, dtype = _shape("randint", size), np.dtype(dtype)
    largest = _largest_integer("randint", dtype)
    smallest = int(np.iinfo(dtype).min) if dtype.kind in "iu" else -largest
    start = _integer("randint", "low", low, smallest, largest)
    end = _integer("randint", "high", high, smallest, min(largest + 1, 2**63 - 1))
    if start >= end:
        raise ValueError(f"randint: low is {start}, high is {end}, expected low < high")
    source = _pick("randint", generator)
    draw = source.random if end - start < _WIDE_RANGE else source.random64
    offsets = draw(math.prod(shape)) % np.uint64(end - start)
    return (offsets + np.uint64(start % 2**64)).view(np.int64).astype(dtype).reshape(shape)


def randperm(n: int, *, generator: Generator | None = None, dtype: DTypeLike = np.int64) -> np.ndarray:
    """A permutation of 0 … n − 1, shape (n,): for i = 0 … n − 2 swap xᵢ and xⱼ, j = i + a word mod (n − i).

    Raises:
        TypeError: n is no integer, or a dtype that ``random_`` refuses.
        ValueError: n is negative, too large for the dtype, or 2³²/20 or more (another algorithm in torch).

    Source: PyTorch, torch.randperm; ATen/native/TensorFactories.cpp, randperm_cpu.
    """
    dtype = np.dtype(dtype)
    n = _integer("randperm", "n", n, 0, min(_largest_integer("randperm", dtype) + 1, _LONGEST_PERMUTATION))
    first = np.arange(max(n - 1, 0), dtype=np.uint64)
    second = first + _pick("randperm", generator).random(first.size) % (np.uint64(n) - first)
    x = list(range(n))
    for i, j in enumerate(second.tolist()):
        x[i], x[j] = x[j], x[i]
    return np.array(x, dtype)


def bernoulli(input: np.ndarray, *, generator: Generator | None = None) -> np.ndarray:
    """Ones with the probabilities in ``input``, and zeros, in its shape and dtype; see ``bernoulli_``.

    Raises:
        TypeError: input is no float32 or float64 array.
        ValueError: one of its elements is not in [0, 1].

    Source: PyTorch, torch.bernoulli.
    """
    _check_array("bernoulli", "input", input)
    return bernoulli_(np.empty(input.shape, input.dtype), input, generator)
