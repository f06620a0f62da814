"""The mistake between the layers of a network, made again in a network of ours with the same losses."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from torch_ref.adapters.networks import Network
from torch_ref.checker.comparison import Comparison
from torch_ref.checker.diagnosis import TOLERANCES, Cause, is_output
from torch_ref.checker.diagnosis.rebuilt import Rebuilt, rebuild
from torch_ref.checker.verdict import TensorVerdict
from torch_ref.faults.chains import Mistake, Trace, Way, after_the_step, gradients, mistakes

# Gradients made again may be off by so much of the largest entry.
_OF_LARGEST = 1e-12
_RATES = (0.5, 1.0, 2.0)


def chain_causes(
    network: Network, comparison: Comparison, wrong: Sequence[TensorVerdict], explained: set[str]
) -> list[Cause]:
    """The mistake that gives exactly the gradients of the network, in all that are not explained already."""
    tensors = [t for t in comparison.tensors if t.numeric is not None and not is_output(t)]
    if not wrong or any(t.ours.shape != t.expected.shape for t in tensors if t.name not in explained):
        return []
    rebuilt = rebuild(network)
    if rebuilt is None:
        return []
    with np.errstate(all="ignore"):
        trace = rebuilt.chain.forward()
        judged = [t for t in tensors if t.name not in explained]
        made = _Made(network, rebuilt, trace, judged)
        if not made.is_right() or made.factor_of(Way()):
            return []
        is_read_from_a_step = network.steps_at_a_hidden_rate()
        for each in (made, *made.without_epsilon()):
            if found := _reproduced(each, is_read_from_a_step):
                mistake, factor = found
                if each is not made:
                    mistake = mistake._replace(
                        name=f"{mistake.name}, and ε is in the loss and not in its gradient"
                    )
                return [_cause(mistake, factor, rebuilt, wrong, is_read_from_a_step)]
    return []


def _reproduced(made: "_Made", is_read_from_a_step: bool) -> tuple[Mistake, float] | None:
    """The mistake that gives all gradients, and the factor that they have besides."""
    chain = made.rebuilt.chain
    every = [*mistakes(chain, made.trace), *_after_the_step(made)]
    found = [(mistake, factor) for mistake in every if (factor := made.factor_of(mistake.way))]
    factors = _factors(len(chain.X))
    # A mistake alone comes before one with a factor.
    for mistake, factor in sorted(found, key=lambda each: each[1] != 1):
        if factor == 1 or is_read_from_a_step or np.any(np.isclose(factor, factors)):
            return mistake, factor
    return None


def _factors(N: int) -> tuple[float, ...]:
    """The factors that all gradients may have besides a mistake; any other would be no explanation."""
    return (0.5, 2.0, -1.0, -0.5, -2.0, float(N), 1 / N)


class _Made:
    """Gradients of the rebuilt network beside those of people's."""

    def __init__(
        self, network: Network, rebuilt: Rebuilt, trace: Trace, tensors: Sequence[TensorVerdict]
    ) -> None:
        self.network, self.rebuilt, self.trace, self.tensors = network, rebuilt, trace, tensors

    def by(self, way: Way) -> dict[str, np.ndarray]:
        """The gradients by the names that the comparison has for them."""
        by_leaf = self.rebuilt.by_name(gradients(self.rebuilt.chain, self.trace, way), self.network.values())
        return self.network.of_parts(by_leaf)

    def without_epsilon(self) -> "Iterator[_Made]":
        """The same, the gradient that of the loss without ε, which has it inside its logarithm."""
        chain = self.rebuilt.chain
        if chain.loss.exact is not None:
            rebuilt = replace(self.rebuilt, chain=replace(chain, loss=chain.loss.exact))
            yield _Made(self.network, rebuilt, self.trace, self.tensors)

    def is_right(self) -> bool:
        """Whether the right way gives the numeric derivative."""
        right = self.by(Way())
        return all(_is_close(t, right[t.name], t.expected) for t in self.tensors)

    def factor_of(self, way: Way) -> float:
        """The factor with which this way gives people's gradients, all of them; 0 if there is none."""
        given = self.by(way)
        factor = _ratio([(t.ours, given[t.name]) for t in self.tensors])
        if not np.isfinite(factor) or abs(factor) < 1e-9:
            return 0.0
        factor = 1.0 if abs(factor - 1) < 1e-6 else factor
        if not all(_is_close(t, factor * given[t.name], t.ours) for t in self.tensors):
            return 0.0
        return factor


def _ratio(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    """The least squares' factor of the first beside the second."""
    square = sum(float(np.sum(b * b)) for _, b in pairs)
    return sum(float(np.sum(a * b)) for a, b in pairs) / square if square else 0.0


def _is_close(t: TensorVerdict, a: np.ndarray, b: np.ndarray) -> bool:
    judged = t.decidable
    limit = TOLERANCES * t.tolerance[judged] + _OF_LARGEST * np.max(np.abs(b), initial=0)
    return a.shape == b.shape and bool(np.all(np.abs(a - b)[judged] <= limit))


def _after_the_step(made: _Made) -> Iterator[Mistake]:
    """The weights are updated before the error has passed through them, at a rate that is found here.

    The gradients of the last layer are right, but for the factor that steps of an unknown rate have. Those of
    the one before are linear in the rate.
    """
    chain = made.rebuilt.chain
    if len(chain.layers) < 2:
        return
    last, before = (made.rebuilt.stored[at].weight.names for at in (-1, -2))
    tensors = {t.name: t for t in made.tensors}
    if last == before or not {*last, *before} <= {*tensors}:
        return
    none, one = made.by(Way()), made.by(after_the_step(chain, 1.0))
    factor = _ratio([(tensors[name].ours, none[name]) for name in last])
    changes = [(tensors[n].ours / factor - none[n], one[n] - none[n]) for n in before] if factor else []
    rate = _ratio(changes)
    if rate and np.isfinite(rate):
        name = "the weights are updated before the error has passed through them"
        fix = "finish the backward of all layers, then update"
        yield Mistake(name, fix, after_the_step(chain, rate), True)


def _cause(
    mistake: Mistake,
    factor: float,
    rebuilt: Rebuilt,
    wrong: Sequence[TensorVerdict],
    is_read_from_a_step: bool,
) -> Cause:
    name = mistake.name
    if factor != 1 and is_read_from_a_step:
        name = f"{name}; the steps are taken at a rate of {factor:.6g}"
    elif factor != 1 and not (mistake.is_rough and np.any(np.isclose(factor, _RATES))):
        name = f"{name}, and all gradients have a factor of {factor:.6g} too much"
    evidence = f"reproduced: made in {rebuilt.chain}, this mistake gives exactly your gradients"
    return Cause(name, evidence, mistake.fix, tuple(t.name for t in wrong))
