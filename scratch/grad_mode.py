"""The switches for what forward saves for backward (PyTorch, torch/autograd/grad_mode.py).

They are of the thread: one that evaluates does not disturb another one that trains.
"""

from contextlib import ContextDecorator
from contextvars import ContextVar, Token

_OFF, _ON, _SEALED = 0, 1, 2
_mode: ContextVar[int] = ContextVar("grad_mode", default=_ON)

# 0: a forward saves nothing; 1: it saves; 2: it saves, and what it saved must stay as it is.
mode = _mode.get


def is_grad_enabled() -> bool:
    """Whether a forward now saves anything for a backward."""
    return mode() != _OFF


class _Switch(ContextDecorator):
    """Base class: another mode, as a context or a decorator."""

    _mode: int

    def __enter__(self) -> "_Switch":
        self._before: Token[int] = _mode.set(self._mode)
        return self

    def __exit__(self, *exception: object) -> None:
        _mode.reset(self._before)

    def _recreate_cm(self) -> "_Switch":
        return type(self)()  # a decorated function may call itself, or run in two threads


class no_grad(_Switch):
    """Run forward passes that no backward will follow.

    Every forward outside of it keeps its inputs until the matching backward takes them, so an
    evaluation loop without ``no_grad`` would hold on to every batch it has seen. Usable as a context
    manager and as a decorator, like torch.no_grad.
    """

    _mode = _OFF


class detect_changes(_Switch):
    """Refuse a backward whose forward's arrays were changed in place in between, as ``x *= 2`` does.

    torch always notices that; here it costs a checksum of all that is saved, so it is a switch. Usable as a
    context manager and as a decorator, around forward and backward.

    Example:
        >>> x = np.ones(3)
        >>> square = nn.Softplus()
        >>> with scratch.detect_changes():
        ...     y = square(x)
        ...     x *= 2
        ...     square.backward(np.ones(3))
        Traceback (most recent call last):
        RuntimeError: Softplus.backward: an array that its forward saved, float64 (3,), was changed in between
    """

    _mode = _SEALED
