"""The kernel of scratch.random that draws as torch does: found by a small draw, on any processor."""

import os
import platform
import subprocess
import sys

import numpy as np
import pytest
import torch

from scratch import random
from scratch.random.kernel import KERNELS
from torch_ref.twin import kernel

# Prints the kernel that is in use, and how many of each kind of numbers are not torch's.
PROGRAM = """
import numpy as np, torch, torch_ref.twin
from scratch import random
ours, theirs = random.Generator().manual_seed(4), torch.Generator().manual_seed(4)
print(random.get_kernel())
for dtype in ("float32", "float64"):
    for n in (5, 1000, 100_003):
        x, y = np.empty(n, dtype), torch.empty(n, dtype=getattr(torch, dtype))
        for fill in ("uniform_", "normal_"):
            found = getattr(random, fill)(x, -0.3, 0.777, generator=ours)
            print(np.count_nonzero(found != getattr(y, fill)(-0.3, 0.777, generator=theirs).numpy()))
assert (ours.get_state() == theirs.get_state().numpy()).all()
"""


@pytest.fixture
def probe(monkeypatch):
    """A probe that has not run yet; kernel and probe are afterwards as before."""
    monkeypatch.setattr(random.kernel, "_name", random.get_kernel())
    kernel.fitting_kernel.cache_clear()
    yield
    kernel.fitting_kernel.cache_clear()


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="torch has these kernels on x86 only"
)
@pytest.mark.parametrize(
    ("capability", "expected"), [("default", "default"), ("avx2", "avx2"), ("avx512", "avx2")]
)
@pytest.mark.long
def test_each_kernel_of_torch_is_found_and_not_one_bit_differs(capability, expected) -> None:
    best = torch.backends.cpu.get_cpu_capability().lower()
    if capability not in ("default", "avx2", "avx512")[: 1 + ("default", "avx2", "avx512").index(best)]:
        pytest.skip(f"this processor has {best} at most")
    environment = os.environ | {"ATEN_CPU_CAPABILITY": capability}
    run = [sys.executable, "-c", PROGRAM]
    found = subprocess.run(run, env=environment, capture_output=True, text=True, check=True).stdout.split()
    assert found == [expected] + ["0"] * 12


def test_the_probe_leaves_both_generators_and_the_kernel_as_they_are(probe) -> None:
    random.set_kernel("fma")
    ours, theirs = random.get_rng_state(), torch.get_rng_state()
    kernel.fitting_kernel()
    assert random.get_kernel() == "fma"
    np.testing.assert_array_equal(random.get_rng_state(), ours)
    assert torch.equal(torch.get_rng_state(), theirs)


def test_a_torch_that_no_kernel_fits_leaves_the_kernel_as_it_is(probe, monkeypatch) -> None:
    monkeypatch.setattr(kernel, "_torch_draws", lambda: [b"other numbers"])
    random.set_kernel("fma")
    kernel.adopt_kernel()
    assert kernel.fitting_kernel() is None
    assert random.get_kernel() == "fma"


@pytest.mark.parametrize(
    ("fill", "dtype", "n", "groups"),
    [
        ("uniform_", "float32", 64, [{"avx2", "fma"}, {"default"}]),
        ("uniform_", "float64", 64, [{"avx2", "fma"}, {"default"}]),
        ("normal_", "float64", 15, [{"avx2", "fma"}, {"default"}]),
        ("normal_", "float32", 64, [{"avx2"}, {"default", "fma"}]),
        ("normal_", "float64", 64, [{"avx2", "default", "fma"}]),
    ],
)
def test_kernels_differ_in_roundings_alone_and_where_they_should(probe, fill, dtype, n, groups) -> None:
    draws = {}
    for name in KERNELS:
        random.set_kernel(name)
        draws[name] = getattr(random, fill)(np.empty(n, dtype), 0.1, 0.37, random.Generator())
        np.testing.assert_allclose(draws[name], draws["avx2"], rtol=0, atol=4 * np.finfo(dtype).eps)
    for group in groups:
        for one in KERNELS:
            for other in group - {one}:
                assert np.array_equal(draws[one], draws[other]) == (one in group)


def test_another_name_is_refused_and_changes_nothing(probe) -> None:
    assert random.set_kernel("default") in KERNELS
    with pytest.raises(ValueError, match="set_kernel: name is 'sse', expected one of avx2, default, fma"):
        random.set_kernel("sse")
    assert random.set_kernel("avx2") == "default"
