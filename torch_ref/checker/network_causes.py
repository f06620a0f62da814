"""Why a gradient of a whole network is wrong.

If the network can be built again, as a chain of layers, the mistake is made there (chain_causes.py). If not,
its data and its other gradients tell something: a gradient that is right for one sample, and wrong for
several, is wrong in what happens between them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from scratch.gradcheck import Objective
from torch_ref.adapters.held_data import Cut, cuts
from torch_ref.adapters.networks import Network
from torch_ref.adapters.parameter_parts import ALONG
from torch_ref.checker.chain_causes import chain_causes
from torch_ref.checker.compare import compare_objective
from torch_ref.checker.comparison import Comparison
from torch_ref.checker.diagnosis import UNKNOWN, Cause, diagnose
from torch_ref.checker.diagnosis.cause import is_right
from torch_ref.checker.diagnosis.factors import factor_of
from torch_ref.checker.verdict import AGREE, CORRECT_FOR_FORWARD, TensorVerdict, largest

# Of the largest entry.
_FAR = 1e-9


def network_causes(network: Network, objective: Objective, comparison: Comparison) -> list[Cause]:
    """The causes of what is wrong: those that the network shows, and those of each gradient by itself."""
    wrong = [t for t in comparison.wrong if t.numeric is not None and t.verdict != CORRECT_FOR_FORWARD]
    causes = [*_absent(network, wrong), *_rate(network, wrong)]
    explained = {name for cause in causes for name in cause.tensors}
    causes += chain_causes(network, comparison, _without(wrong, causes), explained)
    causes += _interchanged(_without(wrong, causes))
    causes += _regularisation(network, _without(wrong, causes))
    by_size, between = _on_fewer_data(network, _without(wrong, causes))
    causes += by_size
    done = {name for cause in causes for name in cause.tensors}
    others = tuple(t for t in comparison.tensors if t.name not in done)
    for cause in diagnose(objective, replace(comparison, tensors=others)):
        names = tuple(name for name in cause.tensors if between is None or name not in between.tensors)
        if cause.name != UNKNOWN or names == cause.tensors:
            causes.append(cause)
        elif between is not None:
            causes += [replace(cause, tensors=names)] if names else []
            causes += [between] if between not in causes else []
    return causes


def _without(tensors: Sequence[TensorVerdict], causes: Sequence[Cause]) -> list[TensorVerdict]:
    explained = {name for cause in causes for name in cause.tensors}
    return [t for t in tensors if t.name not in explained]


def _absent(network: Network, wrong: Sequence[TensorVerdict]) -> Iterator[Cause]:
    """The parameters of which there is no gradient."""
    given, returned = network.answer()
    absent = tuple(t.name for t in wrong if t.name.removesuffix(ALONG) not in given)
    if absent:
        fix = "return it under the name of its parameter, or in the order of the parameters"
        yield Cause("there is no gradient", f"f returns {returned}", fix, absent)


def _rate(network: Network, wrong: Sequence[TensorVerdict]) -> Iterator[Cause]:
    """One factor in all gradients that were read from a step: it may be the learning rate."""
    factors = [factor_of(t) for t in wrong if t.ours.shape == t.expected.shape]
    if not factors or not factors[0] or not np.allclose(factors, factors[0], rtol=1e-6, atol=0):
        return
    named = {t.name.removesuffix(ALONG) for t in wrong}
    if len(factors) == len(wrong) and named == {*network.leaves} and network.steps_at_a_hidden_rate():
        name = f"the learning rate of the step is not known; {factors[0]:.6g} would make all gradients right"
        fix = (
            "call it lr or learning_rate, in the function, among its arguments or in the object; or return "
            "the gradients: a factor of them looks the same"
        )
        evidence = "the gradients are read from the step that is taken, divided by a rate of 1"
        yield Cause(name, evidence, fix, tuple(t.name for t in wrong))


def _interchanged(wrong: Sequence[TensorVerdict]) -> Iterator[Cause]:
    """Two gradients of one shape, each in the place of the other."""
    for i, a in enumerate(wrong):
        for b in wrong[i + 1 :]:
            if a.ours.shape == b.ours.shape == a.expected.shape == b.expected.shape and not (
                np.any(a.wrong(b.ours)) or np.any(b.wrong(a.ours))
            ):
                evidence = "each equals the numeric derivative by the other parameter"
                fix = "return them in the order of the parameters, or under their names"
                yield Cause("the two gradients are interchanged", evidence, fix, (a.name, b.name))


def _regularisation(network: Network, wrong: Sequence[TensorVerdict]) -> Iterator[Cause]:
    """Gradients that are right but for a multiple of the weight itself, or of its signs."""
    weights = {name: p.data for name, p in network.named_parameters()}
    found: dict[tuple[str, str], list[str]] = {}
    for t in wrong:
        weight = weights[t.name]
        for words, term in (("the weight", weight), ("the signs of the weight", np.sign(weight))):
            c = _share(t, term)
            if c and t.ours.size > 1 and not np.any(t.wrong(t.ours + c * term)):
                found.setdefault((f"{abs(c):.6g} times {words}", "missing" if c > 0 else "much"), []).append(
                    t.name
                )
                break
    for (term, what), names in found.items():
        if what == "missing":
            name, evidence = (
                "the gradient of the regularisation is missing or too small",
                f"with {term} added",
            )
            fix = f"add {term} to the gradient: the loss grows by it"
        else:
            name = "weight decay is in the gradient and not, or not so much, in the loss"
            evidence = f"without {term}"
            fix = "add the regularisation to the loss, or leave weight decay to the optimizer"
        yield Cause(name, f"{evidence} it equals the numeric derivative", fix, tuple(names))


def _share(t: TensorVerdict, term: np.ndarray) -> float:
    """The multiple of ``term`` that is missing in the gradient, by least squares; 0 if there is none."""
    if t.ours.shape != term.shape or not np.any(term) or not np.any(t.ours):
        return 0.0
    c = float(np.sum((t.expected - t.ours) * term) / np.sum(term * term))
    return c if np.isfinite(c) else 0.0


def _on_fewer_data(network: Network, wrong: Sequence[TensorVerdict]) -> tuple[list[Cause], Cause | None]:
    """Factors that are the number of samples; and the gradients that are right for one sample alone."""
    for cut in cuts(network.held) if wrong else ():
        try:
            by_size = _factors_of_the_length(network, wrong, cut)
            alone = _compared(network.on(cut.first(1)))
        except Exception:  # from other people's code, on data that it does not take
            continue
        right = _right_alone(_without(wrong, by_size), alone)
        if not right and by_size:
            return by_size, None
        if not right:
            continue
        name = "right for one sample or time step alone, and wrong for several"
        evidence = f"with the first of {cut.length} it equals the numeric derivative"
        fix = "look at what is summed, averaged or handed on from one to the next"
        return by_size, Cause(name, evidence, fix, right)
    return [], None


def _compared(network: Network) -> Comparison:
    dtype = next(network.parameters()).dtype
    return compare_objective(Objective(network, cotangent=np.ones((), dtype)), None, None)


def _right_alone(wrong: Sequence[TensorVerdict], alone: Comparison) -> tuple[str, ...]:
    """The gradients that are right on one sample, if their wrong entries are not all simply 0 there."""
    others = {t.name: t for t in alone.tensors if t.verdict == AGREE}
    pairs = [(t, others[t.name]) for t in wrong if t.name in others and t.ours.shape == t.expected.shape]
    shown = [
        np.any((np.abs(other.expected) > other.tolerance) & _by_far(t))
        for t, other in pairs
        if not t.name.endswith(ALONG)
    ]
    return tuple(t.name for t, _ in pairs) if any(shown) else ()


def _by_far(t: TensorVerdict) -> np.ndarray:
    """The entries that are wrong by more than what rounding may do to an ill-conditioned loss."""
    return t.wrong(t.ours) & (np.abs(t.ours - t.expected) > _FAR * largest(t.expected))


def _factors_of_the_length(network: Network, wrong: Sequence[TensorVerdict], cut: Cut) -> list[Cause]:
    """The gradients that are off by the number of samples, n, and by n - 1 on one sample less."""
    n, causes = cut.length, []
    for name, evidence, power, fix in (
        (
            "a factor of the number of samples, {n}, too much",
            "on {less} samples it is {less}",
            1,
            "the sum over the samples is to be a mean, as in the loss, or the mean is taken twice",
        ),
        (
            "divided by the number of samples, {n}, once too often",
            "on {less} samples it is divided by {less}",
            -1,
            "the mean over the samples is taken, where the loss is a sum, or it is taken twice",
        ),
    ):
        suspects = [t.name for t in wrong if n > 2 and _is_factor(t, float(n) ** power)]
        others = {t.name: t for t in _compared(network.on(cut.first(n - 1))).tensors} if suspects else {}
        names = tuple(name for name in suspects if _is_factor(others[name], (n - 1.0) ** power))
        if names:
            numbers = {"n": n, "less": n - 1}
            causes.append(Cause(name.format(**numbers), evidence.format(**numbers), fix, names))
    return causes


def _is_factor(t: TensorVerdict, factor: float) -> bool:
    """Whether the gradient by this factor is right, and any other than as it is."""
    if t.ours.shape != t.expected.shape or not np.any(t.wrong(t.ours)):
        return False
    return is_right(t, t.ours / factor, 1 / factor)
