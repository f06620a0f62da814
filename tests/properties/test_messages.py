"""Whatever is refused, the message says by whom and names an argument: walked over the catalog."""

import inspect
import re

import numpy as np
import pytest

from sampled import one_in
from scratch import nn
from torch_ref.catalog import LOSSES, MODULES, Case

# Of the cases of each test; the others in make long.
ONE_IN = 2

KINDS: dict[str, list[Case]] = {}
for each in MODULES + LOSSES:
    KINDS.setdefault(each.kind, []).append(each)
every_kind = pytest.mark.parametrize("cases", KINDS.values(), ids=KINDS.keys())
half_of_the_kinds = pytest.mark.parametrize("cases", one_in(2, KINDS.values(), lambda cases: cases[0].kind))


def refusal(call, *args, **kwargs) -> str:
    """The message with which a call is refused, or "" if it is not."""
    try:
        with np.errstate(all="ignore"):
            call(*args, **kwargs)
    except Exception as error:  # Python's own included, of values that no one passes
        return str(error)
    return ""


@every_kind
def test_a_constructor_names_what_it_refuses(cases) -> None:
    for case in cases:
        kind = getattr(nn, case.kind)
        _, *names = inspect.signature(kind.__init__).parameters
        given = dict(zip(names, case.args, strict=False)) | case.kwargs
        for name in names:
            for wrong in (-1, 0, 1.5, "no", np.nan, (1, 2, 3, 4, 5), None):
                message = refusal(kind, **(given | {name: wrong}))
                if message.startswith(f"{case.kind}: "):
                    named = rf"{case.kind}: ({'|'.join(names)}) (is|are|and|has|goes) "
                    assert re.match(named, message), f"{case.name}: {message}"


def unfit(x: np.ndarray):
    """Arrays and others that a module may refuse in the place of x."""
    yield from (x.tolist(), x.astype(np.float32), x.astype(int), x.astype(complex), x.astype(str))
    yield from (x[None], x[None, None], x.reshape(-1)[:1].reshape(()), x.reshape(-1))
    for axis in range(x.ndim):
        yield from (np.concatenate([x, x], axis), np.take(x, [], axis))
    if x.dtype.kind in "iuf":
        yield from (x + 100, x - 100)


@half_of_the_kinds
def test_forward_names_what_it_refuses(cases) -> None:
    for case in cases:
        inputs = case.draw(np.float64)
        module = case.make(np.float64)
        names = [*inspect.signature(module.forward).parameters, *vars(module), "input", "h_0", "c_0", "image"]
        for at, x in enumerate(inputs):
            for wrong in unfit(x) if isinstance(x, np.ndarray) else ():
                arguments = [wrong if i == at else right for i, right in enumerate(inputs)]
                message = refusal(case.make(np.float64), *arguments)
                if message.startswith(case.kind):
                    _, said = re.match(rf"{case.kind}(\([^:]*\))?: (.*)", message, re.DOTALL).groups()
                    assert re.search(rf"\b({'|'.join(names)})\b", said), f"{case.name}: {message}"
