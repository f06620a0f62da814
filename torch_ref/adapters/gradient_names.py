"""The names that people give to the gradient of a parameter: dW, d_W, W_grad, grad_W, nabla_w, dLdW, …"""

import re
from collections.abc import Hashable, Iterable
from functools import cache

_BEFORE = (
    "d", "d[LJCE]_?d?", "dloss_?d?", "dcost_?d?", "∂", "∂L_?∂?", "∇", "grads?", "gradients?", "g", "nabla",
    "delta", "del", "partial", "diff", "deriv(?:ative)?",
)  # fmt: skip
_BEHIND = ("grads?", "gradients?", "d", "g", "bar", "delta", "diffs?", "derivs?", "derivatives?")
_SHORT = ((r"weights?|kernels?", "w"), (r"bias(?:es)?", "b"), (r"[^\w]|_", ""))

# A parameter that is an object, or a dict, of its own: its value beside its gradient.
OWN_VALUE = ("data", "value", "val", "array", "values", "tensor")
OWN_GRADIENT = ("grad", "gradient", "gradients", "grads", "g", "derivative")


def is_own_gradient(name: Hashable, key: Hashable) -> bool:
    """Whether ``key`` is the gradient of ``name`` in an object that is a parameter: grad beside data."""
    return name in OWN_VALUE and key in OWN_GRADIENT


def gradient_key(name: Hashable, keys: Iterable[Hashable]) -> Hashable | None:
    """Which of ``keys`` names the gradient of ``name``; None if none does.

    A name with a sign of a gradient comes before the bare one, which may be the parameter itself, kept beside
    its gradient; the same letters come before other cases, and those before abbreviations (dW1 of weights1).
    """
    texts = {key: str(key) for key in keys}
    text = str(name)
    tests = (
        lambda key: _decorated(text).fullmatch(key),
        lambda key: _decorated(text.lower()).fullmatch(key.lower()),
        lambda key: key == text,
        lambda key: _decorated(_short(text)).fullmatch(_short(key)),
        lambda key: _short(key) == _short(text),
        lambda key: is_own_gradient(text, key),
    )
    for test in tests:
        for key, each in texts.items():
            if test(each):
                return key
    return None


@cache
def _decorated(name: str) -> re.Pattern[str]:
    """The names of the gradient of ``name`` that say that they are one."""
    between, bare = "[ _./]?", re.escape(name)
    return re.compile(
        rf"(?:{'|'.join(_BEFORE)}){between}{bare}|{bare}{between}(?:{'|'.join(_BEHIND)})|{bare}'"
    )


@cache
def _short(name: str) -> str:
    """The name with w for weights and b for biases, without case and signs."""
    short = name.lower()
    for pattern, letters in _SHORT:
        short = re.sub(pattern, letters, short)
    return short
