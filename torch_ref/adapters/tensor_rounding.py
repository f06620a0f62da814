"""Random rounding of tensors: the noise of scratch/gradcheck/rounding.py, on every operation of torch."""

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class RandomRounding(TorchDispatchMode):
    """Within, every floating result of an operation is off by up to ``unit``, relatively and at random.

    Views, and what is written in place, are left as they are. A kernel of one's own is one operation.
    """

    def __init__(self, unit: float, seed: int) -> None:
        super().__init__()
        self.unit, self.generator = unit, torch.Generator().manual_seed(seed)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """The operation, then the noise."""
        result = func(*args, **(kwargs or {}))
        known = {_memory(each) for each in args if isinstance(each, torch.Tensor)}
        if isinstance(result, tuple | list):
            return type(result)(self._rounded(each, known) for each in result)
        return self._rounded(result, known)

    def _rounded(self, result: Any, known: set[int]) -> Any:
        if not isinstance(result, torch.Tensor) or not result.is_floating_point() or _memory(result) in known:
            return result
        noise = torch.rand(result.shape, dtype=result.dtype, generator=self.generator).to(result.device)
        return result * (1 + self.unit * (2 * noise - 1))


def _memory(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
