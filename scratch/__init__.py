"""A neural network in NumPy, every derivative worked out by hand, under the names of PyTorch.

    import scratch
    from scratch import nn, optim

    scratch.manual_seed(0)
    model = nn.Sequential(nn.Linear(784, 50), nn.ReLU(), nn.Linear(50, 10))
    loss_fn = nn.CrossEntropyLoss()
    optimizer = optim.SGD(model.parameters(), lr=0.1)

    loss = loss_fn(model(x), target)      # forward: each module keeps what its backward will need
    model.backward(loss_fn.backward())    # backward: dL/dy goes in at the end, dL/dx comes out at the front
    optimizer.step()

It needs NumPy alone and imports neither torch nor pandas.
"""

from scratch import nn, optim
from scratch.grad_mode import detect_changes, is_grad_enabled, no_grad
from scratch.random import Generator, manual_seed, rand, randint, randn, randperm

__all__ = [
    "Generator",
    "detect_changes",
    "is_grad_enabled",
    "manual_seed",
    "nn",
    "no_grad",
    "optim",
    "rand",
    "randint",
    "randn",
    "randperm",
]
