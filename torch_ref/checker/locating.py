"""Which entries of a large parameter have a wrong gradient, if it is wrong along a random direction.

One half of the direction or the other is to blame, and so on down to single entries: about 2 log₂(n) slopes
for each wrong one.
"""

import numpy as np

from scratch.gradcheck import Objective, Step, differentiate
from torch_ref.adapters.networks import Network
from torch_ref.adapters.parameter_parts import ALONG, Part

# Wrong entries to look for at once, and the share of the whole error that a part must have to be looked into.
MOST, LEAST_SHARE = 3, 1e-4


def wrong_entries(network: Network, name: str, direction: np.ndarray, method: str) -> np.ndarray:
    """Positions in the flat parameter of some wrong entries.

    Args:
        network: as a function of all its parameters.
        name: the parameter.
        direction: (n,), along which its gradient is wrong.
        method: "complex" or "central".
    """
    alone = network.without({*network.leaves} - {name})
    v, step = direction, Step(method, None, np.dtype(np.float64))
    segments = [(0, v.size)]
    least = 0.0
    while any(high - low > 1 for low, high in segments):
        halves = [half for low, high in segments for half in _halved(low, high)]
        masked = np.array([_only(v, low, high) for low, high in halves])
        errors = _errors(alone.restricted({name: Part(np.zeros(1, int), masked)}), name + ALONG, step)
        least = least or LEAST_SHARE * float(np.max(errors))
        worst = [i for i in np.argsort(-errors)[:MOST] if errors[i] > least]
        segments = [halves[i] for i in worst]
    return np.array(sorted(low for low, _ in segments), dtype=int)


def _halved(low: int, high: int) -> list[tuple[int, int]]:
    middle = (low + high) // 2
    return [(low, middle), (middle, high)] if high - low > 1 else [(low, high)]


def _only(v: np.ndarray, low: int, high: int) -> np.ndarray:
    masked = np.zeros_like(v)
    masked[low:high] = v[low:high]
    return masked


def _errors(network: Network, name: str, step: Step) -> np.ndarray:
    """By how much the gradient along each direction is wrong."""
    objective = Objective(network, cotangent=np.ones(()))
    numeric = differentiate(objective, step).parameters[name]
    return np.abs(objective.backward().parameters[name] - numeric)
