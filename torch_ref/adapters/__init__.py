"""People's code as it comes: objects, pairs of functions, losses with a target, as modules of scratch.nn."""

from torch_ref.adapters.constants import with_constants
from torch_ref.adapters.held import Holding, TorchHolding
from torch_ref.adapters.layers import adapt
from torch_ref.adapters.returned import Given
from torch_ref.adapters.second import GradientOf
from torch_ref.adapters.tensor_forms import takes_tensors
from torch_ref.adapters.torch_functions import TensorCode, device_of

__all__ = [
    "Given",
    "GradientOf",
    "Holding",
    "TensorCode",
    "TorchHolding",
    "adapt",
    "device_of",
    "takes_tensors",
    "with_constants",
]
