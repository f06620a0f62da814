"""People's code as it comes: objects, pairs of functions, losses with a target, as modules of scratch.nn."""

from torch_ref.adapters.held import Holding, TorchHolding
from torch_ref.adapters.layers import adapt
from torch_ref.adapters.returned import Given

__all__ = ["Given", "Holding", "TorchHolding", "adapt"]
