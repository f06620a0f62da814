"""PyTorch on a GPU, beside NumPy on the CPU: settings, gradients, their error, and the time of a step.

A GPU has faster arithmetic than float32's own: TF32 keeps ten of the 23 bits of what it multiplies, bfloat16
seven. The weights and the batch are the same everywhere, those of float32; the error of every gradient is
taken against NumPy's in float64.
"""

import copy
import math
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from reports.errors import UnusableError
from reports.runner.findings import Rows
from reports.runner.frameworks import Gradients, Trainable, numpy_side
from reports.runner.intervals import median_interval
from reports.runner.networks import Network
from reports.runner.progress import progress
from scratch import nn
from scratch.gradcheck import INCONCLUSIVE, Objective
from torch_ref.checker.compare import compare_objective
from torch_ref.checker.verdict import TensorVerdict

BLOCKS = 20
# If too many activations of a batch are close to a kink, so many of its samples are judged instead.
_FEW = 10
# The verdict on a precision that promises fewer digits.
NOT_JUDGED = "not judged"


@dataclass(frozen=True)
class Setting:
    """A way in which PyTorch computes on a device.

    Args:
        name: for people.
        dtype: of the weights.
        tf32: whether products of float32 may be rounded to TF32 first; only a GPU does that.
        autocast: whether products are in bfloat16.
    """

    name: str
    dtype: str
    tf32: bool = False
    autocast: bool = False

    @property
    def judged(self) -> bool:
        """Whether it promises all the digits of its dtype."""
        return not (self.tf32 or self.autocast)


FLOAT32 = Setting("float32", "float32")
SETTINGS = (
    Setting("float64", "float64"),
    FLOAT32,
    Setting("float32, TF32", "float32", tf32=True),
    Setting("bfloat16, autocast", "float32", autocast=True),
)


def require(name: str) -> torch.device:
    """The device of this name, "cpu" or "cuda".

    Raises:
        UnusableError: PyTorch cannot use a GPU here; the message says why, as far as PyTorch says.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise UnusableError(f"--device cuda: {_why_no_gpu()}")
    return torch.device(name)


def _why_no_gpu() -> str:
    if torch.version.cuda is None and torch.version.hip is None:
        return f"torch {torch.__version__} was built without CUDA; pytorch.org says how to get one with it"
    try:
        torch.cuda.init()
        reason = "it counts 0 GPUs"
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().partition("\n")[0]
    return f"torch {torch.__version__} was built for CUDA {torch.version.cuda}, but finds no GPU: {reason}"


def describe(device: torch.device) -> dict[str, str | None]:
    """The device's name, and the versions of its software; None where it is not known."""
    on_gpu = device.type == "cuda"
    return {
        "name": torch.cuda.get_device_name(device) if on_gpu else "CPU",
        "torch": torch.__version__,
        "cuda": torch.version.cuda if on_gpu else None,
        "driver": _driver() if on_gpu else None,
    }


def _driver() -> str | None:
    words = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        said = subprocess.run(words, check=True, capture_output=True, text=True, timeout=20).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return said.partition("\n")[0].strip() or None


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Context in which a GPU may round float32 to TF32 in products and convolutions, or may not."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


@dataclass(frozen=True)
class DeviceSide:
    """PyTorch's training on a device, ready to step."""

    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    x: torch.Tensor
    target: torch.Tensor
    device: torch.device
    setting: Setting

    def block(self, steps: int) -> dict[str, float]:
        """Seconds of one step, the mean of ``steps``; a GPU is waited for before and after all of them."""
        with tf32(self.setting.tf32):
            self._wait()
            start = perf_counter()
            for _ in range(steps):
                self.optimizer.zero_grad()
                self._differentiate()
                self.optimizer.step()
            self._wait()
            return {"step": (perf_counter() - start) / steps}

    def gradients(self) -> Gradients:
        """The gradients by name of parameter, copied to the CPU."""
        self.optimizer.zero_grad()
        with tf32(self.setting.tf32):
            self._differentiate()
        named = self.model.named_parameters()
        return {name: p.grad.numpy(force=True).copy() for name, p in named if p.grad is not None}

    def _differentiate(self) -> None:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.setting.autocast):
            loss = torch.nn.functional.cross_entropy(self.model(self.x), self.target)
        loss.backward()  # in the dtypes of the forward

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def device_side(network: Network, seed: int, device: torch.device, setting: Setting) -> DeviceSide:
    """A PyTorch model of its own with fused SGD, from float32's weights in every setting."""
    _, model = network.build("float32", seed)
    dtype = getattr(torch, setting.dtype)
    model = model.to(device, dtype)
    x, target = (torch.from_numpy(each).to(device) for each in network.batch("float32"))
    optimizer = torch.optim.SGD(model.parameters(), lr=network.lr, fused=True)
    return DeviceSide(model, optimizer, x.to(dtype) if x.is_floating_point() else x, target, device, setting)


class Standard(NamedTuple):
    """The reference for gradients.

    Args:
        exact: NumPy's in float64.
        tensors: NumPy's in the dtype that is judged, with how far rounding moves each entry there.
    """

    exact: Gradients
    tensors: tuple[TensorVerdict, ...]

    def verdict(self, gradients: Gradients) -> str:
        """The verdict: agree, or the tensors in which rounding does not explain the difference."""
        judged = [replace(t, reference=gradients[t.name]) for t in self.tensors]
        wrong = [t.name for t in judged if t.reference.shape != t.ours.shape or np.any(t.wrong(t.reference))]
        if wrong:
            return f"differs in {', '.join(wrong)}"
        return "agree" if all(t.detection_limit < np.inf for t in judged) else INCONCLUSIVE

    def error(self, gradients: Gradients) -> tuple[float, str]:
        """The largest error by the largest entry of its tensor, and which tensor that is."""
        errors = {}
        for name, exact in self.exact.items():
            off = np.max(np.abs(gradients[name] - exact)) / (np.max(np.abs(exact)) or 1.0)
            errors[name] = float(np.nan_to_num(off, nan=np.inf))
        worst = max(errors, key=lambda name: errors[name])
        return errors[worst], worst


def standard(network: Network, dtype: str, seed: int) -> Standard:
    """The standard for the network's batch, at float32's weights."""
    model, twin = network.build("float32", seed)
    exact = _objective(copy.deepcopy(model).to(np.float64), network).backward().parameters
    objective = _objective(model.to(np.dtype(dtype)), network)
    twin = twin.to(getattr(torch, dtype))
    found = compare_objective(objective, twin, torch.nn.CrossEntropyLoss(), numeric=False)
    parameters = [t for t in found.tensors if t.name in exact]
    return Standard(exact, tuple(replace(t, numeric=exact[t.name]) for t in parameters))


def _objective(model: nn.Module, network: Network) -> Objective:
    x, target = network.batch("float32")
    dtype = next(model.parameters()).dtype
    x = x.astype(dtype) if x.dtype.kind == "f" else x
    return Objective(model, x, loss_fn=nn.CrossEntropyLoss(), target=target)


class Judge:
    """Judge of all gradients of one network in one dtype, on any framework or device.

    Where a rounding may flip a ReLU, float32 says little of right or wrong (checker/verdict.py). An error
    is there from every seed and in every batch. So if a whole batch does not agree, some samples are tried,
    from three seeds, and one that agrees decides.
    """

    def __init__(self, network: Network, dtype: str, seed: int) -> None:
        few = replace(network, batch_size=min(_FEW, network.batch_size))
        self._cases = [(network, seed), *((few, seed + i) for i in range(3))]
        self._dtype = dtype
        self._standards: list[Standard] = []

    @property
    def whole(self) -> Standard:
        """The standard for the whole batch."""
        return self._standard(0)

    def __call__(self, gradients: Callable[[Network, int], Gradients]) -> str:
        """The verdict on what computes them from a network and a seed."""
        verdict = ""
        for number, case in enumerate(self._cases):
            verdict = self._standard(number).verdict(gradients(*case))
            if verdict == "agree":
                break
        return verdict

    def _standard(self, number: int) -> Standard:
        while len(self._standards) <= number:
            network, seed = self._cases[len(self._standards)]
            self._standards.append(standard(network, self._dtype, seed))
        return self._standards[number]


def measure(network: Network, device: str, blocks: int, block: float, seed: int) -> Rows:
    """A row for each framework and device, in each setting: errors, times, and whether it is right."""
    where = require(device)
    gpu = describe(where)
    rows: list[dict[str, Any]] = []
    raw: dict[str, list[float]] = {}
    judges: dict[str, Judge] = {}
    for method, setting, build in progress(list(_sides(where, str(gpu["name"]))), network.name):
        judge = judges.setdefault(setting.dtype, Judge(network, setting.dtype, seed))
        error, worst = judge.whole.error(build(network, seed).gradients())
        seconds, steps = _timed(build(network, seed), blocks, block, f"{network.name} {setting.name}")
        median, low, high = median_interval(seconds, seed)
        rows.append(
            {
                "network": network.name,
                "batch": network.batch_size,
                "method": method,
                "dtype": setting.name,
                "error": error,
                "worst": worst,
                "seconds": median,
                "low": low,
                "high": high,
                "steps": steps,
                "verdict": judge(lambda *case, b=build: b(*case).gradients())
                if setting.judged
                else NOT_JUDGED,
            }
        )
        raw[f"{method}, {setting.name}"] = seconds
    measured = {"network": network.name, "batch": network.batch_size, "blocks": raw}
    return Rows({"cuda": pd.DataFrame(rows)}, {"device": [gpu], "timing": [measured]})


_Build = Callable[[Network, int], Trainable]


def _sides(device: torch.device, name: str) -> Iterator[tuple[str, Setting, _Build]]:
    """Each framework and device, its setting, and how it is built from network and seed."""
    yield "NumPy", FLOAT32, lambda network, seed: numpy_side(network, "float32", seed)
    if device.type != "cpu":
        yield "PyTorch, CPU", FLOAT32, partial(device_side, device=torch.device("cpu"), setting=FLOAT32)
    for setting in SETTINGS:
        yield f"PyTorch, {name}", setting, partial(device_side, device=device, setting=setting)


def _timed(side: Trainable, blocks: int, block: float, description: str) -> tuple[list[float], int]:
    """Seconds of a step, block by block, and how many steps that were; what warms up is not among them."""
    side.block(3)
    steps = max(1, math.ceil(block / side.block(3)["step"]))
    side.block(steps)
    return [side.block(steps)["step"] for _ in progress(range(blocks), description)], steps * blocks
