"""Formulas for the page: templates in LaTeX become MathML, which browsers show without a script."""

import re
from typing import Any

_TENSOR = re.compile(r"\{(d:)?(\w+)\}")
_NAMESPACE = ' xmlns="http://www.w3.org/1998/Math/MathML"'

# LaTeX, and as text, of what is not called by its letter.
_LABELS = {
    "gamma": (r"\gamma", "γ"),
    "beta": (r"\beta", "β"),
    "mu": (r"\mu", "μ"),
    "var": (r"\sigma^2", "σ²"),
    "xhat": (r"\hat x", "x̂"),
}


def label(name: str) -> str:
    """A tensor in LaTeX: W1 is W_1."""
    if name.endswith("_new"):
        return label(name.removesuffix("_new")) + r"^{\text{new}}"
    if name in _LABELS:
        return _LABELS[name][0]
    letter, number = re.fullmatch(r"([A-Za-z]+?)(\d*|[qkv]?)", name).groups()  # type: ignore[union-attr]
    return letter + (f"_{number}" if number else "")


def plain_label(name: str) -> str:
    """A tensor in a line of text."""
    if name.endswith("_new"):
        return f"{plain_label(name.removesuffix('_new'))} new"
    return _LABELS[name][1] if name in _LABELS else name


def gradient_label(name: str) -> str:
    r"""∂L/∂W in LaTeX."""
    return rf"\frac{{\partial L}}{{\partial {label(name)}}}"


def _shape(shape: list[int]) -> str:
    return "(" + r" \times ".join(map(str, shape or [1])) + ")"


def mathml(formula: str, tensors: dict[str, Any], in_symbols: bool) -> str:
    """The formula with each tensor by its symbol, or by its shape."""
    from latex2mathml.converter import convert

    def replace(found: re.Match[str]) -> str:
        gradient, name = found.groups()
        if name not in tensors:
            return found[0]
        if not in_symbols:
            return "{" + _shape(tensors[name]["shape"]) + "}"
        if not gradient:
            return "{" + label(name) + "}"
        # A fraction with an index or a transpose sign needs brackets.
        marked = formula[found.end() : found.end() + 1] in ("_", "^")
        return rf"{{\left({gradient_label(name)}\right)}}" if marked else "{" + gradient_label(name) + "}"

    # In HTML the element says the namespace.
    return convert(_TENSOR.sub(replace, formula), display="block").replace(_NAMESPACE, "")
