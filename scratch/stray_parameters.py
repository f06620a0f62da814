"""Arrays of a module that look like parameters and are none: ``self.W`` beside ``self.dW``.

A Module knows its Parameters and its registered buffers. An array that is neither is passed over by every
walk over the parameters: no check looks at its gradient, and no optimizer updates it. A gradient beside it
shows that it was meant to be learned.
"""

import dis
from collections.abc import Iterator
from typing import Any

import numpy as np

from scratch.nn.module import Module

_BEFORE: tuple[str, ...] = (
    *("d", "d_", "grad_", "grad", "dL_d", "dLd", "dL_", "dE_d", "dJ_d", "dC_d", "dLoss_d", "g", "g_"),
    *("nabla_", "delta_", "gradient_", "gradients_", "grads_", "D", "del_", "partial_"),
)
_BEHIND = ("_grad", "_grads", "_gradient", "_gradients", "Grad", "grad", "Gradient", "_delta", "_derivative")


def gradient_names(name: Any) -> tuple[str, ...]:
    """The names that people give to the gradient of ``name``, the commonest first.

    For ``weights`` also ``weight_grad`` and ``dWeights``, for ``_W`` also ``_dW``.
    """
    bare = str(name).lstrip("_")
    if not bare:
        return ()
    lead = str(name)[: -len(bare)]
    numbers = (bare, bare.removesuffix("s")) if len(bare) > 2 else (bare,)
    # dweights and dWeights.
    written = [each for n in numbers for each in (n, n[0].upper() + n[1:])]
    forms = [lead + before + each for before in _BEFORE for each in written]
    forms += [lead + each + behind for behind in _BEHIND for each in numbers]
    return tuple(dict.fromkeys(forms))


def names_in_code(kind: type) -> Iterator[str]:
    """The names of attributes, and of globals, in the methods of a class."""
    for code in _codes(kind):
        yield from code.co_names


def assigned_by_forward(kind: type) -> Iterator[str]:
    """The attributes that forward assigns: kept for backward, so no parameters."""
    for code in _codes(kind, ("forward", "__call__")):
        yield from (i.argval for i in dis.get_instructions(code) if i.opname == "STORE_ATTR")


def refuse_stray_parameters(module: Module, caller: str) -> None:
    """Refuse, in the name of ``caller``, a module with an array that has a gradient and is not a Parameter.

    Raises:
        TypeError: there is one.
    """
    for at, each in module.named_modules():
        for name, gradient in (*_beside_gradients(each), *_in_params(each)):
            own, simple = f"{at}.{name}" if at else name, name if name.isidentifier() else "p"
            raise TypeError(
                f"{caller}: {own} of {type(each).__name__} is an array beside its gradient {gradient} and no "
                f"Parameter, so it would be left out. Make it one, self.{simple} = nn.Parameter(…), and add "
                f"its gradient in backward, self.{simple}.add_grad(…)"
            )


def _beside_gradients(module: Module) -> Iterator[tuple[str, str]]:
    """(array, gradient): ``W`` beside ``dW`` or the like, or beside ``grads["W"]``."""
    kind, strays = type(module), [name for name, value in vars(module).items() if _is_stray(value, module)]
    if not strays:
        return
    known, kept = {*vars(module), *names_in_code(kind)}, {*assigned_by_forward(kind)}
    keys = _keys_of_grads(module) if "grads" in known else set()
    for name in strays:
        if name not in kept:
            yield from ((name, gradient) for gradient in gradient_names(name) if gradient in known)
            yield from ((name, f"grads[{key!r}]") for key in (name, *gradient_names(name)) if key in keys)


def _in_params(module: Module) -> Iterator[tuple[str, str]]:
    """(array, gradient): ``params[key]`` beside ``grads[key]``."""
    params = vars(module).get("params")
    if not isinstance(params, dict | list) or "grads" not in {*vars(module), *names_in_code(type(module))}:
        return
    entries = params.items() if isinstance(params, dict) else enumerate(params)
    yield from ((f"params[{k!r}]", f"grads[{k!r}]") for k, value in entries if _is_stray(value, module))


def _is_stray(value: Any, module: Module) -> bool:
    """Whether it is an array of floating numbers that no buffer holds."""
    is_array = isinstance(value, np.ndarray) and value.dtype.kind == "f"
    return is_array and not any(value is buffer for buffer in module.buffers())


def _keys_of_grads(module: Module) -> set[Any]:
    """The keys of ``module.grads``, and the strings in the methods of its class, which may become keys."""
    grads = getattr(module, "grads", None)
    written = {c for code in _codes(type(module)) for c in code.co_consts if isinstance(c, str)}
    return {*grads, *written} if isinstance(grads, dict) else written


def _codes(kind: type, methods: tuple[str, ...] = ()) -> Iterator[Any]:
    """The code of these methods of a class, or of all, its bases' included."""
    for each in kind.__mro__:
        for name, method in vars(each).items():
            if (not methods or name in methods) and (code := getattr(method, "__code__", None)):
                yield code
