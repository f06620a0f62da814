"""Autograd run on code of people's: what it refuses is read, or said in the checker's words."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch


def run_autograd(outputs: list[torch.Tensor], dy: list[torch.Tensor], name: str) -> dict[int, np.ndarray]:
    """Run autograd; gradients of a wrong shape, which it refuses, by the id of the tensor they are for."""
    try:
        torch.autograd.backward(outputs, dy, retain_graph=True)
    except RuntimeError as error:
        text = str(error)
        if "incorrect number of gradients" in text:
            raise TypeError(
                f"check: mine: backward of {name} returns a wrong number of gradients ({text}); "
                "expected one for each argument of forward after ctx, in order, and None for one that is no "
                "tensor"
            ).with_traceback(error.__traceback__) from error
        misshapen = _misshapen(outputs, dy) if "invalid gradient at index" in text else {}
        if not misshapen:
            raise ValueError(f"check: mine: backward of {name} raises RuntimeError: {text}").with_traceback(
                error.__traceback__
            ) from error
        return misshapen
    return {}


class _Reader:
    """A Function's backward that keeps gradients of a wrong shape, and puts zeros in their place."""

    def __init__(self, backward: Callable[..., Any]) -> None:
        self.backward, self.found = backward, dict[int, np.ndarray]()

    def __call__(self, ctx: Any, *dy: Any) -> tuple[Any, ...]:
        returned = self.backward(ctx, *dy)
        gradients = list(returned) if isinstance(returned, tuple) else [returned]
        needed = [at for at, needs in enumerate(ctx.needs_input_grad) if needs]
        receivers = [following for following, _ in ctx.next_functions if following is not None]
        for at, receiver in zip(needed, receivers, strict=False):
            leaf, grad = getattr(receiver, "variable", None), gradients[at]
            if leaf is not None and grad is not None and not _fits(grad, leaf):
                self.found[id(leaf)] = grad.detach().to("cpu", torch.float64).numpy()
                gradients[at] = torch.zeros_like(leaf)
        return tuple(gradients)


def _fits(grad: torch.Tensor, leaf: torch.Tensor) -> bool:
    """Whether autograd takes it: of the shape of the leaf, or one that is summed to it."""
    sizes = zip(reversed(grad.shape), reversed(leaf.shape), strict=False)
    return grad.ndim >= leaf.ndim and all(n == 1 or n == m for m, n in sizes)


def _misshapen(outputs: list[torch.Tensor], dy: list[torch.Tensor]) -> dict[int, np.ndarray]:
    """The gradients of a wrong shape for inputs or parameters, by id; the others are where they belong.

    They are read where a backward of people's returns them, since autograd drops them.
    """
    nodes = list(_nodes(outputs))
    for leaf in (getattr(following, "variable", None) for n in nodes for following, _ in n.next_functions):
        if leaf is not None:
            leaf.grad = None
    names = {node.name() for node in nodes}
    kinds = [kind for kind in _subclasses(torch.autograd.Function) if f"{kind.__name__}Backward" in names]
    readers = [_Reader(kind.backward) for kind in kinds]
    before = [vars(kind).get("backward") for kind in kinds]
    try:
        for kind, reader in zip(kinds, readers, strict=True):
            kind.backward = staticmethod(reader)
        torch.autograd.backward(outputs, dy, retain_graph=True)
    except RuntimeError:  # that of an inner operation, which is nobody's gradient
        return {}
    finally:
        for kind, own in zip(kinds, before, strict=True):
            if own is None:
                del kind.backward
            else:
                kind.backward = own
    return {at: grad for reader in readers for at, grad in reader.found.items()}


def _subclasses(kind: Any) -> Iterator[Any]:
    for each in kind.__subclasses__():
        yield each
        yield from _subclasses(each)


def _nodes(outputs: list[torch.Tensor]) -> Iterator[Any]:
    """The nodes of the graph above these outputs, but for its leaves."""
    waiting, seen = [y.grad_fn for y in outputs], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen or hasattr(node, "variable"):
            continue
        seen.add(node)
        yield node
        waiting += [following for following, _ in node.next_functions]
