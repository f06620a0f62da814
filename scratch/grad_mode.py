"""The switch for what forward saves for backward (PyTorch, torch/autograd/grad_mode.py)."""

from contextlib import ContextDecorator

_enabled = True


def is_grad_enabled() -> bool:
    """Whether a forward now saves anything for a backward."""
    return _enabled


class no_grad(ContextDecorator):
    """Run forward passes that no backward will follow.

    Every forward outside of it keeps its inputs until the matching backward takes them, so an
    evaluation loop without ``no_grad`` would hold on to every batch it has seen. Usable as a context
    manager and as a decorator, like torch.no_grad.
    """

    def __enter__(self) -> "no_grad":
        global _enabled
        self._before, _enabled = _enabled, False
        return self

    def __exit__(self, *exception: object) -> None:
        global _enabled
        _enabled = self._before
