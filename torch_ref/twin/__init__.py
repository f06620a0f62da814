"""The PyTorch side: the same networks, on the same memory, and the same random numbers."""

from torch_ref.twin.kernel import adopt_kernel

adopt_kernel()  # so that one seed gives both sides the same numbers
