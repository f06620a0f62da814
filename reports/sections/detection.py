"""How far can the check itself be trusted? What it finds that others miss, and the needle in the haystack."""

import copy
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from reports.commands.faults import added_up, kill_matrix
from reports.runner.campaign import Chapter
from reports.runner.networks import Network
from reports.runner.results import Rows, Section
from reports.runner.tasks import Task
from scratch import nn
from scratch.gradcheck import Objective, check_directions, gradcheck
from torch_ref import as_torch, compare, mirror
from torch_ref.faults import FAULTS, Fault, switch_on

OFF_BY = 1e-6

# Small inputs are where guessed tolerances fail; some mistakes change no number there.
_SCALES = (1e-3, 1.0)

# So often right code is asked about in a whole report; the campaign asks about all of it.
_RIGHT = 40

# Mistakes, or trials of right code, that are one task.
_AT_ONCE = 8


def chapter(network: Network, *, most: int | None, seed: int) -> Chapter:
    """The chapter of the report.

    Args:
        network: in which one entry of a gradient is made wrong.
        most: how many mistakes to try, and how often right code; None is all, and 40 times.
        seed: of the weights, and of the choice of the entry.
    """
    mistakes = _slices(min(most or len(FAULTS), len(FAULTS)))
    tasks = [
        Task(f"mistakes {some.start} to {some.stop}", partial(_mistakes, some), weight=2.0)
        for some in mistakes
    ]
    tasks += [
        Task(f"right code {some.start} to {some.stop}", partial(_right_code, some), weight=1.0)
        for some in _slices(most or _RIGHT)
    ]
    return Chapter("checker", [*tasks, Task("the needle", partial(_needle, network, seed))], _conclude)


def _slices(count: int) -> list[slice]:
    return [slice(start, min(start + _AT_ONCE, count)) for start in range(0, count, _AT_ONCE)]


def _mistakes(some: slice) -> Rows:
    return Rows({"faults": kill_matrix(FAULTS[some], _SCALES, every=False, some=slice(1))})


def _right_code(some: slice) -> Rows:
    return Rows({"faults": kill_matrix([None], _SCALES, every=False, some=some)})


def _needle(network: Network, seed: int) -> Rows:
    return Rows({"needle": needle(network, seed)})


def _conclude(rows: Rows) -> Section:
    matrix, found = added_up(rows.tables["faults"]), rows.tables["needle"]
    ours = matrix.iloc[:-1]
    agrees = bool((ours["gradmirror"] == ours["tried"]).all() and matrix["gradmirror"].iloc[-1] == 0)
    return Section({"faults": matrix, "needle": found}, {}, agrees and bool(found["found"].iloc[0]))


class Answer(NamedTuple):
    """Whether a check refused, and which entry it named, if any."""

    found: bool
    place: str = ""


def needle(network: Network, seed: int) -> pd.DataFrame:
    """One entry of the largest gradient is off by a millionth of itself: who finds it, who says which?

    Returns:
        A row for each check: entries, the wrong one, found, place (what the check names), seconds.
    """
    model, _ = network.build("float64", seed)
    x, target = network.batch("float64", 3)
    twin = mirror(model)
    loss_fn, twin_loss_fn = nn.CrossEntropyLoss(), torch.nn.CrossEntropyLoss()
    right = Objective(model, x, loss_fn=loss_fn, target=target).backward().parameters
    name = max((each for each in right if np.any(right[each])), key=lambda each: right[each].size)
    rng = np.random.default_rng(seed)
    # Where a ReLU is off there is nothing to be wrong by a millionth of.
    size = np.abs(right[name])
    wrong = tuple(int(i) for i in rng.choice(np.argwhere(size > 1e-3 * size.max())))
    broken = _broken(model, name, wrong)

    def by_compare() -> Answer:
        told = compare(broken, twin, x, loss_fn=loss_fn, twin_loss_fn=twin_loss_fn, target=target)
        return Answer(not told, told.details(1).partition("   ")[0])

    def by_gradcheck() -> Answer:
        told = gradcheck(broken, x, loss_fn=loss_fn, target=target)
        return Answer(not told, ", ".join(_place(row.name, row.worst) for row in told.rows if not row.ok))

    def by_directions() -> Answer:
        told = check_directions(broken, x, loss_fn=loss_fn, target=target)
        return Answer(not told, ", ".join(_place(entry.name, entry.at) for entry in told.wrong))

    def by_torch(fast: bool) -> Answer:
        wrapped = as_torch(broken)
        return Answer(
            not torch.autograd.gradcheck(
                lambda *_: twin_loss_fn(wrapped(torch.from_numpy(x)), torch.from_numpy(target)),
                tuple(wrapped.parameters()),
                raise_exception=False,
                fast_mode=fast,
            )
        )

    def by_assert_close() -> Answer:
        ours = Objective(broken, x, loss_fn=loss_fn, target=target).backward().parameters
        try:
            for each, gradient in ours.items():
                torch.testing.assert_close(gradient, right[each])
        except AssertionError:
            return Answer(True)
        return Answer(False)

    checks: dict[str, Callable[[], Answer]] = {
        "gradmirror, compare": by_compare,
        "gradmirror, gradcheck": by_gradcheck,
        "gradmirror, check_directions": by_directions,
        "torch.autograd.gradcheck, fast": lambda: by_torch(fast=True),
        "torch.testing.assert_close": by_assert_close,
    }
    rows: list[dict[str, Any]] = []
    for check, ask in checks.items():
        start = perf_counter()
        answer = ask()
        seconds = perf_counter() - start
        rows.append({"check": check, "found": answer.found, "place": answer.place, "seconds": seconds})
    entries = sum(gradient.size for gradient in right.values())
    return pd.DataFrame(rows).assign(network=network.name, entries=entries, wrong=_place(name, wrong))


def _broken(model: nn.Module, name: str, index: tuple[int, ...]) -> nn.Module:
    """A copy whose backward makes this one entry wrong."""

    def wrong(module: nn.Module, right: Callable[..., Any], *args: Any) -> Any:
        dx = right(*args)
        getattr(module, parameter).grad[index] *= 1 + OFF_BY
        return dx

    broken = copy.deepcopy(model)
    layer, _, parameter = name.rpartition(".")
    switch_on(Fault("one entry is off", "", (), {"backward": wrong}), dict(broken.named_modules())[layer])
    return broken


def _place(name: str, index: tuple[int, ...]) -> str:
    return f"{name}[{', '.join(map(str, index))}]"
