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


# Generators to lend, each with the state at which it is known to stand: to set one takes long.
_spares: list[tuple[random.Generator, np.ndarray | None]] = []


@contextmanager
def torch_generator(advance: bool = True) -> Iterator[None]:
    """Within, scratch draws from torch's generator; with ``advance=False`` torch's own stays where it is."""
    before, after = torch.get_rng_state().numpy(), None
    spare, stands = _spares.pop() if _spares else (random.Generator(), None)
    if stands is None or not np.array_equal(stands, before):
        spare.set_state(before)
    random.default_generator.swap(spare)
    try:
        yield
        if advance:
            after = random.get_rng_state()
            if not np.array_equal(after, before):
                torch.set_rng_state(torch.from_numpy(after))
    finally:
        random.default_generator.swap(spare)
        _spares.append((spare, after))
