"""People's code as it comes: objects, functions of arrays, tensors and JAX, as modules of scratch.nn."""

from torch_ref.adapters.constants import with_constants
from torch_ref.adapters.held import Holding, TorchHolding
from torch_ref.adapters.jax_forms import is_jax_function, jax_input_names
from torch_ref.adapters.jax_functions import JaxCode, as_torch_reference
from torch_ref.adapters.layers import adapt
from torch_ref.adapters.returned import Given
from torch_ref.adapters.second import GradientOf
from torch_ref.adapters.tensor_forms import takes_tensors
from torch_ref.adapters.torch_functions import TensorCode, device_of

__all__ = [
    "Given",
    "GradientOf",
    "Holding",
    "JaxCode",
    "TensorCode",
    "TorchHolding",
    "adapt",
    "as_torch_reference",
    "device_of",
    "is_jax_function",
    "jax_input_names",
    "takes_tensors",
    "with_constants",
]
