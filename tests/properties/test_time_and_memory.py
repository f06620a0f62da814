"""Time and memory over size, on one thread, beside torch.autograd.gradcheck(fast_mode=True).

    python tests/properties/test_time_and_memory.py [WORDS]

prints the table of all rows, or of those whose names contain all the words. Each row is a process of its own,
which ends after two minutes or beyond 8 GB of memory. Seconds are those of the processor.
"""

import functools
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

Row = tuple[str, Callable[[str], Any]]
PER_ROW, MOST_BYTES = 120, 8 * 2**30
# Never longer than this or, where gradcheck takes longer than 3 s, three times as long as that.
ALLOWED, SLOW, TIMES = 10.0, 3.0, 3.0


def check_layer(kind: str, arguments: tuple[Any, ...], shapes: tuple[Any, ...], by: str) -> Any:
    """check of our module of that name, or gradcheck of torch's."""
    import numpy as np
    import torch

    from scratch import nn
    from torch_ref import check

    inputs = [np.random.default_rng(0).standard_normal(shape) for shape in shapes]
    theirs = getattr(torch.nn, kind)(*arguments)
    if by == "gradcheck":
        return fast(theirs, [torch.from_numpy(x) for x in inputs])
    mine = getattr(nn, kind)(*arguments, dtype=np.float64)
    return timed(lambda: check(mine, theirs, *inputs))


def whole(by: str, width: int, layers: int) -> Any:
    """compare or first_divergence of a GPT and its mirror, or gradcheck of the mirror."""
    import numpy as np
    import torch

    from scratch.models import GPT
    from torch_ref import compare, first_divergence, mirror

    model = GPT(65, 16, width, layers, dtype=np.float64)
    x = np.random.default_rng(0).integers(0, 65, (2, 16))
    twin = mirror(model)
    if by == "gradcheck":
        return fast(twin, [torch.from_numpy(x)])
    call = compare if by == "compare" else first_divergence
    return timed(lambda: call(model, twin, x))


def fast(module: Any, inputs: Any) -> Any:
    """gradcheck, in its fast mode, of a module by its parameters and inputs."""
    import torch

    module = module.double()
    names = [name for name, _ in module.named_parameters()]
    weights = [p.detach().clone().requires_grad_() for p in module.parameters()]
    inputs = [x.requires_grad_() if x.is_floating_point() else x for x in inputs]

    def f(*tensors: Any) -> Any:
        own = dict(zip(names, tensors[: len(names)], strict=True))
        y = torch.func.functional_call(module, own, tensors[len(names) :])
        return y[0] if isinstance(y, tuple) else y

    return timed(lambda: torch.autograd.gradcheck(f, (*weights, *inputs), fast_mode=True))


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds and result."""
    start = time.process_time()
    found = call()
    return time.process_time() - start, found


def rows() -> dict[str, Callable[[str], Any]]:
    """Each by its name, to be called with "gradcheck", "check", "compare" or "first_divergence"."""
    found: dict[str, Callable[[str], Any]] = {}

    def layer(name: str, kind: str, arguments: Any, *shapes: Any) -> None:
        found[f"check {name}"] = functools.partial(check_layer, kind, arguments, shapes)

    for n in (100, 200, 512, 1024, 2048, 4096, 8192):
        layer(f"Linear {n}×{n}", "Linear", (n, n), (16, n))
    for n in (32, 64, 112, 224):
        layer(f"conv 3×{n}²", "Conv2d", (3, 8, 3, 1, 1), (2, 3, n, n))
    for n in (64, 128, 256, 512, 1024):
        layer(f"attention {n} tokens", "MultiheadAttention", (64, 4), *[(n, 1, 64)] * 3)
    for n in (50, 100, 200, 500, 1000):
        layer(f"LSTM {n} steps", "LSTM", (16, 32), (n, 4, 16))
    for name, width, layers in (("28 k", 32, 2), ("0.8 M", 128, 4), ("3.2 M", 256, 4), ("10.7 M", 384, 6)):
        for by in ("compare", "first_divergence"):
            found[f"{by} GPT {name}"] = functools.partial(whole, width=width, layers=layers)
    return found


def in_process(name: str, by: str) -> tuple[float, float, str]:
    """Seconds, peak memory in MB and what came out of one row, run in a process of its own."""
    command = [sys.executable, __file__, "--row", name, by]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=2 * PER_ROW, check=False)
    except subprocess.TimeoutExpired:
        return PER_ROW, float("nan"), "stopped"
    if done.returncode:
        return PER_ROW, float("nan"), (done.stderr.strip().splitlines() or ["stopped"])[-1]
    seconds, peak, said = done.stdout.splitlines()[-1].split("\t")
    return float(seconds), float(peak), said


def run_row(name: str, by: str) -> None:
    """One row in this process: prints seconds, peak memory in MB and what came out."""
    import resource  # which Windows has not

    resource.setrlimit(resource.RLIMIT_CPU, (PER_ROW, PER_ROW))
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES, MOST_BYTES))
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    seconds, found = rows()[name](by)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    verdict = getattr(found, "verdict", str(found)).replace("\n", " ")
    print(f"{seconds:.2f}\t{peak:.0f}\t{bool(found)}: {verdict}")


def measured(name: str) -> tuple[str, bool]:
    """The row of the table, and whether it is quick enough and agrees."""
    seconds, peak, said = in_process(name, name.split()[0])
    theirs, their_peak, _ = in_process(name, "gradcheck")
    allowed = max(ALLOWED, TIMES * theirs if theirs > SLOW else 0)
    ok = seconds <= allowed and said.startswith("True")
    cells = name, f"{seconds:.1f}", f"{peak:,.0f}", f"{theirs:.1f}", f"{their_peak:,.0f}", "" if ok else said
    return f"| {' | '.join(cells)} |", ok


@pytest.mark.campaign
@pytest.mark.parametrize("name", rows())
def test_no_size_takes_longer_than_ten_seconds(name: str) -> None:
    line, ok = measured(name)
    assert ok, line


if __name__ == "__main__":
    if sys.argv[1:2] == ["--row"]:
        run_row(*sys.argv[2:])
    else:
        print("| | s | MB | gradcheck fast, s | MB | |\n|---|---|---|---|---|---|")
        for name in rows():
            if all(word in name for word in sys.argv[1:]):
                print(measured(name)[0], flush=True)
