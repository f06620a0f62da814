"""Memory and random numbers that both sides share."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from scratch import random


def tensor(name: str, array: np.ndarray) -> torch.Tensor:
    """``array`` as a tensor on the same memory.

    Raises:
        TypeError: torch does not have its dtype.
    """
    try:
        return torch.from_numpy(array)
    except TypeError as error:
        raise TypeError(f"{name} is {array.dtype}, which torch does not have") from error


@contextmanager
def torch_generator(advance: bool = True) -> Iterator[None]:
    """Within, scratch draws from torch's generator; with ``advance=False`` torch's own stays where it is."""
    before = random.get_rng_state()
    random.set_rng_state(torch.get_rng_state().numpy())
    try:
        yield
        if advance:
            torch.set_rng_state(torch.from_numpy(random.get_rng_state()))
    finally:
        random.set_rng_state(before)
