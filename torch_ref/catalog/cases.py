"""Case: one configuration of a module, and inputs to try it on."""

import inspect
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from scratch import nn
from torch_ref.catalog.draws import Draw, Normal


@dataclass(frozen=True)
class Case:
    """A module of scratch.nn and torch.nn: its class, constructor arguments, and inputs to try it on."""

    kind: str
    inputs: tuple[Draw, ...]
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    training: bool = True

    @property
    def is_random(self) -> bool:
        """Whether it draws random numbers in training."""
        if "Dropout" in self.kind or self.kind == "RReLU":
            return True
        bound = inspect.signature(getattr(nn, self.kind).__init__).bind(None, *self.args, **self.kwargs)
        bound.apply_defaults()
        return bool(bound.arguments.get("dropout", 0) > 0)

    @property
    def name(self) -> str:
        """The constructor's call, as a test's name."""
        kwargs = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in self.kwargs.items()}
        arguments = [*map(repr, self.args), *(f"{k}={v!r}" for k, v in kwargs.items())]
        return f"{self.kind}({', '.join(arguments)})" + ("" if self.training else ".eval()")

    def start(self, dtype: Any) -> nn.Module:
        """The module as users get it, with the weights that PyTorch's starts with, in ``dtype``."""
        return getattr(nn, self.kind)(*self.args, **self.kwargs).to(dtype).train(self.training)

    def make(self, dtype: Any) -> nn.Module:
        """The module, its parameters and buffers in ``dtype``.

        Those that start as ones or zeros, as a norm's do, get numbers under which an error would show.
        """
        module = self.start(dtype)
        rng = np.random.default_rng(0)
        for array in (*(p.data for p in module.parameters()), *module.buffers()):
            if array.dtype.kind in "fc" and array.size and np.all(array == array.flat[0]):
                array[...] = rng.uniform(0.5, 1.5, array.shape)
        return module

    def draw(self, dtype: Any, seed: int = 0, scale: float = 1.0) -> tuple[Any, ...]:
        """Inputs, floating ones in ``dtype``; ``scale`` times as large where that is allowed."""
        rng = np.random.default_rng(seed)
        arrays = [draw(rng, dtype) for draw in self.inputs]
        for i, draw in enumerate(self.inputs):
            if isinstance(draw, Normal) and i != self.target:
                arrays[i] = arrays[i] * arrays[i].dtype.type(scale)
        return tuple(arrays)

    @property
    def target(self) -> int | None:
        """The index of the input that is held: the one that forward calls target. None if there is none."""
        names = list(inspect.signature(getattr(nn, self.kind).forward).parameters)[1:]
        return names.index("target") if "target" in names else None


def first_of_each_kind(cases: Iterable[Case]) -> list[Case]:
    """One case of each class, as it was entered first."""
    first: dict[str, Case] = {}
    for case in cases:
        first.setdefault(case.kind, case)
    return list(first.values())
