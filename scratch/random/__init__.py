"""torch's CPU generator in NumPy: the same seed, the same numbers, bit for bit (generator.py)."""

from scratch.random.generator import (
    Generator,
    bernoulli,
    bernoulli_,
    default_generator,
    get_rng_state,
    initial_seed,
    manual_seed,
    normal_,
    rand,
    randint,
    randn,
    random_,
    randperm,
    set_rng_state,
    uniform_,
)
from scratch.random.kernel import get_kernel, set_kernel

__all__ = [
    "Generator",
    "bernoulli",
    "bernoulli_",
    "default_generator",
    "get_kernel",
    "get_rng_state",
    "initial_seed",
    "manual_seed",
    "normal_",
    "rand",
    "randint",
    "randn",
    "random_",
    "randperm",
    "set_kernel",
    "set_rng_state",
    "uniform_",
]
