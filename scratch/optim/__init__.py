"""Optimizers, under the names of torch.optim: each file here brings its own."""

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from scratch.optim import lr_scheduler
from scratch.optim.optimizer import Optimizer

__all__ = ["Optimizer", "lr_scheduler"]

for _file in iter_modules(__path__):
    if _file.name not in ("optimizer", "lr_scheduler"):
        _module = import_module(f"{__name__}.{_file.name}")
        globals().update({name: getattr(_module, name) for name in _module.__all__})
        __all__ += _module.__all__

if TYPE_CHECKING:
    from typing import Any

    def __getattr__(name: str) -> Any: ...
