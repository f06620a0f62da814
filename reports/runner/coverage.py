"""``gradmirror coverage``: the modules, optimizers and schedulers of PyTorch that are here, or not."""

import inspect
from collections import defaultdict
from types import ModuleType

import pandas as pd
import torch

from reports.output import show
from reports.page.text import markdown
from scratch import nn, optim
from scratch.optim import lr_scheduler

# Base classes, which are not layers.
_NOT_MEANT = {"Module", "Optimizer", "LRScheduler", "Container", "RNNBase", "RNNCellBase"}


def table() -> pd.DataFrame:
    """A row for each file of PyTorch: the classes that are here, and those that are not."""
    found: dict[str, dict[bool, list[str]]] = defaultdict(lambda: {True: [], False: []})
    for theirs, ours, base in (
        (torch.nn, nn, torch.nn.Module),
        (torch.optim, optim, torch.optim.Optimizer),
        (torch.optim.lr_scheduler, lr_scheduler, object),
    ):
        for name, kind in _classes(theirs, base):
            file = kind.__module__.removeprefix("torch.").replace(".modules", "").replace(".", "/")
            file = "optim" if theirs is torch.optim else file
            found[file][hasattr(ours, name)].append(name)
    rows = [
        {
            "PyTorch's file": file,
            "here": ", ".join(sorted(has[True])),
            "not here": ", ".join(sorted(has[False])),
        }
        for file, has in sorted(found.items())
    ]
    return pd.DataFrame(rows)


def _classes(module: ModuleType, base: type) -> list[tuple[str, type]]:
    return [
        (name, kind)
        for name, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, base)
        and not name.startswith("_")
        and name not in _NOT_MEANT
        and kind.__module__.startswith(("torch.nn.modules", "torch.optim"))
        and (module is not torch.optim.lr_scheduler or name in module.__all__)
    ]


def run() -> int:
    """Print the table; always 0."""
    found = table()
    here, missing = (sum(len(names.split()) for names in found[column]) for column in ("here", "not here"))
    show(f"{markdown(found)}\n\n{here} of {here + missing} are here.\n")
    return 0
