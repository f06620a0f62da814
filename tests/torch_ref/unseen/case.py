"""A backward pass as a user would hand it over, and what is known about it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

STYLES = (
    "class",  # an object with a forward and a backward, named in `steps`
    "updating",  # the same, with backward(dy, learning_rate), which changes the weights at once
    "pair",  # y, cache = forward(*inputs); gradients = backward(dy, cache)
    "derivative",  # f and f', which is not given dy
    "closure",  # y, vjp = f(*inputs)
    "torch",  # a torch.autograd.Function or a function that uses one
    "loss",  # loss, gradients = f(params, *data)
    "spread",  # loss, *gradients = f(*params, *data)
    "two functions",  # loss(params, *data) and gradient(params, *data)
    "method",  # net.loss(*data) reads net.params
    "step",  # loss, new_params = step(params, *data, lr)
    "globals",  # f(*data) reads arrays of its module, and returns loss, *gradients, and more
)


TRUTH = object()  # as `reference`: the truth, handed over as a function
OWN = object()  # as `params`: those of the object whose method is handed over


@dataclass(frozen=True)
class Case:
    """One case. `mine` and `reference` make the object anew at each call, without any state."""

    name: str
    kind: str
    right: bool
    mistake: str  # in one line, empty if the case is right
    style: str
    mine: Callable[[], Any]
    inputs: tuple  # what a user would pass; behind the parameters, if there are `params`
    truth: Callable  # the same forward in torch, of the inputs and then the weights; for the proof alone
    reference: Callable[[], Any] | None = None  # makes the second argument of `check`; None: there is none
    options: dict[str, Any] = field(default_factory=dict)  # keyword arguments of the call
    params: Any = None  # makes the second argument of `check_loss`
    weights: str = ""  # of a class: where its weights are; "params.W" may be an attribute or a key
    grads: str = "out"  # of a class: where the gradients of inputs and weights are; "out": what it returns
    steps: tuple[str, str] = ("forward", "backward")
    shows: str = "as given"  # or "second call", "input changed", "dy changed"
    witness: tuple | None = None  # inputs on which the mistake shows, if it does not on those above

    @property
    def held(self) -> tuple[int, ...]:
        """The inputs without a gradient: those that the options name, and all but arrays of float64."""
        plain = [i for i, a in enumerate(self.inputs) if getattr(a, "dtype", None) != np.float64]
        return tuple(sorted({*plain, *self.options.get("held", ())}))

    def parameters(self, mine) -> Any:
        """The second argument of `check_loss`, for this `mine`."""
        if self.params is OWN:
            return mine.__self__.params
        return None if self.params is None else self.params()

    @property
    def call(self) -> str:
        """How a user would call the checker."""
        options = "".join(f", {key}={value!r}" for key, value in self.options.items())
        if self.params is not None:
            return f"check_loss(mine, params, *inputs{options})"
        return f"check(mine, {'reference' if self.reference else None}, *inputs{options})"


def made(name, kind, mistake, style, mine, inputs, truth, reference=None, **more) -> Case:
    """A case; it is right if the mistake is empty."""
    if reference is TRUTH:
        reference = lambda: truth  # noqa: E731
    return Case(name, kind, not mistake, mistake, style, mine, inputs, truth, reference, **more)


def right(name, kind, style, mine, inputs, truth, **more) -> Case:
    """A case without a mistake."""
    return made(name, kind, "", style, mine, inputs, truth, **more)


def wrong(name, kind, mistake, style, mine, inputs, truth, **more) -> Case:
    """A case with one mistake."""
    return made(name, kind, mistake, style, mine, inputs, truth, **more)


def normal(seed, *shapes) -> tuple[np.ndarray, ...]:
    """An array of normal numbers for each shape."""
    rng = np.random.default_rng(seed)
    return tuple(rng.normal(size=shape) for shape in shapes)


def labels(seed, n, below) -> np.ndarray:
    """Whole numbers below `below`, in the shape n."""
    return np.random.default_rng(seed).integers(0, below, n)
